/* SPDX-License-Identifier: MIT */
/*
 * fault_traffic.c - calls of all sorts over a real channel, and their answers; every byte checked.
 *
 * What call `number` looks like (its size, in the frame, in a block, or in a frame too large for the
 * ring; the size of its answer) follows from the number and the round's seed, so both sides know it.
 * The payloads are bench_sequence_fill's, of two seeds, so an answer is never mistaken for its call.
 */
#include "fault_traffic.h"

#include "messages.h"
#include "sequence.h"

#include "base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_FLIGHT = 8, SMALL = 1024 };

/* Below RBR_ARENA_FIRST_BYTES, so that the arena grows by small steps, and often. */
#define ARENA_BYTES (12 * RBR_MIB)
#define ANSWERS UINT64_C(0x5851f42d4c957f2d) /* what their seed differs by */

/* ------------------------------------------------------------------------------------------ shape */

typedef struct shape {
    uint32_t bytes, answer_bytes;
    bool in_block;
} shape;

static uint32_t
between(uint64_t *random, uint32_t least, uint32_t most)
{
    return least + (uint32_t)(bench_random(random) % (most - least + 1));
}

/* One in 16 is larger than the ring takes, two are nearly as large, the rest are small. */
static uint32_t
any_size(const bench_fault_round *round, uint64_t *random)
{
    const uint32_t small = round->large < SMALL ? round->large : SMALL;
    const uint64_t dice = bench_random(random) % 16;

    if (dice == 0)
        return between(random, round->large + 2048, 2 * round->large);
    return dice < 3 ? between(random, small, round->large)
                    : between(random, BENCH_SEQUENCE_BYTES_MIN, small);
}

static shape
shape_of(const bench_fault_round *round, uint64_t number)
{
    uint64_t random = round->seed ^ number * UINT64_C(0x2545f4914f6cdd1d);
    shape result = {.in_block = !round->alike && bench_random(&random) % 8 == 0};
    const uint32_t part = round->options->ring_bytes / 64;
    const uint32_t most = part < round->large ? part : round->large;

    if (round->alike) {
        result.bytes = between(&random, most / 2, most);
        result.answer_bytes = between(&random, most / 2, most);
        return result;
    }
    result.bytes = any_size(round, &random);
    result.answer_bytes = any_size(round, &random);
    return result;
}

/* ---------------------------------------------------------------------------------------- joining */

/* Keeps the moment at which the survivor knew. */
static rbr_status
noted(bench_fault_round *round, rbr_status status)
{
    _Atomic uint64_t *noticed_ns = &round->board->noticed_ns;

    if (status == RBR_DEAD && round->role != round->kind->victim && atomic_load(noticed_ns) == 0)
        atomic_store(noticed_ns, rbr_now_ns());
    return status;
}

/* The victim wants to find its ring full. */
static void
be_quiet(bench_fault_round *round)
{
    if (atomic_load(&round->board->quiet) && round->role != round->kind->victim)
        bench_fault_await_kill(round);
}

/* Where calls have all the time they want, a deadline that passes is a hang. */
static rbr_status
patient(bench_fault_round *round, rbr_status status, const char *what)
{
    if (status == RBR_TIMED_OUT && !round->hostile)
        bench_fault_end(round, FAULT_HANGS, "%s: no end after %llu s", what,
                        (unsigned long long)(round->patience_ns / RBR_SECOND));
    return noted(round, status);
}

static rbr_status
shake_hands(bench_fault_round *round, rbr_error *error)
{
    const uint64_t until = rbr_now_ns() + round->patience_ns;
    rbr_status status;

    while ((status = rbr_channel_handshake(round->channel, until, error)) == RBR_INTERRUPTED)
        bench_fault_add(round, FAULT_INTERRUPTED, 1);
    if (status == RBR_OK) {
        atomic_store(&round->board->phases[round->role], FAULT_JOINED);
        bench_fault_point(round, FAULT_AT_JOINED);
    }
    return patient(round, status, "handshake");
}

