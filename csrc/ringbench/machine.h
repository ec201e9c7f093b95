/* SPDX-License-Identifier: MIT */
/*
 * machine.h - what machine this is, and whether it did other things meanwhile. See machine.c.
 */
#ifndef RBR_BENCH_MACHINE_H
#define RBR_BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bench_machine {
    char cpu[96];
    long cpus;
    char kernel[64], architecture[32];
    char hypervisor[32]; /* "": none that says so */
    const char *compiler;
    double load_average; /* of the last minute */
} bench_machine;

void bench_machine_read(bench_machine *out);

/* The whole run: from bench_run_begin to bench_run_end. */
typedef struct bench_run {
    double seconds;
    double steal_percent;          /* of the time of the two CPUs; what the hypervisor took */
    uint64_t involuntary_switches; /* of our processes: somebody else ran on our CPU */
    bool noisy;
    char noise[96]; /* why, in words */
    char started[32]; /* UTC */
} bench_run;

void bench_run_begin(bench_run *run, const int cpus[2]);
/* So many switches were the two sides', who shared a CPU: no noise. */
void bench_run_excuse(uint64_t switches);
/* After all children have been waited for. */
void bench_run_end(bench_run *run, const int cpus[2]);

#endif
