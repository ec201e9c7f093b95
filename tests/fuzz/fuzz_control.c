/* SPDX-License-Identifier: MIT */
/* fuzz_control.c - any words of a peer that we have met, beside the rings (fuzz_socket.h): the
 * watcher reads them, while this thread uses the channel. */
#include "fuzz.h"
#include "fuzz_socket.h"

#include "channel.h"
#include "check.h"

#include <sched.h>

/* A deadline that is over, so that it offers the peer a segment and does not wait for the answer. */
enum { LONG_AGO_NS = 1 };

/* True: there is a segment that the peer has accepted. */
static bool
try_a_block(rbr_channel *channel)
{
    rbr_block *block;

    if (rbr_block_allocate(&block, channel, 4096, LONG_AGO_NS, NULL) != RBR_OK)
        return false;
    rbr_block_release(block);
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_socket socket;
    rbr_stats stats;

    fuzz_socket_open(&socket, true);
    fuzz_socket_meet(&socket);
    CHECK(!try_a_block(socket.channel)); /* from here on an offer of ours is open */
    fuzz_socket_send(&socket, data, size);
    while (rbr_control_queued(socket.peer) > 0 && rbr_channel_state(socket.channel, NULL) == RBR_OK)
        sched_yield();
    try_a_block(socket.channel);
    rbr_channel_stats(socket.channel, &stats);
    CHECK(stats.arena_used == 0 && stats.peer_blocks == 0);
    CHECK(stats.late_looks == 0);
    fuzz_socket_close(&socket);
    return 0;
}
