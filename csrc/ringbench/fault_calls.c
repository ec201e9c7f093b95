/* SPDX-License-Identifier: MIT */
/*
 * fault_calls.c - the host and the worker of a fault that only disturbs, from the start to an end in
 * order.
 */
#include "fault_traffic.h"

enum { EXCHANGES = 40 };

static void
check_books(bench_fault_round *round)
{
    rbr_stats stats;

    rbr_channel_stats(round->channel, &stats);
    bench_fault_add(round, FAULT_LATE, stats.late_looks);
    if (stats.arena_blocks != 0 || stats.peer_blocks != 0)
        bench_fault_say(round, FAULT_LEAKS,
                        "%llu blocks of ours and %llu of the other side's are "
                        "held at the end",
                        (unsigned long long)stats.arena_blocks,
                        (unsigned long long)stats.peer_blocks);
}

void
bench_fault_finish(bench_fault_round *round)
{
    const uint64_t until = rbr_now_ns() + BENCH_FAULT_HANG_NS;
    rbr_exit how = {.known = false};

    if (round->role == RBR_ROLE_HOST) {
        rbr_channel_say_goodbye(round->channel);
        if (rbr_channel_wait_end(round->channel, &how, until) != RBR_OK)
            bench_fault_end(round, FAULT_HANGS, "the worker did not end after goodbye");
        if (!how.known || how.signalled || how.code != 0)
            bench_fault_end(round, FAULT_WRONG, "the worker ended with %s %d",
                            how.signalled ? "signal" : "code", how.code);
    }
    check_books(round);
    rbr_channel_release(round->channel);
}

void
bench_fault_calls_host(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status = bench_fault_join_host(round, &error);
    const bool until_told = round->kind->act != NULL;
    uint32_t exchanges = 0;

    while (status == RBR_OK &&
           (exchanges < EXCHANGES || (until_told && !atomic_load(&round->board->over)))) {
        status = bench_fault_exchange(round);
        exchanges++;
    }
    if (status != RBR_OK)
        bench_fault_end_with(round, status, &error);
    bench_fault_finish(round);
}

void
bench_fault_calls_worker(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status = bench_fault_join_worker(round, &error);

    if (status == RBR_OK)
        status = bench_fault_serve(round);
    if (status != RBR_CLOSED)
        bench_fault_end_with(round, status, &error);
    bench_fault_finish(round);
}
