/* SPDX-License-Identifier: MIT */
/*
 * passage_in.c - frames from another machine, on their way into a channel. See passage_type.c.
 *
 * The sizes are the sender's word. No memory is taken for a frame before its bytes have come; blocks are
 * taken for its payloads once it is verified, and says as much of them as was announced.
 */
#include "passage.h"

#include <stdlib.h>
#include <time.h>

#define ROOM_BYTES_FIRST (UINT32_C(64) << 10)
#define COPY_NOGIL_MIN ((Py_ssize_t)32 << 10)
/* Payloads that the peer has not read yet: further ones wait until it has read all. What it has read, and
 * holds, has no bound but the arena's. */
#define UNREAD_BYTES_MAX (UINT64_C(64) << 20)
/* Between two looks for room in the ring: from, to. */
#define LOOK_NS_FIRST 20000
#define LOOK_NS_MAX 2000000

void
passage_in_clear(passage_in *in)
{
    uint32_t i;

    for (i = 0; in->blocks != NULL && i < in->refs; i++)
        rbr_block_release(in->blocks[i]);
    free((void *)in->blocks);
    free(in->ref_at);
    free(in->frame);
    *in = (passage_in){.unread_bytes = in->unread_bytes};
}

static PyObject *
bad(PassageObject *self, const char *text)
{
    PyErr_SetString(self->channel->state->protocol_error, text);
    return NULL;
}

