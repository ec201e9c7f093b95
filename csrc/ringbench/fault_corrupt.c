/* SPDX-License-Identifier: MIT */
/*
 * fault_corrupt.c - a thread of the worker writes where a peer can write, while both sides talk.
 *
 *   bad-header   the segment's header: positions, wake words, sizes
 *   bad-length   the sizes of records that are on their way
 *   bad-frame    the bytes of frames that are on their way
 *
 * Host and worker both run over what it writes. Whatever that is, each call ends by its deadline, with
 * a verified frame or an error, and neither side crashes. What a frame says when its bytes were changed
 * and it is still well formed, the peer may as well have meant: our own checksum notices it.
 */
#include "fault_traffic.h"

#include "sequence.h"

#include "base.h"
#include "os.h"

#include <pthread.h>
#include <sched.h>

#define HOST_PATIENCE_NS (40 * RBR_MS)
#define WORKER_PATIENCE_NS (5 * RBR_MS)
#define TRAFFIC_NS (30 * RBR_MS)
enum { BURST_MAX = 16, REST_MAX = 1 << 17, ONE_IN = 4 };

enum what { HEADER, LENGTH, FRAME };

typedef struct hostile {
    bench_fault_round *round;
    rbr_segment segment;
    uint64_t random, writes;
    uint64_t tails[2]; /* when we last looked */
    pthread_t thread;
    _Atomic bool stop;
} hostile;

/* --------------------------------------------------------------------------------------- writing */

/* Anything, nothing, all ones, or what stands there with a little change: that is believed most
 * often. */
static uint64_t
any_value(uint64_t *random, uint64_t old)
{
    switch (bench_random(random) % 8) {
    case 0:
        return bench_random(random);
    case 1:
        return 0;
    case 2:
        return UINT64_MAX;
    case 3:
        return old ^ UINT64_C(1) << bench_random(random) % 64;
    case 4:
        return old + 8 * (bench_random(random) % 64);
    default:
        return old - 8 * (bench_random(random) % 64);
    }
}

static void
change_word(hostile *own, void *at)
{
    _Atomic uint64_t *word = at;
    const uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

    atomic_store_explicit(word, any_value(&own->random, old), memory_order_relaxed);
    own->writes++;
}

/* Two of three times a position. */
static void
change_header(hostile *own)
{
    struct rbr_segment_shared *shared = own->segment.shared;
    const uint64_t dice = bench_random(&own->random);
    struct rbr_ring_shared *ring = &shared->ring[dice % 2];

    if (dice / 2 % 3 == 0)
        change_word(own, (uint8_t *)shared + dice / 8 % (sizeof *shared / 8) * 8);
    else
        change_word(own, dice / 2 % 3 == 1 ? &ring->tail : &ring->head);
}

static void
change_length(hostile *own, uint8_t *record)
{
    _Atomic uint32_t *bytes = (_Atomic uint32_t *)(void *)record;
    const uint32_t old = atomic_load_explicit(bytes, memory_order_relaxed);
    const uint32_t ring = own->segment.ring_bytes;
    const uint32_t edges[] = {0,        old - 8, old + 8,    ring / 4 - 8,
                              ring / 4, ring,    UINT32_MAX, (uint32_t)bench_random(&own->random)};

    atomic_store_explicit(bytes,
                          edges[bench_random(&own->random) % (sizeof edges / sizeof edges[0])],
                          memory_order_relaxed);
    own->writes++;
}

static void
change_frame(hostile *own, uint8_t *record, uint64_t bytes)
{
    const uint64_t at = bench_random(&own->random) % bytes;

    if (bench_random(&own->random) % 2 == 0)
        change_word(own, record + at / 8 * 8);
    else
        atomic_fetch_xor((_Atomic uint8_t *)(record + at),
                         (uint8_t)(1u << bench_random(&own->random) % 8));
    own->writes++;
}

/* Records that were committed since the last look: one in ONE_IN is changed. */
static void
change_new_record(hostile *own, int ring)
{
    const uint64_t from = own->tails[ring];
    const uint64_t tail = atomic_load_explicit(&own->segment.shared->ring[ring].tail,
                                               memory_order_acquire);
    uint8_t *record = own->segment.data[ring] + (from & (own->segment.ring_bytes - 1));

    own->tails[ring] = tail;
    if (tail == from || tail - from > own->segment.ring_bytes || from % 8 != 0 ||
        bench_random(&own->random) % ONE_IN != 0)
        return;
    if (own->round->kind->variant == LENGTH)
        change_length(own, record);
    else if (tail - from > 8)
        change_frame(own, record + 8, tail - from - 8);
}

