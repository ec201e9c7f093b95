/* SPDX-License-Identifier: MIT */
/*
 * publication.c - a latest-value buffer in memory of its own, whose readers come and go.
 *
 *   writer: claim -> fill -> publish --- was a reader waiting? ---> a byte on its socket
 *                 -> too small: enlarge -> new memory, which the readers join again
 *   any thread:  join -> a free number, (memory, socket)           leave -> the number is free again
 *
 * What a reader does, or does not do, costs the writer nothing: it exchanges a word for each number,
 * and sends one byte, without waiting, to each that said that it sleeps. A byte is sent once for each
 * time that a reader said so; when its socket is full it is readable anyhow.
 *
 * Invariants
 *   P1  `mutex` guards `memory`, the words of the buffer and the sockets; nobody sleeps under it.
 *       Memory is made, allocated and unmapped outside of it.
 *   P2  between claim and publish only the writer replaces `memory`.
 *   P3  slots are allocated when they are first claimed. The lowest free one is claimed, so all below
 *       `allocated` is there; the rest is a hole, which a reader that keeps to the rules never sees.
 *   P4  a ticket is of one join: leaving twice, or after a move, does nothing to who came since.
 */
#include "base.h"
#include "layout.h"
#include "os.h"

#include "ringbridge_flatbuf.h"
#include "ringbridge_publication.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { READERS = RBR_PUBLICATION_READERS_MAX, READER_BITS = 8 };

#define ROOM_FIRST (UINT64_C(64) << 10)
/* All before the slots, and the first one's head, wherever it begins. */
#define WORDS_BYTES RBR_PAGE

static_assert(sizeof(struct rbr_latest_shared) + READERS * sizeof(struct rbr_latest_offer_shared) +
                      2 * RBR_LINE <=
                  WORDS_BYTES,
              "the words lie in what is allocated at once");

static_assert(READERS <= RBR_LATEST_READERS_MAX, "the buffer has a word for each");
static_assert(READERS <= 1 << READER_BITS, "a ticket holds its number");

typedef struct memory {
    int fd;
    void *base;
    uint64_t bytes, allocated;
    rbr_latest_writer writer;
} memory;

struct rbr_publication {
    pthread_mutex_t mutex;
    memory memory;
    int nudge[READERS]; /* -1: that number is free */
    uint64_t ticket[READERS];
    uint64_t joins, moves;
    uint64_t fork_token;
};

/* ------------------------------------------------------------------------------------- memory */

static rbr_status
memory_make(memory *out, uint64_t room, rbr_error *err)
{
    memory fresh = {.fd = -1, .bytes = rbr_latest_bytes(READERS, room)};
    rbr_status status = rbr_os_shared_reserve(&fresh.fd, fresh.bytes, err);

    if (status != RBR_OK)
        return status;
    fresh.allocated = WORDS_BYTES;
    status = rbr_os_shared_allocate(fresh.fd, 0, fresh.allocated, err);
    if (status == RBR_OK)
        status = rbr_os_map(&fresh.base, fresh.fd, fresh.bytes, false, err);
    if (status != RBR_OK) {
        close(fresh.fd);
        return status;
    }
    rbr_latest_writer_init(&fresh.writer, fresh.base, READERS, room);
    *out = fresh;
    return RBR_OK;
}

static void
memory_drop(memory *self)
{
    rbr_os_unmap(self->base, self->bytes);
    close(self->fd);
}

/* P3: the memory of the slot that begins at `room`. */
static rbr_status
memory_reach(memory *self, const void *room, rbr_error *err)
{
    const uint64_t begin = (uint64_t)((const uint8_t *)room - (const uint8_t *)self->base);
    const uint64_t end = begin + self->writer.room;
    rbr_status status;

    if (end <= self->allocated)
        return RBR_OK;
    status = rbr_os_shared_allocate(self->fd, self->allocated, end - self->allocated, err);
    if (status == RBR_OK)
        self->allocated = end;
    return status;
}

/* ------------------------------------------------------------------------------------- writer */

