/* SPDX-License-Identifier: MIT */
/*
 * test_scribbler.c - random words over the ring segment's header while frames go both ways (F4).
 *
 * Two bare channels in this process, one thread each, send and receive; a third thread writes where a
 * peer can write: wake words, tails, heads, the records' headers. Whatever it writes, a call gives a
 * verified frame, or nothing until its deadline, or the channel has failed and its error names the
 * field. Then both rings are put right and the traffic goes on.
 *
 * RBR_ROUNDS is the number of writes, RBR_SEED repeats their sequence. Two sides race with the third
 * on purpose, so this is not for ThreadSanitizer. test_hostile.c does it to whole channels.
 */
#include "bare_channel.h"
#include "channel_pair.h"
#include "check.h"
#include "flatbuf_frames.h"
#include "os.h"
#include "soak.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RING = 4096, WRITES = 3000000, FRAME_BYTES = 1000, SENDS = 4, BURST = 4096 };

/* What an error may say: each names what was wrong. */
static const char *const fields[] = {"header is impossible: tail", "header is impossible: head",
                                     "header is impossible: record size", "is malformed: "};
enum { FIELDS = sizeof fields / sizeof fields[0] };

typedef struct side {
    rbr_channel *channel;
    pthread_t thread;
    _Atomic uint64_t received, refused[FIELDS];
    uint64_t timed_out;
} side;

static rbr_segment segment;
static _Atomic bool over;

/* ---------------------------------------------------------------------------------------- traffic */

static void
count_refusal(side *s)
{
    rbr_error error = {.status = RBR_OK};
    int i;

    CHECK(rbr_channel_state(s->channel, &error) == RBR_BROKEN);
    for (i = 0; i < FIELDS && strstr(error.text, fields[i]) == NULL; i++)
        ;
    if (i == FIELDS)
        printf("     unexpected: %s\n", error.text);
    CHECK(i < FIELDS);
    s->refused[i]++;
}

/* As if the channel were new: empty rings on our side, from where the other one stands. */
static void
mend(rbr_channel *channel)
{
    const int us = channel->role, peer = 1 - channel->role;
    struct rbr_ring_shared *out = &segment.shared->ring[us], *in = &segment.shared->ring[peer];
    const uint64_t tail = channel->exchange.producer.tail & ~UINT64_C(7);
    const uint64_t head = atomic_load(&in->tail) & ~UINT64_C(7);

    rbr_producer_init(&channel->exchange.producer, out, segment.data[us], RING, tail);
    rbr_consumer_init(&channel->exchange.consumer, in, segment.data[peer], RING, head);
    atomic_store(&out->tail, tail);
    atomic_store(&out->head, tail);
    atomic_store(&in->head, head);
    channel->exchange.late_bytes = 0;
    atomic_store(&channel->state, RBR_OK);
}

static void
check_message(rbr_message *message)
{
    uint32_t size, positions[REFS];
    const uint8_t *bytes = rbr_message_frame(message, &size);
    rbr_verdict said = {.refs_max = REFS, .ref_at = positions};
    rbr_table frame;

    CHECK(rbr_verify(bytes, size, &frame, &said) == RBR_OK);
    CHECK(rbr_message_id(message) == rbr_get_u64(frame, RBR_FRAME__ID, 0));
    rbr_message_free(message);
}

/* Sends more than it receives: the rings fill up, and heads are looked at. */
static void *
exchange_frames(void *argument)
{
    side *s = argument;
    alignas(8) uint8_t frame[FRAME_BYTES];
    const uint32_t size = pair_build_call(frame, sizeof frame, 1, FUNCTION_ECHO, 1, 200);

    while (!atomic_load(&over)) {
        const uint64_t start = rbr_now_ns();
        rbr_status sent = RBR_OK, received;
        rbr_message *message = NULL;
        int i;

        for (i = 0; i < SENDS && sent == RBR_OK; i++)
            sent = rbr_channel_send(s->channel, frame, size, NULL, 0, start + RBR_MS, NULL);
        received = rbr_channel_receive(s->channel, &message, 0, start + RBR_MS);
        CHECK(rbr_now_ns() - start < 10 * RBR_SECOND);
        if (received == RBR_OK) {
            check_message(message);
            s->received++;
        }
        s->timed_out += received == RBR_TIMED_OUT;
        CHECK(sent == RBR_OK || sent == RBR_TIMED_OUT || sent == RBR_BROKEN);
        CHECK(received == RBR_OK || received == RBR_TIMED_OUT || received == RBR_BROKEN);
        if (rbr_channel_check(s->channel) != RBR_OK) {
            count_refusal(s);
            mend(s->channel);
        }
    }
    return NULL;
}

/* -------------------------------------------------------------------------------------- scribbling */

/* A word that a peer can write: two of three times one of the four positions. */
static uint8_t *
any_word(uint64_t *random)
{
    const uint64_t dice = soak_random(random);
    struct rbr_ring_shared *ring = &segment.shared->ring[dice % 2];

    switch (dice / 2 % 6) {
    case 0:
        return (uint8_t *)&segment.shared->wake[dice % 2] + dice / 16 % 5 * 8;
    case 1:
        return segment.data[dice % 2] + dice / 16 % (RING / 8) * 8;
    case 2:
    case 3:
        return (uint8_t *)&ring->tail;
    default:
        return (uint8_t *)&ring->head;
    }
}

