/* SPDX-License-Identifier: MIT */
/*
 * tensor_encode.c - arrays, and long texts, -> table Tensor.
 *
 * Where the payload goes:
 *
 *   the frame takes it all         into the frame
 *   lies in a block of our arena   as it is: block, offset, strides; nothing is copied
 *   up to TENSOR_INLINE_BYTES_MAX  into the frame
 *   larger                         into a new block of our arena: one copy
 *
 * A source is an ndarray (or numpy scalar), or anything that exports a buffer or DLPack. While it
 * is read, a view or a reference keeps its memory where it is.
 */
#include "values.h"

typedef struct source {
    tensor array;
    Py_buffer view; /* obj NULL: not used */
    PyObject *keep; /* an object of ours that stands in for the value; or NULL */
    dlpack_held dlpack;
    uint16_t flags;
} source;

static void
source_start(source *self)
{
    self->view.obj = NULL;
    self->keep = NULL;
    self->dlpack = (dlpack_held){NULL, NULL};
    self->flags = 0;
    self->array.readonly = true;
    self->array.of.descr = NULL;
}

static void
source_close(source *self)
{
    if (self->view.obj != NULL)
        PyBuffer_Release(&self->view);
    dlpack_close(&self->dlpack);
    Py_XDECREF(self->keep);
    Py_XDECREF(self->array.of.descr);
}

/* -------------------------------------------------------------------------------------- opening */

/* Takes over what an exported buffer says; false: a format that is none of ours. */
static bool
source_from_view(source *self)
{
    const Py_buffer *view = &self->view;
    tensor *array = &self->array;
    const size_t dims = sizeof(int64_t) * (size_t)view->ndim;

    if (view->ndim > TENSOR_RANK_MAX ||
        !element_from_format(&array->of, view->format, view->itemsize))
        return false;
    array->first = view->buf;
    array->readonly = view->readonly != 0;
    array->rank = view->ndim;
    if (view->ndim > 0 && view->shape != NULL)
        memcpy(array->shape, view->shape, dims);
    else if (view->ndim > 0)
        array->shape[0] = view->itemsize != 0 ? view->len / view->itemsize : 0;
    if (view->ndim > 0 && view->strides != NULL)
        memcpy(array->strides, view->strides, dims);
    else
        tensor_pack(array, false);
    return true;
}

/* The functions below: 1: open, 0: not an array of ours (a pickle may do), -1: exception. */

/* An ndarray of a dtype that exports no plain buffer: dates, records. */
static int
open_by_interface(value_encoder *self, source *out, numpy_bridge *numpy, PyObject *array,
                  const value_path *path)
{
    PyObject *dtype = PyObject_GetAttrString(array, "dtype");
    const char *why = "";
    int known;

    if (dtype == NULL)
        return -1;
    known = numpy_element(numpy, dtype, &out->array.of, &why);
    if (known == 0 && !self->pickle)
        known = value_refuse(self, path, "an array of dtype %S cannot cross: %s", dtype, why);
    Py_DECREF(dtype);
    if (known == 1 && numpy_interface(array, &out->array) < 0)
        known = -1;
    return known;
}

static int
open_ndarray(value_encoder *self, source *out, numpy_bridge *numpy, PyObject *array,
             const value_path *path)
{
    if (PyObject_GetBuffer(array, &out->view, PyBUF_RECORDS_RO) < 0) {
        out->view.obj = NULL;
        if (!PyErr_ExceptionMatches(PyExc_ValueError) && !PyErr_ExceptionMatches(PyExc_BufferError))
            return -1;
        PyErr_Clear();
    } else if (source_from_view(out)) {
        return 1;
    } else {
        PyBuffer_Release(&out->view);
    }
    return open_by_interface(self, out, numpy, array, path);
}

/* numpy counts a text's trailing NULs as padding: they would be gone over there. */
static bool
ends_in_nul(PyObject *scalar)
{
    Py_ssize_t size = 0;
    char *bytes;

    if (PyUnicode_Check(scalar)) {
        size = PyUnicode_GetLength(scalar);
        return size > 0 && PyUnicode_ReadChar(scalar, size - 1) == 0;
    }
    if (!PyBytes_Check(scalar) || PyBytes_AsStringAndSize(scalar, &bytes, &size) < 0)
        return false;
    return size > 0 && bytes[size - 1] == 0;
}

