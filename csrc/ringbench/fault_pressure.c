/* SPDX-License-Identifier: MIT */
/*
 * fault_pressure.c - nobody dies, but somebody is full, slow or interrupted all the time.
 *
 *   full-ring       sends until the ring is full; then more than two rings' worth that are read and
 *                   not yet answered, so that nothing but room wakes the sender; then both ways,
 *                   before any answer is taken
 *   slow-consumer   one side naps before it reads, the other has as much in flight as it may
 *   signals         a timer's signal every 100 us in both processes, whose handlers do not restart
 *
 * Whatever is sent comes, once, whole; no wake-up is lost.
 */
#include "fault_traffic.h"

#include "process.h"
#include "sequence.h"

#include "base.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { SLOW_WINDOW = 32, SLOW_CALLS = 150, SIGNAL_US = 100, SIGNAL_EXCHANGES = 60 };
#define NAP_MAX_NS (200 * UINT64_C(1000))
#define SHORT_NS (3 * RBR_MS)
/* Calls grow with the ring, so it holds 64 to 128 of them. */
enum { CALLS = 640, HELD = 300 };

/* -------------------------------------------------------------------------------------- full ring */

typedef struct flood {
    rbr_pending pending[CALLS];
    uint32_t sent;
} flood;

static rbr_status
send_one(bench_fault_round *round, flood *own, uint64_t deadline_ns)
{
    rbr_error error = {.text = ""};
    rbr_pending *pending = &own->pending[own->sent];
    const rbr_status status = bench_fault_send_call(round, pending, own->sent, deadline_ns, &error);

    if (status == RBR_OK)
        own->sent++;
    else
        rbr_pending_end(pending);
    if (status != RBR_OK && status != RBR_AGAIN && status != RBR_TIMED_OUT)
        bench_fault_end_with(round, status, &error);
    return status;
}

/* The worker does not read yet. */
static void
fill(bench_fault_round *round, flood *own)
{
    const uint64_t start = rbr_now_ns();
    rbr_status status;

    while ((status = send_one(round, own, 0)) == RBR_OK && own->sent < HELD)
        ;
    if (status != RBR_AGAIN)
        bench_fault_end(round, FAULT_WRONG, "status %d of a full ring, and no time to wait",
                        (int)status);
    bench_fault_add(round, FAULT_FULL, 1);
    status = send_one(round, own, rbr_now_ns() + SHORT_NS);
    if (status != RBR_TIMED_OUT)
        bench_fault_end(round, FAULT_WRONG, "status %d of a full ring, and 3 ms to wait",
                        (int)status);
    if (rbr_now_ns() - start < SHORT_NS)
        bench_fault_end(round, FAULT_WRONG, "3 ms were over too early");
    if (rbr_now_ns() - start > BENCH_FAULT_HANG_NS)
        bench_fault_end(round, FAULT_HANGS, "3 ms took longer than 10 s");
}

static void
full_host(bench_fault_round *round)
{
    flood *own = malloc(sizeof *own);
    rbr_error error = {.text = ""};
    rbr_status status = bench_fault_join_host(round, &error);
    uint32_t i;

    if (own == NULL || status != RBR_OK)
        bench_fault_end_with(round, status, &error);
    own->sent = 0;
    round->alike = true;
    fill(round, own);
    atomic_store(&round->board->over, true); /* the worker begins */
    while (own->sent < CALLS)
        if (send_one(round, own, rbr_now_ns() + round->patience_ns) != RBR_OK)
            bench_fault_end(round, FAULT_HANGS, "no room in a ring whose reader reads");
    for (i = 0; i < own->sent; i++) {
        status = bench_fault_take_answer(round, &own->pending[i], i);
        if (status != RBR_OK)
            bench_fault_end_with(round, status, &error);
    }
    free(own);
    bench_fault_finish(round);
}

static void
full_worker(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status = bench_fault_join_worker(round, &error);
    uint64_t ids[HELD], numbers[HELD];
    uint32_t i;

    round->alike = true;
    bench_fault_await(round, &round->board->over, true);
    for (i = 0; i < HELD && status == RBR_OK; i++)
        status = bench_fault_take_call(round, &ids[i], &numbers[i]);
    for (i = 0; i < HELD && status == RBR_OK; i++)
        status = bench_fault_give_answer(round, ids[i], numbers[i]);
    if (status == RBR_OK)
        status = bench_fault_serve(round);
    if (status != RBR_CLOSED)
        bench_fault_end_with(round, status, &error);
    bench_fault_finish(round);
}

