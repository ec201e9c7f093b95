/* SPDX-License-Identifier: MIT */
/*
 * test_flatbuf_verify.c - the verifier: every rule, every truncation, random mutants, bombs.
 *
 * FLATBUF_SEED and FLATBUF_MUTANTS in the environment choose the random mutants.
 */
#include "check.h"
#include "flatbuf_frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MUTANTS 200000

/* The frame of build_ints, taken apart. */
static rbr_table call;
static const uint8_t *args;

static uint32_t
build_call(void)
{
    const uint32_t size = build(build_ints);
    uint32_t count;

    CHECK(verify(room, size) == RBR_OK);
    call = rbr_get_table(root, RBR_FRAME__BODY);
    args = rbr_get_vector(call, RBR_CALL__ARGS, &count);
    return size;
}

/* Item `index` of the list that build_rich makes. */
static rbr_table
rich_item(uint32_t index)
{
    rbr_table value = rbr_get_table(rbr_get_table(root, RBR_FRAME__BODY), RBR_RESULT__VALUE);
    uint32_t count;

    return rbr_vector_table(rbr_get_vector(value, RBR_VALUE__ITEMS, &count), index);
}

static uint32_t
build_and_verify(build_fn *fill)
{
    const uint32_t size = build(fill);

    CHECK(verify(room, size) == RBR_OK);
    return size;
}

/* -------------------------------------------------------------------------------- rule by rule */

TEST(frame_of_a_wrong_size_is_refused)
{
    uint32_t size;

    build_call();
    for (size = 0; size < 8; size++)
        CHECK(verify(room, size) == RBR_BROKEN && verdict.defect == RBR_DEFECT_SIZE);
    CHECK(verify(room, RBR_FRAME_BYTES_MAX + 1) == RBR_BROKEN);
    CHECK(verdict.defect == RBR_DEFECT_SIZE && verdict.offset == 0);
}

TEST(another_identifier_is_refused)
{
    const uint32_t size = build_call();

    expect(size, 7, 1, '2', RBR_DEFECT_IDENTIFIER, 4);
}

TEST(offset_that_is_zero_misaligned_or_outside_is_refused)
{
    const uint32_t size = build_call(), good = rbr_load_u32(room);
    const uint32_t slot = position(rbr_field(call, RBR_CALL__ARGS)), item = position(args) + 4;

    expect(size, 0, 4, 0, RBR_DEFECT_OFFSET, 0);
    expect(size, 0, 4, good + 2, RBR_DEFECT_OFFSET, 0);
    expect(size, 0, 4, size, RBR_DEFECT_OFFSET, 0);
    expect(size, 0, 4, UINT32_MAX - 3, RBR_DEFECT_OFFSET, 0);
    expect(size, slot, 4, 0, RBR_DEFECT_OFFSET, slot);
    expect(size, slot, 4, size - slot, RBR_DEFECT_OFFSET, slot);
    expect(size, slot, 4, 5, RBR_DEFECT_OFFSET, slot);
    expect(size, item, 4, 0, RBR_DEFECT_OFFSET, item);
    expect(size, item, 4, 0u - item, RBR_DEFECT_OFFSET, item);
}

TEST(vtable_that_is_outside_odd_or_too_short_is_refused)
{
    const uint32_t size = build_call(), table = position(call.at), vtable = vtable_of(call);
    const uint32_t past = table - size; /* the soffset of a vtable at the frame's end */

    expect(size, table, 4, table + 2, RBR_DEFECT_VTABLE, table);
    expect(size, table, 4, INT32_MAX, RBR_DEFECT_VTABLE, table);
    expect(size, table, 4, (uint32_t)INT32_MIN, RBR_DEFECT_VTABLE, table);
    expect(size, table, 4, past, RBR_DEFECT_VTABLE, table);
    expect(size, table, 4, past + 2, RBR_DEFECT_VTABLE, table);
    expect(size, table, 4, table - vtable + 1, RBR_DEFECT_VTABLE, table);
    expect(size, vtable, 2, 2, RBR_DEFECT_VTABLE, vtable);
    expect(size, vtable, 2, 0, RBR_DEFECT_VTABLE, vtable);
    expect(size, vtable, 2, 9, RBR_DEFECT_VTABLE, vtable);
    expect(size, vtable, 2, 0xfffe, RBR_DEFECT_VTABLE, vtable);
}

