/* SPDX-License-Identifier: MIT */
/*
 * flatbuf_frames.c - frames to test with, and a reader that touches every byte of one.
 *
 * Bent frames are exact-sized heap copies, so that AddressSanitizer sees every byte read too many.
 */
#include "flatbuf_frames.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>

uint32_t
slot_of(uint32_t table, const rbr_shape *shape, uint32_t field)
{
    return rbr_build_slot(table, shape, field);
}

uint32_t
put_frame(rbr_builder *b, uint64_t id, uint8_t type)
{
    const rbr_shape *shape = &rbr_shape_frame;
    const uint32_t frame = rbr_build_table(b, 0, shape);

    rbr_build_u64(b, frame, shape, RBR_FRAME__ID, id);
    rbr_build_u8(b, frame, shape, RBR_FRAME__BODY_TYPE, type);
    return slot_of(frame, shape, RBR_FRAME__BODY);
}

uint32_t
put_value(rbr_builder *b, uint32_t slot, const rbr_shape *shape, uint8_t kind)
{
    const uint32_t table = rbr_build_table(b, slot, shape);

    rbr_build_u8(b, table, shape, RBR_VALUE__KIND, kind);
    return table;
}

/* The result's value, a list. Returns the slot of its items. */
uint32_t
put_list(rbr_builder *b, uint32_t slot)
{
    uint32_t table = rbr_build_table(b, slot, &rbr_shape_result);

    table = put_value(b, slot_of(table, &rbr_shape_result, RBR_RESULT__VALUE),
                      &rbr_shape_value_items, RBR_KIND_LIST);
    return slot_of(table, &rbr_shape_value_items, RBR_VALUE__ITEMS);
}

void
put_int(rbr_builder *b, uint32_t slot, int64_t number)
{
    const uint32_t table = put_value(b, slot, &rbr_shape_value_int, RBR_KIND_INT);

    rbr_build_i64(b, table, &rbr_shape_value_int, RBR_VALUE__I, number);
}

/* Call{function=3, args=[1, 2, 3]} */
void
build_ints(rbr_builder *b)
{
    uint32_t call, args, i;

    call = rbr_build_table(b, put_frame(b, 7, RBR_BODY_CALL), &rbr_shape_call);
    rbr_build_u32(b, call, &rbr_shape_call, RBR_CALL__FUNCTION, 3);
    args = rbr_build_vector(b, slot_of(call, &rbr_shape_call, RBR_CALL__ARGS), 3, 4, 4);
    for (i = 0; i < 3; i++)
        put_int(b, args + 4 * i, (int64_t)i + 1);
}

static void
put_tensor(rbr_builder *b, uint32_t slot, const rbr_shape *shape, const rbr_arena_ref *ref)
{
    uint32_t value = put_value(b, slot, &rbr_shape_value_tensor, RBR_KIND_TENSOR);
    uint32_t tensor, place;
    const int64_t length = 3;

    slot = slot_of(value, &rbr_shape_value_tensor, RBR_VALUE__TENSOR);
    tensor = rbr_build_table(b, slot, shape);
    rbr_build_u8(b, tensor, shape, RBR_TENSOR__DTYPE, RBR_DTYPE_U8);
    rbr_build_u16(b, tensor, shape, RBR_TENSOR__FLAGS, 1);
    rbr_build_u32(b, tensor, shape, RBR_TENSOR__ITEMSIZE, 1);
    place = rbr_build_vector(b, slot_of(tensor, shape, RBR_TENSOR__SHAPE), 1, 8, 8);
    if (place != 0)
        memcpy(b->base + place, &length, 8);
    if (ref != NULL) {
        rbr_build_set(b, tensor, shape, RBR_TENSOR__ARENA, ref, sizeof *ref);
        return;
    }
    place = rbr_build_vector(b, slot_of(tensor, shape, RBR_TENSOR__INLINE_DATA), 12, 1, 64);
    if (place != 0)
        b->base[place] = 1; /* the rest stays 0: read as a count it would be 1 */
}

