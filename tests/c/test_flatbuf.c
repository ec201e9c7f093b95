/* SPDX-License-Identifier: MIT */
/*
 * test_flatbuf.c - the builder: what is built reads back, and fails in one way only.
 */
#include "check.h"
#include "flatbuf_frames.h"

#include <stdlib.h>

TEST(call_with_three_ints_reads_back)
{
    const uint32_t size = build(build_ints);
    uint32_t count, i;
    const uint8_t *args;
    rbr_table call;

    CHECK(verify(room, size) == RBR_OK && verdict.defect == RBR_DEFECT_NONE && verdict.refs == 0);
    CHECK(size % 8 == 0 && size <= 224 && walk(root) == 5);
    CHECK(rbr_get_u64(root, RBR_FRAME__ID, 0) == 7 && rbr_get_u64(root, RBR_FRAME__PARENT, 4) == 4);
    CHECK(rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0) == RBR_BODY_CALL);
    call = rbr_get_table(root, RBR_FRAME__BODY);
    CHECK(rbr_get_u32(call, RBR_CALL__FUNCTION, 0) == 3);
    CHECK(rbr_get_vector(call, RBR_CALL__KWARGS, &count) == NULL && count == 0);
    args = rbr_get_vector(call, RBR_CALL__ARGS, &count);
    CHECK(count == 3);
    for (i = 0; i < 3; i++)
        CHECK(rbr_get_i64(rbr_vector_table(args, i), RBR_VALUE__I, 0) == (int64_t)i + 1);
}

TEST(every_form_of_field_reads_back)
{
    const uint32_t size = build(build_rich);
    const uint8_t *items, *first;
    rbr_table value;
    uint32_t count;

    CHECK(verify(room, size) == RBR_OK && walk(root) == 15);
    value = rbr_get_table(rbr_get_table(root, RBR_FRAME__BODY), RBR_RESULT__VALUE);
    items = rbr_get_vector(value, RBR_VALUE__ITEMS, &count);
    CHECK(count == 8);
    CHECK(strcmp(rbr_get_string(rbr_vector_table(items, 0), RBR_VALUE__S, &count), "fjord") == 0);
    CHECK(count == 5);
    first = rbr_get_vector(rbr_vector_table(items, 1), RBR_VALUE__B, &count);
    CHECK(count == 3 && memcmp(first, "\1\2\3", 3) == 0);
    CHECK(rbr_get_f64(rbr_vector_table(items, 3), RBR_VALUE__G, 0) + 2.0 == 0.0);
    first = rbr_get_vector(rbr_vector_table(items, 5), RBR_VALUE__STRS, &count);
    CHECK(count == 2 && strcmp((const char *)rbr_follow(first + 4) + 4, "four") == 0);
    value = rbr_get_table(rbr_vector_table(items, 6), RBR_VALUE__TENSOR);
    CHECK(verdict.refs == 1 && refs_at[0] == position(rbr_field(value, RBR_TENSOR__ARENA)));
    value = rbr_get_table(rbr_vector_table(items, 7), RBR_VALUE__TENSOR);
    CHECK(position(rbr_get_vector(value, RBR_TENSOR__INLINE_DATA, &count)) % 64 == 0);
}

TEST(shapes_made_at_run_time_equal_the_constant_ones)
{
    const struct {
        const rbr_shape *shape;
        const struct rbr_table_desc *desc;
    } all[] = {
        {&rbr_shape_frame, &rbr_desc_frame},          {&rbr_shape_frame_parent, &rbr_desc_frame},
        {&rbr_shape_keyval, &rbr_desc_key_val},       {&rbr_shape_value_plain, &rbr_desc_value},
        {&rbr_shape_value_int, &rbr_desc_value},      {&rbr_shape_value_complex, &rbr_desc_value},
        {&rbr_shape_value_dict, &rbr_desc_value},     {&rbr_shape_tensor_arena, &rbr_desc_tensor},
        {&rbr_shape_tensor_inline, &rbr_desc_tensor}, {&rbr_shape_blob, &rbr_desc_blob}};
    size_t i;
    uint32_t id;

    for (i = 0; i < sizeof all / sizeof all[0]; i++) {
        uint32_t fields = 0;
        rbr_shape made;
        for (id = 0; id < RBR_FIELDS_MAX; id++)
            fields |= (all[i].shape->vtable[2 + id] != 0 ? 1u : 0u) << id;
        rbr_shape_make(&made, all[i].desc, fields);
        CHECK(memcmp(&made, all[i].shape, sizeof made) == 0);
    }
}

