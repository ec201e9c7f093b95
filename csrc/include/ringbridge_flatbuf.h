/* SPDX-License-Identifier: MIT */
/*
 * ringbridge_flatbuf.h - FlatBuffers: a forward-writing builder, a strict verifier, accessors.
 *
 * The format is FlatBuffers' own (https://flatbuffers.dev/internals/); the tables and fields are in
 * ringbridge_wire.h, generated from wire.fbs. Nothing here allocates, sleeps or calls the system.
 *
 * Building goes forward: a parent first, its children after it, and the parent's offset slot is
 * patched when the child's place is known. Positions are byte counts from the buffer's start, so
 * the buffer may move while it grows.
 *
 *   0         4      8
 *   +---------+------+--------+--------+----------+--------+-----
 *   | root    | RBR1 | vtable | table  | vector   | vtable | ...        all little-endian
 *   +---------+------+--------+--------+----------+--------+-----
 *
 * Reading starts at rbr_verify: it is the only way to a root table. A table that came from it may
 * be read with the accessors below without further checks; enums are not range-checked, and UTF-8
 * is not looked at.
 */
#ifndef RINGBRIDGE_FLATBUF_H
#define RINGBRIDGE_FLATBUF_H

#include "ringbridge.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire is little-endian, and so far this code is too"
#endif

/* ------------------------------------------------------------------------------------- shapes */

/* The most fields that a table of the schema has. */
#define RBR_FIELDS_MAX 26

/*
 * A shape is the vtable of a table with a certain set of fields: [0] its own bytes, [1] the
 * table's bytes, then each field's place in the table, 0 = absent. A field is named by its place
 * in the vtable in bytes (RBR_<TABLE>__<FIELD> of ringbridge_wire.h). The shapes of the hot tables
 * are constants of ringbridge_wire.h; rbr_shape_make makes the others.
 */
typedef struct rbr_shape {
    uint16_t vtable[2 + RBR_FIELDS_MAX];
    uint16_t align; /* of the table: 4, or 8 when a field needs it */
} rbr_shape;

struct rbr_table_desc; /* the schema of one table, generated: rbr_desc_<table> */

/* The shape with the fields whose bit is set: RBR_BIT(RBR_TENSOR__SHAPE) | ... A bit that the table
 * has no field for is our bug. */
#define RBR_BIT(field) (UINT32_C(1) << (((field) - 4) / 2))
void rbr_shape_make(rbr_shape *out, const struct rbr_table_desc *table, uint32_t fields);

/* ------------------------------------------------------------------------------------- builder */

/* Shapes whose vtable a builder remembers, so that it is written once. */
#define RBR_BUILDER_VTABLES 16

/*
 * grow: makes room for at least `wanted` bytes in all: sets base (8-aligned) and capacity, keeps
 * what was there, and returns true. Without a grow, or past RBR_FRAME_BYTES_MAX, the build fails
 * with RBR_TOO_BIG; where grow returns false, with the status it has set, else RBR_NO_MEMORY.
 * After a failure every call returns 0 and does nothing.
 */
typedef struct rbr_builder {
    uint8_t *base;
    uint32_t used;
    uint32_t capacity;
    uint32_t wanted; /* bytes in all that the failed reservation needed */
    rbr_status status;
    bool (*grow)(struct rbr_builder *builder, uint32_t wanted);
    void *context; /* grow's */
    uint32_t vtables;
    struct {
        const rbr_shape *shape;
        uint32_t at;
    } written[RBR_BUILDER_VTABLES]; /* shapes whose vtable already stands in this buffer */
} rbr_builder;

/* Starts a buffer: the root's offset (slot 0) and the identifier. */
void rbr_build_start(rbr_builder *builder, void *base, uint32_t capacity,
                     bool (*grow)(rbr_builder *, uint32_t), void *context);

/* A zeroed table of this shape; `slot` (an offset field's position) is pointed at it. Returns the
 * table's position, 0 on failure. The shape's address names it: a shape that rbr_shape_make filled
 * must not change while the buffer is built, so such ones go to rbr_build_table_once. */
uint32_t rbr_build_table(rbr_builder *builder, uint32_t slot, const rbr_shape *shape);
uint32_t rbr_build_table_once(rbr_builder *builder, uint32_t slot, const rbr_shape *shape);