TEST(table_that_is_too_short_or_outside_is_refused)
{
    const uint32_t size = build_call(), vtable = vtable_of(call);

    expect(size, vtable + 2, 2, 3, RBR_DEFECT_TABLE, vtable + 2);
    expect(size, vtable + 2, 2, size - position(call.at) + 1, RBR_DEFECT_TABLE, vtable + 2);
    CHECK(verify_bent(size, vtable + 2, 2, size - position(call.at)) == RBR_OK);
}

TEST(field_outside_its_table_or_misaligned_is_refused)
{
    const uint32_t size = build_call(), vtable = vtable_of(call);
    const uint32_t number = vtable_of(rbr_vector_table(args, 0)) + RBR_VALUE__I;

    expect(size, vtable + RBR_CALL__ARGS, 2, 3, RBR_DEFECT_FIELD, vtable + RBR_CALL__ARGS);
    expect(size, vtable + RBR_CALL__ARGS, 2, 9, RBR_DEFECT_FIELD, vtable + RBR_CALL__ARGS);
    expect(size, vtable + RBR_CALL__ARGS, 2, 12, RBR_DEFECT_FIELD, vtable + RBR_CALL__ARGS);
    expect(size, vtable + RBR_CALL__FUNCTION, 2, 0xfffc, RBR_DEFECT_FIELD,
           vtable + RBR_CALL__FUNCTION);
    expect(size, vtable_of(root) + RBR_FRAME__BODY_TYPE, 2, 3, RBR_DEFECT_FIELD,
           vtable_of(root) + RBR_FRAME__BODY_TYPE); /* a byte inside the soffset */
    expect(size, number, 2, 4, RBR_DEFECT_FIELD, number);
    expect(size, number, 2, 12, RBR_DEFECT_FIELD, number);
}

TEST(required_field_that_is_absent_is_refused)
{
    uint32_t size = build_call(), vtable = vtable_of(root);
    rbr_table tensor;

    expect(size, vtable, 2, 4, RBR_DEFECT_REQUIRED, position(root.at)); /* ids past its end */
    expect(size, vtable + RBR_FRAME__BODY_TYPE, 4, 0, RBR_DEFECT_REQUIRED, position(root.at));
    size = build_and_verify(build_rich);
    tensor = rbr_get_table(rich_item(6), RBR_VALUE__TENSOR);
    expect(size, vtable_of(tensor) + RBR_TENSOR__SHAPE, 2, 0, RBR_DEFECT_REQUIRED,
           position(tensor.at));
    build_and_verify(build_log);
    tensor = rbr_get_table(root, RBR_FRAME__BODY);
    expect(size, vtable_of(tensor) + RBR_LOG__TEXT, 2, 0, RBR_DEFECT_REQUIRED, position(tensor.at));
}

TEST(union_with_type_or_value_alone_or_unknown_is_refused)
{
    const uint32_t size = build_call(), vtable = vtable_of(root);
    const uint32_t type = position(rbr_field(root, RBR_FRAME__BODY_TYPE));
    const uint32_t value = position(rbr_field(root, RBR_FRAME__BODY));

    expect(size, type, 1, RBR_BODY_NONE, RBR_DEFECT_UNION, value);
    expect(size, vtable + RBR_FRAME__BODY_TYPE, 2, 0, RBR_DEFECT_UNION, value);
    expect(size, type, 1, RBR_BODY_STREAM_CLOSE + 1, RBR_DEFECT_UNION, type);
    expect(size, type, 1, 255, RBR_DEFECT_UNION, type);
    expect(size, vtable + RBR_FRAME__BODY, 2, 0, RBR_DEFECT_UNION, type);
    expect(size, vtable, 2, RBR_FRAME__BODY, RBR_DEFECT_UNION, type);
}