#define MANY 20

static void
build_many_shapes(rbr_builder *b)
{
    static rbr_shape shapes[MANY]; /* shape n has the fields of the bits of n + 1 */
    uint32_t slot, items, i;

    slot = put_list(b, put_frame(b, 1, RBR_BODY_RESULT));
    items = rbr_build_vector(b, slot, 3 * MANY, 4, 4);
    for (i = 0; i < MANY; i++)
        rbr_shape_make(&shapes[i], &rbr_desc_value, i + 1);
    for (i = 0; i < 3 * MANY; i++)
        rbr_build_table(b, items + 4 * i, &shapes[i % MANY]);
}

TEST(more_shapes_than_the_builder_remembers_still_build)
{
    const uint32_t size = build(build_many_shapes);
    uint32_t count, i, id;
    const uint8_t *items;

    CHECK(verify(room, size) == RBR_OK);
    root = rbr_get_table(rbr_get_table(root, RBR_FRAME__BODY), RBR_RESULT__VALUE);
    items = rbr_get_vector(root, RBR_VALUE__ITEMS, &count);
    CHECK(count == 3 * MANY);
    for (i = 0; i < count; i++)
        for (id = 0; id < rbr_desc_value.field_count; id++)
            CHECK((rbr_field(rbr_vector_table(items, i), 4 + 2 * id) != NULL) ==
                  (((i % MANY + 1) >> id & 1u) != 0));
}

TEST(padding_is_zeroed_whatever_was_there)
{
    static uint8_t other[8192];
    size_t i;

    for (i = 0; i < BUILDS; i++) {
        uint32_t size;
        memset(room, 0xAA, sizeof other);
        size = build(builds[i]);
        CHECK(size <= sizeof other);
        memcpy(other, room, size);
        memset(room, 0x55, sizeof other);
        CHECK(build(builds[i]) == size && memcmp(room, other, size) == 0);
    }
}

/* The builds fill their long pieces themselves, so what clears these goes unseen there. Here nobody
 * writes what was reserved: short (in steps), long, and short where a step has no room. */
TEST(what_is_reserved_and_not_written_is_zero)
{
    const uint32_t counts[] = {40, 1000};
    uint32_t used = 0;
    size_t i;

    for (i = 0; i < 4; i++) {
        const uint32_t count = counts[i / 2];
        /* Every second time without a byte to spare after the piece. */
        const uint32_t capacity = i % 2 != 0 ? used : (uint32_t)sizeof room;
        uint32_t slot, first, at;
        rbr_builder b;

        memset(room, 0xAA, 4096);
        rbr_build_start(&b, room, capacity, NULL, NULL);
        slot = put_frame(&b, 1, RBR_BODY_RESULT);
        first = rbr_build_vector(&b, slot, count, 1, 4);
        CHECK(first != 0);
        used = b.used;
        for (at = first; at < first + count; at++)
            CHECK(room[at] == 0);
    }
}

/* Only the caller's bytes are left alone, and the frame is the same once they are there. */
TEST(bytes_that_are_written_later_leave_nothing_else_unwritten)
{
    enum { COUNT = 1000 };
    static uint8_t other[4096];
    uint8_t *const rooms[] = {other, room};
    uint32_t size = 0, i;

    for (i = 0; i < 2; i++) {
        rbr_builder b;
        uint32_t slot, first;

        memset(rooms[i], 0xAA, 4096);
        rbr_build_start(&b, rooms[i], 4096, NULL, NULL);
        slot = put_frame(&b, 1, RBR_BODY_RESULT);
        first = i == 0 ? rbr_build_vector(&b, slot, COUNT, 1, 64)
                       : rbr_build_bytes_later(&b, slot, COUNT, 64);
        CHECK(first != 0 && first % 64 == 0);
        CHECK(i != 0 || rooms[i][first + 8] == 0); /* else undefined: not to be read */
        memset(rooms[i] + first, 7, COUNT);
        size = rbr_build_finish(&b);
    }
    CHECK(size > COUNT && memcmp(room, other, size) == 0);
}

/* -------------------------------------------------------------------------------------- growing */

struct growth {
    uint32_t calls;
    uint32_t refuse_above;
    rbr_status status;
};

