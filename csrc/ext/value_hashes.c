/* SPDX-License-Identifier: MIT */
/*
 * value_hashes.c - elements of a set, and keys of a dict, that share a hash.
 *
 * Python hashes text with a secret, and numbers without: anyone can name 100,000 ints (or tuples of
 * them) with one hash, and a set of those takes time that grows with the square of their number.
 * Numbers that nobody chose for it hardly ever meet, except in families: 2**61 * x has the hash of
 * x, so of the first 15,000 powers of two, 246 share each. More than HASH_SAME_MAX are refused.
 *
 * Counted in a small table, by a mix of the hash; one cell has four elements or fewer on the average,
 * so that none comes near the limit by chance.
 */
#include "values.h"

/* One cell's limit; all of it in one container, and 100,000 values take 0.2 s. */
#define HASH_SAME_MAX 250
/* Containers with fewer have no tally. */
#define HASH_TALLY_MIN HASH_SAME_MAX
#define HASH_PER_CELL 4u

int
hash_tally_start(hash_tally *self, core_state *state, uint32_t count)
{
    unsigned bits = 1;

    self->state = state;
    self->counts = NULL;
    if (count <= HASH_TALLY_MIN)
        return 0;
    while ((HASH_PER_CELL << bits) < count)
        bits++;
    self->shift = 64 - bits;
    self->counts = PyMem_Calloc((size_t)1 << bits, sizeof *self->counts);
    if (self->counts == NULL)
        PyErr_NoMemory();
    return self->counts != NULL ? 0 : -1;
}

/* The last steps of MurmurHash3 (Austin Appleby, public domain): each bit of `hash` changes the upper
 * bits, which alone are used. */
static uint64_t
mix(uint64_t hash)
{
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdu;
    hash ^= hash >> 33;
    return hash * 0xc4ceb9fe1a85ec53u;
}

int
hash_tally_add(hash_tally *self, PyObject *element)
{
    Py_hash_t hash;

    if (self->counts == NULL)
        return 0;
    hash = PyObject_Hash(element);
    if (hash == -1 && PyErr_Occurred())
        return -1;
    if (self->counts[mix((uint64_t)hash) >> self->shift]++ < HASH_SAME_MAX)
        return 0;
    PyErr_Format(self->state->cannot_cross,
                 "more than %d of its keys or elements have the same hash, which makes a dict or "
                 "set slow without end: send a list of them instead",
                 HASH_SAME_MAX);
    return -1;
}

void
hash_tally_stop(hash_tally *self)
{
    PyMem_Free(self->counts);
}
