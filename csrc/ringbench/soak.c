/* SPDX-License-Identifier: MIT */
/* soak.c - */
#include "process.h"
#include "report.h"

void
bench_soak(const bench_options *options, bench_report *report)
{
    (void)options;
    (void)report;
    bench_die(BENCH_EXIT_MACHINE, "not yet");
}