/* Anything, nothing, all ones, or what stands there with a little change: the last is believed most
 * often. */
static uint64_t
any_value(uint64_t *random, uint64_t old)
{
    switch (soak_random(random) % 8) {
    case 0:
        return soak_random(random);
    case 1:
        return 0;
    case 2:
        return UINT64_MAX;
    case 3:
        return old ^ (UINT64_C(1) << soak_random(random) % 64);
    case 4:
        return old + 8 * (soak_random(random) % 64);
    default:
        return old - 8 * (soak_random(random) % 64);
    }
}

/* A burst, and a rest that lets some frames through. */
static void
scribble(uint64_t *random)
{
    uint64_t turns;
    int i;

    for (i = 0; i < BURST; i++) {
        _Atomic uint64_t *word = (_Atomic uint64_t *)(void *)any_word(random);
        const uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

        atomic_store_explicit(word, any_value(random, old), memory_order_relaxed);
    }
    for (turns = soak_random(random) % 65536; turns > 0; turns--)
        rbr_os_relax();
}

/* Every field was refused once, and some frames got through. */
static bool
all_named(const side *a, const side *b)
{
    bool all = atomic_load(&a->received) + atomic_load(&b->received) > 0;
    int i;

    for (i = 0; i < FIELDS; i++)
        all &= atomic_load(&a->refused[i]) + atomic_load(&b->refused[i]) > 0;
    return all;
}

static void
report(const char *who, const side *s)
{
    printf("     %s: received %llu, timed out %llu, refused by tail %llu, head %llu, record size "
           "%llu, frame %llu\n",
           who, (unsigned long long)s->received, (unsigned long long)s->timed_out,
           (unsigned long long)s->refused[0], (unsigned long long)s->refused[1],
           (unsigned long long)s->refused[2], (unsigned long long)s->refused[3]);
}

TEST_SECONDS(random_words_over_the_header_give_an_error_that_names_the_field, 300)
{
    static side host, worker;
    uint64_t random = (soak_seed() + 1) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t writes = soak_rounds(WRITES), written = 0;
    int fd;

    CHECK(rbr_segment_create(&segment, &fd, RING, 1, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    close(fd);
    host.channel = bare_channel_new(RBR_ROLE_HOST, &segment, RBR_MIB);
    worker.channel = bare_channel_new(RBR_ROLE_WORKER, &segment, RBR_MIB);
    CHECK(pthread_create(&host.thread, NULL, exchange_frames, &host) == 0);
    CHECK(pthread_create(&worker.thread, NULL, exchange_frames, &worker) == 0);
    for (; written < writes || !all_named(&host, &worker); written += BURST)
        scribble(&random);
    atomic_store(&over, true);
    pthread_join(host.thread, NULL);
    pthread_join(worker.thread, NULL);
    report("host", &host);
    report("worker", &worker);
    bare_channel_free(host.channel);
    bare_channel_free(worker.channel);
    rbr_segment_detach(&segment);
    soak_count("hostile header writes", written);
}

/* ----------------------------------------------------------------------------------- each by itself */

static bool
says(rbr_channel *channel, const char *what)
{
    rbr_error error = {.status = RBR_OK};

    return rbr_channel_state(channel, &error) == RBR_BROKEN && strstr(error.text, what) != NULL;
}

TEST(each_field_of_the_ring_header_is_named)
{
    struct rbr_ring_shared *in, *out;
    alignas(8) uint8_t frame[FRAME_BYTES];
    const uint32_t size = pair_build_call(frame, sizeof frame, 1, FUNCTION_ECHO, 1, 200);
    const uint64_t huge = UINT32_MAX;
    rbr_channel *channel;
    rbr_message *message;
    rbr_status status;
    int fd;

    CHECK(rbr_segment_create(&segment, &fd, RING, 1, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    close(fd);
    channel = bare_channel_new(RBR_ROLE_HOST, &segment, RBR_MIB);
    in = &segment.shared->ring[RBR_ROLE_WORKER];
    out = &segment.shared->ring[RBR_ROLE_HOST];

    atomic_store(&in->tail, RING + 8);
    CHECK(rbr_channel_receive(channel, &message, 0, 0) == RBR_BROKEN);
    CHECK(says(channel, fields[0]));
    mend(channel);

    do
        status = rbr_channel_send(channel, frame, size, NULL, 0, 0, NULL);
    while (status == RBR_OK);
    CHECK(status == RBR_AGAIN);
    atomic_store(&out->head, atomic_load(&out->tail) + 8);
    CHECK(rbr_channel_send(channel, frame, size, NULL, 0, 0, NULL) == RBR_BROKEN);
    CHECK(says(channel, fields[1]));
    mend(channel);

    memcpy(segment.data[RBR_ROLE_WORKER] + (atomic_load(&in->tail) & (RING - 1)), &huge, 8);
    atomic_fetch_add(&in->tail, 64);
    CHECK(rbr_channel_receive(channel, &message, 0, 0) == RBR_BROKEN);
    CHECK(says(channel, fields[2]));

    bare_channel_free(channel);
    rbr_segment_detach(&segment);
}
