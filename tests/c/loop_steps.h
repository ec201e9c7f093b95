/* SPDX-License-Identifier: MIT */
/*
 * loop_steps.h - what an event loop does with its inbox, step by step. Each wait has a deadline.
 */
#ifndef RBR_TESTS_LOOP_STEPS_H
#define RBR_TESTS_LOOP_STEPS_H

#include "channel.h"
#include "channel_pair.h"

extern const rbr_channel_options loop_never_spin;

rbr_inbox *loop_open(rbr_channel *host);
/* Until the peer has the event of our loops, and has set it once, which wakes all that are armed; it
 * answers what comes after. */
void loop_await_event(rbr_channel *host);
/* Polls the descriptor. */
bool loop_is_readable(rbr_inbox *inbox, int ms);
/* Starts a call whose answer goes into the inbox; its id. */
uint64_t loop_start_call(rbr_channel *host, rbr_inbox *inbox, rbr_pending *pending);
/* The id of the next frame in it; 0: none. */
uint64_t loop_take_now(rbr_inbox *inbox);
/* The same, and arms and polls until there is one. */
uint64_t loop_take(rbr_inbox *inbox);
/* Until the worker has published something that nobody has read. */
void loop_await_data(rbr_channel *host);

#endif
