/* SPDX-License-Identifier: MIT */
/*
 * ring.c - one producer, one consumer, framed records.
 *
 * Knows nothing about processes, names or sleeping: it is handed memory.
 *
 *   shared block                         data, capacity = 2^k bytes
 *   +--------+--------+        +-----+---------+----------+-----------+
 *   |  tail  |  head  |        | ... | record  | record   | free      |
 *   +--------+--------+        +-----+---------+----------+-----------+
 *    producer  consumer              ^ head               ^ tail
 *    writes    writes
 *
 * Invariants
 *   R1  head and tail only grow; position & mask gives the byte.
 *   R2  0 <= tail - head <= capacity, compared only as an unsigned difference.
 *   R3  bytes in [head, tail) belong to the consumer, the rest to the producer.
 *   R4  nothing read from shared memory is used before it is copied to a local and checked:
 *       the peer may be dead, old or broken.
 *   R5  the data area is mapped twice in a row: any record is contiguous.
 *   R6  no record is larger than a quarter of the ring, so none waits for an empty one.
 */
#include "ring.h"

#include <string.h>

enum { RECORD_HEADER = sizeof(struct rbr_record_shared), RECORD_ALIGN = 8 };

#ifdef RBR_VERIFY_BUILD
/* R1, R2 for what we know ourselves. */
static bool
producer_is_sound(const rbr_producer *producer)
{
    const uint64_t capacity = producer->mask + 1;

    assert(producer->tail % RECORD_ALIGN == 0);
    assert(producer->tail - producer->head_seen <= capacity);
    assert(producer->tail - producer->committed <= producer->tail - producer->head_seen);
    return true;
}

static bool
consumer_is_sound(const rbr_consumer *consumer)
{
    assert(consumer->head % RECORD_ALIGN == 0);
    assert(consumer->tail_seen - consumer->head <= consumer->mask + 1);
    return true;
}
#endif

void
rbr_producer_init(rbr_producer *producer, struct rbr_ring_shared *shared, uint8_t *data,
                  uint64_t capacity, uint64_t start)
{
    assert(rbr_is_power_of_two(capacity));
    *producer = (rbr_producer){shared, data, capacity - 1, start, start, start};
}

void
rbr_consumer_init(rbr_consumer *consumer, struct rbr_ring_shared *shared, uint8_t *data,
                  uint64_t capacity, uint64_t start)
{
    assert(rbr_is_power_of_two(capacity));
    *consumer = (rbr_consumer){shared, data, capacity - 1, start, start};
}

rbr_status
rbr_producer_claim(rbr_producer *producer, void **record, uint32_t bytes)
{
    const uint64_t capacity = producer->mask + 1;
    const uint64_t need = RECORD_HEADER + rbr_round_up(bytes, RECORD_ALIGN);
    struct rbr_record_shared *header;

    if (need > capacity / 4)
        return RBR_TOO_BIG;
    if (capacity - (producer->tail - producer->head_seen) < need) {
        /* acquire: the consumer has finished reading the bytes we are about to reuse. */
        const uint64_t head = atomic_load_explicit(&producer->shared->head, memory_order_acquire);
        const uint64_t uncommitted = producer->tail - atomic_load_explicit(&producer->committed,
                                                                           memory_order_relaxed);

        /* R2, R4; what is claimed and not committed cannot have been consumed. */
        if (producer->tail - head > capacity || producer->tail - head < uncommitted ||
            head % RECORD_ALIGN != 0)
            return RBR_BROKEN;
        producer->head_seen = head;
        if (capacity - (producer->tail - head) < need)
            return RBR_AGAIN;
    }
    header =
        (struct rbr_record_shared *)(void *)(producer->data + (producer->tail & producer->mask));
    atomic_store_explicit(&header->bytes, bytes, memory_order_relaxed);
    header->reserved = 0;
    producer->tail += need;
    RBR_VERIFY(producer_is_sound(producer));
    *record = header + 1; /* R5 */
    return RBR_OK;
}

void
rbr_producer_commit(rbr_producer *producer)
{
    /* release: the records are visible before the new tail is. */
    atomic_store_explicit(&producer->shared->tail, producer->tail, memory_order_release);
    atomic_store_explicit(&producer->committed, producer->tail, memory_order_relaxed);
}

bool
rbr_producer_has_room(const rbr_producer *producer, uint32_t bytes)
{
    const uint64_t need = RECORD_HEADER + rbr_round_up(bytes, RECORD_ALIGN);
    const uint64_t head = atomic_load_explicit(&producer->shared->head, memory_order_relaxed);
    const uint64_t tail = atomic_load_explicit(&producer->committed, memory_order_relaxed);

    /* An impossible head counts as room: the claim that follows reports it. */
    return tail - head > producer->mask + 1 || producer->mask + 1 - (tail - head) >= need;
}

rbr_status
rbr_consumer_next(rbr_consumer *consumer, const void **record, uint32_t *bytes)
{
    struct rbr_record_shared *header;
    uint64_t need;
    uint32_t size;

    if (consumer->head == consumer->tail_seen) {
        /* acquire: pairs with commit, the records up to tail are there. */
        uint64_t tail = atomic_load_explicit(&consumer->shared->tail, memory_order_acquire);

        if (tail == consumer->head)
            return RBR_AGAIN;
        if (tail - consumer->head > consumer->mask + 1 || tail % RECORD_ALIGN != 0)
            return RBR_BROKEN; /* R2, R4 */
        consumer->tail_seen = tail;
    }
    header =
        (struct rbr_record_shared *)(void *)(consumer->data + (consumer->head & consumer->mask));
    size = atomic_load_explicit(&header->bytes, memory_order_relaxed); /* once: R4 */
    need = RECORD_HEADER + rbr_round_up(size, RECORD_ALIGN);
    if (need > consumer->tail_seen - consumer->head || need > (consumer->mask + 1) / 4)
        return RBR_BROKEN;
    consumer->head += need;
    RBR_VERIFY(consumer_is_sound(consumer));
    *record = header + 1;
    *bytes = size;
    return RBR_OK;
}

void
rbr_consumer_release(rbr_consumer *consumer)
{
    /* release: we have finished reading before the producer reuses the bytes. */
    atomic_store_explicit(&consumer->shared->head, consumer->head, memory_order_release);
}
