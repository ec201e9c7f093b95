/* SPDX-License-Identifier: MIT */
/*
 * tensor_layout.c - elements, shapes, strides and bytes of arrays.
 *
 * Knows no Python objects and needs no GIL. Shapes and strides may come from the peer: all sums
 * are checked for overflow.
 */
#include "tensor.h"

#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------------------ elements */

static const struct {
    const char *name;
    char kind; /* of the array interface: b i u f c */
    uint8_t bytes;
    char format[4]; /* of the struct module and PEP 3118 */
} plain[RBR_DTYPE_C128 + 1] = {
    [RBR_DTYPE_BOOL] = {"bool", 'b', 1, "?"},      [RBR_DTYPE_I8] = {"int8", 'i', 1, "b"},
    [RBR_DTYPE_U8] = {"uint8", 'u', 1, "B"},       [RBR_DTYPE_I16] = {"int16", 'i', 2, "h"},
    [RBR_DTYPE_U16] = {"uint16", 'u', 2, "H"},     [RBR_DTYPE_I32] = {"int32", 'i', 4, "i"},
    [RBR_DTYPE_U32] = {"uint32", 'u', 4, "I"},     [RBR_DTYPE_I64] = {"int64", 'i', 8, "q"},
    [RBR_DTYPE_U64] = {"uint64", 'u', 8, "Q"},     [RBR_DTYPE_F16] = {"float16", 'f', 2, "e"},
    [RBR_DTYPE_F32] = {"float32", 'f', 4, "f"},    [RBR_DTYPE_F64] = {"float64", 'f', 8, "d"},
    [RBR_DTYPE_C64] = {"complex64", 'c', 8, "Zf"}, [RBR_DTYPE_C128] = {"complex128", 'c', 16, "Zd"},
};

uint32_t
element_plain_bytes(uint8_t dtype)
{
    return dtype <= RBR_DTYPE_C128 ? plain[dtype].bytes : 0;
}

static bool
element_set(element *out, char kind, uint64_t bytes, bool big)
{
    int dtype;

    for (dtype = RBR_DTYPE_BOOL; dtype <= RBR_DTYPE_C128; dtype++) {
        if (plain[dtype].kind != kind || plain[dtype].bytes != bytes)
            continue;
        out->dtype = (uint8_t)dtype;
        out->big = big && bytes > 1;
        out->itemsize = (uint32_t)bytes;
        out->unit[0] = 0;
        out->descr = NULL;
        return true;
    }
    return false;
}

/* "12s", "5w": texts of fixed size. */
static bool
element_from_text_format(element *out, const char *format, Py_ssize_t itemsize, bool big)
{
    char *end;
    const unsigned long count = strtoul(format, &end, 10);
    const bool wide = *end == 'w';

    if ((*end != 's' && !wide) || end[1] != 0 || count == 0 || count > INT32_MAX / 4 ||
        (unsigned long)itemsize != count * (wide ? 4 : 1))
        return false;
    *out = (element){.dtype = wide ? RBR_DTYPE_STR : RBR_DTYPE_BYTES,
                     .big = big && wide,
                     .itemsize = (uint32_t)itemsize};
    return true;
}

bool
element_from_format(element *out, const char *format, Py_ssize_t itemsize)
{
    bool big = false;
    char kind;

    if (format == NULL)
        format = "B";
    if (format[0] == 'd' && format[1] == 0 && itemsize == 8) { /* the likeliest */
        *out = (element){.dtype = RBR_DTYPE_F64, .itemsize = 8};
        return true;
    }
    if (strchr("@=<>!", format[0]) != NULL && format[0] != 0) {
        big = format[0] == '>' || format[0] == '!';
        format++;
    }
    if (format[0] == 'Z' && (format[1] == 'f' || format[1] == 'd') && format[2] == 0)
        return element_set(out, 'c', format[1] == 'f' ? 8 : 16, big);
    if (format[0] >= '0' && format[0] <= '9')
        return element_from_text_format(out, format, itemsize, big);
    if (format[0] == 0 || format[1] != 0 || itemsize <= 0)
        return false;
    if (format[0] == '?')
        kind = 'b';
    else if (strchr("bhilqn", format[0]) != NULL)
        kind = 'i';
    else if (strchr("BHILQN", format[0]) != NULL)
        kind = 'u';
    else if (strchr("efd", format[0]) != NULL)
        kind = 'f';
    else
        return false;
    return element_set(out, kind, (uint64_t)itemsize, big);
}

