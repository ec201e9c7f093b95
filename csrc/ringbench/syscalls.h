/* SPDX-License-Identifier: MIT */
/*
 * syscalls.h - counts the system calls of two sides, without any privilege. See syscalls.c.
 */
#ifndef RBR_BENCH_SYSCALLS_H
#define RBR_BENCH_SYSCALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct bench_tracer {
    struct bench_tracer_shared *shared;
    pid_t pid;
} bench_tracer;

/* Counts those of two threads, and of all other threads of their processes, each with the side of its
 * process. One of them is the caller. False: this is not allowed here. */
bool bench_tracer_start(bench_tracer *tracer, pid_t here, pid_t there);
/* What has been counted so far. */
void bench_tracer_read(const bench_tracer *tracer, uint64_t counts[2]);
void bench_tracer_stop(bench_tracer *tracer);

#endif
