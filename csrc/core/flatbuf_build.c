/* SPDX-License-Identifier: MIT */
/*
 * flatbuf_build.c - writes FlatBuffers forward, into memory that it is handed.
 *
 * Every piece is one reservation: align, check the bound once, zero, hand out the position.
 *
 *   used (before)   used rounded up       + bytes = used (after)
 *   v               v                     v
 *   +---------------+---------------------+-----------------
 *   | padding, 0    | the piece, 0        | not ours yet: may hold anything
 *   +---------------+---------------------+-----------------
 *
 * Invariants
 *   B1  every byte below `used` has been written: no old memory ever reaches the peer.
 *   B2  bytes between `used` and `capacity` may be overwritten at will: short runs are cleared in
 *       steps of 8 bytes, which go past their end.
 *   B3  once status is not RBR_OK nothing is written any more.
 */
#include "defined.h"
#include "ringbridge_wire.h"
#include "wire_tables.h"

#include <assert.h>

#define STEP 8u
#define SHORT_RUN 128u

/* Zeroes [from, to) and, where there is room, up to STEP - 1 bytes after it (B2). */
static inline void
clear(rbr_builder *builder, uint32_t from, uint32_t to)
{
    uint32_t at;

    if (to - from > SHORT_RUN || builder->capacity - to < STEP) {
        memset(builder->base + from, 0, to - from);
        return;
    }
    for (at = from; at < to; at += STEP)
        memset(builder->base + at, 0, STEP);
}

/* Makes capacity at least `wanted`, or latches the failure. */
static bool
make_room(rbr_builder *builder, uint64_t wanted)
{
    builder->wanted = wanted > UINT32_MAX ? UINT32_MAX : (uint32_t)wanted;
    if (wanted > RBR_FRAME_BYTES_MAX || builder->grow == NULL) {
        builder->status = RBR_TOO_BIG;
        return false;
    }
    if (builder->grow(builder, builder->wanted)) {
        assert(builder->capacity >= wanted);
        RBR_VERIFY_UNWRITTEN(builder->base + builder->used, builder->capacity - builder->used);
        return true;
    }
    if (builder->status == RBR_OK)
        builder->status = RBR_NO_MEMORY;
    return false;
}

/*
 * Reserves `head` bytes that end at a multiple of `align`, and `bytes` after them, all zeroed but for
 * the last `later` of them, which the caller writes. Returns the position after the head, 0 on
 * failure. No piece is at 0: the root's slot is there.
 */
static inline uint32_t
reserve_later(rbr_builder *builder, uint32_t head, uint64_t bytes, uint32_t align, uint64_t later)
{
    const uint64_t at = ((uint64_t)builder->used + head + align - 1) & ~(uint64_t)(align - 1);
    const uint64_t end = at + bytes;

    if (builder->status != RBR_OK)
        return 0;
    if ((end > builder->capacity || end > RBR_FRAME_BYTES_MAX) && !make_room(builder, end))
        return 0;
    clear(builder, builder->used, (uint32_t)(end - later));
    builder->used = (uint32_t)end;
    return (uint32_t)at;
}

static inline uint32_t
reserve(rbr_builder *builder, uint32_t head, uint64_t bytes, uint32_t align)
{
    return reserve_later(builder, head, bytes, align, 0);
}

static inline void
store_u32(rbr_builder *builder, uint32_t at, uint32_t value)
{
    memcpy(builder->base + at, &value, sizeof value);
}

void
rbr_build_start(rbr_builder *builder, void *base, uint32_t capacity,
                bool (*grow)(rbr_builder *, uint32_t), void *context)
{
    builder->base = base;
    builder->used = 0;
    builder->capacity = capacity;
    builder->wanted = 0;
    builder->status = RBR_OK;
    builder->grow = grow;
    builder->context = context;
    builder->vtables = 0;
    RBR_VERIFY_UNWRITTEN(base, capacity);
    if (capacity < 8 && !make_room(builder, 8))
        return;
    store_u32(builder, 0, 0);
    memcpy(builder->base + 4, RBR_WIRE_IDENTIFIER, 4);
    builder->used = 8;
}

/* Where the shape's vtable stands in this buffer; 0: not yet. The newest is the likeliest. */
static inline uint32_t
find_vtable(const rbr_builder *builder, const rbr_shape *shape)
{
    uint32_t left = builder->vtables;

    if (left > RBR_BUILDER_VTABLES)
        left = RBR_BUILDER_VTABLES;
    while (left-- > 0)
        if (builder->written[left].shape == shape)
            return builder->written[left].at;
    return 0;
}