TEST(vector_that_runs_outside_is_refused)
{
    const uint32_t size = build_call(), at = position(args) - 4;

    expect(size, at, 4, (size - at) / 4, RBR_DEFECT_VECTOR, at);
    expect(size, at, 4, UINT32_MAX, RBR_DEFECT_VECTOR, at);
    expect(size, at, 4, 0x40000001, RBR_DEFECT_VECTOR, at);
}

TEST(vector_whose_first_element_is_misaligned_is_refused_unless_empty)
{
    const uint32_t size = build_and_verify(build_rich);
    rbr_table tensor = rbr_get_table(rich_item(7), RBR_VALUE__TENSOR);
    const uint32_t i64s = position(rbr_field(rich_item(4), RBR_VALUE__I64S));
    const uint32_t data = position(rbr_field(tensor, RBR_TENSOR__INLINE_DATA));
    const uint32_t to_i64s = rbr_load_u32(room + i64s), to_data = rbr_load_u32(room + data);

    /* One word further on, the first element is taken for the count: 1, then (its other half) 0. */
    expect(size, i64s, 4, to_i64s + 4, RBR_DEFECT_VECTOR, i64s + to_i64s + 4);
    CHECK(verify_bent(size, i64s + to_i64s + 4, 4, 0) == RBR_OK);
    memset(room + i64s + to_i64s + 4, 0, 8);
    CHECK(verify_bent(size, i64s, 4, to_i64s + 4) == RBR_OK);
    expect(size, data, 4, to_data + 4, RBR_DEFECT_VECTOR, data + to_data + 4);
}

TEST(string_without_its_terminator_is_refused)
{
    uint32_t size = build_and_verify(build_rich), count, end;
    const char *text = rbr_get_string(rich_item(0), RBR_VALUE__S, &count);

    end = position(text) + count;
    expect(size, end, 1, 'x', RBR_DEFECT_STRING, end);
    build_and_verify(build_log);
    text = rbr_get_string(rbr_get_table(root, RBR_FRAME__BODY), RBR_LOG__TEXT, &count);
    end = position(text) + count;
    CHECK(verify(room, end + 1) == RBR_OK);
    CHECK(verify(room, end) == RBR_BROKEN && verdict.defect == RBR_DEFECT_STRING);
    CHECK(verdict.offset == end);
    CHECK(verify(room, end - 1) == RBR_BROKEN && verdict.defect == RBR_DEFECT_VECTOR);
}

TEST(strings_of_a_vector_are_looked_at_one_by_one)
{
    const uint32_t size = build_and_verify(build_rich);
    const uint8_t *slots;
    uint32_t count, end;

    slots = rbr_get_vector(rich_item(5), RBR_VALUE__STRS, &count);
    end = position(rbr_follow(slots + 4)) + 4 + 4; /* of "four", the second one */
    CHECK(count == 2 && room[end] == 0);
    expect(size, end, 1, 'x', RBR_DEFECT_STRING, end);
    expect(size, position(slots), 4, 0, RBR_DEFECT_OFFSET, position(slots));
}

TEST(sixty_four_tables_above_each_other_pass_and_sixty_five_do_not)
{
    uint32_t depth;

    for (depth = 3; depth <= RBR_DEPTH_MAX + 2; depth++) {
        rbr_builder b;
        uint32_t innermost;
        rbr_build_start(&b, room, sizeof room, NULL, NULL);
        innermost = build_nested(&b, depth);
        if (depth <= RBR_DEPTH_MAX) {
            CHECK(verify(room, rbr_build_finish(&b)) == RBR_OK && walk(root) == depth);
            continue;
        }
        CHECK(verify(room, rbr_build_finish(&b)) == RBR_BROKEN);
        CHECK(verdict.defect == RBR_DEFECT_DEPTH);
        CHECK(depth > RBR_DEPTH_MAX + 1 || verdict.offset == innermost);
    }
}

static uint32_t list_length;