rbr_status
bench_fault_join_host(bench_fault_round *round, rbr_error *error)
{
    const rbr_channel_options options = {.name = "ringbench",
                                         .ring_bytes = round->options->ring_bytes,
                                         .arena_limit = ARENA_BYTES,
                                         .memory = round->memory,
                                         .spin_ns = round->spin_ns};
    int sockets[2];
    rbr_status status;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
        bench_fault_end(round, FAULT_WRONG, "no socket pair: %s", strerror(errno));
    bench_fault_start_worker(round, sockets[1], sockets[0]);
    close(sockets[1]);
    bench_fault_point(round, FAULT_AT_START);
    status = rbr_channel_open_host(&round->channel, sockets[0],
                                   atomic_load(&round->board->pids[RBR_ROLE_WORKER]), -1, -1,
                                   &options, error);
    if (status != RBR_OK)
        bench_fault_end(round, FAULT_WRONG, "cannot open: %s", error->text);
    atomic_store(&round->board->phases[RBR_ROLE_HOST], FAULT_SHAKES_HANDS);
    bench_fault_point(round, FAULT_AT_OPENED);
    return shake_hands(round, error);
}

rbr_status
bench_fault_join_worker(bench_fault_round *round, rbr_error *error)
{
    rbr_status status;

    bench_fault_point(round, FAULT_AT_START);
    status = rbr_channel_open_worker(&round->channel, round->worker_socket, "none", "none",
                                     "ringbench", error);
    if (status != RBR_OK)
        bench_fault_end(round, FAULT_WRONG, "cannot open: %s", error->text);
    atomic_store(&round->board->phases[RBR_ROLE_WORKER], FAULT_SHAKES_HANDS);
    bench_fault_point(round, FAULT_AT_OPENED);
    return shake_hands(round, error);
}

bool
bench_fault_is_full(rbr_status status, const rbr_error *error)
{
    return status == RBR_ARENA_FULL || (status == RBR_SYSTEM && error->sys_errno == ENOSPC);
}

void
bench_fault_end_with(bench_fault_round *round, rbr_status status, const rbr_error *error)
{
    rbr_error why = *error;

    if (round->channel != NULL && rbr_channel_state(round->channel, NULL) != RBR_OK)
        rbr_channel_state(round->channel, &why);
    bench_fault_end(round, FAULT_WRONG, "status %d: %s", (int)status, why.text);
}

/* ------------------------------------------------------------------------------- the host's calls */

static rbr_status
send_frame(bench_fault_round *round, uint32_t size, rbr_block *block, uint64_t deadline_ns,
           rbr_error *error)
{
    rbr_status status;

    if (block == NULL)
        bench_fault_point_in_send(round, size);
    while ((status = rbr_channel_send(round->channel, round->frame, size, &block, block != NULL,
                                      deadline_ns, error)) == RBR_INTERRUPTED)
        bench_fault_add(round, FAULT_INTERRUPTED, 1);
    /* Who survives must have received all that is counted here. */
    if (status == RBR_OK && round->role == round->kind->victim)
        atomic_store(&round->board->frames, ++round->frames);
    return noted(round, status);
}

static rbr_status
allocate(bench_fault_round *round, rbr_block **out, uint32_t bytes, uint64_t deadline_ns,
         rbr_error *error)
{
    rbr_status status;

    while ((status = rbr_block_allocate(out, round->channel, bytes, deadline_ns, error)) ==
           RBR_INTERRUPTED)
        bench_fault_add(round, FAULT_INTERRUPTED, 1);
    return noted(round, status);
}

rbr_status
bench_fault_send_call(bench_fault_round *round, rbr_pending *pending, uint64_t number,
                      uint64_t deadline_ns, rbr_error *error)
{
    const uint64_t id = rbr_pending_begin(pending, round->channel);
    const uint32_t room = 2 * round->large + BENCH_FRAME_OVERHEAD;
    const shape call = shape_of(round, number);
    rbr_block *block = NULL;
    rbr_status status;
    uint32_t size;

    if (call.in_block) {
        status = allocate(round, &block, call.bytes, deadline_ns, error);
        if (status != RBR_OK)
            return status;
        bench_sequence_fill(rbr_block_data(block), call.bytes, number, round->seed);
        size = bench_build_block_call(round->frame, room, id, block);
    } else {
        bench_sequence_fill(round->payload, call.bytes, number, round->seed);
        size = bench_build_call(round->frame, room, id, round->payload, call.bytes);
    }
    status = send_frame(round, size, block, deadline_ns, error);
    if (block != NULL) {
        bench_fault_point(round, FAULT_AT_HOLDING);
        rbr_block_release(block);
    }
    return status;
}