/* A zeroed vector; returns the first element's position, aligned to `align` (>= 4; a power of two,
 * at most 64) relative to the buffer's start. Elements of tables and strings are 4-byte slots. */
uint32_t rbr_build_vector(rbr_builder *builder, uint32_t slot, uint32_t count,
                          uint32_t element_bytes, uint32_t align);

/* A vector of bytes whose place is left as it is: the caller writes each of them before the frame is
 * sent. */
uint32_t rbr_build_bytes_later(rbr_builder *builder, uint32_t slot, uint32_t size, uint32_t align);

/* A vector of bytes (or a string: with its uncounted 0), copied from `bytes`. */
uint32_t rbr_build_bytes(rbr_builder *builder, uint32_t slot, const void *bytes, uint32_t size);
uint32_t rbr_build_string(rbr_builder *builder, uint32_t slot, const char *text, uint32_t size);
/* How much of a text of `size` bytes (UTF-8) is at most size_max bytes, up to a character's edge. */
uint32_t rbr_string_cut(const char *text, size_t size, uint32_t size_max);

/* Closes the buffer: pads it with zeros to a multiple of 8. Returns its size, 0 on failure. */
uint32_t rbr_build_finish(rbr_builder *builder);

/* Where a field of a table lies: for scalars the place to write, for offsets the slot. */
static inline uint32_t
rbr_build_slot(uint32_t table, const rbr_shape *shape, uint32_t field)
{
    return table + shape->vtable[field / 2];
}

/* Writes a scalar or struct field of a table that rbr_build_table returned (0 is passed over). */
static inline void
rbr_build_set(rbr_builder *builder, uint32_t table, const rbr_shape *shape, uint32_t field,
              const void *value, size_t size)
{
    if (table != 0)
        memcpy(builder->base + rbr_build_slot(table, shape, field), value, size);
}

/* rbr_build_set for a scalar of each width. */
#define RBR_BUILD_SET(suffix, type)                                                                \
    static inline void rbr_build_##suffix(rbr_builder *builder, uint32_t table,                    \
                                          const rbr_shape *shape, uint32_t field, type value)      \
    {                                                                                              \
        rbr_build_set(builder, table, shape, field, &value, sizeof value);                         \
    }
RBR_BUILD_SET(u8, uint8_t)
RBR_BUILD_SET(u16, uint16_t)
RBR_BUILD_SET(u32, uint32_t)
RBR_BUILD_SET(u64, uint64_t)
RBR_BUILD_SET(i32, int32_t)
RBR_BUILD_SET(i64, int64_t)
RBR_BUILD_SET(f32, float)
RBR_BUILD_SET(f64, double)
#undef RBR_BUILD_SET

/* ------------------------------------------------------------------------------------ verifier */

/* Limits of a frame: its bytes, how deep its tables are nested, and how many there are. */
#define RBR_FRAME_BYTES_MAX (UINT32_C(1) << 30)
#define RBR_DEPTH_MAX 64
#define RBR_TABLES_MAX 100000

/* Why a frame was rejected. The numbers stay: tests and messages name them. */
typedef enum rbr_defect {
    RBR_DEFECT_NONE = 0,
    RBR_DEFECT_SIZE = 1, /* shorter than 8 bytes, or longer than the limit */
    RBR_DEFECT_IDENTIFIER = 2, /* not RBR1 */
    RBR_DEFECT_OFFSET = 3, /* an offset is 0, misaligned, or points outside */
    RBR_DEFECT_VTABLE = 4, /* a vtable is outside, odd, misaligned or too short */
    RBR_DEFECT_TABLE = 5, /* a table is misaligned, too short or outside */
    RBR_DEFECT_FIELD = 6, /* a field is outside its table or misaligned */
    RBR_DEFECT_REQUIRED = 7, /* a required field is absent */
    RBR_DEFECT_UNION = 8, /* a union has type or value alone, or a type we do not know */
    RBR_DEFECT_VECTOR = 9, /* a vector runs outside, or its first element is misaligned */
    RBR_DEFECT_STRING = 10, /* a string's terminator is missing */
    RBR_DEFECT_DEPTH = 11, /* nested deeper than RBR_DEPTH_MAX tables */
    RBR_DEFECT_TABLES = 12, /* more than RBR_TABLES_MAX tables */
    RBR_DEFECT_BYTES = 13, /* vectors add up to more than twice the frame: shared nodes */
    RBR_DEFECT_REFS = 14, /* more payload references than the caller had room for */
} rbr_defect;

