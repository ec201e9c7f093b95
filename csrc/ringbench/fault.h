/* SPDX-License-Identifier: MIT */
/*
 * fault.h - one round of a fault: three processes, and what they find out.
 *
 *   supervisor (fault_round.c)   forks the host; kills, stops or only waits; judges how they ended
 *     host                       forks the worker; calls it
 *       worker                   answers
 *
 * fault.c has the list. fault_traffic.c and fault_calls.c are what host and worker do unless a fault
 * wants something else; fault_look.c is what they hold; fault_kill.c fault_points.c fault_corrupt.c
 * fault_pressure.c fault_memory.c fault_wrap.c are the faults.
 *
 * Invariants
 *   A1  every round has processes of its own: what one leaves or breaks hurts no other.
 *   A2  no wait is without end: host and worker give up after BENCH_FAULT_HANG_NS and say so, the
 *       supervisor ends them by force after BENCH_FAULT_ROUND_NS.
 *   A3  each failure is counted once: by who comes first.
 */
#ifndef RBR_BENCH_FAULT_H
#define RBR_BENCH_FAULT_H

#include "bench.h"
#include "histogram.h"

#include "ringbridge.h"
#include "ringbridge_wire.h"
#include "segment.h"

#include <stdatomic.h>

#define BENCH_FAULT_HANG_NS UINT64_C(10000000000)
#define BENCH_FAULT_ROUND_NS UINT64_C(25000000000)

/* What is counted; its keys are in fault.c. */
enum bench_fault_count {
    FAULT_MESSAGES, /* verified, by the host or by the worker */
    FAULT_HANGS,
    FAULT_LEAKS,
    FAULT_WRONG,
    FAULT_LATE,
    FAULT_ROUND_COUNTS, /* the above belong to every fault */
    FAULT_KILLS = FAULT_ROUND_COUNTS,
    FAULT_EARLY, /* kills before the victim had joined */
    FAULT_STOPS,
    FAULT_SIGNALS,
    FAULT_INTERRUPTED,
    FAULT_WRITES, /* of the hostile thread */
    FAULT_INTACT,
    FAULT_CHANGED, /* noticed by our checksum only: the peer may write what it likes */
    FAULT_REFUSED,
    FAULT_TIMED_OUT,
    FAULT_ENDED, /* the other side had given up first */
    FAULT_FULL,
    FAULT_WRAPS,
    FAULT_COUNTS
};

enum bench_fault_phase { FAULT_STARTS, FAULT_SHAKES_HANDS, FAULT_JOINED };

/* In memory that all three share. */
typedef struct bench_fault_board {
    _Atomic int pids[2];     /* by role */
    _Atomic int phases[2];
    _Atomic bool ended[2];   /* came to its end, and has said all */
    _Atomic bool quiet;      /* the survivor shall not read before the kill; or: not yet */
    _Atomic bool over;       /* the worker shall end */
    _Atomic bool failed;     /* reason says why */
    _Atomic uint64_t killed_ns, noticed_ns;
    _Atomic uint64_t frames; /* that the victim has surely sent */
    char reason[192];
    _Atomic uint64_t counts[FAULT_COUNTS]; /* of all rounds */
} bench_fault_board;

/* A round, as each of the three knows it. */
typedef struct bench_fault_round {
    const bench_options *options;
    const struct bench_fault_kind *kind;
    bench_fault_board *board;
    uint64_t number;
    uint64_t seed;   /* of the payloads */
    uint64_t random; /* a generator's state: each process goes on by itself */
    int role;        /* RBR_ROLE_HOST, RBR_ROLE_WORKER; -1: the supervisor */
    int64_t spin_ns; /* as in rbr_channel_options */
    enum rbr_memory memory;
    uint64_t patience_ns; /* how long a call may take */
    bool hostile;         /* what comes may be anything, and is counted */
    bool short_of_memory; /* an answer may be that there is no room for it */
    bool alike;           /* calls of about the same size, all in records */
    int worker_socket;    /* the worker's end */
    rbr_channel *channel;
    uint8_t *frame, *payload; /* room */
    uint32_t large;           /* the largest payload in a record, nearly */
    uint64_t next;            /* number of the next call */
    uint64_t frames;          /* sent by this side */
    uint64_t skip;            /* how often a point is passed before it counts */
} bench_fault_round;

typedef struct bench_fault_kind {
    const char *name;
    const char *what; /* what is done; what must hold */
    uint32_t rounds;  /* where no count is given */
    uint32_t shown;   /* bits of counts that are figures beside those of every fault */
    int victim;       /* the role that is killed; -1: nobody */
    int variant;      /* which of several that share their functions */
    void (*host)(bench_fault_round *round);
    void (*worker)(bench_fault_round *round);
    /* The supervisor's part; `life` reads end of file when host and worker are gone. NULL: none. */
    void (*act)(bench_fault_round *round, int life);
    /* Whether this machine allows it; else why not. NULL: always. */
    bool (*allowed)(char *why, size_t size);
} bench_fault_kind;

/* ------------------------------------------------------------------------------- fault_round.c */

/* One round, from the fork to the last trace of it. */
void bench_fault_run_round(bench_fault_round *round, bench_histogram *noticed);
/* The host starts the worker, which runs kind->worker with that descriptor. */
void bench_fault_start_worker(bench_fault_round *round, int socket, int others_socket);
/* Waits until the role's process is known, at most BENCH_FAULT_HANG_NS; 0: it never was. */
int bench_fault_await_pid(bench_fault_round *round, int role, int life);
/* Lets time pass; true: host and worker are gone. */
bool bench_fault_gone(int life, uint64_t ns);

/* Counts what went wrong; the first reason of a round is kept. */
void bench_fault_say(bench_fault_round *round, enum bench_fault_count count, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
/* The same, and ends the calling host or worker. */
_Noreturn void bench_fault_end(bench_fault_round *round, enum bench_fault_count count,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));
static inline void
bench_fault_add(bench_fault_round *round, enum bench_fault_count count, uint64_t more)
{
    atomic_fetch_add_explicit(&round->board->counts[count], more, memory_order_relaxed);
}

/* -------------------------------------------------------------------------------- fault_look.c */

/* What a process holds. */
typedef struct bench_fault_held {
    int fds, mappings, threads, children;
} bench_fault_held;

void bench_fault_look(bench_fault_held *out);
/* Counts as leaks what is held beyond `before`. */
void bench_fault_compare(bench_fault_round *round, const bench_fault_held *before);
/* Counts, says and removes names in /dev/shm that are this round's. */
void bench_fault_look_for_names(bench_fault_round *round);
/* The channel's ring segment, as any code of this process can find it; false: it is not mapped. */
bool bench_fault_find_segment(rbr_segment *out, uint32_t ring_bytes);

void bench_fault_nap(uint64_t ns);
/* Waits until the flag has that value, at most BENCH_FAULT_HANG_NS: then the round ends as a hang. */
void bench_fault_await(bench_fault_round *round, _Atomic bool *flag, bool value);
void bench_fault_await_kill(bench_fault_round *round);

/* ---------------------------------------------------------------------------------- the faults */

/* Kinds to put into the list; each returns how many. */
size_t bench_fault_kill_kinds(bench_fault_kind *out);
size_t bench_fault_point_kinds(bench_fault_kind *out);
size_t bench_fault_corrupt_kinds(bench_fault_kind *out);
size_t bench_fault_pressure_kinds(bench_fault_kind *out);
size_t bench_fault_memory_kinds(bench_fault_kind *out);
size_t bench_fault_wrap_kinds(bench_fault_kind *out);

#endif
