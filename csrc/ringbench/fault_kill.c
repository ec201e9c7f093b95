/* SPDX-License-Identifier: MIT */
/*
 * fault_kill.c - one of the two is killed, or stopped for a while, at a random moment.
 *
 *   kill   the survivor gets all that the victim has sent, then RBR_DEAD, for ever; a host knows the
 *          signal; nothing of the channel is left in the survivor
 *   stop   nothing at all happens, but later
 */
#include "fault_traffic.h"

#include "sequence.h"

#include "base.h"

#include <signal.h>

/* When: a third of the kills while the two join, the rest amid calls. */
#define JOINING_NS (2 * RBR_MS)
#define CALLING_NS (12 * RBR_MS)
#define STOPPED_NS (20 * RBR_MS) /* well below RBR_LOOK_NS: no look is late for it */
#define BETWEEN_NS (3 * RBR_MS)
enum { STOPS_MAX = 4, PROGRESS = 4 };

/* ------------------------------------------------------------------------------------ the survivor */

/* What the watcher's wait for the child has told. */
static void
check_end(bench_fault_round *round)
{
    const uint64_t until = rbr_now_ns() + BENCH_FAULT_HANG_NS;
    rbr_exit how = {.known = false};

    if (rbr_channel_wait_end(round->channel, &how, until) != RBR_OK)
        bench_fault_end(round, FAULT_HANGS, "the worker's end is not known after 10 s");
    if (!how.known || !how.signalled || how.code != SIGKILL)
        bench_fault_end(round, FAULT_WRONG, "the worker ended with %s %d%s, and was killed",
                        how.signalled ? "signal" : "code", how.code, how.known ? "" : " (unknown)");
    bench_fault_add(round, FAULT_KILLS, 1);
}

/* Everything after is refused too, for the same reason. */
static void
check_final(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_message *message = NULL;
    rbr_pending pending;
    rbr_status status;

    if (rbr_channel_state(round->channel, &error) != RBR_DEAD)
        bench_fault_end(round, FAULT_WRONG, "the state is %d, not that of a death",
                        (int)rbr_channel_state(round->channel, NULL));
    status = bench_fault_send_call(round, &pending, round->next, RBR_FOREVER, &error);
    rbr_pending_end(&pending);
    if (status != RBR_DEAD)
        bench_fault_end(round, FAULT_WRONG, "a call after the death gives status %d", (int)status);
    status = rbr_channel_receive(round->channel, &message, 0, RBR_FOREVER);
    if (status != RBR_DEAD)
        bench_fault_end(round, FAULT_WRONG, "receiving after the death gives status %d",
                        (int)status);
}

/* What was sent is there, and nothing that was not; a kill from outside may fall between sending a
 * frame and counting it. */
static void
check_frames(bench_fault_round *round)
{
    const uint64_t sent = atomic_load(&round->board->frames);
    const bool exact = bench_fault_has_point(round) && !bench_fault_is_at(round, FAULT_AT_ASLEEP);
    const uint64_t most = exact ? sent : sent + 1;
    rbr_stats stats;

    rbr_channel_stats(round->channel, &stats);
    if (stats.frames_received < sent || stats.frames_received > most)
        bench_fault_end(round, FAULT_WRONG, "%llu frames were sent before the kill, %llu came",
                        (unsigned long long)sent, (unsigned long long)stats.frames_received);
    if (stats.peer_blocks != 0)
        bench_fault_say(round, FAULT_LEAKS, "%llu blocks of the dead are still held",
                        (unsigned long long)stats.peer_blocks);
}

static void
survive(bench_fault_round *round, rbr_status status, const rbr_error *error)
{
    const bool joined = atomic_load(&round->board->phases[round->role]) == FAULT_JOINED;

    if (status != RBR_DEAD)
        bench_fault_end_with(round, status, error);
    if (round->role == RBR_ROLE_HOST)
        check_end(round);
    if (joined) {
        check_final(round);
        check_frames(round);
    }
    rbr_channel_release(round->channel);
}