PyObject *
passage_begin(PassageObject *self, PyObject *args)
{
    unsigned int frame_bytes;
    unsigned long long payload_bytes;

    if (!PyArg_ParseTuple(args, "IK:begin", &frame_bytes, &payload_bytes))
        return NULL;
    if (self->in.frame_bytes != 0)
        return bad(self, "a frame begins before the one before it was whole");
    if (frame_bytes == 0 || frame_bytes > RBR_FRAME_BYTES_MAX)
        return bad(self, "a frame of an impossible size");
    passage_in_clear(&self->in);
    self->in.frame_bytes = frame_bytes;
    self->in.payload_bytes = payload_bytes;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------- the frame */

static bool
make_room(passage_in *in, uint64_t wanted)
{
    uint64_t room = in->room != 0 ? in->room : ROOM_BYTES_FIRST;
    uint8_t *frame;

    while (room < wanted)
        room *= 2;
    if (room > in->frame_bytes)
        room = in->frame_bytes;
    if (room <= in->room)
        return true;
    frame = realloc(in->frame, room);
    if (frame == NULL) {
        PyErr_NoMemory();
        return false;
    }
    in->frame = frame;
    in->room = (uint32_t)room;
    return true;
}

static int
compare(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* Where the references stand, each once. False with an exception. */
static bool
find_refs(PassageObject *self, passage_in *in, uint32_t count)
{
    rbr_verdict verdict = {.refs_max = count};
    rbr_table root;
    uint32_t i;

    in->ref_at = malloc(count * sizeof in->ref_at[0]);
    if (in->ref_at == NULL) {
        PyErr_NoMemory();
        return false;
    }
    verdict.ref_at = in->ref_at;
    if (rbr_verify(in->frame, in->frame_bytes, &root, &verdict) != RBR_OK) {
        bad(self, "a frame that changes while it is read");
        return false;
    }
    qsort(in->ref_at, count, sizeof in->ref_at[0], compare);
    for (i = 0; i < count; i++)
        if (i == 0 || in->ref_at[i] != in->ref_at[i - 1])
            in->ref_at[in->refs++] = in->ref_at[i];
    return true;
}

static uint64_t
length_at(const passage_in *in, uint32_t index)
{
    rbr_arena_ref ref;

    memcpy(&ref, in->frame + in->ref_at[index], sizeof ref);
    return ref.length;
}

/* Blocks for its payloads. False with an exception; ArenaFull leaves a frame that `meant` can tell of. */
static bool
take_blocks(PassageObject *self, passage_in *in)
{
    uint64_t left = in->payload_bytes;
    uint32_t i;

    for (i = 0; i < in->refs; i++) {
        if (length_at(in, i) > left)
            return bad(self, "a frame refers to more payload than was announced") != NULL;
        left -= length_at(in, i);
    }
    if (left != 0)
        return bad(self, "a frame refers to less payload than was announced") != NULL;
    in->blocks = calloc(in->refs + (size_t)1, sizeof in->blocks[0]);
    if (in->blocks == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (i = 0; i < in->refs; i++) {
        in->blocks[i] = channel_allocate(self->channel, length_at(in, i), RBR_FOREVER);
        if (in->blocks[i] == NULL)
            return false;
    }
    return true;
}

static bool
frame_is_whole(PassageObject *self, passage_in *in)
{
    rbr_verdict verdict = {.refs_max = 0};
    rbr_table root;
    const rbr_status status = rbr_verify(in->frame, in->frame_bytes, &root, &verdict);

    if (status != RBR_OK && verdict.defect != RBR_DEFECT_REFS) {
        PyErr_Format(self->channel->state->protocol_error,
                     "a frame of %u bytes is malformed: %s at byte %u", in->frame_bytes,
                     rbr_defect_text(verdict.defect), verdict.offset);
        return false;
    }
    if (verdict.refs > 0 && !find_refs(self, in, verdict.refs))
        return false;
    return take_blocks(self, in);
}

/* ---------------------------------------------------------------------------------- its payloads */

/* Into the blocks, one after the other. */
static void
fill(passage_in *in, const char *data, uint64_t bytes)
{
    while (bytes > 0) {
        rbr_block *block = in->blocks[in->part];
        uint64_t now = rbr_block_bytes(block) - in->at;

        if (now > bytes)
            now = bytes;
        memcpy((uint8_t *)rbr_block_data(block) + in->at, data, now);
        in->at += now;
        data += now;
        bytes -= now;
        if (in->at == rbr_block_bytes(block)) {
            in->at = 0;
            in->part++;
        }
    }
}

static bool
feed(PassageObject *self, const char *data, uint64_t bytes)
{
    passage_in *in = &self->in;
    uint64_t now = 0;

    if (in->fed < in->frame_bytes) {
        now = in->frame_bytes - in->fed < bytes ? in->frame_bytes - in->fed : bytes;
        if (!make_room(in, in->fed + now))
            return false;
        memcpy(in->frame + in->fed, data, now);
        in->fed += now;
        if (in->fed < in->frame_bytes)
            return true;
        if (!frame_is_whole(self, in))
            return false;
    }
    in->fed += bytes - now;
    if (bytes - now < (uint64_t)COPY_NOGIL_MIN) {
        fill(in, data + now, bytes - now);
    } else {
        Py_BEGIN_ALLOW_THREADS
        fill(in, data + now, bytes - now);
        Py_END_ALLOW_THREADS
    }
    return true;
}

PyObject *
passage_feed(PassageObject *self, PyObject *data)
{
    passage_in *in = &self->in;
    char *bytes;
    Py_ssize_t size;

    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0)
        return NULL;
    if (in->frame_bytes == 0 || (in->fed > in->frame_bytes && in->blocks == NULL))
        return bad(self, "more of a frame that never began");
    if ((uint64_t)size > in->frame_bytes + in->payload_bytes - in->fed)
        return bad(self, "a frame is longer than was announced");
    if (!feed(self, bytes, (uint64_t)size))
        return NULL;
    return PyBool_FromLong(in->fed == in->frame_bytes + in->payload_bytes);
}

PyObject *
passage_meant(PassageObject *self, PyObject *unused)
{
    const passage_in *in = &self->in;
    rbr_table root;

    (void)unused;
    if (in->blocks == NULL)
        return bad(self, "a frame that has not been verified");
    root = (rbr_table){rbr_follow(in->frame)};
    return passage_describe(rbr_get_u64(root, RBR_FRAME__ID, 0),
                            rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0),
                            rbr_get_table(root, RBR_FRAME__BODY));
}

/* ------------------------------------------------------------------------------------- sending */

/* Looks for room again and again: who waits as the core does would read, and that has its own pace. */
static rbr_status
send_until(rbr_channel *channel, passage_in *in, uint64_t deadline_ns, rbr_error *error)
{
    struct timespec pause = {.tv_nsec = LOOK_NS_FIRST};
    rbr_status status;

    for (;;) {
        if (in->unread_bytes > 0 && rbr_relay_is_read(channel))
            in->unread_bytes = 0;
        status = RBR_AGAIN;
        if (in->unread_bytes == 0 || in->unread_bytes + in->payload_bytes <= UNREAD_BYTES_MAX)
            status = rbr_channel_send(channel, in->frame, in->frame_bytes, in->blocks, in->refs, 0,
                                      error);
        if (status == RBR_OK)
            in->unread_bytes += in->payload_bytes;
        if (status != RBR_AGAIN && status != RBR_TIMED_OUT)
            return status;
        if (rbr_now_ns() >= deadline_ns)
            return RBR_AGAIN;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < LOOK_NS_MAX)
            pause.tv_nsec *= 2;
    }
}

