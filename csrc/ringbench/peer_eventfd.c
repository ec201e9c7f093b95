/* SPDX-License-Identifier: MIT */
/*
 * peer_eventfd.c - messages in slots of shared memory, written and read in place; eventfds tell.
 *
 *   sender                                      receiver
 *   room -= 1; writes a slot; x batch
 *   told += batch  (write)              --->    waits for told (read), takes so many slots
 *   waits for room (read)               <---    room += half of all slots, when so many were read
 *
 * Nothing but these four eventfds says what is where: no side looks at the other's memory to wait.
 */
#include "duo.h"
#include "peers.h"
#include "process.h"

#include "base.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SLOTS_MAX = 1 << 16, LINE = 64 };

struct eventfd_peer {
    bench_peer_setup setup;
    uint8_t *slots[BENCH_SIDES];                 /* by the side that receives */
    int told[BENCH_SIDES], room[BENCH_SIDES];    /* the same */
    uint32_t count, stride;
    int side;
    uint64_t next_out, free_out, pending; /* the slot to claim, how many may be, not told yet */
    uint64_t next_in, there, held, read;  /* the slot to take, told; received, released since */
};

static void *
peer_open(const bench_peer_setup *setup)
{
    const int flags = EFD_CLOEXEC | (setup->wait == BENCH_WAIT_BLOCK ? 0 : EFD_NONBLOCK);
    struct eventfd_peer *all = calloc(1, sizeof *all);
    int side;

    if (all == NULL)
        setup->fail("no memory");
    all->setup = *setup;
    all->stride = (uint32_t)rbr_round_up(setup->bytes, LINE);
    all->count = setup->room_bytes / all->stride;
    all->count = all->count < SLOTS_MAX ? all->count : SLOTS_MAX;
    all->free_out = all->count;
    for (side = 0; side < BENCH_SIDES; side++) {
        all->slots[side] = bench_shared_new((size_t)all->count * all->stride);
        all->told[side] = eventfd(0, flags);
        all->room[side] = eventfd(0, flags);
        if (all->told[side] < 0 || all->room[side] < 0)
            setup->fail("eventfd: %s", strerror(errno));
    }
    return all;
}

static void
peer_attach(void *peer, int side)
{
    ((struct eventfd_peer *)peer)->side = side;
}

static void
add(const struct eventfd_peer *all, int fd, uint64_t value)
{
    if (write(fd, &value, sizeof value) != (ssize_t)sizeof value)
        all->setup.fail("write: %s", strerror(errno));
}

/* All that was added; 0: nothing now. */
static uint64_t
take_all(const struct eventfd_peer *all, int fd, bool may_block)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    uint64_t value;

    while (read(fd, &value, sizeof value) != (ssize_t)sizeof value) {
        if (errno != EAGAIN && errno != EINTR)
            all->setup.fail("read: %s", strerror(errno));
        if (errno == EAGAIN && !may_block)
            return 0;
        if (errno == EAGAIN)
            poll(&look, 1, -1);
    }
    return value;
}

/* ------------------------------------------------------------------------------------- sending */

static bool
peer_flush(void *peer, bool may_block)
{
    struct eventfd_peer *all = peer;

    (void)may_block;
    if (all->pending > 0)
        add(all, all->told[1 - all->side], all->pending);
    all->pending = 0;
    return true;
}

static void *
peer_claim(void *peer, bool may_block)
{
    struct eventfd_peer *all = peer;

    if (all->free_out == 0) {
        peer_flush(peer, may_block); /* the other side must see what it shall make room of */
        all->free_out = take_all(all, all->room[1 - all->side], may_block);
        if (all->free_out == 0)
            return NULL;
    }
    return all->slots[1 - all->side] + (size_t)(all->next_out % all->count) * all->stride;
}

static void
peer_send(void *peer)
{
    struct eventfd_peer *all = peer;

    all->next_out++;
    all->free_out--;
    all->pending++;
}

/* ----------------------------------------------------------------------------------- receiving */

static void
peer_release(void *peer)
{
    struct eventfd_peer *all = peer;

    all->read += all->held;
    all->held = 0;
    if (all->read < all->count / 2)
        return;
    add(all, all->room[all->side], all->read);
    all->read = 0;
}

static const void *
peer_receive(void *peer, uint32_t *bytes, bool may_block)
{
    struct eventfd_peer *all = peer;

    if (all->there == 0) {
        peer_release(peer);
        all->there = take_all(all, all->told[all->side], may_block);
        if (all->there == 0)
            return NULL;
    }
    all->there--;
    all->held++;
    *bytes = all->setup.bytes;
    return all->slots[all->side] + (size_t)(all->next_in++ % all->count) * all->stride;
}

static void
peer_detach(void *peer)
{
    const struct eventfd_peer *all = peer;
    int side;

    for (side = 0; side < BENCH_SIDES; side++) {
        close(all->told[side]);
        close(all->room[side]);
        bench_shared_free(all->slots[side], (size_t)all->count * all->stride);
    }
}

static void
peer_close(void *peer)
{
    free(peer);
}

const bench_peer bench_peer_eventfd = {.version = BENCH_PEER_VERSION,
                                       .batches = true,
                                       .open = peer_open,
                                       .attach = peer_attach,
                                       .claim = peer_claim,
                                       .send = peer_send,
                                       .flush = peer_flush,
                                       .receive = peer_receive,
                                       .release = peer_release,
                                       .detach = peer_detach,
                                       .close = peer_close};
