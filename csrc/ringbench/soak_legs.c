/* SPDX-License-Identifier: MIT */
/*
 * soak_legs.c - traffic of random sizes whose every byte is checked.
 *
 * What a trip does is drawn from a generator that both sides have, so both know how many messages go
 * which way; what is in them (number, random bytes, checksum) follows from the number alone.
 *
 * Each side tells the other how many it has sent. Who finds nothing to read, and then that all have
 * been sent, and then still nothing, goes on without the rest: it is lost.
 */
#include "soak_legs.h"

#include "messages.h"
#include "process.h"

#include "base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS (50 * RBR_MS)
enum { LONG_BURST = 2000, SHORT_BURST = 8, IN_FLIGHT = 8, ONE_IN_BLOCK = 4, BLOCK_TIMES = 16 };

static void
soak_open(bench_traffic *soak, const bench_options *options, uint64_t seed)
{
    *soak = (bench_traffic){.options = options, .random = seed, .seed = ~seed};
    soak->sides = bench_shared_new(BENCH_SIDES * sizeof *soak->sides);
    soak->room = malloc(options->sizes[1] * BLOCK_TIMES + BENCH_FRAME_OVERHEAD);
    if (soak->room == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no memory");
    bench_sequence_begin(&soak->sides[BENCH_HERE].messages, 0);
    bench_sequence_begin(&soak->sides[BENCH_THERE].messages, 0);
}

static void
soak_close(bench_traffic *soak)
{
    bench_shared_free(soak->sides, BENCH_SIDES * sizeof *soak->sides);
    free(soak->room);
}

static uint32_t
draw(bench_traffic *soak, uint64_t least, uint64_t most)
{
    return (uint32_t)(least + bench_random(&soak->random) % (most - least + 1));
}

/* Of message `number`: both sides can tell. Small ones are as frequent as large ones. */
static uint32_t
size_of(const bench_traffic *soak, uint64_t number)
{
    uint64_t state = soak->seed + number;
    const uint64_t least = soak->options->sizes[0], most = soak->options->sizes[1];
    const uint64_t top = least + (most - least) / (UINT64_C(1) << bench_random(&state) % 8);

    return (uint32_t)(least + bench_random(&state) % (top - least + 1));
}

static void
say_sent(bench_traffic *soak, int side, uint64_t sent)
{
    atomic_store_explicit(&soak->sides[side].sent, sent, memory_order_release);
}

static bool
has_sent(const bench_traffic *soak, int side, uint64_t number)
{
    return atomic_load_explicit(&soak->sides[side].sent, memory_order_acquire) >= number;
}

static void
take(bench_traffic *soak, int side, const void *bytes, uint32_t size)
{
    bench_soak_side *own = &soak->sides[side];
    const uint64_t number = bench_sequence_check(bytes, size, soak->seed);

    own->bytes += size;
    if (number == UINT64_MAX)
        bench_sequence_corrupt(&own->messages);
    else
        bench_sequence_take(&own->messages, number);
}

/* ---------------------------------------------------------------------------------------- rings */

static void
send_records(bench_traffic *soak, int side, uint32_t count)
{
    bench_end *end = &soak->rings.ends[side];
    uint32_t i;

    for (i = 0; i < count; i++) {
        const uint32_t size = size_of(soak, soak->drawn[side]);

        bench_sequence_fill(bench_end_claim(end, size), size, soak->drawn[side]++, soak->seed);
        if (size % 4 != 0) /* several records may share a commit */
            bench_end_commit(end);
    }
    bench_end_commit(end);
    say_sent(soak, side, soak->drawn[side]);
}

static void
take_records(bench_traffic *soak, int side, uint32_t count)
{
    bench_end *end = &soak->rings.ends[side];
    const uint64_t until = soak->drawn[1 - side] += count;
    bench_sequence *messages = &soak->sides[side].messages;

    while (messages->next < until) {
        uint32_t size;
        const void *record = bench_end_next_of(end, &size, &soak->sides[1 - side].sent, until);

        if (record == NULL) {
            bench_sequence_end(messages, until);
            break;
        }
        take(soak, side, record, size);
        if (messages->received % 3 == 0)
            bench_end_release(end);
    }
    bench_end_release(end);
}

static void
exchange_records(bench_traffic *soak, int side)
{
    const uint32_t kind = draw(soak, 0, 7), first = draw(soak, 0, 1);
    const uint32_t count = draw(soak, 1, kind == 0 ? LONG_BURST : SHORT_BURST);
    int turn;

    for (turn = 0; turn < (kind == 0 ? 1 : 2); turn++) {
        if ((int)first == (side + turn) % 2)
            send_records(soak, side, count);
        else
            take_records(soak, side, count);
    }
}

static void
rings_trip(void *context)
{
    exchange_records(context, BENCH_HERE);
}

static void
rings_answer(void *context)
{
    exchange_records(context, BENCH_THERE);
}

static void
rings_count(const void *context, bench_counts *out)
{
    const bench_traffic *soak = context;

    bench_end_count(&soak->rings.ends[BENCH_HERE], out);
    bench_end_count(&soak->rings.ends[BENCH_THERE], out);
}

void
bench_soak_rings_open(bench_traffic *soak, bench_leg *leg, const bench_options *options)
{
    soak_open(soak, options, options->seed);
    bench_rings_open(&soak->rings, options->ring_bytes, options->wait, 0);
    *leg = (bench_leg){.name = "records in rings",
                       .kind = "soak",
                       .trip = rings_trip,
                       .answer = rings_answer,
                       .count = rings_count,
                       .context = soak};
}

void
bench_soak_rings_close(bench_traffic *soak)
{
    bench_rings_close(&soak->rings);
    soak_close(soak);
}

/* ---------------------------------------------------------------------------------------- calls */

static void
need(bench_traffic *soak, rbr_status status, const char *what)
{
    rbr_error error = {.text = ""};

    if (status == RBR_OK)
        return;
    rbr_channel_state(soak->echo.channel, &error);
    bench_die(BENCH_EXIT_WRONG, "%s: status %d %s", what, (int)status, error.text);
}

/* The argument lies in the frame, or in a block of several times its size. */
static void
send_call(bench_traffic *soak, rbr_pending *pending)
{
    rbr_channel *channel = soak->echo.channel;
    const uint64_t number = soak->drawn[BENCH_HERE]++, id = rbr_pending_begin(pending, channel);
    const uint32_t size = size_of(soak, number);
    rbr_block *block = NULL;
    uint32_t frame;

    if (number % ONE_IN_BLOCK == 0) {
        rbr_error error = {.text = ""}; /* empty, too, when it is the channel that has failed */
        const rbr_status status = rbr_block_allocate(&block, channel, (uint64_t)size * BLOCK_TIMES,
                                                     RBR_FOREVER, &error);

        need(soak, status, error.text[0] != '\0' ? error.text : "no block");
        bench_sequence_fill(rbr_block_data(block), size * BLOCK_TIMES, number, soak->seed);
        frame = bench_build_block_call(soak->echo.frame, soak->echo.frame_room, id, block);
    } else {
        bench_sequence_fill(soak->room, size, number, soak->seed);
        frame = bench_build_call(soak->echo.frame, soak->echo.frame_room, id, soak->room, size);
    }
    need(soak,
         rbr_channel_send(channel, soak->echo.frame, frame, &block, block != NULL, RBR_FOREVER,
                          NULL),
         "send");
    if (block != NULL)
        rbr_block_release(block);
    say_sent(soak, BENCH_HERE, number + 1);
}

static void
take_answer(bench_traffic *soak, rbr_pending *pending, uint64_t number, uint64_t until)
{
    rbr_message *message = NULL;
    bool all_sent = false;
    rbr_status status;
    const uint8_t *bytes;
    uint32_t size = 0;

    while ((status = rbr_pending_wait(pending, &message, RBR_FOREVER, rbr_now_ns() + LOOK_NS)) ==
               RBR_TIMED_OUT &&
           !all_sent)
        all_sent = has_sent(soak, BENCH_THERE, until);
    rbr_pending_end(pending);
    if (status == RBR_TIMED_OUT) {
        bench_sequence_end(&soak->sides[BENCH_HERE].messages, number + 1);
        return;
    }
    need(soak, status, "wait");
    bytes = bench_result_bytes(message, &size);
    take(soak, BENCH_HERE, bytes, bytes != NULL ? size : 0);
    rbr_message_free(message);
}

static void
calls_trip(void *context)
{
    bench_traffic *soak = context;
    const uint32_t count = draw(soak, 1, IN_FLIGHT);
    const uint64_t first = soak->drawn[BENCH_HERE];
    rbr_pending pending[IN_FLIGHT];
    uint32_t i;

    for (i = 0; i < count; i++)
        send_call(soak, &pending[i]);
    for (i = 0; i < count; i++)
        take_answer(soak, &pending[i], first + i, first + count);
}

static void
take_call(bench_traffic *soak, const rbr_message *message)
{
    rbr_block *block = bench_call_block(message);
    const uint8_t *bytes;
    uint32_t size = 0;

    if (block != NULL) {
        take(soak, BENCH_THERE, rbr_block_data(block), (uint32_t)rbr_block_bytes(block));
        rbr_block_release(block);
        return;
    }
    bytes = bench_call_bytes(message, &size);
    take(soak, BENCH_THERE, bytes, bytes != NULL ? size : 0);
}

static void
answer_call(bench_traffic *soak, rbr_message *message, uint64_t number)
{
    const uint32_t size = size_of(soak, number);
    uint32_t frame;

    bench_sequence_fill(soak->room, size, number, soak->seed);
    frame = bench_build_result(soak->echo.frame, soak->echo.frame_room, rbr_message_id(message),
                               soak->room, size);
    rbr_message_free(message);
    need(soak,
         rbr_channel_send(soak->echo.channel, soak->echo.frame, frame, NULL, 0, RBR_FOREVER, NULL),
         "answer");
}

/* An answer has the number that was due, not the one that came: what is lost shows on both sides. */
static void
calls_answer(void *context)
{
    bench_traffic *soak = context;
    const uint64_t until = soak->drawn[BENCH_HERE] += draw(soak, 1, IN_FLIGHT);
    bench_sequence *messages = &soak->sides[BENCH_THERE].messages;
    bool all_sent = false;

    while (messages->next < until) {
        const uint64_t number = messages->next;
        rbr_message *message;
        const rbr_status status = rbr_channel_receive(soak->echo.channel, &message, RBR_FOREVER,
                                                      rbr_now_ns() + LOOK_NS);

        if (status == RBR_TIMED_OUT && all_sent) {
            bench_sequence_end(messages, until);
        } else if (status == RBR_TIMED_OUT) {
            all_sent = has_sent(soak, BENCH_HERE, until);
        } else {
            need(soak, status, "receive");
            take_call(soak, message);
            answer_call(soak, message, number);
        }
    }
    say_sent(soak, BENCH_THERE, until);
}

static void
calls_count(const void *context, bench_counts *out)
{
    const bench_traffic *soak = context;

    bench_echo_count(&soak->echo, out);
}

void
bench_soak_calls_open(bench_traffic *soak, bench_leg *leg, bench_duo_hooks *hooks,
                      const bench_options *options)
{
    soak_open(soak, options, options->seed ^ UINT64_C(0x5bd1e995));
    bench_echo_prepare(&soak->echo, hooks, options, (uint32_t)options->sizes[1]);
    *leg = (bench_leg){.name = "calls over a channel",
                       .kind = "soak",
                       .trip = calls_trip,
                       .answer = calls_answer,
                       .count = calls_count,
                       .context = soak};
}

void
bench_soak_calls_close(bench_traffic *soak)
{
    bench_echo_close(&soak->echo);
    soak_close(soak);
}

/* ------------------------------------------------------------------------------------ watching */

void
bench_soak_look(bench_soak_side *side)
{
    unsigned long total, resident, shared;
    FILE *file = fopen("/proc/self/statm", "re");
    DIR *folder = opendir("/proc/self/fd");
    uint64_t fds = 0;

    if (file != NULL) {
        if (fscanf(file, "%lu %lu %lu", &total, &resident, &shared) == 3)
            side->rss_bytes = (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
        fclose(file);
    }
    while (folder != NULL && readdir(folder) != NULL)
        fds++;
    if (folder != NULL)
        closedir(folder);
    side->fds = fds;
}
