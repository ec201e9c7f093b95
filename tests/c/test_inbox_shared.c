/* SPDX-License-Identifier: MIT */
/*
 * test_inbox_shared.c - the descriptors of event loops are shared with the peer, and with whoever was
 * forked: what those make of them.
 */
#include "check.h"
#include "loop_steps.h"
#include "os.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shared with the worker. */
static struct stage {
    _Atomic bool go, done;
} *stage;

static void
await(const _Atomic bool *flag)
{
    const uint64_t until = in_ms(15000);

    while (!atomic_load(flag)) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
}

static void
open_staged(channel_pair *pair, void (*run)(rbr_channel *))
{
    stage = check_share(sizeof *stage);
    pair_open(pair, &loop_never_spin, run);
}

static int
await_event(rbr_channel *channel)
{
    const uint64_t until = in_ms(15000);

    while (atomic_load(&channel->wake.peers_event) < 0) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
    return atomic_load(&channel->wake.peers_event);
}

/* Descriptors that two processes share have one set of flags. */
static void
make_the_event_block(rbr_channel *channel)
{
    const int event = await_event(channel);
    uint64_t ignored;

    rbr_os_event_set(event);
    CHECK(read(event, &ignored, sizeof ignored) == sizeof ignored); /* nothing is left in it */
    CHECK(fcntl(event, F_SETFL, fcntl(event, F_GETFL) & ~O_NONBLOCK) == 0);
    atomic_store(&stage->done, true);
    pair_serve_none(channel);
}

TEST(a_peer_that_makes_its_event_block_stops_no_loop)
{
    channel_pair pair;
    rbr_inbox *inbox;

    open_staged(&pair, make_the_event_block);
    inbox = loop_open(pair.host);
    await(&stage->done);
    rbr_inbox_clear(inbox);
    rbr_inbox_arm(inbox);
    CHECK(loop_take_now(inbox) == 0);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

/* As full as it gets: another write would wait, or be refused. */
static void
fill_the_event(rbr_channel *channel)
{
    const uint64_t most = UINT64_MAX - 1;
    const int event = await_event(channel);
    uint64_t ignored;

    rbr_os_event_set(event);
    CHECK(read(event, &ignored, sizeof ignored) == sizeof ignored);
    CHECK(write(event, &most, sizeof most) == sizeof most);
    atomic_store(&stage->done, true);
    pair_serve(channel);
}

TEST(a_peer_that_fills_its_event_stops_no_loop)
{
    channel_pair pair;
    rbr_pending pending;
    rbr_inbox *inbox;
    int64_t answer;
    uint64_t id;

    open_staged(&pair, fill_the_event);
    inbox = loop_open(pair.host);
    await(&stage->done);
    rbr_inbox_clear(inbox);
    rbr_inbox_arm(inbox);
    id = loop_start_call(pair.host, inbox, &pending);
    /* The peer cannot wake the loop, which is the peer's loss; a thread of ours can. */
    CHECK(pair_call(pair.host, 7, 0, &answer, in_ms(15000)) == RBR_OK && answer == 7);
    CHECK(loop_is_readable(inbox, 0));
    CHECK(loop_take_now(inbox) == id);
    rbr_pending_end(&pending);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

/* As if the event were still on its way: what the loop waits for is answered without it. */
static void
answer_before_the_event(rbr_channel *channel)
{
    const int event = await_event(channel);
    rbr_message *message;

    atomic_store(&channel->wake.peers_event, -1);
    CHECK(rbr_channel_receive(channel, &message, 0, in_ms(15000)) == RBR_OK);
    CHECK(pair_send_empty(channel, pair_take_id(message), 0, RBR_BODY_RESULT, &rbr_desc_result,
                          in_ms(15000)) == RBR_OK);
    atomic_store(&stage->done, true);
    pair_serve_none(channel);
    close(event);
}

TEST(an_event_that_comes_after_what_it_was_to_tell_of_is_set_at_once)
{
    alignas(8) uint8_t room[256];
    channel_pair pair;
    rbr_pending pending;
    rbr_inbox *inbox;
    uint32_t size;
    uint64_t id;

    open_staged(&pair, answer_before_the_event);
    inbox = loop_open(pair.host);
    rbr_inbox_arm(inbox);
    id = loop_start_call(pair.host, inbox, &pending);
    await(&stage->done);
    rbr_inbox_clear(inbox); /* as the watcher there has set it once already */
    size = pair_build_empty(room, sizeof room, 0, 0, RBR_BODY_EVENT, &rbr_desc_event);
    CHECK(rbr_control_send(pair.host->watch.control, room, size, pair.host->exchange.event, NULL) ==
          RBR_OK);
    CHECK(loop_is_readable(inbox, 15000));
    CHECK(loop_take_now(inbox) == id);
    rbr_pending_end(&pending);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

/* Gives the host "the eventfd of my loops": a pipe that nobody reads. Whoever writes to it is ended by
 * a signal. */
static void
send_a_pipe(rbr_channel *channel)
{
    alignas(8) uint8_t room[256];
    const uint32_t size = pair_build_empty(room, sizeof room, 0, 0, RBR_BODY_EVENT,
                                           &rbr_desc_event);
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK(rbr_control_send(channel->watch.control, room, size, ends[1], NULL) == RBR_OK);
    close(ends[0]);
    close(ends[1]);
    rbr_wake_add_reason(&channel->wake, RBR_WAKE_DATA | RBR_WAKE_EVENT);
    atomic_store(&stage->done, true);
    pair_serve_none(channel);
}

TEST(a_descriptor_that_a_worker_gives_for_its_loops_is_not_written_to)
{
    channel_pair pair;

    open_staged(&pair, send_a_pipe);
    await(&stage->done);
    poll(NULL, 0, 100); /* the watcher has seen the message; if not, the test passes for nothing */
    CHECK(atomic_load(&pair.host->wake.peers_event) < 0);
    pair_close(&pair);
}

TEST(a_forked_child_leaves_its_parents_loops_alone)
{
    channel_pair pair;
    rbr_pending pending;
    rbr_message *message;
    rbr_inbox *inbox;
    uint64_t id;
    int pid, result;

    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    rbr_inbox_arm(inbox);
    rbr_os_event_set(inbox->event); /* which the child must not take away */
    pthread_mutex_lock(&pair.host->exchange.lock); /* as if another thread held it */
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        rbr_inbox *another;
        bool left_alone = rbr_inbox_take(inbox, &message, 0, 0) == RBR_FORKED &&
                          rbr_inbox_open(&another, pair.host, NULL) == RBR_FORKED &&
                          !rbr_channel_peer_runs(pair.host, 1) && !rbr_channel_unsend(pair.host, 1);

        rbr_inbox_arm(inbox);
        rbr_inbox_clear(inbox);
        rbr_inbox_close(inbox);
        _exit(left_alone ? 0 : 1);
    }
    pthread_mutex_unlock(&pair.host->exchange.lock);
    CHECK(waitpid(pid, &result, 0) == pid && result == 0);
    CHECK(loop_is_readable(inbox, 0));
    id = loop_start_call(pair.host, inbox, &pending);
    CHECK(loop_take(inbox) == id);
    rbr_pending_end(&pending);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}