/* To exactly what is wanted, into new memory: old positions must do, and no byte more. */
static bool
grow(rbr_builder *b, uint32_t wanted)
{
    struct growth *growth = b->context;
    uint8_t *moved;

    growth->calls++;
    if (wanted > growth->refuse_above) {
        b->status = growth->status;
        return false;
    }
    moved = malloc(wanted);
    CHECK(moved != NULL && wanted > b->capacity);
    memset(moved, 0xAA, wanted);
    if (b->base != NULL)
        memcpy(moved, b->base, b->used);
    free(b->base);
    b->base = moved;
    b->capacity = wanted;
    return true;
}

TEST(buffer_that_grows_piece_by_piece_holds_the_same_bytes)
{
    struct growth growth = {0, UINT32_MAX, RBR_OK};
    rbr_builder b;
    size_t i;

    for (i = 0; i < BUILDS; i++) {
        const uint32_t size = build(builds[i]);
        growth.calls = 0;
        rbr_build_start(&b, NULL, 0, grow, &growth);
        builds[i](&b);
        CHECK(rbr_build_finish(&b) == size && growth.calls >= 5);
        CHECK(memcmp(b.base, room, size) == 0);
        free(b.base);
    }
}

TEST(every_capacity_too_small_fails_and_writes_nothing_past_it)
{
    uint32_t capacity, size;
    size_t i;

    for (i = 0; i < BUILDS; i++) {
        size = build(builds[i]);
        for (capacity = 0; capacity < size; capacity++) {
            uint8_t *base = malloc(capacity + 64u);
            rbr_builder b;
            uint32_t guard;
            CHECK(base != NULL);
            memset(base + capacity, 0xA5, 64);
            rbr_build_start(&b, base, capacity, NULL, NULL);
            builds[i](&b);
            CHECK(rbr_build_finish(&b) == 0 && b.status == RBR_TOO_BIG);
            CHECK(b.wanted > capacity && b.wanted <= size);
            for (guard = 0; guard < 64; guard++)
                CHECK(base[capacity + guard] == 0xA5);
            free(base);
        }
    }
}

TEST(failed_growth_latches_with_the_status_of_grow)
{
    struct growth growth = {0, 64, RBR_OK};
    rbr_builder b;

    rbr_build_start(&b, NULL, 0, grow, &growth);
    build_ints(&b);
    CHECK(b.status == RBR_NO_MEMORY && b.wanted > 64 && b.used <= 64);
    growth.calls = 0;
    growth.refuse_above = UINT32_MAX;
    CHECK(rbr_build_table(&b, 0, &rbr_shape_frame) == 0);
    CHECK(rbr_build_string(&b, 0, "late", 4) == 0 && rbr_build_vector(&b, 0, 1, 4, 4) == 0);
    CHECK(rbr_build_finish(&b) == 0 && growth.calls == 0);
    free(b.base);

    growth = (struct growth){0, 64, RBR_TOO_BIG};
    rbr_build_start(&b, NULL, 0, grow, &growth);
    build_ints(&b);
    CHECK(b.status == RBR_TOO_BIG);
    free(b.base);
}

TEST(frame_past_the_limit_is_too_big_without_asking_grow)
{
    struct growth growth = {0, UINT32_MAX, RBR_OK};
    rbr_builder b;

    rbr_build_start(&b, room, 4096, grow, &growth);
    CHECK(rbr_build_vector(&b, 0, RBR_FRAME_BYTES_MAX / 8, 8, 8) == 0);
    CHECK(b.status == RBR_TOO_BIG && growth.calls == 0 && b.wanted > RBR_FRAME_BYTES_MAX);
    rbr_build_start(&b, room, 4096, grow, &growth);
    CHECK(rbr_build_vector(&b, 0, UINT32_MAX, 64, 64) == 0);
    CHECK(b.status == RBR_TOO_BIG && growth.calls == 0 && b.wanted == UINT32_MAX);
}

TEST(a_text_is_cut_at_a_characters_edge)
{
    static const char text[] =
        "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8C\x8D!"; /* of 1, 2, 3, 4, 1 bytes */
    static const uint32_t cut[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    uint32_t most;

    for (most = 0; most < sizeof cut / sizeof cut[0]; most++)
        CHECK(rbr_string_cut(text, sizeof text - 1, most) == cut[most]);
    CHECK(rbr_string_cut(text, 0, 5) == 0);
    CHECK(rbr_string_cut("\x80\x80\x80", 3, 2) == 0); /* no text at all */
}
