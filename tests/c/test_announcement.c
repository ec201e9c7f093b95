/* SPDX-License-Identifier: MIT */
/*
 * test_announcement.c - a follower begins to wait for room while the reader announces its sleep.
 *
 * The reader had looked whether anybody waits for room, and found nobody; the follower added ROOM
 * to what this side waits for; the reader's announcement of DATA overwrote it. The peer then made
 * room and told nobody, and the follower slept for its whole 100 ms, or for ever. exchange.c is
 * compiled into this file, with a follower that always comes at that moment.
 */
#include "channel.h"

static void announce_after_a_follower(rbr_wake *wake, uint32_t reasons);
static rbr_status note_the_sleep(rbr_wake *wake, uint64_t deadline_ns);

#define rbr_wake_announce announce_after_a_follower
#define rbr_wake_sleep note_the_sleep
#include "exchange.c" /* NOLINT(bugprone-suspicious-include): on purpose, see above */
#undef rbr_wake_announce
#undef rbr_wake_sleep

#include "check.h"

static rbr_channel channel;
static bool follower_comes, slept;
static uint32_t slept_for; /* what the peer would have woken us for */

static void
announce_after_a_follower(rbr_wake *wake, uint32_t reasons)
{
    if (follower_comes) { /* as sleep_as_follower does, in its order */
        atomic_fetch_add(&channel.exchange.room_sleepers, 1);
        rbr_wake_add_reason(wake, RBR_WAKE_ROOM);
    }
    rbr_wake_announce(wake, reasons);
}

static rbr_status
note_the_sleep(rbr_wake *wake, uint64_t deadline_ns)
{
    (void)deadline_ns;
    slept = true;
    slept_for = atomic_load(&wake->mine->waiting);
    return RBR_TIMED_OUT;
}

static void
go_to_sleep(void)
{
    static struct rbr_segment_shared shared;
    static struct rbr_ring_shared ring;
    const rbr_want want = {.kind = RBR_WANT_REQUEST, .inbox = &channel.exchange.own};

    pthread_mutex_init(&channel.exchange.lock, NULL);
    rbr_wake_init(&channel.wake, &shared, RBR_ROLE_WORKER, 0);
    channel.exchange.consumer.shared = &ring;
    CHECK(sleep_as_reader(&channel, &want, RBR_FOREVER) == RBR_OK);
}

TEST(a_reader_that_finds_nothing_sleeps_for_data)
{
    go_to_sleep();
    CHECK(slept && slept_for == RBR_WAKE_DATA);
}

TEST(a_reader_that_overwrites_an_announcement_of_room_looks_again_before_it_sleeps)
{
    follower_comes = true;
    go_to_sleep();
    CHECK(!slept);
    go_to_sleep(); /* now it knows, and sleeps for both */
    CHECK(slept && slept_for == (RBR_WAKE_DATA | RBR_WAKE_ROOM));
}
