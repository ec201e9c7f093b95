/* SPDX-License-Identifier: MIT */
/*
 * message.h - a received frame. See message.c.
 */
#ifndef RBR_MESSAGE_H
#define RBR_MESSAGE_H

#include "base.h"

#include "ringbridge_flatbuf.h"

typedef struct rbr_message_ref {
    uint32_t at; /* of the ArenaRef in the frame */
    rbr_block *block;
} rbr_message_ref;

struct rbr_message {
    struct rbr_message *prev, *next; /* in its queue */
    uint64_t id, parent;
    rbr_message_ref *refs;
    uint32_t ref_count;
    uint32_t size;
    rbr_table body;
    uint8_t body_type;
    _Alignas(8) uint8_t bytes[];
};

/* Copies the consumer's current record, releases it, verifies the copy, takes hold of its blocks,
 * and opens a Blob. */
rbr_status rbr_message_read(rbr_message **out, rbr_channel *channel, const void *record,
                            uint32_t size, rbr_error *err);

#endif