/* A numpy scalar: as the array without dimensions that numpy makes of it. */
static int
open_scalar(value_encoder *self, source *out, numpy_bridge *numpy, PyObject *scalar,
            const value_path *path)
{
    PyObject *dtype, *type = NULL;

    out->flags = TENSOR_SCALAR;
    if (ends_in_nul(scalar))
        return value_refuse(self, path,
                            "numpy drops the NUL at the end of a %R; convert it with str(...) or "
                            "bytes(...)",
                            (PyObject *)Py_TYPE(scalar));
    out->keep = PyObject_CallFunctionObjArgs(numpy->asarray, scalar, NULL);
    if (out->keep == NULL)
        return -1;
    dtype = PyObject_GetAttrString(out->keep, "dtype");
    if (dtype != NULL)
        type = PyObject_GetAttrString(dtype, "type");
    Py_XDECREF(dtype);
    if (type == NULL)
        return -1;
    Py_DECREF(type);
    if (type != (PyObject *)Py_TYPE(scalar)) /* of a subclass */
        return self->pickle ? 0 : value_refuse_type(self, path, scalar);
    return open_ndarray(self, out, numpy, out->keep, path);
}

static int
open_exporter(value_encoder *self, source *out, PyObject *value, const value_path *path)
{
    int done;

    if (PyObject_GetBuffer(value, &out->view, PyBUF_RECORDS_RO) < 0) {
        out->view.obj = NULL;
        if (!PyErr_ExceptionMatches(PyExc_BufferError))
            return -1;
        PyErr_Clear();
        done = dlpack_open(self, value, &out->dlpack, &out->array, path);
        if (done != 0 || self->pickle)
            return done;
        return value_refuse(self, path, "its buffer has no strides; send a copy of it");
    }
    if (source_from_view(out))
        return 1;
    if (self->pickle)
        return 0;
    return value_refuse(self, path, "a buffer of format %.40s cannot cross; plain numbers do",
                        out->view.format != NULL ? out->view.format : "B");
}

/* In each case source_close follows. */
static int
source_open(value_encoder *self, source *out, PyObject *value, const value_path *path)
{
    core_state *state = self->state;
    PyTypeObject *type = Py_TYPE(value);
    numpy_bridge *numpy = numpy_loaded(state);

    if (numpy == NULL && PyErr_Occurred())
        return -1;
    if (numpy != NULL && (type == numpy->ndarray || type == numpy->memmap))
        return open_ndarray(self, out, numpy, value, path);
    if (numpy != NULL && PyType_IsSubtype(type, numpy->generic))
        return open_scalar(self, out, numpy, value, path);
    if (!PyObject_CheckBuffer(value) || PyBytes_Check(value) || PyByteArray_Check(value) ||
        (numpy != NULL && PyType_IsSubtype(type, numpy->ndarray)))
        return 0;
    return open_exporter(self, out, value, path);
}

/* --------------------------------------------------------------------------------- whose memory */

/* Views may stand on views; numpy itself collapses most of such chains. */
#define OWNER_STEPS_MAX 16

/* The Array whose memory this is a view of, a new reference; NULL without exception: none. */
static PyObject *
find_owner(core_state *state, PyObject *value)
{
    PyObject *at = Py_NewRef(value), *next;
    int step;

    for (step = 0; step < OWNER_STEPS_MAX; step++) {
        PyTypeObject *type = Py_TYPE(at);
        if (type == state->array_type)
            return at;
        if (type == &PyMemoryView_Type)
            next = PyObject_GetAttrString(at, "obj");
        else if (state->numpy != NULL && PyType_IsSubtype(type, state->numpy->ndarray))
            next = PyObject_GetAttr(at, state->numpy->base_name);
        else
            break;
        Py_DECREF(at);
        at = next;
        if (at == NULL) {
            PyErr_Clear();
            return NULL;
        }
    }
    Py_DECREF(at);
    return NULL;
}

/* Does all of the array lie in this block? Then *offset is its first element's place. */
static bool
lies_in_block(const tensor *array, const rbr_block *block, uint64_t *offset)
{
    const uintptr_t start = (uintptr_t)rbr_block_data(block);
    const uintptr_t first = (uintptr_t)array->first;
    const uint64_t bytes = rbr_block_bytes(block);
    int64_t low, high, place;

    if (first < start || first - start > bytes || !tensor_extent(array, &low, &high))
        return false;
    place = (int64_t)(first - start);
    if (place + low < 0 || __builtin_add_overflow(place, high, &high) || (uint64_t)high > bytes)
        return false;
    *offset = (uint64_t)place;
    return true;
}

/* A new reference to the block of ours that the array lies in; NULL: it must be copied. */
static rbr_block *
shared_block(value_encoder *self, PyObject *value, const tensor *array, uint64_t *offset)
{
    const rbr_channel *channel = self->channel != NULL ? self->channel->channel : NULL;
    rbr_block *block = NULL, *candidate;
    PyObject *owner = find_owner(self->state, value);

    if (owner == NULL)
        return NULL;
    candidate = ((ArrayObject *)owner)->block;
    if (candidate != NULL && channel != NULL && rbr_block_is_ours(candidate, channel) &&
        lies_in_block(array, candidate, offset)) {
        rbr_block_retain(candidate);
        block = candidate;
    }
    Py_DECREF(owner);
    return block;
}

