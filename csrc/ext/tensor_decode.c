/* SPDX-License-Identifier: MIT */
/*
 * tensor_decode.c - table Tensor -> arrays, and long texts.
 *
 * The verifier has proved only that the table is well formed. Here every number in it is checked
 * against the payload before a pointer is made of it: the element's size, the shape's product, and
 * that the first and last byte that the strides can reach lie inside the block.
 *
 * An array in a block is used in place: the Array under it holds the block until the last view has
 * gone. An inline payload, and each payload when private copies are wanted, gets memory of its own;
 * unless the frame itself lies in memory that an Array may hold, and is little more than this payload.
 */
#include "values.h"

/* What one Tensor says, checked. */
typedef struct received {
    tensor array; /* first is not set */
    uint16_t flags;
    uint64_t bytes;  /* of all elements */
    uint64_t offset; /* of the first element in the payload */
    const uint8_t *inline_data;
    uint64_t payload; /* its bytes */
    rbr_block *block; /* instead of inline_data; a reference */
} received;

/* ------------------------------------------------------------------------------------- checking */

/* A vector of longs; its count, -1: absent or too long. */
static int
read_numbers(rbr_table table, uint32_t field, int64_t *out)
{
    uint32_t count;
    const uint8_t *first = rbr_get_vector(table, field, &count);

    if (first == NULL || count > TENSOR_RANK_MAX)
        return -1;
    memcpy(out, first, 8 * (size_t)count);
    return (int)count;
}

static bool
read_unit(rbr_table table, char *unit)
{
    uint32_t size;
    const char *text = rbr_get_string(table, RBR_TENSOR__UNIT, &size);

    if (size >= UNIT_BYTES_MAX || !element_unit_is_sound(text, size))
        return false;
    if (size > 0)
        memcpy(unit, text, size);
    unit[size] = 0;
    return true;
}

static bool
read_element(rbr_table table, element *out)
{
    uint32_t plain, size;
    const char *text;

    *out = (element){.dtype = rbr_get_u8(table, RBR_TENSOR__DTYPE, 0),
                     .big = rbr_get_u8(table, RBR_TENSOR__BYTEORDER, 0),
                     .itemsize = rbr_get_u32(table, RBR_TENSOR__ITEMSIZE, 0)};
    plain = element_plain_bytes(out->dtype);
    if (out->big > 1 || out->itemsize == 0 || out->itemsize > INT32_MAX)
        return false;
    if (plain != 0)
        return out->itemsize == plain;
    switch (out->dtype) {
    case RBR_DTYPE_DT64:
    case RBR_DTYPE_TD64:
        return out->itemsize == 8 && read_unit(table, out->unit);
    case RBR_DTYPE_STR:
        return out->itemsize % 4 == 0;
    case RBR_DTYPE_BYTES:
        return true;
    case RBR_DTYPE_BF16:
        return out->itemsize == BFLOAT16_BYTES && out->big == 0;
    case RBR_DTYPE_RECORD:
        text = rbr_get_string(table, RBR_TENSOR__DESCR, &size);
        out->descr = text != NULL ? PyUnicode_DecodeUTF8(text, size, "strict") : NULL;
        return out->descr != NULL;
    default:
        return false;
    }
}

/* The layout, and that all of it lies in the payload; NULL, or what is wrong. */
static const char *
check_layout(rbr_table table, received *out)
{
    tensor *array = &out->array;
    int64_t low, high;

    array->rank = read_numbers(table, RBR_TENSOR__SHAPE, array->shape);
    if (array->rank < 0)
        return "a tensor has too many dimensions";
    if (!tensor_bytes(array, &out->bytes))
        return "a tensor's shape is negative or too large";
    if (rbr_field(table, RBR_TENSOR__STRIDES) == NULL || out->bytes == 0)
        tensor_pack(array, (out->flags & TENSOR_FORTRAN) != 0);
    else if (read_numbers(table, RBR_TENSOR__STRIDES, array->strides) != array->rank)
        return "a tensor has not as many strides as dimensions";
    if (out->offset > out->payload)
        return "a tensor begins outside its payload";
    if (out->bytes == 0)
        return NULL;
    if (!tensor_extent(array, &low, &high) || 0 - (uint64_t)low > out->offset ||
        (uint64_t)high > out->payload - out->offset)
        return "a tensor reaches outside its payload";
    return NULL;
}