/* Result{value=[str, bytes, {str: int}, complex, i64s, strs, two tensors]} */
void
build_rich(rbr_builder *b)
{
    const rbr_arena_ref ref = {64, 192, 5, 1, 0};
    const int64_t numbers[2] = {1, -2};
    const rbr_shape *s;
    uint32_t table, items, keys;

    items = rbr_build_vector(b, put_list(b, put_frame(b, 9, RBR_BODY_RESULT)), 8, 4, 4);
    table = put_value(b, items, s = &rbr_shape_value_string, RBR_KIND_STR);
    rbr_build_string(b, slot_of(table, s, RBR_VALUE__S), "fjord", 5);
    table = put_value(b, items + 4, s = &rbr_shape_value_bytes, RBR_KIND_BYTES);
    rbr_build_bytes(b, slot_of(table, s, RBR_VALUE__B), "\1\2\3", 3);
    table = put_value(b, items + 8, s = &rbr_shape_value_dict, RBR_KIND_DICT);
    keys = rbr_build_vector(b, slot_of(table, s, RBR_VALUE__KEYS), 1, 4, 4);
    put_int(b, rbr_build_vector(b, slot_of(table, s, RBR_VALUE__ITEMS), 1, 4, 4), -5);
    table = put_value(b, keys, s = &rbr_shape_value_string, RBR_KIND_STR);
    rbr_build_string(b, slot_of(table, s, RBR_VALUE__S), "", 0);
    table = put_value(b, items + 12, s = &rbr_shape_value_complex, RBR_KIND_COMPLEX);
    rbr_build_f64(b, table, s, RBR_VALUE__F, 0.5);
    rbr_build_f64(b, table, s, RBR_VALUE__G, -2.0);
    table = put_value(b, items + 16, s = &rbr_shape_value_i64s, RBR_KIND_I64_VEC);
    keys = rbr_build_vector(b, slot_of(table, s, RBR_VALUE__I64S), 2, 8, 8);
    if (keys != 0)
        memcpy(b->base + keys, numbers, sizeof numbers);
    table = put_value(b, items + 20, s = &rbr_shape_value_strs, RBR_KIND_STR_VEC);
    keys = rbr_build_vector(b, slot_of(table, s, RBR_VALUE__STRS), 2, 4, 4);
    rbr_build_string(b, keys, "one", 3);
    rbr_build_string(b, keys + 4, "four", 4);
    put_tensor(b, items + 24, &rbr_shape_tensor_arena, &ref);
    put_tensor(b, items + 28, &rbr_shape_tensor_inline, NULL);
}

/* Log{text}: its last byte is a string's terminator; shapes made at run time. */
void
build_log(rbr_builder *b)
{
    rbr_shape shape;
    uint32_t log;

    rbr_shape_make(&shape, &rbr_desc_log,
                   RBR_BIT(RBR_LOG__LEVEL) | RBR_BIT(RBR_LOG__T_MONO_NS) | RBR_BIT(RBR_LOG__TEXT));
    log = rbr_build_table_once(b, put_frame(b, UINT64_MAX, RBR_BODY_LOG), &shape);
    rbr_build_u8(b, log, &shape, RBR_LOG__LEVEL, 30);
    rbr_build_u64(b, log, &shape, RBR_LOG__T_MONO_NS, 123456789012);
    rbr_build_string(b, slot_of(log, &shape, RBR_LOG__TEXT), "seven ships", 11);
}

build_fn *const builds[BUILDS] = {build_ints, build_rich, build_log};

/* A result with `depth` tables above each other: frame, result, and lists of one. */
uint32_t
build_nested(rbr_builder *b, uint32_t depth)
{
    uint32_t table = rbr_build_table(b, put_frame(b, 1, RBR_BODY_RESULT), &rbr_shape_result);
    uint32_t slot = slot_of(table, &rbr_shape_result, RBR_RESULT__VALUE);

    for (; depth > 3; depth--) {
        table = put_value(b, slot, &rbr_shape_value_items, RBR_KIND_LIST);
        slot = slot_of(table, &rbr_shape_value_items, RBR_VALUE__ITEMS);
        slot = rbr_build_vector(b, slot, 1, 4, 4);
    }
    return put_value(b, slot, &rbr_shape_value_plain, RBR_KIND_NONE);
}

/* ------------------------------------------------------------------------------------- looking */

_Alignas(64) uint8_t room[ROOM];
uint32_t refs_at[REFS];
rbr_verdict verdict;
rbr_table root;

