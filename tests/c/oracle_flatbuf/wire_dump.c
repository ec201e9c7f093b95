/* SPDX-License-Identifier: MIT */
/*
 * wire_dump.c - golden frames for tests/python/test_wire_oracle.py, which shows them to flatc.
 *
 *   wire_dump DIRECTORY       writes, for each body, least_<Body>.bin (its required fields alone,
 *                             or its first),
 *                             full_<Body>.bin (every field) and edge_<Body>.bin (every field, at an
 *                             edge); and frames made as the hot paths make them, hot_<name>.bin
 *   wire_dump --verify FILE   prints OK, or the defect and its offset (exit code 1)
 *   wire_dump --verify-all    for each frame on stdin (4 bytes of length, then the frame): a line
 *                             with the defect's number and offset, "0 0" when it is right
 *   wire_dump --time-all      the same, and the nanoseconds of processor time that it took (the
 *                             least of several)
 *
 * In a full frame a field's value follows from its id and its table's depth alone (the frame has
 * depth 1): n = id + 10 * depth. At the edge integers have all bits set, texts and vectors are empty.
 * The Python side computes the same from wire.fbs.
 */
#include "ringbridge_wire.h"
#include "wire_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROOM (1u << 20)
#define PENDING 4096
#define TIMED_ROUNDS 7
#define DEEPEST 4 /* tables from here on have no tables below them but the required ones */

/* What the tables of a frame hold. */
enum style { LEAST, FULL, EDGE, STYLES };
static const char *const style_names[STYLES] = {"least", "full", "edge"};

/* A table that still has to be built. */
struct pending {
    const struct rbr_table_desc *desc;
    uint32_t slot;
    uint32_t depth;
};

static _Alignas(64) uint8_t room[ROOM];
static struct pending queue[PENDING];
static uint32_t queued, taken;
static enum style style;

static void
enqueue(const struct rbr_table_desc *desc, uint32_t slot, uint32_t depth)
{
    if (queued == PENDING)
        abort();
    queue[queued++] = (struct pending){desc, slot, depth};
}

/* ------------------------------------------------------------------------------ whole frames */

static bool
is_floating(const struct rbr_table_desc *desc, uint32_t id)
{
    const uint32_t field = 4 + 2 * id;

    if (desc == &rbr_desc_value)
        return field == RBR_VALUE__F || field == RBR_VALUE__G || field == RBR_VALUE__F64S;
    return desc == &rbr_desc_progress && field == RBR_PROGRESS__FRACTION;
}

/* The number n as a scalar of this many bytes; each byte of an integer matters. */
static void
put_number(uint8_t *at, uint32_t bytes, uint32_t n, bool floating)
{
    const uint64_t integer = style == EDGE ? UINT64_MAX
                             : bytes == 8  ? n * ((UINT64_C(1) << 33) + 1)
                             : bytes == 4  ? n * UINT64_C(65537)
                             : bytes == 2  ? n * UINT64_C(257)
                                           : n;
    const double real = style == EDGE ? -1e300 : n + 0.5;
    const float single = style == EDGE ? -0.25f : (float)real;

    if (!floating)
        memcpy(at, &integer, bytes);
    else if (bytes == 8)
        memcpy(at, &real, 8);
    else
        memcpy(at, &single, 4);
}

static void
put_text(rbr_builder *b, uint32_t slot, const char *head, const struct pending *now, uint32_t id)
{
    char text[32];
    const int size = snprintf(text, sizeof text, "%s %u.%u", head, id, now->depth);

    rbr_build_string(b, slot, text, style == EDGE ? 0 : (uint32_t)size);
}