/* A table of a verified frame; at is NULL where there is none. */
typedef struct rbr_table {
    const uint8_t *at;
} rbr_table;

/* What rbr_verify found, and where. */
typedef struct rbr_verdict {
    rbr_defect defect;
    uint32_t offset; /* of the byte that is wrong */
    uint32_t refs; /* out: ArenaRef fields seen (in tables Tensor and Blob); one in a shared
                             node is seen once on each way that leads to it */
    uint32_t refs_max; /* in: room in ref_at */
    uint32_t *ref_at; /* out: their positions; may be NULL when refs_max is 0 */
} rbr_verdict;

/*
 * Verifies a private copy of a frame (`bytes` 8-aligned) and gives its root table, of type Frame.
 * Returns RBR_OK, or RBR_BROKEN with defect and offset; root is then untouched. RBR_DEFECT_REFS
 * alone means: the frame is right, call again with room for `refs` positions. The offset is that
 * of the offset, vtable entry, vtable, vector, terminator or table which breaks the rule.
 */
rbr_status rbr_verify(const uint8_t *bytes, uint32_t size, rbr_table *root, rbr_verdict *verdict);

/* A defect in words; a constant. */
const char *rbr_defect_text(rbr_defect defect);

/* The body of a received message, verified already; type: RBR_BODY_... of ringbridge_wire.h. */
rbr_table rbr_message_body(const rbr_message *message, uint8_t *type);

/* ----------------------------------------------------------------------------------- accessors */

/* A number from bytes that need not be aligned. */
static inline uint16_t
rbr_load_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The same, of four bytes. */
static inline uint32_t
rbr_load_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The field's place, NULL when absent. */
static inline const uint8_t *
rbr_field(rbr_table table, uint32_t field)
{
    int32_t back;
    const uint8_t *vtable;
    uint16_t place;

    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): the caller has a table that is there */
    memcpy(&back, table.at, sizeof back);
    vtable = table.at - back;
    if (field >= rbr_load_u16(vtable))
        return NULL;
    place = rbr_load_u16(vtable + field);
    return place ? table.at + place : NULL;
}

/* A scalar field's value; `absent` where the table has not the field. */
#define RBR_GET(suffix, type)                                                                      \
    static inline type rbr_get_##suffix(rbr_table table, uint32_t field, type absent)              \
    {                                                                                              \
        const uint8_t *at = rbr_field(table, field);                                               \
        if (at != NULL)                                                                            \
            memcpy(&absent, at, sizeof absent);                                                    \
        return absent;                                                                             \
    }
RBR_GET(u8, uint8_t)
RBR_GET(u16, uint16_t)
RBR_GET(u32, uint32_t)
RBR_GET(u64, uint64_t)
RBR_GET(i32, int32_t)
RBR_GET(i64, int64_t)
RBR_GET(f32, float)
RBR_GET(f64, double)
#undef RBR_GET

/* Follows an offset: `at` is the place of an offset field or a vector's element. */
static inline const uint8_t *
rbr_follow(const uint8_t *at)
{
    return at + rbr_load_u32(at);
}

/* A child table; at is NULL when absent. */
static inline rbr_table
rbr_get_table(rbr_table table, uint32_t field)
{
    const uint8_t *at = rbr_field(table, field);
    return (rbr_table){at ? rbr_follow(at) : NULL};
}

/* A vector's first element and count; NULL when absent (count 0). */
static inline const uint8_t *
rbr_get_vector(rbr_table table, uint32_t field, uint32_t *count)
{
    const uint8_t *at = rbr_field(table, field);

    *count = 0;
    if (at == NULL)
        return NULL;
    at = rbr_follow(at);
    *count = rbr_load_u32(at);
    return at + 4;
}

/* A string's bytes (0-terminated, not checked for UTF-8) and size; NULL when absent. */
static inline const char *
rbr_get_string(rbr_table table, uint32_t field, uint32_t *size)
{
    return (const char *)rbr_get_vector(table, field, size);
}

/* Element `index` of a vector of tables. */
static inline rbr_table
rbr_vector_table(const uint8_t *first, uint32_t index)
{
    return (rbr_table){rbr_follow(first + 4 * (size_t)index)};
}

#ifdef __cplusplus
}
#endif
#endif