/* A stream goes on with its next item by itself, and word of that comes late. */
static void
tell_of_item(PassageObject *self, const passage_in *in)
{
    const rbr_table root = {rbr_follow(in->frame)};

    const uint64_t id = rbr_get_u64(root, RBR_FRAME__ID, 0);

    if (rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0) == RBR_BODY_STREAM_ITEM)
        rbr_relay_may_run(self->channel->channel, id);
    if (id == self->presumed)
        self->presumed = 0;
}

static bool
is_answer(const passage_in *in)
{
    const rbr_table root = {rbr_follow(in->frame)};
    const uint8_t type = rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0);

    return type == RBR_BODY_RESULT || type == RBR_BODY_ERROR || type == RBR_BODY_LOADED ||
           type == RBR_BODY_STREAM_END;
}

PyObject *
passage_put(PassageObject *self, PyObject *timeout)
{
    passage_in *in = &self->in;
    rbr_error error = {.status = RBR_OK};
    rbr_status status;
    uint64_t deadline_ns;
    uint32_t i;

    if (in->frame_bytes == 0 || in->blocks == NULL ||
        in->fed != in->frame_bytes + in->payload_bytes)
        return bad(self, "a frame that is not whole");
    if (!deadline_from_timeout(timeout, &deadline_ns) || channel_enter(self->channel) == NULL)
        return NULL;
    for (i = 0; i < in->refs; i++) {
        rbr_arena_ref ref;

        rbr_block_ref(in->blocks[i], &ref);
        memcpy(in->frame + in->ref_at[i], &ref, sizeof ref);
    }
    if (!self->channel->host)
        tell_of_item(self, in); /* before: who takes it may ask at once */
    Py_BEGIN_ALLOW_THREADS
    status = send_until(self->channel->channel, in, deadline_ns, &error);
    Py_END_ALLOW_THREADS
    if (status != RBR_OK && status != RBR_AGAIN)
        channel_raise(self->channel, status, error.status == status ? &error : NULL, NULL);
    channel_leave(self->channel);
    if (PyErr_Occurred())
        return NULL;
    if (status == RBR_OK) {
        self->unanswered -= self->unanswered > 0 && is_answer(in);
        passage_in_clear(in);
    }
    return PyBool_FromLong(status == RBR_OK);
}

PyObject *
passage_forget(PassageObject *self, PyObject *unused)
{
    (void)unused;
    passage_in_clear(&self->in);
    Py_RETURN_NONE;
}

PyObject *
passage_refusal(PassageObject *self, PyObject *args)
{
    _Alignas(8) uint8_t room[4096];
    rbr_builder builder;
    rbr_shape shape;
    unsigned long long id;
    int code;
    const char *type, *text;
    uint32_t root, error, size;

    if (!PyArg_ParseTuple(args, "Kiss:refusal", &id, &code, &type, &text))
        return NULL;
    rbr_shape_make(&shape, &rbr_desc_error,
                   RBR_BIT(RBR_ERROR__CODE) | RBR_BIT(RBR_ERROR__TYPE) |
                       RBR_BIT(RBR_ERROR__MESSAGE));
    rbr_build_start(&builder, room, sizeof room, NULL, NULL);
    root = rbr_build_table(&builder, 0, &rbr_shape_frame);
    rbr_build_u64(&builder, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(&builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_ERROR);
    error = rbr_build_table(&builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY),
                            &shape);
    rbr_build_u16(&builder, error, &shape, RBR_ERROR__CODE, (uint16_t)code);
    rbr_build_string(&builder, rbr_build_slot(error, &shape, RBR_ERROR__TYPE), type,
                     (uint32_t)strlen(type));
    rbr_build_string(&builder, rbr_build_slot(error, &shape, RBR_ERROR__MESSAGE), text,
                     rbr_string_cut(text, strlen(text), 2048));
    size = rbr_build_finish(&builder);
    if (size == 0)
        return bad(self, "the text of a refusal is too long");
    return PyBytes_FromStringAndSize((const char *)room, (Py_ssize_t)size);
}
