/* SPDX-License-Identifier: MIT */
/*
 * values.h - private to the files that turn Python values into tables and back.
 *
 *   value_encoder.c  the buffer of a frame; how a value is refused
 *   value_encode.c   the plain kinds, containers, dispatch      value_decode.c
 *   value_hashes.c   elements and keys that share a hash, for value_decode.c
 *   value_lists.c    lists of one type, both ways
 *   value_rare.c     big int, slice, range, Path, UUID, Decimal, both ways
 *   value_dates.c    the datetime family, both ways
 *   value_foreign.c  tables and pickles, both ways; ringbridge/tables.py and pickles.py do the work
 *   value_handle.c   objects that stay, functions that are called back, both ways
 *   tensor_encode.c  arrays and long texts                      tensor_decode.c
 *   tensor_dlpack.c  the memory of what has __dlpack__, for tensor_encode.c
 *
 * What a kind has in its table Value (the decoder insists on it)
 *   None False True Ellipsis    nothing more
 *   Int i        BigInt b: two's complement, little-endian        Float f      Complex f, g
 *   Str s        Bytes b        ByteArray b         (each long one: tensor, 1-d U8, instead)
 *   List Tuple Set FrozenSet items                  Dict keys, items
 *   I64Vec i64s  F64Vec f64s    StrVec strs         BoolVec b: 0 or 1     (lists)
 *   Slice Range  items: start, stop, step
 *   Path b: UTF-8 with surrogateescape, sub: 0 Path, 1 PurePosixPath, 2 PureWindowsPath
 *   UUID b: 16 bytes, sub: 0 unknown, 1 safe, 2 unsafe (its is_safe)     Decimal s: its str
 *   Date i64s: year, month, day                     TimeDelta i64s: days, seconds, microseconds
 *   Time i64s: hour, minute, second, microsecond    DateTime i64s: those of Date, those of Time
 *        sub: bit 0 fold; bits 1-2: 0 naive, 1 timezone: its offset as TimeDelta's three follows in
 *        i64s, its name (if it has one) in aux; 2 ZoneInfo: its key in aux
 *   Tensor tensor
 *   Table  items: Int (what it was: see ringbridge/tables.py), Tensor (1-d U8: an Arrow IPC stream)
 *   Handle Callback  i, s, sub: see value_handle.c
 *   Pickle items: Bytes, then a Tensor (1-d U8) for each buffer out of band
 */
#ifndef RBR_EXT_VALUES_H
#define RBR_EXT_VALUES_H

#include "tensor.h"

/* --------------------------------------------------------------------------------------- limits */

/* Longer str, bytes and bytearray lie in a block: they would crowd out the ring. */
#define TEXT_INLINE_BYTES_MAX (16u << 10)
/* Lists from here on are looked through for one common type. */
#define LIST_VECTOR_MIN 4
/* Containers within each other: the wire's limit less Frame, body, KeyVal, leaf Value, Tensor. */
#define VALUE_DEPTH_MAX (RBR_DEPTH_MAX - 5)
/* Tables of a frame beside the values (Frame, body; KeyVals are counted by their writer). */
#define VALUE_TABLES_SPARE 64u
/* The warm encode buffer: its first size, and the largest that is kept. */
#define SCRATCH_BYTES_FIRST 4096u
#define SCRATCH_BYTES_KEPT (256u << 10)

/* ----------------------------------------------------------------------------- encoding, shared */

/* What a link adds to the text of a path: ".x", "[3]", "['name']"; a new str. */
PyObject *value_link_text(const value_path *link);
/* Refuses a value of a type that does not cross, with advice. */
int value_refuse_type(value_encoder *self, const value_path *path, PyObject *value);
/* Starts a table Value; 0 with an exception. `once`: for shapes of rbr_shape_make. */
uint32_t value_table(value_encoder *self, uint32_t slot, const rbr_shape *shape, uint8_t kind,
                     const value_path *path);
uint32_t value_table_once(value_encoder *self, uint32_t slot, const rbr_shape *shape, uint8_t kind,
                          const value_path *path);