static void
build_list(rbr_builder *b)
{
    const uint32_t slot = put_list(b, put_frame(b, 1, RBR_BODY_RESULT));
    const uint32_t items = rbr_build_vector(b, slot, list_length, 4, 4);
    uint32_t i;

    for (i = 0; i < list_length; i++)
        put_value(b, items + 4 * i, &rbr_shape_value_plain, RBR_KIND_TRUE);
}

TEST(a_hundred_thousand_tables_pass_and_one_more_does_not)
{
    list_length = RBR_TABLES_MAX - 3; /* frame, result, list */
    CHECK(verify(room, build(build_list)) == RBR_OK && walk(root) == RBR_TABLES_MAX);
    list_length++;
    CHECK(verify(room, build(build_list)) == RBR_BROKEN);
    CHECK(verdict.defect == RBR_DEFECT_TABLES && verdict.offset != 0);
}

TEST(shared_node_is_legal_but_a_bomb_of_them_is_refused)
{
    const uint32_t wide[2] = {2, 60}, levels[2] = {60, 10};
    uint32_t size = build_call(), item = position(args), bomb, i, level;

    /* args 0 and 1 are the same table. */
    CHECK(verify_bent(size, item, 4, rbr_load_u32(args + 4) + 4) == RBR_OK);
    for (bomb = 0; bomb < 2; bomb++) {
        rbr_builder b;
        uint32_t slot, items = 0, table;
        rbr_build_start(&b, room, sizeof room, NULL, NULL);
        slot = put_list(&b, put_frame(&b, 1, RBR_BODY_RESULT));
        for (level = 0; level < levels[bomb]; level++) {
            items = rbr_build_vector(&b, slot, wide[bomb], 4, 4);
            table = put_value(&b, items, &rbr_shape_value_items, RBR_KIND_LIST);
            for (i = 0; i < wide[bomb]; i++)
                memcpy(room + items + 4 * i, &(uint32_t){table - items - 4 * i}, 4);
            slot = slot_of(table, &rbr_shape_value_items, RBR_VALUE__ITEMS);
        }
        rbr_build_vector(&b, slot, 0, 4, 4);
        CHECK(verify(room, rbr_build_finish(&b)) == RBR_BROKEN);
        CHECK(verdict.defect == RBR_DEFECT_BYTES && verdict.offset != 0);
    }
}

TEST(payload_references_are_reported_or_asked_room_for)
{
    const uint32_t size = build_and_verify(build_rich);
    rbr_table other = {NULL};
    uint32_t at = 0;

    verdict = (rbr_verdict){.refs_max = 0, .ref_at = NULL};
    CHECK(rbr_verify(room, size, &other, &verdict) == RBR_BROKEN && other.at == NULL);
    CHECK(verdict.defect == RBR_DEFECT_REFS && verdict.refs == 1);
    verdict.refs_max = verdict.refs;
    verdict.ref_at = &at;
    CHECK(rbr_verify(room, size, &other, &verdict) == RBR_OK && verdict.refs == 1);
    CHECK(at % 8 == 0 && rbr_load_u32(room + at + 16) == 5);
}

/* -------------------------------------------------------------------------- what others may write */

TEST(unknown_fields_and_trailing_table_padding_are_accepted)
{
    /* A newer peer: id 4 at an impossible place, table_bytes 24 for a table of 17. */
    static const rbr_shape newer = {{14, 24, 8, 0, 16, 4, 3}, 8};
    uint32_t frame, result;
    rbr_builder b;

    rbr_build_start(&b, room, sizeof room, NULL, NULL);
    frame = rbr_build_table(&b, 0, &newer);
    rbr_build_u8(&b, frame, &newer, RBR_FRAME__BODY_TYPE, RBR_BODY_RESULT);
    result = rbr_build_table(&b, slot_of(frame, &newer, RBR_FRAME__BODY), &rbr_shape_result);
    put_int(&b, slot_of(result, &rbr_shape_result, RBR_RESULT__VALUE), 4);
    CHECK(verify(room, rbr_build_finish(&b)) == RBR_OK && walk(root) == 3);
}

