/* SPDX-License-Identifier: MIT */
/*
 * serve_latest.c - streams whose newest item wins: nothing here waits for the host.
 *
 *   item -> frame, in a slot of the buffer -> publish -> "there is something newer", if no such word
 *                                                        is under way; else when its credit comes
 *
 * The host takes what is newest when it gets round to it, so an item that nobody took in time is
 * overwritten. The buffer is a block of the arena; its slots are as large as the first item needed,
 * with some room. A larger item gets a larger buffer, which the host hears of before the word.
 *
 * The newest item is never lost: the host has been told of it, or a word is under way, after which it
 * will find it; at the end it is told in any case.
 */
#include "serve.h"

#include "tensor.h"

/* A slot's room for items of `bytes`: small ones vary more. */
static uint64_t
room_for(uint64_t bytes)
{
    return bytes < (UINT64_C(1) << 20) ? 2 * bytes : bytes + bytes / 4;
}

offering *
latest_new(void)
{
    return PyMem_Calloc(1, sizeof(offering));
}

void
latest_free(offering *self)
{
    if (self != NULL)
        rbr_block_release(self->block);
    PyMem_Free(self);
}

/* -------------------------------------------------------------------------------------- offering */

/* The host hears of it, and sees the buffer before it hears of another item. */
static int
replace_buffer(server *self, const stream *from, rbr_block *block, const rbr_latest_writer *writer)
{
    offering *latest = from->latest;
    const rbr_status status = small_frame_open_latest(self->channel, from->id, block);

    if (status != RBR_OK) {
        rbr_block_release(block);
        channel_raise(self->channel, status, NULL, "offering an item");
        return -1;
    }
    rbr_block_release(latest->block);
    latest->block = block;
    latest->writer = *writer;
    return 0;
}

/* An item that is too large for the slots, in a new buffer. The old one is as it was. */
static int
offer_in_larger(server *self, const stream *from, const void *frame, uint32_t size)
{
    const uint64_t room = room_for(size);
    rbr_block *block = channel_allocate(self->channel, rbr_latest_bytes(1, room),
                                        channel_answer_deadline(self->channel));
    rbr_latest_writer writer;
    void *slot;

    if (block == NULL)
        return -1;
    rbr_latest_writer_init(&writer, rbr_block_data(block), 1, room);
    slot = rbr_latest_claim(&writer);
    if (size < COPY_NOGIL_BYTES_MIN) {
        memcpy(slot, frame, size);
    } else {
        Py_BEGIN_ALLOW_THREADS
        memcpy(slot, frame, size);
        Py_END_ALLOW_THREADS
    }
    rbr_latest_publish(&writer, size);
    return replace_buffer(self, from, block, &writer);
}

int
latest_offer(server *self, stream *from, PyObject *item)
{
    offering *latest = from->latest;
    void *slot = latest->block != NULL ? rbr_latest_claim(&latest->writer) : NULL;
    const uint64_t room = slot != NULL ? latest->writer.room : 0;
    value_encoder encoder;
    int result = -1;
    uint32_t size;

    if (value_encoder_start_in(&encoder, self->channel, slot, room) < 0)
        return -1;
    if (serve_build_item(&encoder, self, from, item) == 0) {
        size = rbr_build_finish(&encoder.build);
        if (size == 0)
            PyErr_NoMemory();
        else if (encoder.build.base != slot)
            result = offer_in_larger(self, from, encoder.build.base, size);
        else
            result = (int)rbr_latest_publish(&latest->writer, size); /* it fits */
    }
    value_encoder_stop(&encoder);
    if (result != 0)
        return -1;
    from->index++;
    if (!latest->under_way)
        latest_tell(self, from);
    return 0;
}

void
latest_tell(server *self, stream *from)
{
    offering *latest = from->latest;

    latest->under_way = latest->announced != from->index;
    if (!latest->under_way)
        return;
    latest->announced = from->index;
    small_frame_newer(self->channel, from->id, from->index - 1);
}
