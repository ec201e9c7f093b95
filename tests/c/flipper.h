/* SPDX-License-Identifier: MIT */
/*
 * flipper.h - a second thread that toggles words of shared memory while the first one reads them.
 */
#ifndef RBR_TESTS_FLIPPER_H
#define RBR_TESTS_FLIPPER_H

#include "bare_channel.h"
#include "flatbuf_frames.h"

#include <pthread.h>

enum { RING = 65536, FRAME_MAX = 2048, WORDS = FRAME_MAX / 8, VALUES = 3 };
enum { BLOCK_SEGMENT = 1, BLOCK_BYTES = 4096, SEGMENT_BYTES = 4 * BLOCK_BYTES };

typedef struct toggled {
    _Atomic uint64_t *at;
    uint64_t values[VALUES];
} toggled;

typedef struct flipper {
    toggled words[WORDS];
    size_t count;
    int values; /* how many of each word's */
    _Atomic bool stop;
    pthread_t thread;
} flipper;

typedef struct fixture {
    rbr_segment segment;
    rbr_channel *reader, *peer;
    struct rbr_ring_shared *ring; /* that the peer writes */
    uint8_t *record;              /* its first */
    uint8_t *block;               /* the first of two in the peer's arena: generations 5 and 6 */
    flipper flips;
    uint64_t wanted, rounds, refused;
    uint64_t met[VALUES]; /* how often which value was seen */
} fixture;

/* A frame in a buffer of its own, which is as long as all others and ends in zeroes. */
typedef struct frame {
    alignas(8) uint8_t bytes[FRAME_MAX];
    uint32_t size;
} frame;

void flipper_setup(fixture *f, uint64_t rounds);
void flipper_teardown(fixture *f);

/* A word that takes these values in turn, the first flips.values of them. */
void flipper_add(flipper *f, void *at, uint64_t a, uint64_t b, uint64_t c);
/* All words in which `a` and `b` differ. */
void flipper_add_bytes(flipper *f, uint8_t *at, const uint8_t *a, const uint8_t *b, size_t bytes);
/* Whether to go round again; the first time it starts the thread. The rounds are over when there were
 * enough and each of the first `values` values was met. */
bool flipper_more(fixture *f, int values);

void flipper_frame(frame *out, build_fn *fill);
/* As the only record, of `size` bytes. */
void flipper_publish(fixture *f, const frame *shown, uint32_t size);
/* Takes the record from the ring, each time anew. */
rbr_status flipper_take(fixture *f, const void **record, uint32_t *size);
/* The same, and reads its message. */
rbr_status flipper_receive(fixture *f, rbr_message **message);
/* A message whose frame stood in memory that was `a` or `b`, word by word: it is verified, and what
 * it says of itself stands in its own copy. Counts whole ones. */
void flipper_check_copy(fixture *f, const rbr_message *message, const frame *a, const frame *b);

#endif
