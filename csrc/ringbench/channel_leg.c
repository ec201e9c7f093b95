/* SPDX-License-Identifier: MIT */
/*
 * channel_leg.c - calls over a real channel: a Call frame with one argument of bytes goes to the
 * worker, a Result frame with the same bytes comes back. Building, verifying, copying and both
 * watcher threads included; no Python.
 */
#include "call_legs.h"
#include "messages.h"
#include "process.h"
#include "trace.h"

#include "base.h"
#include "os.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANDSHAKE_NS (10 * RBR_SECOND)
#define SPIN_NS ((int64_t)RBR_SECOND) /* longer than any answer takes */

static void
shake_hands(bench_echo *echo, const char *who)
{
    rbr_error error;

    if (rbr_channel_handshake(echo->channel, rbr_now_ns() + HANDSHAKE_NS, &error) != RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "handshake of the %s: %s", who, error.text);
}

static void
join(void *context)
{
    bench_echo *echo = context;
    rbr_error error;

    close(echo->sockets[0]);
    if (rbr_channel_open_worker(&echo->channel, echo->sockets[1], "none", "none", "ringbench",
                                &error) != RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "worker: %s", error.text);
    shake_hands(echo, "worker");
}

static void
leave(void *context)
{
    bench_echo *echo = context;

    rbr_channel_release(echo->channel);
}