static void
put_vector(rbr_builder *b, uint32_t slot, const struct pending *now, uint32_t id)
{
    const struct rbr_field_desc *field = &now->desc->fields[id];
    const uint32_t step = field->element_bytes, n = id + 10 * now->depth;
    const uint32_t count = style == EDGE ? 0 : 2;
    const uint32_t first = rbr_build_vector(b, slot, count, step, field->element_align);
    uint32_t i;

    if (count == 0)
        return;
    if (field->form == RBR_FIELD_STRINGS) {
        put_text(b, first, "one", now, id);
        put_text(b, first + 4, "two", now, id);
        return;
    }
    for (i = 0; first != 0 && i < count; i++) {
        if (field->form == RBR_FIELD_TABLES)
            enqueue(field->child, first + step * i, now->depth + 1);
        else
            put_number(room + first + step * i, step, n + i, is_floating(now->desc, id));
    }
}

static void
put_field(rbr_builder *b, uint32_t at, const struct pending *now, uint32_t id)
{
    const struct rbr_field_desc *field = &now->desc->fields[id];
    const uint32_t n = id + 10 * now->depth;

    switch (field->form) {
    case RBR_FIELD_SCALAR:
        put_number(room + at, field->bytes, n, is_floating(now->desc, id));
        break;
    case RBR_FIELD_REF:
        put_number(room + at, 8, n, false);
        put_number(room + at + 8, 8, n + 1, false);
        put_number(room + at + 16, 4, n + 2, false);
        put_number(room + at + 20, 2, n + 3, false);
        put_number(room + at + 22, 2, n + 4, false);
        break;
    case RBR_FIELD_STRING:
        put_text(b, at, "na\xc3\xafve \"text\"", now, id);
        break;
    case RBR_FIELD_TABLE:
        enqueue(field->child, at, now->depth + 1);
        break;
    default:
        put_vector(b, at, now, id);
    }
}

static void
put_whole_table(rbr_builder *b, const struct pending *now)
{
    const struct rbr_table_desc *desc = now->desc;
    uint32_t fields = 0, id, table;
    rbr_shape shape;

    for (id = 0; id < desc->field_count; id++) {
        const bool leads_on = desc->fields[id].child != NULL;
        const bool optional = style != LEAST && (!leads_on || now->depth < DEEPEST);
        if (optional || (desc->required >> id & 1u) != 0)
            fields |= 1u << id;
    }
    rbr_shape_make(&shape, desc, fields != 0 ? fields : 1u); /* none is required: the first one */
    table = rbr_build_table_once(b, now->slot, &shape);
    for (id = 0; table != 0 && id < desc->field_count; id++)
        if (shape.vtable[2 + id] != 0)
            put_field(b, rbr_build_slot(table, &shape, 4 + 2 * id), now, id);
}

static uint32_t
put_frame(rbr_builder *b, uint64_t id, uint64_t parent, uint8_t type)
{
    const rbr_shape *shape = &rbr_shape_frame_parent;
    uint32_t frame;

    rbr_build_start(b, room, sizeof room, NULL, NULL);
    frame = rbr_build_table(b, 0, shape);
    rbr_build_u64(b, frame, shape, RBR_FRAME__ID, id);
    rbr_build_u64(b, frame, shape, RBR_FRAME__PARENT, parent);
    rbr_build_u8(b, frame, shape, RBR_FRAME__BODY_TYPE, type);
    return rbr_build_slot(frame, shape, RBR_FRAME__BODY);
}

static void
build_whole(rbr_builder *b, uint8_t type)
{
    queued = taken = 0;
    enqueue(rbr_desc_frame.members[type - 1], put_frame(b, UINT64_MAX, type, type), 2);
    while (taken < queued)
        put_whole_table(b, &queue[taken++]);
}

/* -------------------------------------------------------------------------------- hot frames */

static uint32_t
put_value(rbr_builder *b, uint32_t slot, const rbr_shape *shape, uint8_t kind)
{
    const uint32_t table = rbr_build_table(b, slot, shape);

    rbr_build_u8(b, table, shape, RBR_VALUE__KIND, kind);
    return table;
}