/* Finds the payload: exactly one of the two. */
static const char *
open_payload(value_decoder *self, rbr_table table, received *out)
{
    const uint8_t *arena = rbr_field(table, RBR_TENSOR__ARENA);
    uint32_t size;

    out->inline_data = rbr_get_vector(table, RBR_TENSOR__INLINE_DATA, &size);
    if ((arena == NULL) == (out->inline_data == NULL))
        return "a tensor has not exactly one payload";
    if (arena == NULL) {
        out->payload = size;
        return NULL;
    }
    out->block = rbr_message_block(self->message, arena);
    if (out->block == NULL)
        return "a tensor refers to no block";
    out->payload = rbr_block_bytes(out->block);
    return NULL;
}

static void
received_close(received *self)
{
    if (self->block != NULL)
        rbr_block_release(self->block);
    Py_XDECREF(self->array.of.descr);
}

/* 0, or -1 with ProtocolError; received_close follows in either case. */
static int
received_open(value_decoder *self, rbr_table value, received *out)
{
    const rbr_table table = rbr_get_table(value, RBR_VALUE__TENSOR);
    const char *wrong = NULL;

    out->block = NULL;
    out->array.of.descr = NULL;
    if (table.at == NULL)
        wrong = "a value lacks its tensor";
    if (wrong == NULL) {
        out->flags = rbr_get_u16(table, RBR_TENSOR__FLAGS, 0);
        out->offset = rbr_get_u64(table, RBR_TENSOR__DATA_OFFSET, 0);
        out->array.readonly = (out->flags & TENSOR_WRITABLE) == 0;
        if (!read_element(table, &out->array.of))
            wrong = "a tensor of an unknown element";
    }
    if (wrong == NULL)
        wrong = open_payload(self, table, out);
    if (wrong == NULL)
        wrong = check_layout(table, out);
    if (wrong != NULL) {
        value_bad(self, wrong);
        return -1;
    }
    return 0;
}

/* --------------------------------------------------------------------------------------- arrays */

/* The Array over the block itself; takes the block from `from`. */
static ArrayObject *
array_in_place(value_decoder *self, received *from)
{
    rbr_block *block = from->block;

    from->block = NULL;
    return array_new(self->state, block, from->payload, from->offset, &from->array);
}

/* Whether the frame's memory may be held for the array: it is that of latest_view. */
static bool
may_stay(const value_decoder *self, const received *from)
{
    uint32_t size;

    if (self->holder == NULL || from->block != NULL)
        return false;
    rbr_message_frame(self->message, &size);
    return from->payload >= size / 4;
}

static ArrayObject *
array_in_frame(value_decoder *self, received *from)
{
    const uint64_t at = (uint64_t)(from->inline_data - self->holder->memory);

    return array_within(self->state, self->holder, at + from->offset, &from->array);
}