/* --------------------------------------------------------------------------------- slow consumer */

/* In every other round it is the host that is slow. */
static void
nap(bench_fault_round *round)
{
    if ((int)(round->number % 2) != round->role && bench_random(&round->random) % 4 == 0)
        bench_fault_nap(bench_random(&round->random) % NAP_MAX_NS);
}

static void
slow_host(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status = bench_fault_join_host(round, &error);
    rbr_pending pending[SLOW_WINDOW];
    uint64_t sent = 0, taken = 0;

    while (status == RBR_OK && taken < SLOW_CALLS) {
        if (sent < SLOW_CALLS && sent - taken < SLOW_WINDOW) {
            status = bench_fault_send_call(round, &pending[sent % SLOW_WINDOW], sent,
                                           rbr_now_ns() + round->patience_ns, &error);
            sent++;
        } else {
            nap(round);
            status = bench_fault_take_answer(round, &pending[taken % SLOW_WINDOW], taken);
            taken++;
        }
    }
    if (status != RBR_OK)
        bench_fault_end_with(round, status, &error);
    bench_fault_finish(round);
}

static void
slow_worker(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status = bench_fault_join_worker(round, &error);
    rbr_message *message;

    while (status == RBR_OK) {
        nap(round);
        status = bench_fault_receive(round, &message);
        if (status == RBR_OK)
            status = bench_fault_answer(round, message);
    }
    if (status != RBR_CLOSED)
        bench_fault_end_with(round, status, &error);
    bench_fault_finish(round);
}

/* --------------------------------------------------------------------------------------- signals */

static _Atomic uint64_t signals;

static void
on_signal(int signal_number)
{
    (void)signal_number;
    atomic_fetch_add_explicit(&signals, 1, memory_order_relaxed);
}

static void
storm(bool on)
{
    const struct itimerval every = {{0, on ? SIGNAL_US : 0}, {0, on ? SIGNAL_US : 0}};

    bench_handle(SIGALRM, on_signal, 0); /* no SA_RESTART: every call is interrupted */
    setitimer(ITIMER_REAL, &every, NULL);
}

static void
signals_host(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status;
    uint32_t i;

    storm(true);
    status = bench_fault_join_host(round, &error);
    for (i = 0; i < SIGNAL_EXCHANGES && status == RBR_OK; i++)
        status = bench_fault_exchange(round);
    if (status != RBR_OK)
        bench_fault_end_with(round, status, &error);
    bench_fault_finish(round);
    storm(false);
    bench_fault_add(round, FAULT_SIGNALS, atomic_load(&signals));
}

static void
signals_worker(bench_fault_round *round)
{
    atomic_store(&signals, 0); /* the host's */
    storm(true);
    bench_fault_calls_worker(round);
    storm(false);
    bench_fault_add(round, FAULT_SIGNALS, atomic_load(&signals));
}

size_t
bench_fault_pressure_kinds(bench_fault_kind *out)
{
    out[0] = (bench_fault_kind){
        .name = "full-ring",
        .what =
            "sends until the ring is full, then five times as much, one way and both, before any "
            "answer is taken: 'again' and deadlines as told, every answer right",
        .rounds = 100,
        .shown = 1u << FAULT_FULL,
        .victim = -1,
        .host = full_host,
        .worker = full_worker};
    out[1] = (bench_fault_kind){
        .name = "slow-consumer",
        .what =
            "one side naps before it reads, the other has 32 calls in flight: every answer right",
        .rounds = 100,
        .victim = -1,
        .host = slow_host,
        .worker = slow_worker};
    out[2] = (bench_fault_kind){
        .name = "signals",
        .what =
            "a signal every 100 us in both processes, handlers that do not restart: every answer "
            "right, none lost",
        .rounds = 100,
        .shown = 1u << FAULT_SIGNALS | 1u << FAULT_INTERRUPTED,
        .victim = -1,
        .host = signals_host,
        .worker = signals_worker};
    return 3;
}
