/* SPDX-License-Identifier: MIT */
/*
 * process.h - this process and its child: their memory, their CPUs, their end. See process.c.
 */
#ifndef RBR_BENCH_PROCESS_H
#define RBR_BENCH_PROCESS_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Memory that a later child shares, in zeros and touched; nothing of it has a name. Ends the
 * program when there is none. */
void *bench_shared_new(size_t bytes);
void bench_shared_free(void *base, size_t bytes);

/* The CPUs that this process may use, in order; returns how many (at most `most` are stored). */
int bench_cpus_allowed(int *cpus, int most);
/* The calling thread, from now on. */
void bench_pin(int cpu);
/* While nothing is to be done: on one CPU the other side needs it. */
void bench_pause(bool one_cpu);

/* Called by their numbers: glibc has gettid from 2.30 on, memfd_create from 2.27, and a wheel's
 * ringbench runs on older ones. */
pid_t bench_thread_id(void);
/* A file without a name, close-on-exec; -1 and errno: there is none. */
int bench_memory_file(void);

/* Until it is posted, whatever signals come. */
void bench_sem_wait(sem_t *semaphore);

/* A handler without surprises: an empty mask. */
void bench_handle(int signal_number, void (*handler)(int), int flags);

/*
 * A child that dies with us, and whose early end ends us. Returns 0 in the child. May be followed by
 * bench_child_may_end, and is, before the end is waited for.
 */
pid_t bench_fork(void);
/* The same, but its early end does not end us, nor does bench_die end it at once: it dies with us. */
pid_t bench_fork_apart(void);
void bench_child_may_end(void);
/* Waits for the end of any child; false: somebody else has reaped it. */
bool bench_reap(pid_t child, int *status);

/* From now on the program may take this long at the most; then it ends, and the child with it.
 * 0: no bound. */
void bench_bound(unsigned seconds, const char *what);
/* How long one step may take at the most: 30 s, and what was asked for. */
void bench_step_limit(uint64_t duration_ns, uint64_t count);
unsigned bench_step_seconds(void);

/* Ends both processes with a message. */
_Noreturn void bench_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