TEST(vtable_may_stand_after_its_table)
{
    const uint32_t size = build_call(), table = position(root.at);

    memcpy(room + size, room + vtable_of(root), 12);
    memset(room + vtable_of(root), 0xff, 12);
    memcpy(room + table, &(uint32_t){table - size}, 4);
    CHECK(verify(room, size + 12) == RBR_OK && walk(root) == 5);
    CHECK(rbr_get_u64(root, RBR_FRAME__ID, 0) == 7);
}

/* ---------------------------------------------------------------------------------- bent anyhow */

TEST(every_truncation_is_refused)
{
    size_t i;

    for (i = 0; i < BUILDS; i++) {
        rbr_builder b;
        uint32_t size;
        rbr_build_start(&b, room, sizeof room, NULL, NULL);
        builds[i](&b);
        for (size = 0; size < b.used; size++) { /* used: without the padding at the end */
            uint8_t *copy = malloc(size + (size == 0));
            CHECK(copy != NULL);
            memcpy(copy, room, size);
            CHECK(verify(copy, size) == RBR_BROKEN && verdict.defect != RBR_DEFECT_NONE);
            CHECK(verdict.offset <= size);
            free(copy);
        }
    }
}

static uint64_t random_state;

static uint32_t
pick(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 16) % below);
}

static void
mutate(uint8_t *bytes, uint32_t size)
{
    static const uint32_t edges[] = {0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 0x7fffffff, 0x80000000, ~0u};
    uint32_t changes = 1 + pick(4), value;

    for (; changes > 0; changes--) {
        value = pick(2) ? edges[pick(sizeof edges / sizeof edges[0])] : pick(size + 8);
        switch (pick(4)) {
        case 0:
            bytes[pick(size)] = (uint8_t)pick(256);
            break;
        case 1:
            bytes[pick(size)] ^= (uint8_t)(1u << pick(8));
            break;
        case 2:
            memcpy(bytes + 2 * pick(size / 2), &value, 2);
            break;
        default:
            memcpy(bytes + 4 * pick(size / 4), &value, 4);
        }
    }
}

TEST_SECONDS(no_random_mutant_that_passes_makes_the_reader_fault, 300)
{
    const char *seed = getenv("FLATBUF_SEED"), *wanted = getenv("FLATBUF_MUTANTS");
    const uint64_t mutants = wanted != NULL ? strtoull(wanted, NULL, 0) : MUTANTS;
    uint64_t n, passed = 0;
    uint32_t i;

    random_state = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    random_state |= 1;
    printf("     FLATBUF_SEED=%llu, %llu mutants\n", (unsigned long long)random_state,
           (unsigned long long)mutants);
    fflush(stdout);
    for (n = 0; n < mutants; n++) {
        const uint32_t whole = build(builds[n % BUILDS]);
        const uint32_t size = pick(16) == 0 ? 8 + pick(whole - 7) : whole;
        uint8_t *copy = malloc(size);
        CHECK(copy != NULL);
        memcpy(copy, room, size);
        mutate(copy, size);
        if (verify(copy, size) == RBR_OK) {
            passed++;
            CHECK(walk(root) <= RBR_TABLES_MAX && verdict.defect == RBR_DEFECT_NONE);
            for (i = 0; i < verdict.refs; i++)
                CHECK(refs_at[i] % 8 == 0 && refs_at[i] + 24 <= size);
        } else {
            CHECK(verdict.defect != RBR_DEFECT_NONE && verdict.offset <= size);
        }
        free(copy);
    }
    printf("     %llu passed the verifier\n", (unsigned long long)passed);
    CHECK(passed > 0 || mutants < 1000);
}

TEST(every_defect_has_a_text)
{
    int defect;

    for (defect = 0; defect <= RBR_DEFECT_REFS; defect++)
        CHECK(strlen(rbr_defect_text((rbr_defect)defect)) > 5);
    CHECK(strcmp(rbr_defect_text((rbr_defect)99), "unknown defect") == 0);
}
