/* SPDX-License-Identifier: MIT */
/*
 * peer_mq.c - POSIX message queues, one each way. The system limits how large a message is and how
 * many a queue holds, for who has privileges as well.
 */
#include "duo.h"
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_BYTES "/proc/sys/fs/mqueue/msgsize_max"
#define LIMIT_MESSAGES "/proc/sys/fs/mqueue/msg_max"
enum { USUAL_BYTES = 8192, USUAL_MESSAGES = 10 };

enum way { WAITS, LOOKS, WAYS }; /* a descriptor that blocks, and one that does not */

struct mq_peer {
    bench_peer_setup setup;
    mqd_t queues[BENCH_SIDES][WAYS]; /* by the side that receives */
    int side;
    uint8_t *to, *from;
    bool pending; /* `to` has not been sent */
};

static uint64_t
limit(const char *path, uint64_t usual)
{
    FILE *file = fopen(path, "re");
    unsigned long long value;

    if (file == NULL)
        return usual;
    if (fscanf(file, "%llu", &value) != 1) // NOLINT(cert-err34-c): a number of the kernel's
        value = usual;
    fclose(file);
    return value;
}

static void
open_queue(struct mq_peer *all, int side)
{
    const uint64_t messages = limit(LIMIT_MESSAGES, USUAL_MESSAGES);
    const uint64_t fit = all->setup.room_bytes / all->setup.bytes;
    struct mq_attr attributes = {.mq_msgsize = (long)all->setup.bytes,
                                 .mq_maxmsg = (long)(fit < messages ? fit : messages)};
    char name[64];
    int way;

    snprintf(name, sizeof name, "/ringbench-%s-%d", all->setup.unique, side);
    for (way = 0; way < WAYS; way++) {
        const int flags = O_RDWR | O_CLOEXEC | (way == LOOKS ? O_NONBLOCK : O_CREAT | O_EXCL);

        all->queues[side][way] = mq_open(name, flags, 0600, way == LOOKS ? NULL : &attributes);
        if (all->queues[side][way] < 0) {
            const int error = errno;

            mq_unlink(name);
            all->setup.fail("mq_open: %s%s", strerror(error),
                            error == EMFILE ? ": see ulimit -q" : "");
        }
    }
    mq_unlink(name);
}

static void *
peer_open(const bench_peer_setup *setup)
{
    const uint64_t most = limit(LIMIT_BYTES, USUAL_BYTES);
    struct mq_peer *all;
    int side;

    if (setup->bytes > most)
        setup->fail("a message takes %llu bytes at the most here: " LIMIT_BYTES,
                    (unsigned long long)most);
    all = calloc(1, sizeof *all);
    if (all == NULL || (all->to = malloc(setup->bytes)) == NULL ||
        (all->from = malloc(setup->bytes)) == NULL)
        setup->fail("no memory");
    all->setup = *setup;
    for (side = 0; side < BENCH_SIDES; side++)
        open_queue(all, side);
    return all;
}

static void
peer_attach(void *peer, int side)
{
    struct mq_peer *all = peer;

    all->side = side;
}

static mqd_t
queue(const struct mq_peer *all, int side, bool may_block)
{
    return all->queues[side][may_block ? WAITS : LOOKS];
}

/* After a call that failed: nothing could be done now, or nothing ever can. */
static void
check_errno(const struct mq_peer *all, const char *what)
{
    if (errno != EAGAIN && errno != EINTR)
        all->setup.fail("%s: %s", what, strerror(errno));
}

static bool
peer_flush(void *peer, bool may_block)
{
    struct mq_peer *all = peer;

    if (!all->pending)
        return true;
    if (mq_send(queue(all, 1 - all->side, may_block), (const char *)all->to, all->setup.bytes, 0) !=
        0) {
        check_errno(all, "mq_send");
        return false;
    }
    all->pending = false;
    return true;
}

static void *
peer_claim(void *peer, bool may_block)
{
    return peer_flush(peer, may_block) ? ((struct mq_peer *)peer)->to : NULL;
}

static void
peer_send(void *peer)
{
    ((struct mq_peer *)peer)->pending = true;
}

static const void *
peer_receive(void *peer, uint32_t *bytes, bool may_block)
{
    struct mq_peer *all = peer;
    const ssize_t got = mq_receive(queue(all, all->side, may_block), (char *)all->from,
                                   all->setup.bytes, NULL);

    if (got < 0) {
        check_errno(all, "mq_receive");
        return NULL;
    }
    *bytes = (uint32_t)got;
    return all->from;
}

static void
peer_release(void *peer)
{
    (void)peer; /* the copy is ours */
}

static void
peer_detach(void *peer)
{
    const struct mq_peer *all = peer;
    int side, way;

    for (side = 0; side < BENCH_SIDES; side++)
        for (way = 0; way < WAYS; way++)
            mq_close(all->queues[side][way]);
}

static void
peer_close(void *peer)
{
    struct mq_peer *all = peer;

    free(all->to);
    free(all->from);
    free(all);
}

const bench_peer bench_peer_mq = {.version = BENCH_PEER_VERSION,
                                  .open = peer_open,
                                  .attach = peer_attach,
                                  .claim = peer_claim,
                                  .send = peer_send,
                                  .flush = peer_flush,
                                  .receive = peer_receive,
                                  .release = peer_release,
                                  .detach = peer_detach,
                                  .close = peer_close};
