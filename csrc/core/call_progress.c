/* SPDX-License-Identifier: MIT */
/*
 * call_progress.c - the worker tells what a call has come to, as often as it likes.
 *
 *   a thread of the worker                    the watcher
 *   first value in 30 ms: sent at once
 *   next one: held, watcher poked             sleeps until the 30 ms are over
 *   the next million: stored over it          sends the newest
 *
 * So the host hears of it at most every 30 ms and never misses the newest, and a value that is
 * stored over another one costs a lock that nobody contends: not even a look at the clock. Sending
 * never waits: what finds no room in the ring stays held for another 30 ms.
 *
 * Invariants
 *   G1  what was sent of a call is never older than what was sent of it before: both happen under
 *       progress_lock, the outermost lock of the channel.
 *   G2  while a slot is held, due_ns is not 0 and not later than the slot's next_ns, and the watcher
 *       has been poked since due_ns was set.
 */
#include "channel.h"

#include <string.h>

void
rbr_progress_init(rbr_channel *channel)
{
    pthread_mutex_init(&channel->progress.progress_lock, NULL);
}

void
rbr_progress_free(rbr_channel *channel)
{
    pthread_mutex_destroy(&channel->progress.progress_lock);
}

/* --------------------------------------------------------------------------------------- slots */

static rbr_progress_slot *
find_slot(rbr_progress_table *table, uint64_t id)
{
    uint32_t i;

    if (table->slots[table->last].id == id)
        return &table->slots[table->last];
    for (i = 0; i < RBR_PROGRESS_SLOTS; i++) {
        if (table->slots[i].id == id) {
            table->last = i;
            return &table->slots[i];
        }
    }
    return NULL;
}

/* A free one, else that of the call which told least recently: it may have ended without us. */
static rbr_progress_slot *
take_slot(rbr_progress_table *table, uint64_t id)
{
    uint32_t i, best = 0;

    for (i = 0; i < RBR_PROGRESS_SLOTS && table->slots[best].id != 0; i++)
        if (table->slots[i].id == 0 || table->slots[i].next_ns < table->slots[best].next_ns)
            best = i;
    if (table->slots[best].id == 0)
        atomic_fetch_add_explicit(&table->used, 1, memory_order_relaxed);
    table->slots[best] = (rbr_progress_slot){.id = id, .numbers = {.fraction = -1}};
    table->last = best;
    return &table->slots[best];
}

static void
store(rbr_progress_slot *slot, const rbr_progress *numbers, const char *text, size_t text_bytes)
{
    if (numbers != NULL) {
        slot->numbers = *numbers;
        if (!(numbers->fraction >= 0)) /* NaN too */
            slot->numbers.fraction = -1;
        else if (numbers->fraction > 1)
            slot->numbers.fraction = 1;
    }
    if (text != NULL) {
        slot->text_bytes = rbr_string_cut(text, text_bytes, RBR_PROGRESS_TEXT_MAX);
        memcpy(slot->text, text, slot->text_bytes);
    }
}

/* ------------------------------------------------------------------------------------- sending */

static rbr_status
send_slot(rbr_channel *channel, const rbr_progress_slot *slot)
{
    alignas(8) uint8_t room[512];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t table, size;

    rbr_shape_make(&shape, &rbr_desc_progress,
                   RBR_BIT(RBR_PROGRESS__FRACTION) | RBR_BIT(RBR_PROGRESS__DONE) |
                       RBR_BIT(RBR_PROGRESS__TOTAL) |
                       (slot->text_bytes > 0 ? RBR_BIT(RBR_PROGRESS__MESSAGE) : 0));
    table = rbr_frame_start(&builder, room, sizeof room, slot->id, RBR_BODY_PROGRESS, &shape);
    rbr_build_f32(&builder, table, &shape, RBR_PROGRESS__FRACTION, (float)slot->numbers.fraction);
    rbr_build_u64(&builder, table, &shape, RBR_PROGRESS__DONE, slot->numbers.done);
    rbr_build_u64(&builder, table, &shape, RBR_PROGRESS__TOTAL, slot->numbers.total);
    if (slot->text_bytes > 0)
        rbr_build_string(&builder, rbr_build_slot(table, &shape, RBR_PROGRESS__MESSAGE), slot->text,
                         slot->text_bytes);
    size = rbr_build_finish(&builder);
    assert(size > 0);
    return rbr_channel_send(channel, room, size, NULL, 0, 0, NULL);
}

