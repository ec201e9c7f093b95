/* SPDX-License-Identifier: MIT */
/*
 * tensor.h - private: arrays as the extension sees them.
 *
 *   tensor_layout.c  elements, shapes, strides, bytes; knows no Python objects
 *   array_type.c     Array: what keeps memory alive under an ndarray or a memoryview
 *   numpy_bridge.c   numpy without its headers; numpy_bfloat16.c, numpy_descr.c
 */
#ifndef RBR_EXT_TENSOR_H
#define RBR_EXT_TENSOR_H

#include "ext.h"

/* Arrays up to this many bytes travel in the frame: one copy costs less than a block. */
#define TENSOR_INLINE_BYTES_MAX 2048u
/* Copies from here on release the GIL: below, taking it back costs more than others gain. */
#define COPY_NOGIL_BYTES_MIN (256u << 10)
/* Dimensions; memoryview's limit, and numpy's since 2.0. */
#define TENSOR_RANK_MAX 64
#define TENSOR_ALIGN 64u
/* A Tensor's flags. */
#define TENSOR_WRITABLE 1u
#define TENSOR_FORTRAN 2u
#define TENSOR_SCALAR 4u

/* -------------------------------------------------------------------- tensor_layout.c, elements */

#define UNIT_BYTES_MAX 24

/* What an array consists of. */
typedef struct element {
    uint8_t dtype; /* RBR_DTYPE_... */
    uint8_t big;   /* big-endian; 0 where it makes no difference */
    uint32_t itemsize;
    char unit[UNIT_BYTES_MAX]; /* of DT64 and TD64, "" for the generic unit */
    PyObject *descr;           /* of Record: str, a reference; else NULL */
} element;

/* An array in memory. */
typedef struct tensor {
    element of;
    uint8_t *first; /* element [0, 0, ...] */
    int rank;
    bool readonly;
    int64_t shape[TENSOR_RANK_MAX];
    int64_t strides[TENSOR_RANK_MAX]; /* bytes */
} tensor;

/* Bytes of one element of a plain dtype; 0: not a plain one. */
uint32_t element_plain_bytes(uint8_t dtype);
/* Reads a buffer's format; false: none of ours (dates, records, objects). itemsize is in. */
bool element_from_format(element *out, const char *format, Py_ssize_t itemsize);
/* Writes the buffer format; false: there is none (DT64, TD64, Record). */
bool element_to_format(const element *of, char *format, size_t room);
/* Writes the array interface's code, such as "<f4"; false: there is none (Record). */
bool element_to_code(const element *of, char *code, size_t room);
/* Reads such a code, plain or not; false: none of ours. */
bool element_from_code(element *out, const char *code);
/* "float32" or "<f4", plain ones; false: neither. */
bool element_from_name(element *out, const char *name);
/* Of a unit that a peer wrote: numpy takes it, and does no harm with it. "" is the generic one. */
bool element_unit_is_sound(const char *unit, size_t size);

/* Bytes of all elements; false: shape is negative somewhere, or it overflows. */
bool tensor_bytes(const tensor *self, uint64_t *bytes);
void tensor_pack(tensor *self, bool fortran); /* strides := contiguous */
bool tensor_is_packed(const tensor *self, bool fortran);
/* Where the elements lie, relative to `first`: [low, high). False: overflow. Not for empty ones. */
bool tensor_extent(const tensor *self, int64_t *low, int64_t *high);
/* Copies the elements to `to`, in C order, or as they lie when they are packed (as `fortran` says
 * in that case). Needs no GIL. */
void tensor_copy(uint8_t *to, const tensor *from, bool fortran);

/* --------------------------------------------------------------------------------- array_type.c */

typedef struct ArrayObject {
    PyObject_VAR_HEAD
    rbr_block *block;          /* where the memory is; NULL: in holder */
    struct ArrayObject *holder; /* NULL too: its own, behind this struct */
    uint8_t *memory;
    uint64_t bytes;
    uint8_t *first;
    Py_ssize_t itemsize;
    int rank;
    bool readonly;
    char format[16];
    Py_ssize_t dims[]; /* shape, then strides; then memory of its own */
} ArrayObject;

/* An Array laid out as `as` over `bytes` of the block (whose reference it takes, also on failure),
 * or, when block is NULL, over memory of its own, not cleared. The first element is at `offset`;
 * as->first is set. An element without a buffer format (DT64 ...) makes it an Array of bytes. */
ArrayObject *array_new(core_state *state, rbr_block *block, uint64_t bytes, uint64_t offset,
                       tensor *as);
/* An Array laid out as `as` in the memory of `holder` (borrowed), the first element at `offset`. */
ArrayObject *array_within(core_state *state, ArrayObject *holder, uint64_t offset, tensor *as);
/* Makes it an Array of all its bytes, before anybody has seen it. */
void array_forget_layout(ArrayObject *self);
/* What the user sees of `base` (a reference that it takes, also on failure; NULL passes an error
 * on): a numpy.ndarray or, without numpy, a memoryview. hostile: as in numpy_dtype. */
PyObject *array_present(core_state *state, ArrayObject *base, const tensor *as, bool *hostile);

/* ------------------------------------------------------------------------------- numpy_bridge.c */

typedef struct numpy_bridge {
    PyTypeObject *ndarray, *memmap, *generic;
    PyObject *void_type, *dtype, *asarray;
    PyObject *base_name;                     /* "base" */
    PyObject *bfloat16;                      /* the dtype; made when needed */
    PyObject *dtypes[RBR_DTYPE_C128 + 1][2]; /* plain ones, little and big; made when needed */
    PyObject *api_capsule;
    void **api; /* numpy's C functions, NULL: a version that we do not know */
} numpy_bridge;

/* NULL without exception: numpy is not loaded (loaded), not installed (needed). */
numpy_bridge *numpy_loaded(core_state *state);
numpy_bridge *numpy_needed(core_state *state);

/* Fills `out` from a dtype. 0: refused (*why says why, static text), 1: done, -1: exception. */
int numpy_element(numpy_bridge *numpy, PyObject *dtype, element *out, const char **why);
/* The dtype, a new reference. *hostile is set when the element makes no dtype. */
PyObject *numpy_dtype(numpy_bridge *numpy, const element *of, bool *hostile);
/* An ndarray over the memory of `base` (borrowed). dtype is borrowed. */
PyObject *numpy_array(numpy_bridge *numpy, PyObject *dtype, ArrayObject *base, const tensor *as);
/* Data pointer, shape, strides and readonly of an ndarray that exports no buffer. */
int numpy_interface(PyObject *array, tensor *out);

/* ----------------------------------------------------------------------------- numpy_bfloat16.c */

#define BFLOAT16_BYTES 2u
/* As numpy_element, for a dtype that is not numpy's own: 1 when it is bfloat16, 0, or -1. */
int bfloat16_element(PyObject *dtype, element *out);
/* The dtype, a new reference; NULL with CannotCross where ml_dtypes is not installed. */
PyObject *bfloat16_dtype(core_state *state, numpy_bridge *numpy);

/* -------------------------------------------------------------------------------- numpy_descr.c */

/* Whether Python may be shown the text of a record's description that a peer wrote, and numpy what
 * it says. No exception. */
bool descr_text_is_sound(PyObject *text);
bool descr_is_sound(PyObject *descr);

#endif
