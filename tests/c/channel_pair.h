/* SPDX-License-Identifier: MIT */
/*
 * channel_pair.h - a host in this process and a worker in a forked child, for the channel's tests.
 */
#ifndef RBR_TESTS_CHANNEL_PAIR_H
#define RBR_TESTS_CHANNEL_PAIR_H

#include "ringbridge.h"
#include "ringbridge_flatbuf.h"
#include "ringbridge_wire.h"

/* A deadline. */
uint64_t in_ms(uint64_t ms);

typedef struct channel_pair {
    rbr_channel *host;
    int pid;
} channel_pair;

/* Runs `worker` (which serves, then returns) in the child; its exit code is 0 after it returned. */
void pair_open(channel_pair *pair, const rbr_channel_options *options,
               void (*worker)(rbr_channel *channel));
/* Says goodbye and checks that the child exits with 0, and that neither side lost a wake-up. */
void pair_close(channel_pair *pair);
/* The second part of it, for those who close in another way. */
void pair_check_no_wake_was_lost(rbr_channel *channel);

/* A worker that answers every Call with a Result that has the same id; a Call whose function is
 * FUNCTION_SUM answers with the sum of the bytes of the block behind its argument. */
enum { FUNCTION_ECHO = 0, FUNCTION_SUM = 1 };
void pair_serve(rbr_channel *channel);
/* A worker that reads, and answers nothing. */
void pair_serve_none(rbr_channel *channel);

/* Builds Call(function, args=[i]) with room for `size` bytes of payload; returns its bytes. */
uint32_t pair_build_call(uint8_t *room, uint32_t room_bytes, uint64_t id, uint32_t function,
                         int64_t number, uint32_t padding);
/* Sends such a call, for whose answer somebody waits already. */
void pair_send_call(rbr_channel *host, uint64_t id);
/* Builds a frame whose body has no fields (a Progress, a Callback ...); returns its bytes. */
uint32_t pair_build_empty(uint8_t *room, uint32_t room_bytes, uint64_t id, uint64_t parent,
                          uint8_t body, const struct rbr_table_desc *desc);
/* Builds and sends it. */
rbr_status pair_send_empty(rbr_channel *channel, uint64_t id, uint64_t parent, uint8_t body,
                           const struct rbr_table_desc *desc, uint64_t deadline_ns);
/* The message's id; the message is freed. */
uint64_t pair_take_id(rbr_message *message);
/* One call with `number`; the status, and the number that came back. */
rbr_status pair_call(rbr_channel *host, int64_t number, uint32_t padding, int64_t *answer,
                     uint64_t deadline_ns);

#endif