/* Sends it, or holds it for a period more where there is no room. */
static rbr_status
try_send(rbr_channel *channel, rbr_progress_slot *slot, uint64_t now_ns)
{
    const rbr_status status = send_slot(channel, slot);

    slot->next_ns = now_ns + RBR_PROGRESS_PERIOD_NS;
    slot->held = status == RBR_AGAIN;
    return slot->held ? RBR_OK : status;
}

/* True: the watcher has to be poked, since it sleeps for longer. */
static bool
must_come_sooner(rbr_progress_table *table, const rbr_progress_slot *slot)
{
    const uint64_t due_ns = atomic_load_explicit(&table->due_ns, memory_order_relaxed);

    if (!slot->held || (due_ns != 0 && due_ns <= slot->next_ns))
        return false;
    /* The poke that follows is a system call: the watcher sees this after it. */
    atomic_store_explicit(&table->due_ns, slot->next_ns, memory_order_release);
    return true;
}

rbr_status
rbr_channel_progress(rbr_channel *channel, uint64_t id, const rbr_progress *numbers,
                     const char *text, size_t text_bytes)
{
    rbr_progress_table *table = &channel->progress;
    rbr_status status = rbr_channel_check(channel);
    rbr_progress_slot *slot;
    bool poke = false;

    if (status != RBR_OK || id == 0)
        return status;
    pthread_mutex_lock(&table->progress_lock);
    slot = find_slot(table, id);
    if (slot == NULL)
        slot = take_slot(table, id);
    store(slot, numbers, text, text_bytes);
    if (!slot->held) {
        const uint64_t now_ns = rbr_now_ns();

        slot->held = now_ns < slot->next_ns;
        if (!slot->held)
            status = try_send(channel, slot, now_ns);
        poke = must_come_sooner(table, slot);
    }
    pthread_mutex_unlock(&table->progress_lock);
    if (poke)
        rbr_watch_poke(channel);
    return status;
}

void
rbr_channel_progress_end(rbr_channel *channel, uint64_t id)
{
    rbr_progress_table *table = &channel->progress;
    rbr_progress_slot *slot;

    if (id == 0 || atomic_load_explicit(&table->used, memory_order_relaxed) == 0 ||
        rbr_channel_check(channel) != RBR_OK)
        return;
    pthread_mutex_lock(&table->progress_lock);
    slot = find_slot(table, id);
    if (slot != NULL) {
        if (slot->held)
            send_slot(channel, slot); /* the last chance: what finds no room is forgotten */
        slot->held = false;
        slot->id = 0;
        atomic_fetch_sub_explicit(&table->used, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&table->progress_lock);
}

/* --------------------------------------------------------------------------------- the watcher */

uint64_t
rbr_progress_due_ns(const rbr_channel *channel)
{
    return atomic_load_explicit(&channel->progress.due_ns, memory_order_acquire);
}

void
rbr_progress_send_due(rbr_channel *channel, uint64_t now_ns)
{
    rbr_progress_table *table = &channel->progress;
    uint64_t due_ns = 0;
    uint32_t i;

    pthread_mutex_lock(&table->progress_lock);
    for (i = 0; i < RBR_PROGRESS_SLOTS; i++) {
        rbr_progress_slot *slot = &table->slots[i];

        if (slot->held && now_ns >= slot->next_ns)
            try_send(channel, slot, now_ns);
        if (slot->held && (due_ns == 0 || slot->next_ns < due_ns))
            due_ns = slot->next_ns;
    }
    atomic_store_explicit(&table->due_ns, due_ns, memory_order_release);
    pthread_mutex_unlock(&table->progress_lock);
}