void
bench_echo_prepare(bench_echo *echo, bench_duo_hooks *hooks, const bench_options *options,
                   uint32_t bytes)
{
    *echo = (bench_echo){.wait = options->wait,
                         .bytes = bytes,
                         .window = options->window,
                         .frame_room = bytes + BENCH_FRAME_OVERHEAD};
    *hooks = (bench_duo_hooks){join, leave, echo};
    echo->argument = calloc(1, bytes);
    echo->frame = malloc(echo->frame_room); /* malloc aligns to 16 */
    echo->pending = calloc(options->window, sizeof *echo->pending);
    if (echo->argument == NULL || echo->frame == NULL || echo->pending == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %u bytes of memory", bytes);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, echo->sockets) != 0)
        bench_die(BENCH_EXIT_MACHINE, "no socket pair");
    rbr_wake_calibrate(); /* remembered; a process that is pinned already would never spin */
}

void
bench_echo_connect(bench_echo *echo, const bench_options *options, int child)
{
    static const int64_t spin_ns[] = {[BENCH_WAIT_SPIN] = SPIN_NS,
                                      [BENCH_WAIT_YIELD] = SPIN_NS,
                                      [BENCH_WAIT_BLOCK] = 0,
                                      [BENCH_WAIT_ADAPTIVE] = -1};
    const rbr_channel_options wanted = {.name = "ringbench",
                                        .ring_bytes = options->ring_bytes,
                                        .arena_limit = options->arena_bytes,
                                        .spin_ns = spin_ns[options->wait]};
    rbr_error error;

    close(echo->sockets[1]);
    if (rbr_channel_open_host(&echo->channel, echo->sockets[0], child, -1, -1, &wanted, &error) !=
        RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "host: %s", error.text);
    shake_hands(echo, "host");
}

void
bench_echo_close(bench_echo *echo)
{
    rbr_channel_release(echo->channel);
    free(echo->argument);
    free(echo->frame);
    free(echo->pending);
}

/* ----------------------------------------------------------------------------------- both sides */

static void
need(rbr_status status, bench_echo *echo, const char *what)
{
    rbr_error error = {.text = ""};

    if (status == RBR_OK)
        return;
    rbr_channel_state(echo->channel, &error);
    bench_die(BENCH_EXIT_WRONG, "%s: status %d %s", what, (int)status, error.text);
}

/* Who yields looks without waiting, and lets others run in between. */
void
bench_echo_wait(bench_echo *echo, rbr_pending *pending, rbr_message **out)
{
    rbr_status status;

    if (echo->wait != BENCH_WAIT_YIELD) {
        need(rbr_pending_wait(pending, out, RBR_FOREVER, RBR_FOREVER), echo, "wait");
        return;
    }
    while ((status = rbr_pending_wait(pending, out, 0, 0)) == RBR_AGAIN)
        rbr_os_yield();
    need(status, echo, "wait");
}

void
bench_echo_receive(bench_echo *echo, rbr_message **out)
{
    rbr_status status;

    if (echo->wait != BENCH_WAIT_YIELD) {
        need(rbr_channel_receive(echo->channel, out, RBR_FOREVER, RBR_FOREVER), echo, "receive");
        return;
    }
    while ((status = rbr_channel_receive(echo->channel, out, 0, 0)) == RBR_AGAIN)
        rbr_os_yield();
    need(status, echo, "receive");
}

static void
send_call(bench_echo *echo, rbr_pending *pending, uint64_t sequence)
{
    const uint64_t id = rbr_pending_begin(pending, echo->channel);
    uint32_t size;

    bench_trace(BENCH_EVENT_SEND, sequence);
    memcpy(echo->argument, &sequence, sizeof sequence);
    size = bench_build_call(echo->frame, echo->frame_room, id, echo->argument, echo->bytes);
    need(rbr_channel_send(echo->channel, echo->frame, size, NULL, 0, RBR_FOREVER, NULL), echo,
         "send");
    bench_trace(BENCH_EVENT_SENT, sequence);
}

static void
take_answer(bench_echo *echo, rbr_pending *pending, uint64_t sequence)
{
    rbr_message *message;
    const uint8_t *bytes;
    uint32_t size = 0;

    bench_echo_wait(echo, pending, &message);
    bench_trace(BENCH_EVENT_GOT, sequence);
    memcpy(echo->argument, &sequence, sizeof sequence);
    bytes = bench_result_bytes(message, &size);
    if (bytes == NULL || size != echo->bytes || memcmp(bytes, echo->argument, size) != 0)
        bench_die(BENCH_EXIT_WRONG, "call %llu came back with another argument",
                  (unsigned long long)sequence);
    rbr_message_free(message);
    rbr_pending_end(pending);
}

static void
echo_trip(void *context)
{
    bench_echo *echo = context;
    uint32_t i;

    for (i = 0; i < echo->window; i++)
        send_call(echo, &echo->pending[i], echo->sequence + i);
    for (i = 0; i < echo->window; i++)
        take_answer(echo, &echo->pending[i], echo->sequence + i);
    echo->sequence += echo->window;
}

static void
answer_one(bench_echo *echo)
{
    rbr_message *message;
    const uint8_t *bytes;
    uint32_t size = 0;

    bench_echo_receive(echo, &message);
    bench_trace(BENCH_EVENT_GOT, rbr_message_id(message));
    bytes = bench_call_bytes(message, &size);
    if (bytes == NULL)
        bench_die(BENCH_EXIT_WRONG, "a frame that is no call of ours");
    size = bench_build_result(echo->frame, echo->frame_room, rbr_message_id(message), bytes, size);
    need(rbr_channel_send(echo->channel, echo->frame, size, NULL, 0, RBR_FOREVER, NULL), echo,
         "send");
    bench_trace(BENCH_EVENT_SENT, rbr_message_id(message));
    rbr_message_free(message);
}

static void
echo_answer(void *context)
{
    bench_echo *echo = context;
    uint32_t i;

    for (i = 0; i < echo->window; i++)
        answer_one(echo);
}

void
bench_echo_count(const bench_echo *echo, bench_counts *out)
{
    rbr_stats stats;

    rbr_channel_stats(echo->channel, &stats);
    out->wakes += stats.wakes_sent;
    out->sleeps += stats.sleeps;
    out->late_looks += stats.late_looks;
}

static void
echo_count(const void *context, bench_counts *out)
{
    bench_echo_count(context, out);
}

void
bench_echo_leg(bench_leg *leg, bench_echo *echo)
{
    *leg = (bench_leg){.name = "channel",
                       .kind = "round trip",
                       .trip = echo_trip,
                       .answer = echo_answer,
                       .count = echo_count,
                       .context = echo};
}