/* -1 with an exception when the builder has failed, else 0. */
int value_built(value_encoder *self, const value_path *path);
/* The frame refers to this block; takes the reference, also on failure. */
int value_add_block(value_encoder *self, rbr_block *block);
/* items, of any count (for Slice and Range). */
int value_encode_parts(value_encoder *self, uint8_t kind, PyObject *const *parts, size_t count,
                       uint32_t slot, const value_path *path);

int value_encode_bytes(value_encoder *self, uint8_t kind, const char *bytes, uint64_t size,
                       uint32_t slot, const value_path *path);
int rare_encode_big_int(value_encoder *self, PyObject *value, uint32_t slot,
                        const value_path *path);

/* 1: encoded, 0: not one of these, -1: exception. */
int list_encode_vector(value_encoder *self, PyObject *list, Py_ssize_t count, uint32_t slot,
                       const value_path *path);
int dates_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path);
int rare_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path);
int foreign_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path);
int handle_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path);
/* Of what cannot cross: to an application's client it is the name of an object that stays. */
int handle_encode_foreign(value_encoder *self, PyObject *value, uint32_t slot,
                          const value_path *path);
int tensor_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path);
/* What has __dlpack__; the same results. */
int tensor_encode_dlpack(value_encoder *self, PyObject *value, uint32_t slot,
                         const value_path *path);
/* A text or bytes of `kind` in a block of its own. */
int tensor_encode_text(value_encoder *self, uint8_t kind, const char *bytes, uint64_t size,
                       uint32_t slot, const value_path *path);

/* A struct of DLPack that we have taken over; both NULL: none. */
typedef struct dlpack_held {
    struct dl_managed *old;
    struct dl_versioned *versioned;
} dlpack_held;
/* Fills `out`, whose memory stays until dlpack_close, which follows in each case. 1: done, 0: it has
 * no __dlpack__, -1: exception. */
int dlpack_open(value_encoder *self, PyObject *value, dlpack_held *held, tensor *out,
                const value_path *path);
void dlpack_close(dlpack_held *self);

/* ----------------------------------------------------------------------------- decoding, shared */

/* The items of a value, as a tuple. */
PyObject *value_decode_items(value_decoder *self, rbr_table value);

/* A field that its kind must have; NULL with ProtocolError. */
const uint8_t *value_vector(value_decoder *self, rbr_table value, uint32_t field, uint32_t *count);
PyObject *list_decode_vector(value_decoder *self, rbr_table value, uint8_t kind);
PyObject *rare_decode_big_int(value_decoder *self, rbr_table value);
PyObject *rare_decode(value_decoder *self, rbr_table value, uint8_t kind);
PyObject *foreign_decode(value_decoder *self, rbr_table value, uint8_t kind);
PyObject *handle_decode(value_decoder *self, rbr_table value, uint8_t kind);
PyObject *dates_decode(value_decoder *self, rbr_table value, uint8_t kind);
PyObject *tensor_decode(value_decoder *self, rbr_table value);
PyObject *tensor_decode_text(value_decoder *self, rbr_table value, uint8_t kind);

/* How many elements of a set, or keys of a dict, have the same hash, near enough. */
typedef struct hash_tally {
    core_state *state;
    uint8_t *counts; /* NULL: so few elements that it does not matter */
    unsigned shift;
} hash_tally;
/* Of `count` elements at most. -1 with MemoryError. */
int hash_tally_start(hash_tally *self, core_state *state, uint32_t count);
/* -1 with CannotCross when too many have the hash of this one, or with what hashing raised. */
int hash_tally_add(hash_tally *self, PyObject *element);
void hash_tally_stop(hash_tally *self);

/* ----------------------------------------------------------------------- types of other modules */

enum cold_type {
    COLD_DATE,
    COLD_TIME,
    COLD_DATE_TIME,
    COLD_TIME_DELTA,
    COLD_TIMEZONE,
    COLD_ZONE_INFO,
    COLD_DECIMAL,
    COLD_UUID,
    COLD_PATH,
    COLD_PURE_POSIX_PATH,
    COLD_PURE_WINDOWS_PATH,
    COLD_COUNT
};
/* A borrowed type. needed: imports its module; else NULL without exception when nobody has. */
PyObject *cold_type(core_state *state, enum cold_type which, bool needed);

#endif
