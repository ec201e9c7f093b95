/* SPDX-License-Identifier: MIT */
/*
 * flatbuf_verify.c - says whether a frame may be read with the unchecked accessors.
 *
 * The bytes come from another process and may be anything; they are a private copy, so they do not
 * change while we look. Stricter than the official verifier; all sums are made in 64 bits.
 *
 * Walks without recursion. A table is checked whole (its scalars, strings, vectors); what leads to
 * further tables is pushed as a branch, a run of offset slots of one table type, and taken up
 * afterwards:
 *
 *   branches     +--------------------+--------------------+
 *                | args: 2 slots left | kwargs: 5 slots    |  <- top: taken up next
 *                +--------------------+--------------------+
 *
 * Invariants
 *   V1  a position is used only after position + size <= size of the frame was shown.
 *   V2  each level leaves at most RBR_WIRE_BRANCHES_MAX branches, so the stack cannot overflow.
 *   V3  work is bounded: tables by RBR_TABLES_MAX, vectors by RBR_DEFECT_BYTES; a table has a fixed
 *       number of fields, and a shared node counts each time it is reached.
 */
#include "ringbridge_wire.h"
#include "wire_tables.h"

struct branch {
    const struct rbr_table_desc *desc;
    uint32_t slot;
    uint32_t left;
    uint32_t depth; /* of the tables that the slots lead to; the root has 1 */
};

struct walk {
    const uint8_t *bytes;
    uint64_t size;
    uint64_t vector_bytes;
    uint32_t tables;
    uint32_t top;
    rbr_verdict *verdict;
    struct branch branches[RBR_DEPTH_MAX * RBR_WIRE_BRANCHES_MAX + 1];
};

/* Where one table lies. */
struct place {
    const struct rbr_table_desc *desc;
    uint32_t table;
    uint32_t table_bytes;
    uint32_t vtable;
    uint32_t slots; /* of the vtable, of those that we know */
    uint32_t depth;
};

static bool
fail(struct walk *walk, rbr_defect defect, uint64_t offset)
{
    walk->verdict->defect = defect;
    walk->verdict->offset = (uint32_t)offset;
    return false;
}

/* Rule 2: follows the offset at `slot`; 4 bytes can be read at *target. */
static inline bool
follow(struct walk *walk, uint32_t slot, uint32_t *target)
{
    const uint32_t offset = rbr_load_u32(walk->bytes + slot);
    const uint64_t to = (uint64_t)slot + offset;

    if (offset == 0 || to % 4 != 0 || to + 4 > walk->size)
        return fail(walk, RBR_DEFECT_OFFSET, slot);
    *target = (uint32_t)to;
    return true;
}

/* Rules 6 and 8: follows `slot` to a vector, whose elements may then be read. */
static inline bool
check_vector(struct walk *walk, uint32_t slot, uint32_t element_bytes, uint32_t element_align,
             uint32_t *first, uint32_t *count)
{
    uint32_t at;
    uint64_t bytes;

    if (!follow(walk, slot, &at))
        return false;
    *count = rbr_load_u32(walk->bytes + at);
    *first = at + 4;
    bytes = (uint64_t)*count * element_bytes;
    if (bytes > walk->size - *first || (*count != 0 && (*first & (element_align - 1)) != 0))
        return fail(walk, RBR_DEFECT_VECTOR, at);
    walk->vector_bytes += bytes;
    if (walk->vector_bytes > 2 * walk->size)
        return fail(walk, RBR_DEFECT_BYTES, at);
    return true;
}

/* Rule 7. */
static inline bool
check_string(struct walk *walk, uint32_t slot)
{
    uint32_t first, count;

    if (!check_vector(walk, slot, 1, 4, &first, &count))
        return false;
    if ((uint64_t)first + count >= walk->size || walk->bytes[first + count] != 0)
        return fail(walk, RBR_DEFECT_STRING, (uint64_t)first + count);
    return true;
}

static bool
check_strings(struct walk *walk, uint32_t slot)
{
    uint32_t first, count, i;

    if (!check_vector(walk, slot, 4, 4, &first, &count))
        return false;
    for (i = 0; i < count; i++)
        if (!check_string(walk, first + 4 * i))
            return false;
    return true;
}

