/* SPDX-License-Identifier: MIT */
/*
 * ringbridge_relay.h - a channel whose end runs nothing: what comes is passed on elsewhere, and what is
 * sent was written elsewhere.
 *
 * Two relays stand between a host and a worker of another machine: the one beside the host has a
 * worker's end, the one beside the worker a host's. Each takes all frames that come, whosoever they are,
 * sends frames with the ids that they have, and passes on what goes past the rings: cancels, which calls run.
 */
#ifndef RINGBRIDGE_RELAY_H
#define RINGBRIDGE_RELAY_H

#include "ringbridge.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * From now on every frame comes from rbr_channel_receive, answers too. After the handshake, before the first
 * frame. Such a channel makes no calls of its own, and waits for no room: rbr_channel_send with deadline 0
 * only, or what it reads meanwhile would have no bound.
 */
rbr_status rbr_channel_relay(rbr_channel *channel, rbr_error *err);

/* The next call that the peer wants cancelled, each once for a soft and once for a hard word. By one thread.
 * RBR_TIMED_OUT, RBR_INTERRUPTED, or the channel's end, which a goodbye is not: the reader hears of that. */
rbr_status rbr_relay_cancel(rbr_channel *channel, uint64_t *id, bool *hard, uint64_t deadline_ns);

/* Within how many calls one can run that are told of. */
#define RBR_RELAY_RUNS_MAX 16

/* Of a host's end: the calls that the worker runs now; gives how many (at most RBR_RELAY_RUNS_MAX). */
uint32_t rbr_relay_peer_runs(rbr_channel *channel, uint64_t *ids);
/* Of a worker's end: what the host sees of that. It comes late, so once the relay has ended, the host
 * takes every call for one that may have begun. may_run: this call too, until the next rbr_relay_runs. */
void rbr_relay_runs(rbr_channel *channel, const uint64_t *ids, uint32_t count);
void rbr_relay_may_run(rbr_channel *channel, uint64_t id);

/* Whether the peer has read all that was sent. */
bool rbr_relay_is_read(rbr_channel *channel);

/* The blocks behind a message's payload references, in the order of these in the frame; owned by the
 * message. count: how many. */
uint32_t rbr_message_payloads(const rbr_message *message);
rbr_block *rbr_message_payload(const rbr_message *message, uint32_t index);

#ifdef __cplusplus
}
#endif
#endif