rbr_status
rbr_publication_new(rbr_publication **out, rbr_error *err)
{
    rbr_publication *fresh = calloc(1, sizeof *fresh);
    rbr_status status;
    int i;

    if (fresh == NULL)
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    status = memory_make(&fresh->memory, ROOM_FIRST, err);
    if (status != RBR_OK) {
        free(fresh);
        return status;
    }
    pthread_mutex_init(&fresh->mutex, NULL);
    for (i = 0; i < READERS; i++)
        fresh->nudge[i] = -1;
    fresh->fork_token = rbr_os_fork_token();
    *out = fresh;
    return RBR_OK;
}

void
rbr_publication_free(rbr_publication *self)
{
    int i;

    if (self == NULL)
        return;
    for (i = 0; i < READERS; i++)
        if (self->nudge[i] >= 0)
            close(self->nudge[i]);
    memory_drop(&self->memory);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

rbr_status
rbr_publication_check(const rbr_publication *self, rbr_error *err)
{
    if (rbr_os_fork_check(self->fork_token))
        return RBR_OK;
    return rbr_fail(err, RBR_FORKED, "a forked child cannot publish what its parent publishes");
}

rbr_status
rbr_publication_claim(rbr_publication *self, void **room, uint64_t *bytes, rbr_error *err)
{
    rbr_status status;
    void *slot;

    status = rbr_publication_check(self, err);
    if (status != RBR_OK)
        return status;
    pthread_mutex_lock(&self->mutex);
    slot = rbr_latest_claim(&self->memory.writer);
    pthread_mutex_unlock(&self->mutex);
    status = memory_reach(&self->memory, slot, err);
    if (status != RBR_OK)
        return status;
    *room = slot;
    *bytes = self->memory.writer.room;
    return RBR_OK;
}

/* Small items vary more. */
static uint64_t
room_for(uint64_t bytes)
{
    const uint64_t room = bytes < RBR_MIB ? 2 * bytes : bytes + bytes / 4;

    return room < RBR_FRAME_BYTES_MAX ? room : RBR_FRAME_BYTES_MAX;
}

rbr_status
rbr_publication_enlarge(rbr_publication *self, uint64_t bytes, rbr_error *err)
{
    int nudges[READERS], i;
    memory fresh, old;
    rbr_status status;

    assert(bytes <= RBR_FRAME_BYTES_MAX);
    status = rbr_publication_check(self, err);
    if (status == RBR_OK)
        status = memory_make(&fresh, room_for(bytes), err);
    if (status != RBR_OK)
        return status;
    pthread_mutex_lock(&self->mutex);
    old = self->memory;
    self->memory = fresh;
    self->moves++;
    for (i = 0; i < READERS; i++) {
        nudges[i] = self->nudge[i];
        self->nudge[i] = -1;
    }
    pthread_mutex_unlock(&self->mutex);
    for (i = 0; i < READERS; i++)
        if (nudges[i] >= 0)
            close(nudges[i]);
    memory_drop(&old);
    return RBR_OK;
}

rbr_status
rbr_publication_publish(rbr_publication *self, uint64_t bytes)
{
    rbr_status status;
    uint64_t waited;

    if (!rbr_os_fork_check(self->fork_token))
        return RBR_FORKED;
    pthread_mutex_lock(&self->mutex);
    status = rbr_latest_publish(&self->memory.writer, bytes);
    waited = status == RBR_OK ? self->memory.writer.waited : 0;
    for (; waited != 0; waited &= waited - 1) {
        const int reader = __builtin_ctzll(waited);

        if (self->nudge[reader] >= 0) /* who left may still write to its word */
            rbr_os_nudge(self->nudge[reader]);
    }
    pthread_mutex_unlock(&self->mutex);
    return status;
}

/* ------------------------------------------------------------------------------------ readers */

uint64_t
rbr_publication_moves(rbr_publication *self)
{
    uint64_t moves;

    pthread_mutex_lock(&self->mutex);
    moves = self->moves;
    pthread_mutex_unlock(&self->mutex);
    return moves;
}

/* Under the mutex. -1: all are taken. */
static int
free_number(const rbr_publication *self)
{
    int i;

    for (i = 0; i < READERS; i++)
        if (self->nudge[i] < 0)
            return i;
    return -1;
}

rbr_status
rbr_publication_join(rbr_publication *self, uint64_t *ticket, uint32_t *reader, int *memory,
                     int *wait, rbr_error *err)
{
    int ours, theirs, number, copy = -1, number_error = 0;
    rbr_status status;

    status = rbr_publication_check(self, err);
    if (status == RBR_OK)
        status = rbr_os_nudge_new(&theirs, &ours, err);
    if (status != RBR_OK)
        return status;
    pthread_mutex_lock(&self->mutex);
    number = free_number(self);
    if (number >= 0) {
        copy = fcntl(self->memory.fd, F_DUPFD_CLOEXEC, 3);
        number_error = errno;
    }
    if (copy >= 0) {
        self->nudge[number] = ours;
        rbr_latest_drop_reader(&self->memory.writer, (uint32_t)number); /* it gets the newest */
        *ticket = self->ticket[number] = ++self->joins << READER_BITS | (uint64_t)number;
    }
    pthread_mutex_unlock(&self->mutex);
    if (copy >= 0) {
        *reader = (uint32_t)number;
        *memory = copy;
        *wait = theirs;
        return RBR_OK;
    }
    close(ours);
    close(theirs);
    if (number < 0)
        return rbr_fail(err, RBR_AGAIN, "%d readers are there, and no more can join", READERS);
    errno = number_error;
    return rbr_fail_sys(err, "duplicate a descriptor");
}

void
rbr_publication_leave(rbr_publication *self, uint64_t ticket)
{
    const uint32_t number = ticket & ((1u << READER_BITS) - 1);
    int nudge = -1;

    if (!rbr_os_fork_check(self->fork_token))
        return;
    pthread_mutex_lock(&self->mutex);
    if (number < READERS && self->nudge[number] >= 0 && self->ticket[number] == ticket) { /* P4 */
        nudge = self->nudge[number];
        self->nudge[number] = -1;
        rbr_latest_part_reader(&self->memory.writer, number);
    }
    pthread_mutex_unlock(&self->mutex);
    if (nudge >= 0)
        close(nudge);
}

/* -------------------------------------------------------------------------------- who follows */

static rbr_status
map_for_reader(rbr_subscription *out, int memory, uint32_t reader, rbr_error *err)
{
    rbr_subscription fresh = {.wait = -1};
    rbr_status status = rbr_os_shared_measure(memory, &fresh.bytes, err);

    if (status != RBR_OK)
        return status;
    if (fresh.bytes == 0)
        return rbr_fail(err, RBR_BROKEN, "a received publication has no memory");
    status = rbr_os_map(&fresh.base, memory, fresh.bytes, false, err);
    if (status != RBR_OK)
        return status;
    if (rbr_latest_reader_init(&fresh.reader, fresh.base, fresh.bytes, reader) != RBR_OK) {
        rbr_os_unmap(fresh.base, fresh.bytes);
        return rbr_fail(err, RBR_BROKEN, "what was received is no publication, or has no reader %u",
                        reader);
    }
    *out = fresh;
    return RBR_OK;
}

rbr_status
rbr_subscription_open(rbr_subscription *out, int memory, uint32_t reader, int wait, rbr_error *err)
{
    const rbr_status status = map_for_reader(out, memory, reader, err);

    close(memory); /* mapped, or of no use */
    if (status != RBR_OK) {
        close(wait);
        return status;
    }
    out->wait = wait;
    return RBR_OK;
}

bool
rbr_subscription_heard(rbr_subscription *self)
{
    return rbr_os_nudge_forget(self->wait);
}

void
rbr_subscription_close(rbr_subscription *self)
{
    if (self->base == NULL)
        return;
    rbr_os_unmap(self->base, self->bytes);
    close(self->wait);
    *self = (rbr_subscription){.wait = -1};
}