static inline bool
push(struct walk *walk, const struct rbr_table_desc *desc, uint32_t slot, uint32_t count,
     uint32_t depth)
{
    if (count != 0)
        walk->branches[walk->top++] = (struct branch){desc, slot, count, depth}; /* V2 */
    return true;
}

/* Rule 5, for the union whose value is at `slot`: the field before it says which table it is. */
static bool
push_union(struct walk *walk, const struct place *place, uint32_t slot)
{
    const struct rbr_table_desc *desc = place->desc;
    const uint32_t entry = place->vtable + 2 + 2u * desc->union_id;
    const uint32_t type_at = rbr_load_u16(walk->bytes + entry);
    const uint32_t type = type_at != 0 ? walk->bytes[place->table + type_at] : 0;

    if (type == 0)
        return fail(walk, RBR_DEFECT_UNION, slot);
    if (type > desc->member_count)
        return fail(walk, RBR_DEFECT_UNION, place->table + type_at);
    return push(walk, desc->members[type - 1], slot, 1, place->depth + 1);
}

static void
note_ref(struct walk *walk, uint32_t at)
{
    rbr_verdict *verdict = walk->verdict;

    if (verdict->refs < verdict->refs_max)
        verdict->ref_at[verdict->refs] = at;
    verdict->refs++;
}

/* Checks what a field at `at`, inside its table and aligned, leads to. */
static inline bool
check_content(struct walk *walk, const struct place *place, const struct rbr_field_desc *field,
              uint32_t at)
{
    uint32_t first, count;

    switch (field->form) {
    case RBR_FIELD_REF:
        note_ref(walk, at);
        return true;
    case RBR_FIELD_STRING:
        return check_string(walk, at);
    case RBR_FIELD_VECTOR:
        return check_vector(walk, at, field->element_bytes, field->element_align, &first, &count);
    case RBR_FIELD_STRINGS:
        return check_strings(walk, at);
    case RBR_FIELD_TABLE:
        return push(walk, field->child, at, 1, place->depth + 1);
    case RBR_FIELD_TABLES:
        return check_vector(walk, at, 4, 4, &first, &count) &&
               push(walk, field->child, first, count, place->depth + 1);
    case RBR_FIELD_UNION:
        return push_union(walk, place, at);
    default:
        return true;
    }
}

/* Rules 4 and 5: the known fields. */
static inline bool
check_fields(struct walk *walk, const struct place *place)
{
    const struct rbr_table_desc *desc = place->desc;
    const uint8_t *entries = walk->bytes + place->vtable + 4;
    uint32_t present = 0, id;

    for (id = 0; id < place->slots; id++) {
        const struct rbr_field_desc *field = &desc->fields[id];
        const uint32_t offset = rbr_load_u16(entries + 2 * id);
        const uint32_t at = place->table + offset;

        if (offset == 0)
            continue;
        if (offset < 4 || offset + field->bytes > place->table_bytes ||
            (at & (field->align - 1u)) != 0)
            return fail(walk, RBR_DEFECT_FIELD, place->vtable + 4 + 2 * id);
        present |= 1u << id;
        if (field->form != RBR_FIELD_SCALAR && !check_content(walk, place, field, at))
            return false;
    }
    /* A type without a value; the other way round, push_union has seen to it. */
    if (desc->union_id != 0 && (present >> (desc->union_id - 1) & 3u) == 1) {
        const uint32_t at = place->table + rbr_load_u16(entries + 2 * (desc->union_id - 1));
        if (walk->bytes[at] != 0)
            return fail(walk, RBR_DEFECT_UNION, at);
    }
    if ((desc->required & ~present) != 0)
        return fail(walk, RBR_DEFECT_REQUIRED, place->table);
    return true;
}

