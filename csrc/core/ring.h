/* SPDX-License-Identifier: MIT */
/*
 * ring.h - one producer, one consumer, framed records. See ring.c for the invariants.
 */
#ifndef RBR_RING_H
#define RBR_RING_H

#include "base.h"
#include "layout.h"

typedef struct rbr_producer {
    struct rbr_ring_shared *shared;
    uint8_t *data;
    uint64_t mask;
    uint64_t tail;      /* claimed so far; shared->tail follows at commit */
    _Atomic uint64_t committed; /* what shared->tail should say: the peer can write there */
    uint64_t head_seen; /* the consumer's position when we last looked */
} rbr_producer;

typedef struct rbr_consumer {
    struct rbr_ring_shared *shared;
    uint8_t *data;
    uint64_t mask;
    uint64_t head;      /* read so far; shared->head follows at release */
    uint64_t tail_seen; /* the producer's position when we last looked */
} rbr_consumer;

/* `data` is `capacity` bytes (a power of two), mapped twice in a row. Both start at position
 * `start` (0; tests start near the wrap of 2^32 and 2^64). */
void rbr_producer_init(rbr_producer *producer, struct rbr_ring_shared *shared, uint8_t *data,
                       uint64_t capacity, uint64_t start);
void rbr_consumer_init(rbr_consumer *consumer, struct rbr_ring_shared *shared, uint8_t *data,
                       uint64_t capacity, uint64_t start);

/* The largest record that a ring takes: a quarter of it, so that no record waits for an empty
 * ring. */
static inline uint32_t
rbr_ring_record_max(uint64_t capacity)
{
    return (uint32_t)(capacity / 4 - sizeof(struct rbr_record_shared));
}

/* Room for one record of `bytes`, to be written before commit; several claims may share one
 * commit. RBR_AGAIN: full. RBR_BROKEN: the consumer's position is impossible. */
rbr_status rbr_producer_claim(rbr_producer *producer, void **record, uint32_t bytes);
void rbr_producer_commit(rbr_producer *producer);
/* Whether a claim of `bytes` could succeed now. Touches no private state: any thread may ask. */
bool rbr_producer_has_room(const rbr_producer *producer, uint32_t bytes);

/* The next record; its bytes stay until release, and the producer may still scribble on them: copy
 * first, then verify the copy. RBR_AGAIN: empty. RBR_BROKEN: position or size are impossible. */
rbr_status rbr_consumer_next(rbr_consumer *consumer, const void **record, uint32_t *bytes);
/* Whether there is one more. Touches only what the reader alone writes. */
static inline bool
rbr_consumer_has_data(const rbr_consumer *consumer)
{
    return atomic_load_explicit(&consumer->shared->tail, memory_order_relaxed) != consumer->head;
}

/* Hands back all records read so far; whoever sleeps for room is to be woken after this. */
void rbr_consumer_release(rbr_consumer *consumer);

#endif
