/* SPDX-License-Identifier: MIT */
/*
 * fault_traffic.h - what host and worker do over a channel, unless a fault wants something else; and
 * the points on the way at which one of them may end itself. See fault_traffic.c, fault_points.c.
 */
#ifndef RBR_BENCH_FAULT_TRAFFIC_H
#define RBR_BENCH_FAULT_TRAFFIC_H

#include "fault.h"

/* In the number of an answer: there was no memory for the real one. */
#define BENCH_FAULT_NO_ROOM (UINT64_C(1) << 62)

/* The host starts a worker; then either opens its end and shakes hands. The status and the error of
 * the handshake. */
rbr_status bench_fault_join_host(bench_fault_round *round, rbr_error *error);
rbr_status bench_fault_join_worker(bench_fault_round *round, rbr_error *error);

/* Whether that is what a full /dev/shm, or a full arena, may give. */
bool bench_fault_is_full(rbr_status status, const rbr_error *error);
/* A status that should not be, with the channel's own reason for it where it has one. */
_Noreturn void bench_fault_end_with(bench_fault_round *round, rbr_status status,
                                    const rbr_error *error);

/* Host: some calls of all sorts, then their answers. RBR_OK: all came, and are right. */
rbr_status bench_fault_exchange(bench_fault_round *round);
/* One of them; pending is begun in any case. Its answer, waited for as long as patience_ns; ends
 * pending. */
rbr_status bench_fault_send_call(bench_fault_round *round, rbr_pending *pending, uint64_t number,
                                 uint64_t deadline_ns, rbr_error *error);
rbr_status bench_fault_take_answer(bench_fault_round *round, rbr_pending *pending, uint64_t number);

/* Worker: the next call; its answer, and the end of the message. */
rbr_status bench_fault_receive(bench_fault_round *round, rbr_message **out);
rbr_status bench_fault_answer(bench_fault_round *round, rbr_message *message);
/* The same in two steps, for calls without blocks. */
rbr_status bench_fault_take_call(bench_fault_round *round, uint64_t *id, uint64_t *number);
rbr_status bench_fault_give_answer(bench_fault_round *round, uint64_t id, uint64_t number);
/* Receives and answers until there is nothing more to receive; the last status of receiving. */
rbr_status bench_fault_serve(bench_fault_round *round);

/* fault_calls.c. Where nobody is killed: all is handed back, no wake-up was lost. The host says
 * goodbye and waits for the worker's end; both let go of the channel. */
void bench_fault_finish(bench_fault_round *round);
/* The host and the worker of a fault that only disturbs: exchanges until board->over; serving. */
void bench_fault_calls_host(bench_fault_round *round);
void bench_fault_calls_worker(bench_fault_round *round);

/* fault_kill.c: host and worker of any kill. */
void bench_fault_kill_host(bench_fault_round *round);
void bench_fault_kill_worker(bench_fault_round *round);

/* ------------------------------------------------------------------------------ fault_points.c */

enum bench_fault_point {
    FAULT_NOWHERE,
    FAULT_AT_START,  /* the worker runs, no channel is open */
    FAULT_AT_OPENED, /* before the handshake */
    FAULT_AT_JOINED,
    FAULT_AT_BEFORE_CLAIM,
    FAULT_AT_CLAIMED,   /* a record, half written */
    FAULT_AT_COMMITTED, /* the other side sleeps, and was not woken */
    FAULT_AT_CLEARED,   /* the same, and its flag says that somebody wakes it */
    FAULT_AT_WOKEN,
    FAULT_AT_ANNOUNCED, /* a sleep, not yet begun */
    FAULT_AT_ASLEEP,
    FAULT_AT_FULL, /* asleep, waiting for room */
    FAULT_AT_RECEIVED,
    FAULT_AT_HOLDING,
    FAULT_POINTS
};

/* The calling process has come there: if it is the victim, and it is time, it ends here. */
void bench_fault_point(bench_fault_round *round, enum bench_fault_point point);
/* Ends the victim on its way to send the frame that it has built, or returns. */
void bench_fault_point_in_send(bench_fault_round *round, uint32_t size);
/* Whether this round's kill is at that point. */
bool bench_fault_is_at(const bench_fault_round *round, enum bench_fault_point point);
bool bench_fault_has_point(const bench_fault_round *round);

#endif
