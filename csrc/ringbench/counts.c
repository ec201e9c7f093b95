/* SPDX-License-Identifier: MIT */
/*
 * counts.c - CPU time, page faults and switches, as the kernel counts them.
 */
#include "counts.h"

#include <sys/resource.h>
#include <time.h>

static void
read_usage(bench_counts *out, int who, clockid_t clock)
{
    struct rusage usage = {.ru_minflt = 0};
    struct timespec cpu = {0, 0};

    getrusage(who, &usage);
    clock_gettime(clock, &cpu); /* finer than the times of getrusage */
    *out = (bench_counts){
        .cpu_ns = (uint64_t)cpu.tv_sec * UINT64_C(1000000000) + (uint64_t)cpu.tv_nsec,
        .page_faults = (uint64_t)(usage.ru_minflt + usage.ru_majflt),
        .voluntary_switches = (uint64_t)usage.ru_nvcsw,
        .involuntary_switches = (uint64_t)usage.ru_nivcsw,
    };
}

void
bench_counts_of_thread(bench_counts *out)
{
    read_usage(out, RUSAGE_THREAD, CLOCK_THREAD_CPUTIME_ID);
}

void
bench_counts_of_process(bench_counts *out)
{
    read_usage(out, RUSAGE_SELF, CLOCK_PROCESS_CPUTIME_ID);
}

void
bench_counts_add(bench_counts *to, const bench_counts *more)
{
    to->cpu_ns += more->cpu_ns;
    to->page_faults += more->page_faults;
    to->voluntary_switches += more->voluntary_switches;
    to->involuntary_switches += more->involuntary_switches;
    to->wakes += more->wakes;
    to->sleeps += more->sleeps;
    to->late_looks += more->late_looks;
}

bench_counts
bench_counts_since(const bench_counts *to, const bench_counts *before)
{
    return (bench_counts){
        to->cpu_ns - before->cpu_ns,
        to->page_faults - before->page_faults,
        to->voluntary_switches - before->voluntary_switches,
        to->involuntary_switches - before->involuntary_switches,
        to->wakes - before->wakes,
        to->sleeps - before->sleeps,
        to->late_looks - before->late_looks,
    };
}