void
bench_fault_kill_host(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status;

    if (bench_fault_has_point(round))
        round->spin_ns = 0; /* who waits sleeps */
    status = bench_fault_join_host(round, &error);
    while (status == RBR_OK)
        status = bench_fault_exchange(round);
    if (round->kind->victim == RBR_ROLE_HOST)
        bench_fault_end_with(round, status, &error);
    survive(round, status, &error);
}

void
bench_fault_kill_worker(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status = bench_fault_join_worker(round, &error);

    if (status == RBR_OK)
        status = bench_fault_serve(round);
    if (round->kind->victim == RBR_ROLE_WORKER)
        bench_fault_end_with(round, status, &error);
    survive(round, status, &error);
}

/* ---------------------------------------------------------------------------------- the supervisor */

static void
kill_at_random(bench_fault_round *round, int life)
{
    const int victim = round->kind->victim;
    const uint64_t most = bench_random(&round->random) % 3 == 0 ? JOINING_NS : CALLING_NS;
    const uint64_t moment = bench_random(&round->random) % most;
    bench_fault_board *board = round->board;

    if (bench_fault_await_pid(round, RBR_ROLE_WORKER, life) == 0 || bench_fault_gone(life, moment))
        return;
    if (atomic_load(&board->phases[victim]) != FAULT_JOINED)
        bench_fault_add(round, FAULT_EARLY, 1);
    atomic_store(&board->killed_ns, rbr_now_ns());
    kill(atomic_load(&board->pids[victim]), SIGKILL);
}

/* The next stop comes when both have moved on: so no sleep spans more than two. */
static bool
await_progress(bench_fault_round *round, int life)
{
    const _Atomic uint64_t *messages = &round->board->counts[FAULT_MESSAGES];
    const uint64_t until = rbr_now_ns() + BENCH_FAULT_HANG_NS;
    const uint64_t enough = atomic_load(messages) + PROGRESS;

    while (atomic_load(messages) < enough)
        if (bench_fault_gone(life, RBR_MS / 10) || rbr_now_ns() >= until)
            return false;
    return true;
}

static void
stop_at_random(bench_fault_round *round, int life)
{
    uint64_t stops = 1 + bench_random(&round->random) % STOPS_MAX;
    bool going = bench_fault_await_pid(round, RBR_ROLE_WORKER, life) != 0;

    for (; going && stops > 0; stops--) {
        const pid_t pid = atomic_load(&round->board->pids[bench_random(&round->random) % 2]);

        if (bench_fault_gone(life, bench_random(&round->random) % BETWEEN_NS))
            break;
        kill(pid, SIGSTOP);
        bench_fault_nap(bench_random(&round->random) % STOPPED_NS);
        kill(pid, SIGCONT);
        bench_fault_add(round, FAULT_STOPS, 1);
        going = await_progress(round, life);
    }
    atomic_store(&round->board->over, true);
}

size_t
bench_fault_kill_kinds(bench_fault_kind *out)
{
    const bench_fault_kind kill_kind = {.rounds = 300,
                                        .shown = 1u << FAULT_KILLS | 1u << FAULT_EARLY,
                                        .host = bench_fault_kill_host,
                                        .worker = bench_fault_kill_worker,
                                        .act = kill_at_random};

    out[0] = out[1] = kill_kind;
    out[0].name = "kill-worker";
    out[0].what =
        "SIGKILL of the worker at a random moment, from its start on: the host gets every "
        "answer that was sent, then 'dead' with the signal, and keeps nothing";
    out[0].victim = RBR_ROLE_WORKER;
    out[1].name = "kill-host";
    out[1].what =
        "SIGKILL of the host at a random moment: the worker gets every call that was sent, "
        "then 'dead', and ends by itself with nothing left";
    out[1].victim = RBR_ROLE_HOST;
    out[2] = (bench_fault_kind){
        .name = "stop",
        .what = "SIGSTOP of either side, SIGCONT up to 20 ms later, again and again amid calls: "
                "every answer is right, none is lost",
        .rounds = 100,
        .shown = 1u << FAULT_STOPS,
        .victim = -1,
        .host = bench_fault_calls_host,
        .worker = bench_fault_calls_worker,
        .act = stop_at_random};
    return 3;
}
