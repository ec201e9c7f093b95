/* SPDX-License-Identifier: MIT */
/* fuzz_control.c - any words of a peer that we have met, beside the rings (fuzz_socket.h): the
 * watcher reads them, while this thread uses the channel. */
#include "fuzz.h"
#include "fuzz_socket.h"

#include "channel.h"
#include "check.h"

#include <sched.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_socket socket;
    rbr_block *block;
    rbr_stats stats;

    fuzz_socket_open(&socket, true);
    fuzz_socket_meet(&socket);
    if (rbr_block_allocate(&block, socket.channel, 4096, 0, NULL) == RBR_OK)
        rbr_block_release(block); /* or it waits for the peer: an offer of ours is open then */
    fuzz_socket_send(&socket, data, size);
    while (rbr_control_queued(socket.peer) > 0 && rbr_channel_state(socket.channel, NULL) == RBR_OK)
        sched_yield();
    rbr_channel_stats(socket.channel, &stats);
    CHECK(stats.arena_used == 0 && stats.peer_blocks == 0);
    CHECK(stats.late_looks == 0);
    fuzz_socket_close(&socket);
    return 0;
}