/* It is what was asked for, or the peer could not have its memory, or it is wrong. */
static void
check_answer(bench_fault_round *round, const rbr_message *message, uint64_t number)
{
    uint32_t size = 0;
    const uint8_t *bytes = bench_result_bytes(message, &size);
    const uint64_t found = bytes != NULL ? bench_sequence_check(bytes, size, round->seed ^ ANSWERS)
                                         : UINT64_MAX;

    if (found == number && size == shape_of(round, number).answer_bytes)
        bench_fault_add(round, FAULT_MESSAGES, 1);
    else if (found == (number | BENCH_FAULT_NO_ROOM) && round->short_of_memory)
        bench_fault_add(round, FAULT_REFUSED, 1);
    else if (round->hostile)
        bench_fault_add(round, FAULT_CHANGED, 1);
    else
        bench_fault_end(round, FAULT_WRONG, "call %llu got another answer than its own",
                        (unsigned long long)number);
}

rbr_status
bench_fault_take_answer(bench_fault_round *round, rbr_pending *pending, uint64_t number)
{
    const uint64_t until = rbr_now_ns() + round->patience_ns;
    rbr_message *message = NULL;
    rbr_status status;

    be_quiet(round);
    while ((status = rbr_pending_wait(pending, &message, RBR_FOREVER, until)) == RBR_INTERRUPTED)
        bench_fault_add(round, FAULT_INTERRUPTED, 1);
    rbr_pending_end(pending);
    if (patient(round, status, "an answer") != RBR_OK)
        return status;
    check_answer(round, message, number);
    bench_fault_point(round, FAULT_AT_RECEIVED);
    rbr_message_free(message);
    return RBR_OK;
}

rbr_status
bench_fault_exchange(bench_fault_round *round)
{
    /* Who waits for room reads meanwhile: then the worker's ring would never be full. */
    const bool one = bench_fault_is_at(round, FAULT_AT_FULL);
    const uint32_t count = one ? 1 : between(&round->random, 1, IN_FLIGHT);
    const bool backwards = bench_random(&round->random) % 2 == 0;
    const uint64_t first = round->next;
    rbr_pending pending[IN_FLIGHT];
    rbr_status status = RBR_OK, got;
    rbr_error error = {.text = ""};
    uint32_t begun, i;

    for (begun = 0; begun < count && status == RBR_OK; begun++) {
        const uint64_t until = rbr_now_ns() + round->patience_ns;

        status = bench_fault_send_call(round, &pending[begun], first + begun, until, &error);
        patient(round, status, "sending a call");
    }
    for (i = 0; i < begun; i++) { /* who waits for the last one reads the others' too */
        const uint32_t which = backwards ? begun - 1 - i : i;

        got = bench_fault_take_answer(round, &pending[which], first + which);
        status = got != RBR_OK ? got : status;
    }
    round->next += begun;
    return status;
}

/* ----------------------------------------------------------------------------- the worker's answers */

rbr_status
bench_fault_receive(bench_fault_round *round, rbr_message **out)
{
    const uint64_t until = rbr_now_ns() + round->patience_ns;
    rbr_status status;

    while ((status = rbr_channel_receive(round->channel, out, RBR_FOREVER, until)) ==
           RBR_INTERRUPTED)
        bench_fault_add(round, FAULT_INTERRUPTED, 1);
    if (status == RBR_OK)
        bench_fault_point(round, FAULT_AT_RECEIVED);
    return patient(round, status, "waiting for a call");
}

