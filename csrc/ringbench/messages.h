/* SPDX-License-Identifier: MIT */
/*
 * messages.h - the frames that ringbench sends over a channel: calls and results with one value, and
 * reading them. See messages.c.
 */
#ifndef RBR_BENCH_MESSAGES_H
#define RBR_BENCH_MESSAGES_H

#include "ringbridge.h"

/* A frame with `bytes` of payload takes at the most bytes + BENCH_FRAME_OVERHEAD. */
enum { BENCH_FRAME_OVERHEAD = 512 };

/* Each builds a frame in `room`, which is aligned to 8 and large enough; returns its size. */
uint32_t bench_build_call(void *room, uint32_t room_bytes, uint64_t id, const void *bytes,
                          uint32_t size);
uint32_t bench_build_result(void *room, uint32_t room_bytes, uint64_t id, const void *bytes,
                            uint32_t size);
/* A call with the block as a one-dimensional tensor of bytes; send the block beside it. */
uint32_t bench_build_block_call(void *room, uint32_t room_bytes, uint64_t id,
                                const rbr_block *block);

/* The payload of a call or a result; NULL: the message is neither, or has another one. It lives as
 * long as the message. */
const uint8_t *bench_call_bytes(const rbr_message *message, uint32_t *size);
const uint8_t *bench_result_bytes(const rbr_message *message, uint32_t *size);
/* The block of a block call, as a new reference; NULL: it has none. */
rbr_block *bench_call_block(const rbr_message *message);

#endif