/* On either CPU: one that is pinned beside the worker would only run when that does not. */
static void
roam(const bench_options *options)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(options->cpus[0], &set);
    CPU_SET(options->cpus[1], &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void *
write_anything(void *argument)
{
    hostile *own = argument;
    uint64_t i, turns;

    roam(own->round->options);
    while (!atomic_load_explicit(&own->stop, memory_order_relaxed)) {
        const uint64_t burst = 1 + bench_random(&own->random) % BURST_MAX;

        for (i = 0; i < burst; i++) {
            if (own->round->kind->variant == HEADER)
                change_header(own);
            else
                change_new_record(own, (int)(i % 2));
        }
        if (own->round->kind->variant == HEADER) /* lets some frames through */
            for (turns = bench_random(&own->random) % REST_MAX; turns > 0; turns--)
                rbr_os_relax();
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------- both sides */

static void
corrupt_worker(bench_fault_round *round)
{
    hostile own = {.round = round, .random = bench_random(&round->random)};
    rbr_error error = {.text = ""};
    rbr_status status;

    round->hostile = true;
    status = bench_fault_join_worker(round, &error);
    if (status != RBR_OK)
        bench_fault_end_with(round, status, &error);
    round->patience_ns = WORKER_PATIENCE_NS;
    if (!bench_fault_find_segment(&own.segment, round->options->ring_bytes) ||
        pthread_create(&own.thread, NULL, write_anything, &own) != 0)
        bench_fault_end(round, FAULT_WRONG, "no thread, or no ring to write to");
    while (!atomic_load(&round->board->over) && (status == RBR_OK || status == RBR_TIMED_OUT))
        status = bench_fault_serve(round);
    atomic_store(&own.stop, true);
    pthread_join(own.thread, NULL);
    bench_fault_add(round, FAULT_WRITES, own.writes);
    rbr_channel_release(round->channel);
}

/* What became of the round's traffic. */
static void
count_outcome(bench_fault_round *round, rbr_status status, bool timed_out)
{
    if (status == RBR_BROKEN)
        bench_fault_add(round, FAULT_REFUSED, 1);
    else if (status == RBR_DEAD)
        bench_fault_add(round, FAULT_ENDED, 1);
    else if (timed_out)
        bench_fault_add(round, FAULT_TIMED_OUT, 1);
    else if (status == RBR_OK)
        bench_fault_add(round, FAULT_INTACT, 1);
    else
        bench_fault_end(round, FAULT_WRONG, "status %d is not one of a broken peer", (int)status);
}

static void
corrupt_host(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_exit how = {.known = false};
    bool timed_out = false;
    rbr_status status;
    uint64_t start;

    if (round->kind->variant != HEADER)
        round->spin_ns = 0; /* who sleeps reads later: that leaves the time to change a record */
    status = bench_fault_join_host(round, &error);
    if (status != RBR_OK)
        bench_fault_end_with(round, status, &error);
    round->hostile = true;
    round->patience_ns = HOST_PATIENCE_NS;
    start = rbr_now_ns();
    while (status == RBR_OK && rbr_now_ns() < start + TRAFFIC_NS) {
        status = bench_fault_exchange(round);
        timed_out = timed_out || status == RBR_TIMED_OUT;
    }
    if (rbr_now_ns() > start + BENCH_FAULT_HANG_NS)
        bench_fault_end(round, FAULT_HANGS, "calls of 40 ms took longer than 10 s");
    count_outcome(round, status == RBR_TIMED_OUT ? RBR_OK : status, timed_out);
    atomic_store(&round->board->over, true);
    if (rbr_channel_wait_end(round->channel, &how, rbr_now_ns() + BENCH_FAULT_HANG_NS) != RBR_OK)
        bench_fault_end(round, FAULT_HANGS, "the worker does not come to its end");
    if (!how.known || how.signalled || how.code != 0)
        bench_fault_end(round, FAULT_WRONG, "the worker ended with %s %d",
                        how.signalled ? "signal" : "code", how.code);
    rbr_channel_release(round->channel);
}

size_t
bench_fault_corrupt_kinds(bench_fault_kind *out)
{
    static const struct {
        const char *name, *what;
    } kinds[] = {
        [HEADER] = {"bad-header", "random words over positions, wake words and sizes amid calls: "
                                  "verified frames or errors, every deadline kept, no crash"},
        [LENGTH] = {"bad-length", "the sizes of records on their way are changed: the same"},
        [FRAME] = {"bad-frame", "the bytes of frames on their way are changed: the same"},
    };
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        out[i] = (bench_fault_kind){.what = kinds[i].what,
                                    .rounds = 100,
                                    .shown = 1u << FAULT_WRITES | 1u << FAULT_INTACT |
                                             1u << FAULT_REFUSED | 1u << FAULT_CHANGED |
                                             1u << FAULT_TIMED_OUT | 1u << FAULT_ENDED,
                                    .victim = -1,
                                    .variant = (int)i,
                                    .host = corrupt_host,
                                    .worker = corrupt_worker};
        out[i].name = kinds[i].name;
    }
    return i;
}
