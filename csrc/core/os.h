/* SPDX-License-Identifier: MIT */
/*
 * os.h - all that the operating system decides; os_linux*.c are the only files with its quirks.
 */
#ifndef RBR_OS_H
#define RBR_OS_H

#include "base.h"

#include <semaphore.h>

#define RBR_OS_PAGE 4096u

/* The CPU this thread runs on. */
uint32_t rbr_os_cpu(void);
/* Tells the CPU that we spin. */
static inline void
rbr_os_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Lets another thread of this CPU run. */
void rbr_os_yield(void);

/* Waits on a semaphore: RBR_OK, RBR_TIMED_OUT, RBR_INTERRUPTED. */
rbr_status rbr_os_sem_wait(sem_t *semaphore, uint64_t deadline_ns);

/* Bytes that may still be allocated: MemAvailable and the control group's limit. */
uint64_t rbr_os_memory_available(void);
uint64_t rbr_os_memory_total(void);

/* The same on a word of shared memory. Not a sem_t: glibc passes what stands in one (its `private`) to
 * the kernel, and aborts the process when the kernel finds it odd; a peer can write there. */
rbr_status rbr_os_hint_wait(_Atomic uint32_t *hint, uint64_t deadline_ns);
void rbr_os_hint_post(_Atomic uint32_t *hint);

/* An eventfd, close-on-exec and non-blocking: set makes it readable, clear takes that back. */
rbr_status rbr_os_event_new(int *event, rbr_error *err);
void rbr_os_event_set(int event);
bool rbr_os_event_clear(int event); /* false: it cannot be read */

/* A pair of sockets that does the same across processes that do not trust each other: whatever its other
 * owner does to it, a nudge never waits. `nudge` makes `wait` readable, until it is forgotten there. */
rbr_status rbr_os_nudge_new(int *wait, int *nudge, rbr_error *err);
void rbr_os_nudge(int nudge);
bool rbr_os_nudge_forget(int wait); /* false: the other end is closed */

void rbr_os_random(void *bytes, size_t size);

/* Starts a thread with every signal blocked, so that no handler of the host runs on it. */
rbr_status rbr_os_thread_start(unsigned long *thread, void *(*run)(void *), void *argument,
                               const char *name, rbr_error *err);

/* --- fork: a token that a forked child cannot show (MADV_WIPEONFORK) --- */

/* This process's token; call once before comparing. 0 only when memory is out. */
uint64_t rbr_os_fork_token(void);
/* True in the process that got `token`, false in a forked child. */
bool rbr_os_fork_check(uint64_t token);

/* --- processes: a pidfd never names a stranger --- */

/* *pidfd is -1 where the kernel has none, or the process has ended. RBR_SYSTEM: none is left. */
rbr_status rbr_os_pidfd_open(int *pidfd, int pid, rbr_error *err);
rbr_status rbr_os_pidfd_signal(int pidfd, int signal_number, rbr_error *err); /* RBR_DEAD: ended */
/* The exit of a child that has ended, left as a zombie (keep) or reaped. RBR_AGAIN: it still runs;
 * RBR_DEAD: not our child, or somebody else reaped it. */
rbr_status rbr_os_wait_child(int pidfd, int pid, bool keep, rbr_exit *out);

/* --- memory that two processes share: an fd of `bytes`, really allocated --- */

/* memory: enum rbr_memory. *sealed: it can no longer shrink. */
rbr_status rbr_os_shared_create(int *fd, bool *sealed, uint64_t bytes, enum rbr_memory memory,
                                rbr_error *err);
/* A sealed memfd of `bytes` that has no memory yet: parts get it from rbr_os_shared_allocate. */
rbr_status rbr_os_shared_reserve(int *fd, uint64_t bytes, rbr_error *err);
rbr_status rbr_os_shared_allocate(int fd, uint64_t offset, uint64_t bytes, rbr_error *err);
/* Refuses what is no sealed memory of this user. *bytes: how large it is, perhaps with holes. */
rbr_status rbr_os_shared_measure(int fd, uint64_t *bytes, rbr_error *err);
/* Refuses an fd that is smaller than `bytes`, has holes, or is not memory of this user. */
rbr_status rbr_os_shared_check(int fd, uint64_t bytes, rbr_error *err);
/* True when it can no longer shrink under a mapping. */
bool rbr_os_shared_is_sealed(int fd);
rbr_status rbr_os_map(void **base, int fd, uint64_t bytes, bool populate, rbr_error *err);
/* Maps two windows of `bytes` at `offset` of fd, right behind each other. */
rbr_status rbr_os_map_twice(void **base, int fd, uint64_t offset, uint64_t bytes, rbr_error *err);
void rbr_os_unmap(void *base, uint64_t bytes);

#endif
