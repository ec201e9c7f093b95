/* SPDX-License-Identifier: MIT */
/*
 * message.c - copy, verify, take hold of the blocks; only then does anybody look inside.
 *
 * The peer may scribble on a record while we read it, so nothing is looked at before the copy is
 * private.
 */
#include "channel.h"

#include <stdlib.h>
#include <string.h>

enum { REFS_FEW = 16 };

void
rbr_message_free(rbr_message *message)
{
    uint32_t i;

    if (message == NULL)
        return;
    for (i = 0; i < message->ref_count; i++)
        rbr_block_release(message->refs[i].block);
    free(message->refs); /* may be there with nothing resolved */
    free(message);
}

static int
compare_u32(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* The blocks behind all payload references, so that dropping the message hands them back. A table
 * may be shared within a frame: its reference was sent once, however many ways lead to it. */
static rbr_status
resolve_refs(rbr_message *message, rbr_channel *channel, uint32_t *positions, uint32_t count,
             rbr_error *err)
{
    uint32_t i;

    qsort(positions, count, sizeof positions[0], compare_u32);
    message->refs = malloc(count * sizeof message->refs[0]);
    if (message->refs == NULL)
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    for (i = 0; i < count; i++) {
        rbr_message_ref *ref = &message->refs[message->ref_count];
        rbr_status status;

        if (i > 0 && positions[i] == positions[i - 1])
            continue;
        status = rbr_blocks_resolve(&ref->block, channel, message->bytes + positions[i], err);
        if (status != RBR_OK)
            return status;
        ref->at = positions[i];
        message->ref_count++;
    }
    return RBR_OK;
}

/* Verifies message->bytes and fills in what the header of a frame says. channel NULL: payloads that
 * are not in the frame are refused. */
static rbr_status
open_frame(rbr_message *message, rbr_channel *channel, rbr_error *err)
{
    uint32_t few[REFS_FEW], *positions = few;
    rbr_verdict verdict = {.refs_max = REFS_FEW, .ref_at = few};
    rbr_status status;
    rbr_table root;

    status = rbr_verify(message->bytes, message->size, &root, &verdict);
    if (status != RBR_OK && verdict.defect == RBR_DEFECT_REFS) {
        positions = malloc(verdict.refs * sizeof positions[0]);
        if (positions == NULL)
            return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
        verdict.refs_max = verdict.refs;
        verdict.ref_at = positions;
        status = rbr_verify(message->bytes, message->size, &root, &verdict);
    }
    if (status != RBR_OK)
        status = rbr_fail(err, RBR_BROKEN, "a frame of %u bytes is malformed: %s at byte %u",
                          message->size, rbr_defect_text(verdict.defect), verdict.offset);
    else if (verdict.refs > 0 && channel == NULL)
        status = rbr_fail(err, RBR_BROKEN, "a frame of %u bytes refers to payloads outside of it",
                          message->size);
    else if (verdict.refs > 0)
        status = resolve_refs(message, channel, positions, verdict.refs, err);
    if (positions != few)
        free(positions);
    if (status != RBR_OK)
        return status;
    message->id = rbr_get_u64(root, RBR_FRAME__ID, 0);
    message->parent = rbr_get_u64(root, RBR_FRAME__PARENT, 0);
    message->body_type = rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0);
    message->body = rbr_get_table(root, RBR_FRAME__BODY);
    return RBR_OK;
}

static rbr_message *
message_init(rbr_message *message, const void *frame, uint32_t size)
{
    message->prev = message->next = NULL;
    message->refs = NULL;
    message->ref_count = 0;
    message->size = size;
    memcpy(message->bytes, frame, size);
    return message;
}

static rbr_message *
message_new(const void *frame, uint32_t size)
{
    rbr_message *message = malloc(sizeof *message + size);

    return message != NULL ? message_init(message, frame, size) : NULL;
}

