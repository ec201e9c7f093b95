/* SPDX-License-Identifier: MIT */
/*
 * call_latest.c - the host's end of a stream whose newest item wins; serve_latest.c is the other.
 *
 *   OpenLatest -> the block with the buffer, instead of the one before
 *   NEWER      -> newest(): whatever is newest now; a private copy, verified, then decoded
 *
 * The worker says when there is something newer, but not what: it may be overwritten until it is taken.
 *
 * How it is copied: frame_copy.c.
 */
#include "calls.h"

#include "tensor.h"

bool
latest_view_open(latest_view *self, const rbr_message *message, rbr_table body)
{
    const uint8_t *ref = rbr_field(body, RBR_OPEN_LATEST__REF);
    rbr_block *block = ref != NULL ? rbr_message_block(message, ref) : NULL;
    rbr_latest_reader reader;

    if (block == NULL)
        return false;
    if (rbr_latest_reader_init(&reader, rbr_block_data(block), rbr_block_bytes(block),
                               rbr_get_u32(body, RBR_OPEN_LATEST__READER, 0)) != RBR_OK) {
        rbr_block_release(block);
        return false;
    }
    rbr_block_release(self->block);
    self->block = block;
    self->reader = reader;
    return true;
}

void
latest_view_close(latest_view *self)
{
    if (self == NULL)
        return;
    frame_copies_clear(&self->copies);
    rbr_block_release(self->block);
    PyMem_Free(self);
}

/* Memory and all, while it is copied: another thread may see a new buffer meanwhile. */
static rbr_status
copy_large(core_state *state, latest_view *self, const void *frame, uint64_t bytes,
           rbr_message **out, ArrayObject **holder, rbr_error *error)
{
    rbr_block *block = self->block;
    rbr_status status;

    rbr_block_retain(block);
    status = frame_copy_large(state, &self->copies, self->reader.room, frame, bytes, out, holder,
                              error);
    rbr_block_release(block);
    return status;
}

/* A private copy of the newest item's frame. RBR_AGAIN: it has been taken. */
static rbr_status
take_copy(core_state *state, latest_view *self, rbr_message **out, ArrayObject **holder,
          rbr_error *error)
{
    const rbr_block *block = self->block;
    const void *frame;
    uint64_t bytes, sequence;
    rbr_status status = rbr_latest_take(&self->reader, &frame, &bytes, &sequence);

    if (status != RBR_OK)
        return status;
    if (bytes < COPY_NOGIL_BYTES_MIN)
        status = rbr_message_copy(out, frame, bytes, NULL, error);
    else
        status = copy_large(state, self, frame, bytes, out, holder, error);
    if (self->block == block)
        rbr_latest_release(&self->reader);
    return status;
}

/* Counts what was missed; NULL with ProtocolError where the frame is no newer item of this call. */
static PyObject *
decode_newest(CallObject *self, value_decoder *decoder)
{
    latest_view *latest = self->latest;
    PyObject *item;
    uint64_t index;
    uint8_t type;
    const rbr_table body = rbr_message_body(decoder->message, &type);

    if (type != RBR_BODY_STREAM_ITEM || rbr_message_id(decoder->message) != self->id)
        return value_bad(decoder, "a latest-value buffer holds what is no item of its stream");
    index = rbr_get_u64(body, RBR_STREAM_ITEM__INDEX, 0);
    if (index < latest->next || index == UINT64_MAX)
        return value_bad(decoder, "an item that is older than the one before");
    latest->dropped += index - latest->next;
    latest->next = index + 1;
    item = value_decode_field(decoder, body, RBR_STREAM_ITEM__VALUE);
    if (item == NULL)
        value_decode_place(decoder, "item", NULL, -1);
    return item;
}

static void
raise_bad_buffer(CallObject *self, rbr_status status, const rbr_error *error)
{
    if (status == RBR_NO_MEMORY) {
        PyErr_NoMemory();
        return;
    }
    PyErr_Format(self->channel->state->protocol_error, "%U: a latest-value buffer is damaged%s%s",
                 self->title, error->text[0] != 0 ? ": " : "", error->text);
}

PyObject *
call_newest(CallObject *self, PyObject *unused)
{
    value_decoder decoder = {.state = self->channel->state,
                             .channel = self->channel,
                             .copy = self->copy,
                             .pickle = self->channel->pickle};
    rbr_error error = {.status = RBR_OK};
    rbr_message *message = NULL;
    PyObject *item = NULL;
    uint64_t parent;
    rbr_status status;

    (void)unused;
    if (self->latest == NULL || self->latest->block == NULL) {
        PyErr_SetString(PyExc_ValueError, "this call has no latest-value buffer");
        return NULL;
    }
    if (call_reads_within(self, &parent) < 0)
        return NULL;
    status = take_copy(decoder.state, self->latest, &message, &decoder.holder, &error);
    if (self->held != NULL)
        small_frame_credit(self->channel, self->id, parent, 1, 0);
    decoder.message = message;
    if (status == RBR_OK)
        item = decode_newest(self, &decoder);
    else if (status != RBR_AGAIN)
        raise_bad_buffer(self, status, &error);
    if (decoder.holder != NULL)
        Py_DECREF((PyObject *)decoder.holder);
    else
        rbr_message_free(message);
    if (item != NULL)
        return Py_BuildValue("iN", (int)EVENT_ITEM, item);
    if (status == RBR_AGAIN)
        return Py_BuildValue("iO", (int)EVENT_NOTHING, Py_None);
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return NULL; /* Ctrl-C: this item is gone, and a newer one comes */
    small_frame_close(self->channel, self->id, parent);
    return event_of_exception(EVENT_END);
}
