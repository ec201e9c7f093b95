/* SPDX-License-Identifier: MIT */
/*
 * passage.h - private to passage_*.c: a relay's end of a channel.
 */
#ifndef RBR_EXT_PASSAGE_H
#define RBR_EXT_PASSAGE_H

#include "ext.h"

#include "ringbridge_relay.h"

/* A frame that came, and how far it has been read: part 0 is the frame, the others its payloads. */
typedef struct passage_out {
    rbr_message *message; /* NULL: none */
    uint32_t part;
    uint64_t at; /* in this part */
} passage_out;

/* A frame that is being put together. */
typedef struct passage_in {
    uint8_t *frame; /* malloc: grows with what has come of it */
    uint32_t room, frame_bytes;
    uint64_t payload_bytes, fed; /* fed: of the frame, then of the payloads */
    uint32_t *ref_at;            /* where its references stand, sorted */
    rbr_block **blocks;          /* one for each; NULL until the frame is whole */
    uint32_t refs, part;         /* part: of the block that is filled now */
    uint64_t at;
    uint64_t unread_bytes; /* of payloads that were sent since the peer had read all */
} passage_in;

typedef struct PassageObject {
    PyObject_HEAD
    ChannelObject *channel;
    passage_out out;
    passage_in in;
    uint32_t unanswered; /* requests that were taken, less the answers that were put */
    uint64_t
        presumed; /* a call that surely begins as soon as it is there; 0: none, or it is known to */
} PassageObject;

/* (id, whether it wants an answer, whether it is a stream of the newest, or a stream's item) */
PyObject *passage_describe(uint64_t id, uint8_t type, rbr_table body);

/* passage_in.c */
void passage_in_clear(passage_in *in);
PyObject *passage_begin(PassageObject *self, PyObject *args);
PyObject *passage_feed(PassageObject *self, PyObject *data);
PyObject *passage_meant(PassageObject *self, PyObject *unused);
PyObject *passage_put(PassageObject *self, PyObject *timeout);
PyObject *passage_forget(PassageObject *self, PyObject *unused);
PyObject *passage_refusal(PassageObject *self, PyObject *args);

#endif