/* Rule 3, and the counts of rule 8; `slot` can be read. */
static inline bool
check_table(struct walk *walk, const struct rbr_table_desc *desc, uint32_t slot, uint32_t depth)
{
    struct place place;
    int64_t vtable;
    int32_t back;
    uint32_t vtable_bytes;

    if (!follow(walk, slot, &place.table))
        return false;
    if (depth > RBR_DEPTH_MAX)
        return fail(walk, RBR_DEFECT_DEPTH, place.table);
    if (++walk->tables > RBR_TABLES_MAX)
        return fail(walk, RBR_DEFECT_TABLES, place.table);

    memcpy(&back, walk->bytes + place.table, sizeof back);
    vtable = (int64_t)place.table - back;
    if (vtable < 0 || vtable % 2 != 0 || (uint64_t)vtable + 4 > walk->size)
        return fail(walk, RBR_DEFECT_VTABLE, place.table);
    place.vtable = (uint32_t)vtable;
    vtable_bytes = rbr_load_u16(walk->bytes + place.vtable);
    place.table_bytes = rbr_load_u16(walk->bytes + place.vtable + 2);
    if (vtable_bytes < 4 || vtable_bytes % 2 != 0 || vtable_bytes > walk->size - place.vtable)
        return fail(walk, RBR_DEFECT_VTABLE, place.vtable);
    if (place.table_bytes < 4 || place.table_bytes > walk->size - place.table)
        return fail(walk, RBR_DEFECT_TABLE, place.vtable + 2);

    place.desc = desc;
    place.depth = depth;
    place.slots = vtable_bytes / 2 - 2;
    if (place.slots > desc->field_count)
        place.slots = desc->field_count;
    return check_fields(walk, &place);
}

static bool
check_frame(struct walk *walk)
{
    if (walk->size < 8 || walk->size > RBR_FRAME_BYTES_MAX)
        return fail(walk, RBR_DEFECT_SIZE, 0);
    if (memcmp(walk->bytes + 4, RBR_WIRE_IDENTIFIER, 4) != 0)
        return fail(walk, RBR_DEFECT_IDENTIFIER, 4);

    push(walk, &rbr_desc_frame, 0, 1, 1);
    while (walk->top != 0) {
        struct branch *branch = &walk->branches[walk->top - 1];
        const struct branch now = *branch;

        branch->slot += 4;
        if (--branch->left == 0)
            walk->top--;
        if (!check_table(walk, now.desc, now.slot, now.depth))
            return false;
    }
    return true;
}

rbr_status
rbr_verify(const uint8_t *bytes, uint32_t size, rbr_table *root, rbr_verdict *verdict)
{
    struct walk walk; /* without an initialiser: the branches need none */

    walk.bytes = bytes;
    walk.size = size;
    walk.vector_bytes = 0;
    walk.tables = 0;
    walk.top = 0;
    walk.verdict = verdict;
    verdict->defect = RBR_DEFECT_NONE;
    verdict->offset = 0;
    verdict->refs = 0;
    if (!check_frame(&walk))
        return RBR_BROKEN;
    if (verdict->refs > verdict->refs_max) {
        verdict->defect = RBR_DEFECT_REFS;
        return RBR_BROKEN;
    }
    root->at = rbr_follow(bytes);
    return RBR_OK;
}

const char *
rbr_defect_text(rbr_defect defect)
{
    static const char *const texts[] = {
        [RBR_DEFECT_NONE] = "no defect",
        [RBR_DEFECT_SIZE] = "the frame is too short or too long",
        [RBR_DEFECT_IDENTIFIER] = ("the identifier is not " RBR_WIRE_IDENTIFIER),
        [RBR_DEFECT_OFFSET] = "an offset is 0, misaligned or points outside",
        [RBR_DEFECT_VTABLE] = "a vtable is outside, odd, misaligned or too short",
        [RBR_DEFECT_TABLE] = "a table is misaligned, too short or outside",
        [RBR_DEFECT_FIELD] = "a field is outside its table or misaligned",
        [RBR_DEFECT_REQUIRED] = "a required field is absent",
        [RBR_DEFECT_UNION] = "a union has type or value alone, or an unknown type",
        [RBR_DEFECT_VECTOR] = "a vector runs outside or is misaligned",
        [RBR_DEFECT_STRING] = "a string has no terminator",
        [RBR_DEFECT_DEPTH] = "tables are nested too deep",
        [RBR_DEFECT_TABLES] = "the frame has too many tables",
        [RBR_DEFECT_BYTES] = "vectors add up to more than twice the frame",
        [RBR_DEFECT_REFS] = "the frame has more payload references than there was room for",
    };

    if ((unsigned)defect >= sizeof texts / sizeof texts[0])
        return "unknown defect";
    return texts[defect];
}