/* Writes the table, and the vtable right before it unless it already stands at vtable_at. */
static inline uint32_t
put_table(rbr_builder *builder, uint32_t slot, const rbr_shape *shape, uint32_t *vtable_at)
{
    const uint32_t vtable_bytes = shape->vtable[0];
    const uint32_t head = *vtable_at != 0 ? 0 : vtable_bytes;
    const uint32_t table = reserve(builder, head, shape->vtable[1], shape->align);
    uint32_t i;

    if (table == 0)
        return 0;
    if (*vtable_at == 0) {
        *vtable_at = table - vtable_bytes; /* even, as both are */
        for (i = 0; i < vtable_bytes / 2; i++)
            memcpy(builder->base + *vtable_at + 2 * i, &shape->vtable[i], 2);
    }
    store_u32(builder, table, table - *vtable_at);
    store_u32(builder, slot, table - slot);
    return table;
}

uint32_t
rbr_build_table(rbr_builder *builder, uint32_t slot, const rbr_shape *shape)
{
    uint32_t at = find_vtable(builder, shape);
    const bool known = at != 0;
    const uint32_t table = put_table(builder, slot, shape, &at);

    if (table != 0 && !known) {
        const uint32_t place = builder->vtables++ % RBR_BUILDER_VTABLES;
        builder->written[place].shape = shape;
        builder->written[place].at = at;
    }
    return table;
}

uint32_t
rbr_build_table_once(rbr_builder *builder, uint32_t slot, const rbr_shape *shape)
{
    uint32_t at = 0;

    return put_table(builder, slot, shape, &at);
}

uint32_t
rbr_build_vector(rbr_builder *builder, uint32_t slot, uint32_t count, uint32_t element_bytes,
                 uint32_t align)
{
    uint32_t first;

    assert(align >= 4 && align <= 64 && (align & (align - 1)) == 0);
    first = reserve(builder, 4, (uint64_t)count * element_bytes, align);
    if (first == 0)
        return 0;
    store_u32(builder, first - 4, count);
    store_u32(builder, slot, first - 4 - slot);
    return first;
}

uint32_t
rbr_build_bytes_later(rbr_builder *builder, uint32_t slot, uint32_t size, uint32_t align)
{
    const uint32_t first = reserve_later(builder, 4, size, align < 4 ? 4 : align, size);

    if (first == 0)
        return 0;
    store_u32(builder, first - 4, size);
    store_u32(builder, slot, first - 4 - slot);
    return first;
}

/* A vector of bytes, and `extra` zeros that are not counted. */
static inline uint32_t
put_bytes(rbr_builder *builder, uint32_t slot, const void *bytes, uint32_t size, uint32_t extra)
{
    const uint32_t first = reserve(builder, 4, (uint64_t)size + extra, 4);

    if (first == 0)
        return 0;
    store_u32(builder, first - 4, size);
    store_u32(builder, slot, first - 4 - slot);
    if (size != 0)
        memcpy(builder->base + first, bytes, size);
    return first;
}

uint32_t
rbr_build_bytes(rbr_builder *builder, uint32_t slot, const void *bytes, uint32_t size)
{
    return put_bytes(builder, slot, bytes, size, 0);
}

uint32_t
rbr_build_string(rbr_builder *builder, uint32_t slot, const char *text, uint32_t size)
{
    return put_bytes(builder, slot, text, size, 1);
}

uint32_t
rbr_string_cut(const char *text, size_t size, uint32_t size_max)
{
    uint32_t cut = size_max;

    if (size <= size_max)
        return (uint32_t)size;
    while (cut > 0 && ((uint8_t)text[cut] & 0xC0) == 0x80)
        cut--;
    return cut;
}

uint32_t
rbr_build_finish(rbr_builder *builder)
{
    reserve(builder, 0, 0, 8);
    return builder->status == RBR_OK ? builder->used : 0;
}

/* ------------------------------------------------------------------------------------- shapes */

/*
 * Largest alignment first; small fields go into the hole between the table's own 4 bytes and the
 * first field of 8. shape_layout of generate_wire.py does the same for the constant shapes.
 */
void
rbr_shape_make(rbr_shape *out, const struct rbr_table_desc *table, uint32_t fields)
{
    uint32_t hole = 4, hole_end = 4, end, step, id, last = 0;

    assert(fields >> table->field_count == 0); /* none: an empty table */
    memset(out, 0, sizeof *out);
    for (id = 0; id < table->field_count; id++) {
        if ((fields >> id & 1u) == 0)
            continue;
        last = id;
        if (table->fields[id].align > hole_end)
            hole_end = table->fields[id].align;
    }
    end = hole_end;
    out->align = (uint16_t)hole_end;
    for (step = 8; step != 0; step /= 2) {
        for (id = 0; id <= last; id++) {
            const struct rbr_field_desc *field = &table->fields[id];
            const uint32_t in_hole = (hole + step - 1) & ~(step - 1);

            if ((fields >> id & 1u) == 0 || field->align != step)
                continue;
            if (in_hole + field->bytes <= hole_end) {
                out->vtable[2 + id] = (uint16_t)in_hole;
                hole = in_hole + field->bytes;
            } else {
                out->vtable[2 + id] = (uint16_t)end;
                end += field->bytes;
            }
        }
    }
    out->vtable[0] = (uint16_t)(6 + 2 * last);
    out->vtable[1] = (uint16_t)end;
}