/* Copies without the GIL where that pays. */
static void
copy_payload(uint8_t *to, const tensor *from, uint64_t bytes, bool fortran)
{
    if (bytes < COPY_NOGIL_BYTES_MIN) {
        tensor_copy(to, from, fortran);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    tensor_copy(to, from, fortran);
    Py_END_ALLOW_THREADS
}

/* Elements that overlap (stride 0) may be many more bytes than the payload has: a copy keeps the
 * strides, and takes the run of bytes that they reach. */
static ArrayObject *
array_copied_overlapping(value_decoder *self, received *from, const uint8_t *payload)
{
    tensor run = {.of = {.itemsize = 1}, .rank = 1};
    int64_t low = 0, high = 0;
    ArrayObject *base;

    tensor_extent(&from->array, &low, &high); /* check_layout has seen it succeed */
    run.first = (uint8_t *)(uintptr_t)payload + from->offset + low;
    run.shape[0] = high - low;
    run.strides[0] = 1;
    base = array_new(self->state, NULL, (uint64_t)(high - low), 0 - (uint64_t)low, &from->array);
    if (base != NULL)
        copy_payload(base->memory, &run, (uint64_t)(high - low), false);
    return base;
}

/* An Array with a private copy of the elements; strided ones come out in C order. */
static ArrayObject *
array_copied(value_decoder *self, received *from)
{
    const uint8_t *payload = from->block != NULL ? rbr_block_data(from->block) : from->inline_data;
    tensor source = from->array;
    const bool fortran = !tensor_is_packed(&source, false) && tensor_is_packed(&source, true);
    ArrayObject *base;

    if (from->bytes > from->payload)
        return array_copied_overlapping(self, from, payload);
    source.first = (uint8_t *)(uintptr_t)payload + from->offset;
    tensor_pack(&from->array, fortran);
    base = array_new(self->state, NULL, from->bytes, 0, &from->array);
    if (base != NULL)
        copy_payload(base->memory, &source, from->bytes, fortran);
    return base;
}

/* The one element of an array without dimensions, as numpy's scalar (or Python's number). */
static PyObject *
take_scalar(PyObject *array)
{
    PyObject *nothing = PyTuple_New(0), *scalar = NULL;

    if (nothing != NULL) {
        scalar = PyObject_GetItem(array, nothing);
        Py_DECREF(nothing);
    }
    if (scalar == NULL && PyMemoryView_Check(array) &&
        PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
        PyErr_Clear(); /* a format that memoryview does not unpack: leave it as it is */
        return array;
    }
    Py_DECREF(array);
    return scalar;
}

PyObject *
tensor_decode(value_decoder *self, rbr_table value)
{
    bool hostile = false;
    PyObject *result = NULL;
    ArrayObject *base;
    received from;

    if (received_open(self, value, &from) == 0) {
        if ((from.flags & TENSOR_SCALAR) != 0 && from.array.rank != 0) {
            value_bad(self, "a scalar with dimensions");
        } else {
            if (from.block != NULL && !self->copy)
                base = array_in_place(self, &from);
            else if (may_stay(self, &from))
                base = array_in_frame(self, &from);
            else
                base = array_copied(self, &from);
            result = array_present(self->state, base, &from.array, &hostile);
            if (hostile)
                value_bad(self, "a tensor of an element that numpy cannot make");
        }
    }
    if (result != NULL && (from.flags & TENSOR_SCALAR) != 0)
        result = take_scalar(result);
    received_close(&from);
    return result;
}

/* ---------------------------------------------------------------------------------- long texts */

/* The decoder reads its input more than once, and relies on what it saw first: the peer must not be
 * able to change it meanwhile. */
static PyObject *
decode_private_text(const char *bytes, size_t size)
{
    char *copy = PyMem_Malloc(size + 1);
    PyObject *text;

    if (copy == NULL)
        return PyErr_NoMemory();
    memcpy(copy, bytes, size);
    text = PyUnicode_DecodeUTF8(copy, (Py_ssize_t)size, "strict");
    PyMem_Free(copy);
    return text;
}

PyObject *
tensor_decode_text(value_decoder *self, rbr_table value, uint8_t kind)
{
    PyObject *result = NULL;
    received from;
    const char *bytes;

    if (received_open(self, value, &from) < 0)
        goto done;
    if (from.array.of.dtype != RBR_DTYPE_U8 || from.array.rank != 1 ||
        !tensor_is_packed(&from.array, false)) {
        value_bad(self, "a text whose payload is not one run of bytes");
        goto done;
    }
    bytes = from.block != NULL ? rbr_block_data(from.block) : (const char *)from.inline_data;
    bytes += from.offset;
    if (kind == RBR_KIND_BYTES)
        result = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)from.bytes);
    else if (kind == RBR_KIND_BYTE_ARRAY)
        result = PyByteArray_FromStringAndSize(bytes, (Py_ssize_t)from.bytes);
    else
        result = decode_private_text(bytes, (size_t)from.bytes);
    if (result == NULL)
        value_bad(self, "a text that is not UTF-8");
done:
    received_close(&from);
    return result;
}
