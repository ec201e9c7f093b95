/* SPDX-License-Identifier: MIT */
/*
 * flatbuf_frames.h - frames to test with, and a reader that touches every byte of one.
 */
#ifndef RBR_TESTS_FLATBUF_FRAMES_H
#define RBR_TESTS_FLATBUF_FRAMES_H

#include "ringbridge_wire.h"
#include "wire_tables.h"

#define REFS 64
#define ROOM (4u << 20)
#define BUILDS 3

typedef void build_fn(rbr_builder *);

/* What build and verify work on. */
extern uint8_t room[ROOM];
extern uint32_t refs_at[REFS];
extern rbr_verdict verdict;
extern rbr_table root;

uint32_t slot_of(uint32_t table, const rbr_shape *shape, uint32_t field);
uint32_t put_frame(rbr_builder *b, uint64_t id, uint8_t type); /* returns the body's slot */
uint32_t put_value(rbr_builder *b, uint32_t slot, const rbr_shape *shape, uint8_t kind);
/* At a slot of type Result: the value is a list. Returns the slot of its items. */
uint32_t put_list(rbr_builder *b, uint32_t slot);
void put_int(rbr_builder *b, uint32_t slot, int64_t number);

/* Call{function=3, args=[1, 2, 3]} */
void build_ints(rbr_builder *b);
/* Result{value=[str, bytes, {str: int}, complex, i64s, strs, two tensors]} */
void build_rich(rbr_builder *b);
/* Log{text}: its last byte is a string's terminator; shapes made at run time. */
void build_log(rbr_builder *b);
extern build_fn *const builds[BUILDS];
/* A result with `depth` tables above each other; returns the innermost. */
uint32_t build_nested(rbr_builder *b, uint32_t depth);

/* Builds in room; returns the size. */
uint32_t build(build_fn *fill);
/* Fills verdict and root. */
rbr_status verify(const uint8_t *bytes, uint32_t size);
/* Verifies a copy of room with `width` bytes of `value` at `at`. */
rbr_status verify_bent(uint32_t size, uint32_t at, uint32_t width, uint32_t value);
/* The same, and checks the verdict. */
void expect(uint32_t size, uint32_t at, uint32_t width, uint32_t value, rbr_defect defect,
            uint32_t offset);
/* Reads everything below a verified root. Returns the number of tables. */
uint32_t walk(rbr_table frame);
/* In room. */
uint32_t position(const void *at);
uint32_t vtable_of(rbr_table table);

#endif