/* -------------------------------------------------------------------------------------- writing */

/* How a tensor goes into its table. */
typedef struct sending {
    const tensor *array;
    uint64_t bytes;   /* of all elements */
    rbr_block *block; /* NULL: inline; else in self->blocks already */
    uint64_t offset;
    uint16_t flags;
    bool strides; /* written down; else C or Fortran order, as the flags say */
} sending;

/* The shape of the table: a constant one for the usual, else made in *room. */
static const rbr_shape *
tensor_shape(const sending *self, rbr_shape *room)
{
    const element *of = &self->array->of;
    uint32_t fields;

    if (!self->strides && of->dtype <= RBR_DTYPE_C128)
        return self->block != NULL ? &rbr_shape_tensor_arena : &rbr_shape_tensor_inline;
    fields = RBR_BIT(RBR_TENSOR__DTYPE) | RBR_BIT(RBR_TENSOR__BYTEORDER) |
             RBR_BIT(RBR_TENSOR__FLAGS) | RBR_BIT(RBR_TENSOR__SHAPE) |
             RBR_BIT(RBR_TENSOR__ITEMSIZE);
    if (self->block != NULL)
        fields |= RBR_BIT(RBR_TENSOR__ARENA) | RBR_BIT(RBR_TENSOR__DATA_OFFSET);
    else
        fields |= RBR_BIT(RBR_TENSOR__INLINE_DATA);
    if (self->strides)
        fields |= RBR_BIT(RBR_TENSOR__STRIDES);
    if (of->dtype == RBR_DTYPE_DT64 || of->dtype == RBR_DTYPE_TD64)
        fields |= RBR_BIT(RBR_TENSOR__UNIT);
    if (of->descr != NULL)
        fields |= RBR_BIT(RBR_TENSOR__DESCR);
    rbr_shape_make(room, &rbr_desc_tensor, fields);
    return room;
}

static void
write_numbers(rbr_builder *build, uint32_t slot, const int64_t *numbers, int count)
{
    const uint32_t first = rbr_build_vector(build, slot, (uint32_t)count, 8, 8);

    if (first != 0)
        memcpy(build->base + first, numbers, 8 * (size_t)count);
}

static int
write_descr(rbr_builder *build, uint32_t slot, PyObject *descr)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(descr, &size);

    if (text == NULL)
        return -1;
    rbr_build_string(build, slot, text, (uint32_t)size);
    return 0;
}