static void
build_call(rbr_builder *b)
{
    const uint32_t slot = put_frame(b, 1, 0, RBR_BODY_CALL);
    const uint32_t call = rbr_build_table(b, slot, &rbr_shape_call);
    uint32_t args, i, value;

    rbr_build_u32(b, call, &rbr_shape_call, RBR_CALL__FUNCTION, 3);
    args = rbr_build_vector(b, rbr_build_slot(call, &rbr_shape_call, RBR_CALL__ARGS), 3, 4, 4);
    for (i = 0; i < 3; i++) {
        value = put_value(b, args + 4 * i, &rbr_shape_value_int, RBR_KIND_INT);
        rbr_build_i64(b, value, &rbr_shape_value_int, RBR_VALUE__I, INT64_MIN + i);
    }
}

static uint32_t
put_result(rbr_builder *b)
{
    const uint32_t slot = put_frame(b, 2, 1, RBR_BODY_RESULT);
    const uint32_t result = rbr_build_table(b, slot, &rbr_shape_result);

    return rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE);
}

static void
build_dict(rbr_builder *b)
{
    const rbr_shape *s = &rbr_shape_value_dict;
    uint32_t value = put_value(b, put_result(b), s, RBR_KIND_DICT);
    uint32_t keys = rbr_build_vector(b, rbr_build_slot(value, s, RBR_VALUE__KEYS), 1, 4, 4);
    uint32_t items = rbr_build_vector(b, rbr_build_slot(value, s, RBR_VALUE__ITEMS), 1, 4, 4);

    value = put_value(b, keys, s = &rbr_shape_value_string, RBR_KIND_STR);
    rbr_build_string(b, rbr_build_slot(value, s, RBR_VALUE__S), "", 0);
    value = put_value(b, items, s = &rbr_shape_value_complex, RBR_KIND_COMPLEX);
    rbr_build_f64(b, value, s, RBR_VALUE__F, -0.25);
    rbr_build_f64(b, value, s, RBR_VALUE__G, 1e300);
}

static void
build_tensor(rbr_builder *b, const rbr_shape *s)
{
    const uint32_t value = put_value(b, put_result(b), &rbr_shape_value_tensor, RBR_KIND_TENSOR);
    const uint32_t slot = rbr_build_slot(value, &rbr_shape_value_tensor, RBR_VALUE__TENSOR);
    const uint32_t tensor = rbr_build_table(b, slot, s);
    const rbr_arena_ref ref = {4096, 64, 9, 1, 0};
    const int64_t length = 5;
    uint32_t at;

    rbr_build_u8(b, tensor, s, RBR_TENSOR__DTYPE, RBR_DTYPE_I8);
    rbr_build_u16(b, tensor, s, RBR_TENSOR__FLAGS, 4);
    rbr_build_u32(b, tensor, s, RBR_TENSOR__ITEMSIZE, 1);
    at = rbr_build_vector(b, rbr_build_slot(tensor, s, RBR_TENSOR__SHAPE), 1, 8, 8);
    memcpy(room + at, &length, 8);
    if (s == &rbr_shape_tensor_arena) {
        rbr_build_set(b, tensor, s, RBR_TENSOR__ARENA, &ref, sizeof ref);
        rbr_build_u64(b, tensor, s, RBR_TENSOR__DATA_OFFSET, 16);
        return;
    }
    at = rbr_build_vector(b, rbr_build_slot(tensor, s, RBR_TENSOR__INLINE_DATA), 5, 1, 64);
    memcpy(room + at, "\1\2\3\4\xff", 5); /* NOLINT(bugprone-not-null-terminated-result): no text */
}

/* ---------------------------------------------------------------------------------------- main */

static int
write_frame(rbr_builder *b, const char *directory, const char *head, const char *name)
{
    const uint32_t size = rbr_build_finish(b);
    rbr_verdict verdict = {.refs_max = 0};
    uint32_t refs[256];
    rbr_table root;
    char path[4096];
    FILE *file;
    bool written;

    verdict.ref_at = refs;
    verdict.refs_max = 256;
    snprintf(path, sizeof path, "%s/%s_%s.bin", directory, head, name);
    if (size == 0 || rbr_verify(room, size, &root, &verdict) != RBR_OK) {
        fprintf(stderr, "%s: our own verifier says defect %d\n", path, (int)verdict.defect);
        return 1;
    }
    file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    written = fwrite(room, 1, size, file) == size;
    return fclose(file) == 0 && written ? 0 : 1;
}

