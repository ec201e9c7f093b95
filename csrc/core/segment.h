/* SPDX-License-Identifier: MIT */
/*
 * segment.h - mapped shared memory: the ring segment of a channel, and arena segments.
 *
 * A segment never has a name that lives: its creator passes the fd over the control socket.
 */
#ifndef RBR_SEGMENT_H
#define RBR_SEGMENT_H

#include "base.h"
#include "layout.h"

typedef struct rbr_segment {
    struct rbr_segment_shared *shared; /* NULL: none */
    uint8_t *data[2];                  /* of each ring, mapped twice in a row */
    uint32_t ring_bytes;
} rbr_segment;

/* The host's: creates, lays out and maps. The fd is for the peer; the caller closes it. */
rbr_status rbr_segment_create(rbr_segment *out, int *fd, uint32_t ring_bytes, uint64_t session,
                              enum rbr_memory memory, rbr_error *err);
/* The worker's: checks what came and maps it. Does not take the fd. */
rbr_status rbr_segment_attach(rbr_segment *out, int fd, uint32_t ring_bytes, uint64_t session,
                              rbr_error *err);
void rbr_segment_detach(rbr_segment *segment);

/* A mapping of an arena segment, counted: blocks outlive the channel. */
typedef struct rbr_mapping {
    _Atomic uint32_t refs;
    uint16_t index; /* the arena number on the wire */
    uint8_t *base;
    uint64_t bytes;
} rbr_mapping;

/* Ring sizes that we take, from the peer too. */
#define RBR_RING_BYTES_MIN (UINT32_C(1) << 16)
#define RBR_RING_BYTES_MAX (UINT32_C(1) << 30)

rbr_status rbr_mapping_create(rbr_mapping **out, int *fd, uint64_t bytes, uint16_t index,
                              enum rbr_memory memory, rbr_error *err);
rbr_status rbr_mapping_attach(rbr_mapping **out, int fd, uint64_t bytes, uint16_t index,
                              rbr_error *err);
void rbr_mapping_retain(rbr_mapping *mapping);
void rbr_mapping_release(rbr_mapping *mapping);

#endif