/* In memory that is not ours, with the frame as well aligned as the memory is. */
static rbr_message *
message_within(void *room, const void *frame, uint32_t size)
{
    uint8_t *at = (uint8_t *)room + RBR_MESSAGE_HEAD - offsetof(rbr_message, bytes);

    return message_init((rbr_message *)(void *)at, frame, size);
}
static_assert(offsetof(rbr_message, bytes) <= RBR_MESSAGE_HEAD, "the head has room");
static_assert(offsetof(rbr_message, bytes) % alignof(rbr_message) == 0, "and is aligned");

/* A frame that was too large for the ring stands in a block; the block goes back at once. */
static rbr_status
open_blob(rbr_message **message, rbr_channel *channel, rbr_error *err)
{
    rbr_message *outer = *message, *inner;
    rbr_status status;
    uint64_t size;

    if (outer->ref_count != 1)
        return rbr_fail(err, RBR_BROKEN, "a Blob without its block");
    size = rbr_block_bytes(outer->refs[0].block);
    if (size > RBR_FRAME_BYTES_MAX)
        return rbr_fail(err, RBR_BROKEN, "a frame of %llu bytes", (unsigned long long)size);
    inner = message_new(rbr_block_data(outer->refs[0].block), (uint32_t)size);
    if (inner == NULL)
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory for a frame of %llu bytes",
                        (unsigned long long)size);
    status = open_frame(inner, channel, err);
    if (status == RBR_OK && inner->body_type == RBR_BODY_BLOB)
        status = rbr_fail(err, RBR_BROKEN, "a Blob inside a Blob");
    if (status != RBR_OK) {
        rbr_message_free(inner);
        return status;
    }
    rbr_message_free(outer);
    *message = inner;
    return RBR_OK;
}

rbr_status
rbr_message_read(rbr_message **out, rbr_channel *channel, const void *record, uint32_t size,
                 rbr_error *err)
{
    rbr_message *message = message_new(record, size);
    rbr_status status;

    /* The record is copied: its room can be used again. */
    rbr_consumer_release(&channel->exchange.consumer);
    rbr_wake_peer(&channel->wake, RBR_WAKE_ROOM);
    if (message == NULL)
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory for a frame of %u bytes", size);
    status = open_frame(message, channel, err);
    if (status == RBR_OK && message->body_type == RBR_BODY_BLOB)
        status = open_blob(&message, channel, err);
    if (status != RBR_OK) {
        rbr_message_free(message);
        return status;
    }
    *out = message;
    return RBR_OK;
}

rbr_status
rbr_message_copy(rbr_message **out, const void *frame, uint64_t size, void *room, rbr_error *err)
{
    rbr_message *message;
    rbr_status status;

    if (size > RBR_FRAME_BYTES_MAX)
        return rbr_fail(err, RBR_BROKEN, "a frame of %llu bytes", (unsigned long long)size);
    message = room != NULL ? message_within(room, frame, (uint32_t)size)
                           : message_new(frame, (uint32_t)size);
    if (message == NULL)
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory for a frame of %llu bytes",
                        (unsigned long long)size);
    status = open_frame(message, NULL, err);
    if (status == RBR_OK)
        *out = message;
    else if (room == NULL)
        rbr_message_free(message);
    return status;
}

/* ---------------------------------------------------------------------------------- accessors */

const uint8_t *
rbr_message_frame(const rbr_message *message, uint32_t *size)
{
    *size = message->size;
    return message->bytes;
}

uint64_t
rbr_message_id(const rbr_message *message)
{
    return message->id;
}

uint64_t
rbr_message_parent(const rbr_message *message)
{
    return message->parent;
}

rbr_table
rbr_message_body(const rbr_message *message, uint8_t *type)
{
    *type = message->body_type;
    return message->body;
}

rbr_block *
rbr_message_block(const rbr_message *message, const uint8_t *arena_field)
{
    const rbr_message_ref key = {.at = (uint32_t)(arena_field - message->bytes)};
    const rbr_message_ref *found;

    if (message->ref_count == 0)
        return NULL;
    /* `at` comes first in rbr_message_ref, and refs is sorted by it. */
    found = bsearch(&key, message->refs, message->ref_count, sizeof key, compare_u32);
    if (found == NULL)
        return NULL;
    rbr_block_retain(found->block);
    return found->block;
}
