/* SPDX-License-Identifier: MIT */
/*
 * relay.c - a channel's end that passes on what comes. See ringbridge_relay.h.
 *
 * Cancels stand where every worker's do, in the watcher's table; who passes them on is woken by the watcher,
 * and compares that table with what it has seen. So their memory has a bound, however many come.
 */
#include "channel.h"

#include "os.h"

#include "ringbridge_relay.h"

#include <stdlib.h>

struct rbr_relay {
    sem_t wake;
    uint32_t next; /* place in `seen` to go on looking from */
    uint64_t seen[RBR_CANCELLED_MAX];
};

static_assert(RBR_RELAY_RUNS_MAX >= RBR_RUNS_MAX, "all that can be told has room");

rbr_status
rbr_channel_relay(rbr_channel *channel, rbr_error *err)
{
    struct rbr_relay *relay, *none = NULL;
    const rbr_status status = rbr_channel_state(channel, err);

    if (status != RBR_OK)
        return status;
    relay = calloc(1, sizeof *relay);
    if (relay == NULL)
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    sem_init(&relay->wake, 0, 1); /* what came before is looked at */
    if (!atomic_compare_exchange_strong(&channel->relay, &none, relay)) {
        sem_destroy(&relay->wake);
        free(relay);
    }
    if (channel->role == RBR_ROLE_WORKER)
        atomic_store(&channel->segment.shared->late, 1);
    return RBR_OK;
}

void
rbr_relay_free(rbr_channel *channel)
{
    struct rbr_relay *relay = atomic_load(&channel->relay);

    if (relay == NULL)
        return;
    sem_destroy(&relay->wake);
    free(relay);
}

void
rbr_relay_wake(rbr_channel *channel)
{
    struct rbr_relay *relay = atomic_load(&channel->relay);

    if (relay != NULL)
        sem_post(&relay->wake);
}

/* ------------------------------------------------------------------------------------- cancels */

/* One that has not been seen; looks at each place once. */
static bool
find_new(rbr_channel *channel, struct rbr_relay *relay, uint64_t *id, bool *hard)
{
    uint32_t looked;

    for (looked = 0; looked < RBR_CANCELLED_MAX; looked++) {
        const uint32_t at = relay->next;
        const uint64_t word = atomic_load(&channel->watch.cancelled[at]);

        relay->next = (at + 1) % RBR_CANCELLED_MAX;
        if (word == relay->seen[at])
            continue;
        relay->seen[at] = word;
        *id = word >> 1;
        *hard = (word & 1) != 0;
        return true;
    }
    return false;
}

rbr_status
rbr_relay_cancel(rbr_channel *channel, uint64_t *id, bool *hard, uint64_t deadline_ns)
{
    struct rbr_relay *relay = atomic_load(&channel->relay);

    if (relay == NULL)
        return RBR_CLOSED;
    for (;;) {
        const rbr_status over = rbr_channel_check(channel);
        rbr_status status;

        if (find_new(channel, relay, id, hard))
            return RBR_OK;
        if (over != RBR_OK)
            return over;
        status = rbr_os_sem_wait(&relay->wake, deadline_ns);
        if (status != RBR_OK)
            return status;
    }
}

/* ------------------------------------------------------------------------------ which calls run */

uint32_t
rbr_relay_peer_runs(rbr_channel *channel, uint64_t *ids)
{
    uint32_t depth, count = 0;

    if (!rbr_os_fork_check(channel->fork_token))
        return 0;
    pthread_mutex_lock(&channel->exchange.lock); /* let_go takes it before it unmaps */
    for (depth = 0; depth < RBR_RUNS_MAX && atomic_load(&channel->watch.handshaken); depth++) {
        const struct rbr_runs_shared *runs = &channel->segment.shared->runs[1 - channel->role];
        const uint64_t id = atomic_load_explicit(&runs->calls[depth], memory_order_relaxed);

        if (id != 0)
            ids[count++] = id;
    }
    pthread_mutex_unlock(&channel->exchange.lock);
    return count;
}

/* Under exchange.lock. */
static void
has_begun(struct rbr_runs_shared *runs, uint64_t id)
{
    _Atomic uint64_t *begun = &runs->begun[id % RBR_BEGUN_MAX];

    if (id > atomic_load_explicit(begun, memory_order_relaxed)) /* else it goes on */
        atomic_store_explicit(begun, id, memory_order_relaxed);
}

void
rbr_relay_runs(rbr_channel *channel, const uint64_t *ids, uint32_t count)
{
    struct rbr_runs_shared *runs;
    uint32_t depth;

    if (!rbr_os_fork_check(channel->fork_token))
        return;
    pthread_mutex_lock(&channel->exchange.lock);
    for (depth = 0; depth < RBR_RUNS_MAX && atomic_load(&channel->watch.handshaken); depth++) {
        runs = &channel->segment.shared->runs[channel->role];
        if (depth < count)
            has_begun(runs, ids[depth]);
        atomic_store_explicit(&runs->calls[depth], depth < count ? ids[depth] : 0,
                              memory_order_relaxed);
    }
    pthread_mutex_unlock(&channel->exchange.lock);
}

void
rbr_relay_may_run(rbr_channel *channel, uint64_t id)
{
    struct rbr_runs_shared *runs;

    if (!rbr_os_fork_check(channel->fork_token))
        return;
    pthread_mutex_lock(&channel->exchange.lock);
    if (atomic_load(&channel->watch.handshaken)) {
        runs = &channel->segment.shared->runs[channel->role];
        has_begun(runs, id);
        atomic_store_explicit(&runs->calls[RBR_RUNS_MAX - 1], id, memory_order_relaxed);
    }
    pthread_mutex_unlock(&channel->exchange.lock);
}

/* ------------------------------------------------------------------------------------- payloads */

bool
rbr_relay_is_read(rbr_channel *channel)
{
    const rbr_producer *producer = &channel->exchange.producer;

    /* No record is as small as what is left out here. */
    return rbr_channel_check(channel) != RBR_OK ||
           rbr_producer_has_room(producer, (uint32_t)(producer->mask + 1 - RBR_LINE));
}

uint32_t
rbr_message_payloads(const rbr_message *message)
{
    return message->ref_count;
}

rbr_block *
rbr_message_payload(const rbr_message *message, uint32_t index)
{
    return message->refs[index].block;
}
