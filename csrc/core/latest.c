/* SPDX-License-Identifier: MIT */
/*
 * latest.c - one writer, several readers, the newest item.
 *
 * Knows nothing about processes, names or sleeping: it is handed memory.
 *
 *   writer                        shared                          reader i
 *                     slots     | item 6 | item 8 | ... |
 *                                  ^ held   ^ offered
 *   publish: offer[i] = item 8    offer[0]  offer[1] ...          take: item 8 = offer[i]
 *       was: item 7, or TAKEN                                           offer[i] = TAKEN
 *
 * Both are one atomic exchange of the same word, so one of them is first. Either the reader has the
 * item, and the writer finds TAKEN; or the writer has it back, and the reader gets the newer one.
 * With one word for all readers and a claim of each (hazard pointers), a reader would have to look
 * again behind a fence whether its claim came in time, as often as the writer is faster than it;
 * here, nothing is ever tried again, and nothing is fenced.
 *
 * Invariants
 *   L1  while its reader lives, an offer is only exchanged: an item is the reader's or the writer's.
 *   L2  a reader holds one slot at most, that of the item it took last. It gives it back by taking
 *       the next. A release before that is a hint, and comes too late when there is a new offer. To
 *       wait is a release too.
 *   L3  the writer writes to no slot that is offered or held. It has one: at most `readers` are held
 *       and one is offered, of 2 + readers.
 *   L4  the writer uses nothing that it reads from shared memory, it only compares: whatever the
 *       readers write, L3 holds for the slots in its own table.
 *   L5  a reader checks each word before it is used, and reads each once: an offer is gone when it is
 *       taken, and a size is copied to a local.
 *
 * Each reader sees for itself that items only grow newer. Of two readers one may see an item a
 * moment before the other: offers are exchanged one after another.
 */
#include "base.h"
#include "layout.h"

#include "ringbridge_latest.h"

enum { SLOT_MASK = (1 << RBR_LATEST_SLOT_BITS) - 1, NONE = UINT8_MAX };

static_assert(2 + RBR_LATEST_READERS_MAX <= 1 << RBR_LATEST_SLOT_BITS, "a slot's number fits");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "an exchange that takes turns could wait");

/* ------------------------------------------------------------------------------------- layout */

/* A block of an arena begins 64 bytes behind a page; every process rounds the same way. */
static uint8_t *
align(void *memory)
{
    return (uint8_t *)memory + (-(uintptr_t)memory & (RBR_LINE - 1));
}

static uint64_t
stride_of(uint64_t room)
{
    return rbr_round_up(sizeof(struct rbr_latest_slot_shared) + room, RBR_LINE);
}

static uint64_t
slots_offset(uint32_t readers)
{
    return sizeof(struct rbr_latest_shared) +
           (uint64_t)readers * sizeof(struct rbr_latest_offer_shared);
}

static bool
is_possible(uint32_t readers, uint64_t room)
{
    return readers >= 1 && readers <= RBR_LATEST_READERS_MAX && room < UINT64_C(1) << 48;
}

uint64_t
rbr_latest_bytes(uint32_t readers, uint64_t room)
{
    assert(is_possible(readers, room));
    return RBR_LINE + slots_offset(readers) + (2 + (uint64_t)readers) * stride_of(room);
}

/* The slot of an offer, as a bit; 0 where there is none. */
static uint64_t
slot_bit(uint64_t offer)
{
    return offer == 0 ? 0 : UINT64_C(1) << (offer & SLOT_MASK);
}

/* ------------------------------------------------------------------------------------- writer */

void
rbr_latest_writer_init(rbr_latest_writer *writer, void *memory, uint32_t readers, uint64_t room)
{
    uint8_t *const base = align(memory);
    struct rbr_latest_shared *const shared = (struct rbr_latest_shared *)(void *)base;
    uint32_t i;

    assert(is_possible(readers, room));
    *writer = (rbr_latest_writer){
        .offers = (struct rbr_latest_offer_shared *)(void *)(shared + 1),
        .slots = base + slots_offset(readers),
        .room = room,
        .stride = stride_of(room),
        .readers = readers,
        .claimed = NONE,
    };
    shared->magic = RBR_LATEST_MAGIC;
    atomic_init(&shared->room, room);
    atomic_init(&shared->readers, readers);
    shared->reserved = 0;
    for (i = 0; i < readers; i++)
        atomic_init(&writer->offers[i].offer, RBR_LATEST_TAKEN);
}

static struct rbr_latest_slot_shared *
slot_at(const rbr_latest_writer *writer, uint32_t slot)
{
    return (struct rbr_latest_slot_shared *)(void *)(writer->slots + slot * writer->stride);
}

void *
rbr_latest_claim(rbr_latest_writer *writer)
{
    uint64_t busy = slot_bit(writer->newest);
    uint32_t i;

    for (i = 0; i < writer->readers; i++)
        busy |= writer->held[i];
    /* The lowest, so that as few as possible are in use: they are warm. L3: there is one. */
    writer->claimed = (uint32_t)__builtin_ctzll(~busy);
    RBR_VERIFY(writer->claimed < 2 + writer->readers);
    return slot_at(writer, writer->claimed) + 1;
}