/* The number of a call that is what it should be; UINT64_MAX: it is not, and may be that. */
static uint64_t
check_call(bench_fault_round *round, const rbr_message *message, rbr_block *block)
{
    uint32_t size = 0;
    const uint8_t *bytes;
    uint64_t number = UINT64_MAX;
    shape wanted;

    if (block != NULL) {
        bytes = rbr_block_data(block);
        size = (uint32_t)rbr_block_bytes(block);
    } else {
        bytes = bench_call_bytes(message, &size);
    }
    if (bytes != NULL)
        number = bench_sequence_check(bytes, size, round->seed);
    if (number != UINT64_MAX) {
        wanted = shape_of(round, number);
        if (wanted.bytes != size || wanted.in_block != (block != NULL))
            number = UINT64_MAX;
    }
    if (number != UINT64_MAX)
        bench_fault_add(round, FAULT_MESSAGES, 1);
    else if (round->hostile)
        bench_fault_add(round, FAULT_CHANGED, 1);
    else
        bench_fault_end(round, FAULT_WRONG, "a call came that was not sent");
    return number;
}

/* Without memory for it, the answer says so; that is small enough for any ring. */
static rbr_status
send_answer(bench_fault_round *round, uint64_t id, uint64_t number, uint32_t bytes)
{
    const uint32_t room = 2 * round->large + BENCH_FRAME_OVERHEAD;
    const uint64_t until = rbr_now_ns() + round->patience_ns;
    rbr_error error = {.text = ""};
    rbr_status status;
    uint32_t size;

    bench_sequence_fill(round->payload, bytes, number, round->seed ^ ANSWERS);
    size = bench_build_result(round->frame, room, id, round->payload, bytes);
    status = send_frame(round, size, NULL, until, &error);
    if (!round->short_of_memory || !bench_fault_is_full(status, &error))
        return patient(round, status, "sending an answer");
    bench_sequence_fill(round->payload, BENCH_SEQUENCE_BYTES_MIN, number | BENCH_FAULT_NO_ROOM,
                        round->seed ^ ANSWERS);
    size = bench_build_result(round->frame, room, id, round->payload, BENCH_SEQUENCE_BYTES_MIN);
    return patient(round, send_frame(round, size, NULL, until, &error), "sending an answer");
}

rbr_status
bench_fault_answer(bench_fault_round *round, rbr_message *message)
{
    const uint64_t id = rbr_message_id(message);
    rbr_block *block = bench_call_block(message);
    const uint64_t number = check_call(round, message, block);
    const bool early = number % 2 == 0; /* its memory goes back before the answer, or after it */
    rbr_status status = RBR_OK;

    if (block != NULL)
        bench_fault_point(round, FAULT_AT_HOLDING);
    if (early)
        rbr_message_free(message);
    if (number == UINT64_MAX)
        status = send_answer(round, id, number, BENCH_SEQUENCE_BYTES_MIN);
    else
        status = send_answer(round, id, number, shape_of(round, number).answer_bytes);
    if (!early)
        rbr_message_free(message);
    if (block != NULL)
        rbr_block_release(block);
    return status;
}

rbr_status
bench_fault_take_call(bench_fault_round *round, uint64_t *id, uint64_t *number)
{
    rbr_message *message;
    const rbr_status status = bench_fault_receive(round, &message);

    if (status != RBR_OK)
        return status;
    *id = rbr_message_id(message);
    *number = check_call(round, message, NULL);
    rbr_message_free(message);
    return RBR_OK;
}

rbr_status
bench_fault_give_answer(bench_fault_round *round, uint64_t id, uint64_t number)
{
    return send_answer(round, id, number, shape_of(round, number).answer_bytes);
}

rbr_status
bench_fault_serve(bench_fault_round *round)
{
    rbr_message *message;
    rbr_status status;

    for (;;) {
        be_quiet(round);
        status = bench_fault_receive(round, &message);
        if (status != RBR_OK)
            return status;
        status = bench_fault_answer(round, message);
        /* Receiving gives a final status too, and before it what is still there. */
        if (status != RBR_OK && !round->hostile &&
            rbr_channel_state(round->channel, NULL) == RBR_OK)
            bench_fault_end(round, FAULT_WRONG, "status %d of sending an answer", (int)status);
    }
}