uint32_t
build(build_fn *fill)
{
    rbr_builder b;

    rbr_build_start(&b, room, sizeof room, NULL, NULL);
    fill(&b);
    CHECK(b.status == RBR_OK);
    return rbr_build_finish(&b);
}

rbr_status
verify(const uint8_t *bytes, uint32_t size)
{
    verdict = (rbr_verdict){.refs_max = REFS, .ref_at = refs_at};
    return rbr_verify(bytes, size, &root, &verdict);
}

/* Verifies room with `width` bytes of `value` at `at`, then puts the old bytes back. */
rbr_status
verify_bent(uint32_t size, uint32_t at, uint32_t width, uint32_t value)
{
    uint8_t *copy = malloc(size);
    rbr_status status;

    CHECK(copy != NULL && at + width <= size);
    memcpy(copy, room, size);
    memcpy(copy + at, &value, width);
    status = verify(copy, size);
    free(copy);
    return status;
}

void
expect(uint32_t size, uint32_t at, uint32_t width, uint32_t value, rbr_defect defect,
       uint32_t offset)
{
    const rbr_status status = verify_bent(size, at, width, value);

    if (status != RBR_BROKEN || verdict.defect != defect || verdict.offset != offset)
        fprintf(stderr, "0x%x at %u: wanted defect %d at %u, got %d at %u\n", value, at,
                (int)defect, offset, (int)verdict.defect, verdict.offset);
    CHECK(status == RBR_BROKEN && verdict.defect == defect && verdict.offset == offset);
}

uint32_t
position(const void *at)
{
    return (uint32_t)((const uint8_t *)at - room);
}

uint32_t
vtable_of(rbr_table table)
{
    return position(table.at) - rbr_load_u32(table.at);
}

struct run {
    const struct rbr_table_desc *desc;
    const uint8_t *slot;
    uint32_t left;
};

static uint64_t touched;

static void
touch(const uint8_t *at, size_t size)
{
    for (; size > 0; size--)
        touched += *at++; /* NOLINT(clang-analyzer-core.NullDereference): a vector that is there */
}

/* Reads what a field holds; tables are put on the stack at *top. */
static void
touch_field(const struct rbr_table_desc *desc, rbr_table table, uint32_t id, struct run **top)
{
    const struct rbr_field_desc *field = &desc->fields[id];
    const uint8_t *at = rbr_field(table, 4 + 2 * id), *first;
    uint32_t count, i;

    if (at == NULL)
        return;
    touch(at, field->bytes);
    if (field->form == RBR_FIELD_TABLE)
        *(*top)++ = (struct run){field->child, at, 1};
    if (field->form == RBR_FIELD_UNION)
        *(*top)++ = (struct run){desc->members[*rbr_field(table, 2 + 2 * id) - 1], at, 1};
    if (field->element_bytes == 0)
        return;
    first = rbr_get_vector(table, 4 + 2 * id, &count);
    touch(first, (size_t)count * field->element_bytes + (field->form == RBR_FIELD_STRING));
    if (field->form == RBR_FIELD_TABLES && count != 0)
        *(*top)++ = (struct run){field->child, first, count};
    for (i = 0; field->form == RBR_FIELD_STRINGS && i < count; i++) {
        at = rbr_follow(first + 4 * (size_t)i);
        touch(at + 4, (size_t)rbr_load_u32(at) + 1);
    }
}

/* Reads everything below a verified root. Returns the number of tables. */
uint32_t
walk(rbr_table frame)
{
    static struct run runs[RBR_DEPTH_MAX * RBR_WIRE_BRANCHES_MAX + 1];
    static uint8_t first_slot[4];
    struct run *top = runs;
    uint32_t tables = 0, id;
    const struct rbr_table_desc *desc = &rbr_desc_frame;
    rbr_table table = frame;

    *top++ = (struct run){desc, first_slot, 1};
    while (top > runs) {
        if (tables++ != 0) {
            desc = top[-1].desc;
            table = rbr_vector_table(top[-1].slot, 0);
        }
        top[-1].slot += 4;
        if (--top[-1].left == 0)
            top--;
        for (id = 0; id < desc->field_count; id++)
            touch_field(desc, table, id, &top);
        CHECK(top <= runs + sizeof runs / sizeof runs[0]);
    }
    return tables;
}