bool
element_to_format(const element *of, char *format, size_t room)
{
    const char *order = of->big ? ">" : "";

    if (element_plain_bytes(of->dtype) != 0) { /* on the hot path: no snprintf */
        if (of->big)
            *format++ = '>';
        memcpy(format, plain[of->dtype].format, sizeof plain->format);
    } else if (of->dtype == RBR_DTYPE_STR) {
        snprintf(format, room, "%s%uw", order, (unsigned)(of->itemsize / 4));
    } else if (of->dtype == RBR_DTYPE_BYTES) {
        snprintf(format, room, "%us", (unsigned)of->itemsize);
    } else {
        return false;
    }
    return true;
}

bool
element_to_code(const element *of, char *code, size_t room)
{
    const char order = of->big ? '>' : '<';
    const size_t unit = strlen(of->unit);

    if (element_plain_bytes(of->dtype) != 0)
        snprintf(code, room, "%c%c%u", order, plain[of->dtype].kind,
                 (unsigned)plain[of->dtype].bytes);
    else if (of->dtype == RBR_DTYPE_STR)
        snprintf(code, room, "%cU%u", order, (unsigned)(of->itemsize / 4));
    else if (of->dtype == RBR_DTYPE_BYTES)
        snprintf(code, room, "|S%u", (unsigned)of->itemsize);
    else if (of->dtype == RBR_DTYPE_DT64 || of->dtype == RBR_DTYPE_TD64)
        snprintf(code, room, "%c%c8%s%s%s", order, of->dtype == RBR_DTYPE_DT64 ? 'M' : 'm',
                 unit ? "[" : "", of->unit, unit ? "]" : "");
    else
        return false;
    return true;
}