/* Lets other threads run meanwhile where that pays. */
static void
copy_elements(uint8_t *to, const tensor *array, uint64_t bytes, bool fortran)
{
    if (bytes < COPY_NOGIL_BYTES_MIN) {
        tensor_copy(to, array, fortran);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    tensor_copy(to, array, fortran);
    Py_END_ALLOW_THREADS
}

static int
write_tensor(value_encoder *self, uint32_t slot, const sending *what, const value_path *path)
{
    const tensor *array = what->array;
    const element *of = &array->of;
    rbr_builder *build = &self->build;
    rbr_shape room;
    const rbr_shape *shape = tensor_shape(what, &room);
    uint32_t table, first;

    self->tables++; /* the Value before it has checked the limit, which has room to spare */
    table = shape == &room ? rbr_build_table_once(build, slot, shape)
                           : rbr_build_table(build, slot, shape);
    if (table == 0)
        return value_built(self, path);
    rbr_build_u8(build, table, shape, RBR_TENSOR__DTYPE, of->dtype);
    rbr_build_u8(build, table, shape, RBR_TENSOR__BYTEORDER, of->big);
    rbr_build_u16(build, table, shape, RBR_TENSOR__FLAGS, what->flags);
    rbr_build_u32(build, table, shape, RBR_TENSOR__ITEMSIZE, of->itemsize);
    write_numbers(build, rbr_build_slot(table, shape, RBR_TENSOR__SHAPE), array->shape,
                  array->rank);
    if (what->strides)
        write_numbers(build, rbr_build_slot(table, shape, RBR_TENSOR__STRIDES), array->strides,
                      array->rank);
    if (of->dtype == RBR_DTYPE_DT64 || of->dtype == RBR_DTYPE_TD64)
        rbr_build_string(build, rbr_build_slot(table, shape, RBR_TENSOR__UNIT), of->unit,
                         (uint32_t)strlen(of->unit));
    if (of->descr != NULL &&
        write_descr(build, rbr_build_slot(table, shape, RBR_TENSOR__DESCR), of->descr) < 0)
        return -1;
    if (what->block != NULL) {
        rbr_arena_ref ref;
        rbr_block_ref(what->block, &ref);
        rbr_build_set(build, table, shape, RBR_TENSOR__ARENA, &ref, sizeof ref);
        rbr_build_u64(build, table, shape, RBR_TENSOR__DATA_OFFSET, what->offset);
        return value_built(self, path);
    }
    if (what->bytes > RBR_FRAME_BYTES_MAX)
        build->status = RBR_TOO_BIG;
    first = rbr_build_bytes_later(build, rbr_build_slot(table, shape, RBR_TENSOR__INLINE_DATA),
                                  (uint32_t)what->bytes, TENSOR_ALIGN);
    if (first != 0 && what->bytes != 0)
        copy_elements(build->base + first, array, what->bytes, (what->flags & TENSOR_FORTRAN) != 0);
    return value_built(self, path);
}

/* Writes the Value around the tensor, then the tensor. */
static int
write_value(value_encoder *self, uint8_t kind, uint32_t slot, const sending *what,
            const value_path *path)
{
    const rbr_shape *shape = &rbr_shape_value_tensor;
    const uint32_t table = value_table(self, slot, shape, kind, path);

    if (table == 0)
        return -1;
    return write_tensor(self, rbr_build_slot(table, shape, RBR_VALUE__TENSOR), what, path);
}

/* A new block of ours with a copy of the elements, held by the encoder. */
static rbr_block *
copied_block(value_encoder *self, const tensor *array, uint64_t bytes, bool fortran)
{
    rbr_block *block = channel_allocate(self->channel, bytes, self->deadline_ns);

    if (block == NULL || value_add_block(self, block) < 0)
        return NULL;
    copy_elements(rbr_block_data(block), array, bytes, fortran);
    return block;
}

/* ------------------------------------------------------------------------------------- the two */

static int
encode_source(value_encoder *self, PyObject *value, const source *from, uint32_t slot,
              const value_path *path)
{
    const tensor *array = &from->array;
    sending what = {.array = array, .flags = from->flags};
    const bool c_order = tensor_is_packed(array, false);
    const bool fortran = !c_order && tensor_is_packed(array, true);

    if (!tensor_bytes(array, &what.bytes))
        return value_refuse(self, path, "an array whose size cannot be counted");
    if (!array->readonly)
        what.flags |= TENSOR_WRITABLE;
    if (fortran)
        what.flags |= TENSOR_FORTRAN;
    if (what.bytes != 0 && from->flags == 0 && !self->all_inline)
        what.block = shared_block(self, value, array, &what.offset);
    if (what.block != NULL) {
        what.strides = !c_order && !fortran;
        if (value_add_block(self, what.block) < 0)
            return -1;
    } else if (what.bytes > TENSOR_INLINE_BYTES_MAX && !self->all_inline) {
        what.block = copied_block(self, array, what.bytes, fortran);
        if (what.block == NULL)
            return -1;
    }
    return write_value(self, RBR_KIND_TENSOR, slot, &what, path);
}

int
tensor_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    source from;
    int result;

    source_start(&from);
    result = source_open(self, &from, value, path);
    if (result == 1 && encode_source(self, value, &from, slot, path) < 0)
        result = -1;
    source_close(&from);
    return result;
}

int
tensor_encode_dlpack(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const numpy_bridge *numpy = self->state->numpy;
    source from;
    int result;

    /* A subclass of ndarray has the method too, and is more than its memory (a mask, say). */
    if (numpy != NULL && PyType_IsSubtype(Py_TYPE(value), numpy->ndarray))
        return 0;
    source_start(&from);
    result = dlpack_open(self, value, &from.dlpack, &from.array, path);
    if (result < 0 && self->pickle && PyErr_ExceptionMatches(self->state->cannot_cross)) {
        PyErr_Clear();
        result = 0;
    }
    if (result == 1 && encode_source(self, value, &from, slot, path) < 0)
        result = -1;
    source_close(&from);
    return result;
}

int
tensor_encode_text(value_encoder *self, uint8_t kind, const char *bytes, uint64_t size,
                   uint32_t slot, const value_path *path)
{
    tensor text;
    sending what = {.array = &text, .bytes = size};

    text.of = (element){.dtype = RBR_DTYPE_U8, .itemsize = 1};
    text.first = (uint8_t *)(uintptr_t)bytes;
    text.rank = 1;
    text.shape[0] = (int64_t)size;
    text.strides[0] = 1;
    if (!self->all_inline) {
        what.block = copied_block(self, &text, size, false);
        if (what.block == NULL)
            return -1;
    }
    return write_value(self, kind, slot, &what, path);
}