rbr_status
rbr_latest_publish(rbr_latest_writer *writer, uint64_t bytes)
{
    const uint64_t before = writer->newest;
    /* 2^58 are 900 years of ten million items a second. */
    const uint64_t sequence = (before >> RBR_LATEST_SLOT_BITS) + 1;
    const uint64_t offer = sequence << RBR_LATEST_SLOT_BITS | writer->claimed;
    uint32_t i;

    assert(writer->claimed != NONE);
    if (bytes > writer->room)
        return RBR_TOO_BIG;
    writer->waited = 0;
    atomic_store_explicit(&slot_at(writer, writer->claimed)->bytes, bytes, memory_order_relaxed);
    for (i = 0; i < writer->readers; i++) {
        /* release: payload and size are there for the reader that takes the offer. acquire: one that
         * took the last offer, or released, has finished reading the slot that it held. */
        _Atomic uint64_t *const word = &writer->offers[i].offer;
        const uint64_t was = atomic_exchange_explicit(word, offer, memory_order_acq_rel);

        if (was == RBR_LATEST_RELEASED || was == RBR_LATEST_WAITING)
            writer->held[i] = 0;
        else if (was != before)
            writer->held[i] = slot_bit(before); /* L4: only it can have been taken */
        if (was == RBR_LATEST_WAITING)
            writer->waited |= UINT64_C(1) << i;
    }
    writer->newest = offer;
    writer->claimed = NONE;
    return RBR_OK;
}

void
rbr_latest_drop_reader(rbr_latest_writer *writer, uint32_t number)
{
    assert(number < writer->readers);
    writer->held[number] = 0;
    /* release: as in publish. A dead reader exchanges nothing, so a store will do. */
    atomic_store_explicit(&writer->offers[number].offer, writer->newest, memory_order_release);
}

void
rbr_latest_part_reader(rbr_latest_writer *writer, uint32_t number)
{
    _Atomic uint64_t *const word = &writer->offers[number].offer;
    uint64_t was = atomic_load_explicit(word, memory_order_relaxed);

    assert(number < writer->readers);
    writer->held[number] = 0;
    while (was <= RBR_LATEST_WAITING && /* else it has not taken the newest, and may */
           !atomic_compare_exchange_weak_explicit(word, &was, RBR_LATEST_RELEASED,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

/* ------------------------------------------------------------------------------------- reader */

rbr_status
rbr_latest_reader_init(rbr_latest_reader *reader, void *memory, uint64_t bytes, uint32_t number)
{
    uint8_t *const base = align(memory);
    struct rbr_latest_shared *const shared = (struct rbr_latest_shared *)(void *)base;
    uint32_t readers;
    uint64_t room;

    if (bytes < RBR_LINE + sizeof *shared)
        return RBR_BROKEN;
    readers = atomic_load_explicit(&shared->readers, memory_order_relaxed); /* once: L5 */
    room = atomic_load_explicit(&shared->room, memory_order_relaxed);
    if (shared->magic != RBR_LATEST_MAGIC || !is_possible(readers, room) || number >= readers ||
        bytes < rbr_latest_bytes(readers, room))
        return RBR_BROKEN;
    *reader = (rbr_latest_reader){
        .mine = (struct rbr_latest_offer_shared *)(void *)(shared + 1) + number,
        .slots = base + slots_offset(readers),
        .room = room,
        .stride = stride_of(room),
        .readers = readers,
    };
    return RBR_OK;
}

bool
rbr_latest_has_newer(const rbr_latest_reader *reader)
{
    return atomic_load_explicit(&reader->mine->offer, memory_order_relaxed) > RBR_LATEST_WAITING;
}

rbr_status
rbr_latest_take(rbr_latest_reader *reader, const void **payload, uint64_t *bytes,
                uint64_t *sequence)
{
    struct rbr_latest_slot_shared *slot;
    uint64_t offer, number, size;

    if (!rbr_latest_has_newer(reader)) /* looking leaves the line with the writer */
        return RBR_AGAIN;
    /* acquire: pairs with publish, payload and size are there. release: we have finished reading the
     * slot that we held, which the writer has back when it finds TAKEN. */
    offer = atomic_exchange_explicit(&reader->mine->offer, RBR_LATEST_TAKEN, memory_order_acq_rel);
    number = offer & SLOT_MASK;
    if (number >= 2 + reader->readers || offer >> RBR_LATEST_SLOT_BITS <= reader->sequence)
        return RBR_BROKEN; /* L5 */
    slot = (struct rbr_latest_slot_shared *)(void *)(reader->slots + number * reader->stride);
    size = atomic_load_explicit(&slot->bytes, memory_order_relaxed);
    if (size > reader->room)
        return RBR_BROKEN;
    reader->sequence = offer >> RBR_LATEST_SLOT_BITS;
    *payload = slot + 1;
    *bytes = size;
    *sequence = reader->sequence;
    return RBR_OK;
}

void
rbr_latest_release(rbr_latest_reader *reader)
{
    uint64_t word = RBR_LATEST_TAKEN;

    /* release: we have finished reading before the writer reuses the slot. */
    atomic_compare_exchange_strong_explicit(&reader->mine->offer, &word, RBR_LATEST_RELEASED,
                                            memory_order_release, memory_order_relaxed);
}

bool
rbr_latest_wait(rbr_latest_reader *reader)
{
    uint64_t word = RBR_LATEST_TAKEN;

    /* release: as above. Only an offer is left alone; of the other words it is one, once, and a second
     * look finds which: nobody but the writer changes it meanwhile, and that to an offer. */
    while (!atomic_compare_exchange_strong_explicit(&reader->mine->offer, &word, RBR_LATEST_WAITING,
                                                    memory_order_release, memory_order_relaxed))
        if (word > RBR_LATEST_WAITING)
            return false;
    return true;
}