bool
element_unit_is_sound(const char *unit, size_t size)
{
    size_t i;

    /* numpy divides by some of these numbers, and checks none: no "s/0", no "0s". */
    if (size > 0 && unit[0] == '0')
        return false;
    for (i = 0; i < size; i++) {
        /* It becomes part of a text that numpy parses. */
        const char c = unit[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return false;
    }
    return true;
}

/* "[ns]", or nothing: the generic unit. */
static bool
read_unit(char *unit, const char *text)
{
    const size_t size = strlen(text);

    unit[0] = 0;
    if (size == 0)
        return true;
    if (size < 3 || size - 2 >= UNIT_BYTES_MAX || text[0] != '[' || text[size - 1] != ']')
        return false;
    memcpy(unit, text + 1, size - 2);
    unit[size - 2] = 0;
    return true;
}

bool
element_from_code(element *out, const char *code)
{
    const bool big = code[0] == '>';
    unsigned long number;
    char kind, *end;

    if (code[0] != 0 && strchr("<>|=", code[0]) != NULL)
        code++;
    kind = code[0];
    if (kind == 0 || code[1] < '0' || code[1] > '9')
        return false;
    number = strtoul(code + 1, &end, 10);
    if (*end == 0 && element_set(out, kind, number, big))
        return true;
    *out = (element){.big = big, .itemsize = (uint32_t)number};
    if (number == 0 || number > INT32_MAX / 4)
        return false;
    if (kind == 'S' && *end == 0) {
        out->dtype = RBR_DTYPE_BYTES;
        out->big = 0;
        return true;
    }
    if (kind == 'U' && *end == 0) {
        out->dtype = RBR_DTYPE_STR;
        out->itemsize *= 4;
        return true;
    }
    out->dtype = kind == 'M' ? RBR_DTYPE_DT64 : RBR_DTYPE_TD64;
    return (kind == 'M' || kind == 'm') && number == 8 && read_unit(out->unit, end);
}

bool
element_from_name(element *out, const char *name)
{
    int dtype;

    for (dtype = RBR_DTYPE_BOOL; dtype <= RBR_DTYPE_C128; dtype++)
        if (strcmp(name, plain[dtype].name) == 0)
            return element_set(out, plain[dtype].kind, plain[dtype].bytes, false);
    return element_from_code(out, name) && element_plain_bytes(out->dtype) != 0;
}

/* ------------------------------------------------------------------------------------- layouts */

bool
tensor_bytes(const tensor *self, uint64_t *bytes)
{
    uint64_t product = self->of.itemsize;
    bool empty = false;
    int i;

    for (i = 0; i < self->rank; i++) {
        if (self->shape[i] < 0)
            return false;
        empty = empty || self->shape[i] == 0;
        /* An empty array's other dimensions must be representable too: numpy multiplies them. */
        if (self->shape[i] != 0 &&
            (__builtin_mul_overflow(product, (uint64_t)self->shape[i], &product) ||
             product > INT64_MAX))
            return false;
    }
    *bytes = empty ? 0 : product;
    return true;
}

void
tensor_pack(tensor *self, bool fortran)
{
    int64_t stride = self->of.itemsize;
    int i;

    for (i = 0; i < self->rank; i++) {
        const int at = fortran ? i : self->rank - 1 - i;
        self->strides[at] = stride;
        stride *= self->shape[at] != 0 ? self->shape[at] : 1; /* tensor_bytes proved it fits */
    }
}

bool
tensor_is_packed(const tensor *self, bool fortran)
{
    int64_t stride = self->of.itemsize;
    bool packed = true;
    int i;

    for (i = 0; i < self->rank; i++) {
        const int at = fortran ? i : self->rank - 1 - i;
        if (self->shape[at] == 0)
            return true;
        if (self->shape[at] == 1)
            continue;
        packed = packed && self->strides[at] == stride;
        stride *= self->shape[at];
    }
    return packed;
}

bool
tensor_extent(const tensor *self, int64_t *low, int64_t *high)
{
    int64_t span;
    int i;

    *low = 0;
    *high = self->of.itemsize;
    for (i = 0; i < self->rank; i++) {
        int64_t *end = self->strides[i] < 0 ? low : high;
        if (__builtin_mul_overflow(self->shape[i] - 1, self->strides[i], &span) ||
            __builtin_add_overflow(*end, span, end))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------- copying */

static inline void
copy_each(uint8_t *to, const uint8_t *from, int64_t count, int64_t stride, size_t bytes)
{
    int64_t i;

    for (i = 0; i < count; i++, to += bytes, from += stride)
        memcpy(to, from, bytes);
}

/* One row; a constant size lets the compiler make a load and a store of each memcpy. */
static void
copy_row(uint8_t *to, const uint8_t *from, int64_t count, int64_t stride, int64_t itemsize)
{
    if (stride == itemsize)
        memcpy(to, from, (size_t)(count * itemsize));
    else if (itemsize == 8)
        copy_each(to, from, count, stride, 8);
    else if (itemsize == 4)
        copy_each(to, from, count, stride, 4);
    else if (itemsize == 2)
        copy_each(to, from, count, stride, 2);
    else if (itemsize == 1)
        copy_each(to, from, count, stride, 1);
    else
        copy_each(to, from, count, stride, (size_t)itemsize);
}

/* The same elements in the same order with as few dimensions as possible, at least one. */
static int
merge_dimensions(const tensor *self, int64_t *shape, int64_t *strides)
{
    int i, rank = 0;

    for (i = 0; i < self->rank; i++) {
        if (self->shape[i] == 1)
            continue;
        if (rank > 0 && strides[rank - 1] == self->shape[i] * self->strides[i]) {
            shape[rank - 1] *= self->shape[i];
            strides[rank - 1] = self->strides[i];
            continue;
        }
        shape[rank] = self->shape[i];
        strides[rank++] = self->strides[i];
    }
    if (rank == 0) {
        shape[0] = 1;
        strides[0] = self->of.itemsize;
        rank = 1;
    }
    return rank;
}

void
tensor_copy(uint8_t *to, const tensor *from, bool fortran)
{
    int64_t shape[TENSOR_RANK_MAX], strides[TENSOR_RANK_MAX], at[TENSOR_RANK_MAX] = {0};
    const uint8_t *source = from->first;
    uint64_t bytes;
    int64_t row;
    int inner, i;

    if (!tensor_bytes(from, &bytes) || bytes == 0)
        return;
    if (tensor_is_packed(from, fortran)) {
        memcpy(to, source, bytes);
        return;
    }
    inner = merge_dimensions(from, shape, strides) - 1;
    row = shape[inner] * from->of.itemsize;
    for (;;) {
        copy_row(to, source, shape[inner], strides[inner], from->of.itemsize);
        to += row;
        /* An odometer over the outer dimensions. */
        for (i = inner - 1; i >= 0; i--) {
            source += strides[i];
            if (++at[i] < shape[i])
                break;
            source -= strides[i] * shape[i];
            at[i] = 0;
        }
        if (i < 0)
            return;
    }
}