static int
dump(const char *directory)
{
    int failures = 0;
    rbr_builder b;
    uint8_t type;

    for (style = LEAST; style < STYLES; style++)
        for (type = 1; type <= rbr_desc_frame.member_count; type++) {
            memset(room, 0xAA, sizeof room);
            build_whole(&b, type);
            failures += write_frame(&b, directory, style_names[style],
                                    rbr_desc_frame.members[type - 1]->name);
        }
    build_call(&b);
    failures += write_frame(&b, directory, "hot", "call");
    build_dict(&b);
    failures += write_frame(&b, directory, "hot", "dict");
    build_tensor(&b, &rbr_shape_tensor_arena);
    failures += write_frame(&b, directory, "hot", "tensor_arena");
    build_tensor(&b, &rbr_shape_tensor_inline);
    failures += write_frame(&b, directory, "hot", "tensor_inline");
    return failures != 0;
}

static int
verify_file(const char *path)
{
    static uint32_t refs[4096];
    rbr_verdict verdict = {.refs_max = 4096, .ref_at = refs};
    FILE *file = fopen(path, "rb");
    rbr_table root;
    size_t size;

    if (file == NULL) {
        perror(path);
        return 2;
    }
    size = fread(room, 1, sizeof room, file);
    fclose(file);
    if (rbr_verify(room, (uint32_t)size, &root, &verdict) == RBR_OK) {
        puts("OK");
        return 0;
    }
    printf("defect %d at %u: %s\n", (int)verdict.defect, verdict.offset,
           rbr_defect_text(verdict.defect));
    return 1;
}

static uint64_t
processor_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A frame of its exact size, so that a sanitizer sees a read past it; its last bytes are at the end
 * of an allocation. 1: a frame was read, 0: no more, -1: broken input. */
static int
verify_next(int rounds)
{
    static uint32_t refs[4096];
    rbr_verdict verdict = {.refs_max = 4096, .ref_at = refs};
    uint64_t least_ns = UINT64_MAX;
    uint32_t size;
    int i;
    uint8_t *frame;
    rbr_table root;

    if (fread(&size, 1, sizeof size, stdin) != sizeof size)
        return 0;
    frame = size <= ROOM ? malloc(size + (size == 0)) : NULL;
    if (frame == NULL || fread(frame, 1, size, stdin) != size) {
        free(frame);
        return -1;
    }
    for (i = 0; i < rounds; i++) {
        const uint64_t began_ns = processor_ns();
        uint64_t took_ns;

        if (rbr_verify(frame, size, &root, &verdict) == RBR_OK)
            verdict.offset = 0;
        took_ns = processor_ns() - began_ns;
        if (took_ns < least_ns)
            least_ns = took_ns;
    }
    printf("%d %u", (int)verdict.defect, verdict.offset);
    if (rounds > 1)
        printf(" %llu", (unsigned long long)least_ns);
    putchar('\n');
    free(frame);
    return 1;
}

static int
verify_all(int rounds)
{
    int status;

    while ((status = verify_next(rounds)) == 1)
        ;
    if (status < 0)
        fprintf(stderr, "a frame is too long, or the input ends within it\n");
    return status < 0 ? 2 : 0;
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--verify-all") == 0)
        return verify_all(1);
    if (argc == 2 && strcmp(argv[1], "--time-all") == 0)
        return verify_all(TIMED_ROUNDS);
    if (argc == 3 && strcmp(argv[1], "--verify") == 0)
        return verify_file(argv[2]);
    if (argc == 2 && argv[1][0] != '-')
        return dump(argv[1]);
    fprintf(stderr, "wire_dump DIRECTORY | wire_dump --verify FILE | wire_dump --verify-all | "
                    "wire_dump --time-all\n");
    return 2;
}
