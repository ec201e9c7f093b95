/* SPDX-License-Identifier: MIT */
/* loop_steps.c - see loop_steps.h. */
#include "loop_steps.h"

#include "check.h"
#include "os.h"

#include <poll.h>

const rbr_channel_options loop_never_spin = {.spin_ns = 0};

bool
loop_is_readable(rbr_inbox *inbox, int ms)
{
    struct pollfd look = {.fd = rbr_inbox_fd(inbox), .events = POLLIN};

    return poll(&look, 1, ms) == 1;
}

rbr_inbox *
loop_open(rbr_channel *host)
{
    rbr_inbox *inbox;

    CHECK(rbr_inbox_open(&inbox, host, NULL) == RBR_OK);
    return inbox;
}

void
loop_await_event(rbr_channel *host)
{
    rbr_block *block;

    CHECK(rbr_block_allocate(&block, host, 1, in_ms(15000), NULL) == RBR_OK);
    rbr_block_release(block);
}

/* Starts a call whose answer goes into the inbox. */
uint64_t
loop_start_call(rbr_channel *host, rbr_inbox *inbox, rbr_pending *pending)
{
    alignas(8) uint8_t room[512];
    const uint64_t id = rbr_pending_begin(pending, host);
    const uint32_t size = pair_build_call(room, sizeof room, id, FUNCTION_ECHO, (int64_t)id, 0);

    rbr_pending_direct(pending, inbox);
    CHECK(rbr_channel_post(host, room, size, NULL, 0, id, in_ms(15000), NULL) == RBR_OK);
    return id;
}

/* The id of the next frame in it; 0: none. */
uint64_t
loop_take_now(rbr_inbox *inbox)
{
    rbr_message *message;

    return rbr_inbox_take(inbox, &message, 0, 0) == RBR_OK ? pair_take_id(message) : 0;
}

/* As an event loop does. */
uint64_t
loop_take(rbr_inbox *inbox)
{
    const uint64_t until = in_ms(15000);
    uint64_t id;

    while ((id = loop_take_now(inbox)) == 0) {
        CHECK(rbr_now_ns() < until);
        rbr_inbox_arm(inbox);
        CHECK(loop_is_readable(inbox, 15000));
        rbr_inbox_clear(inbox);
    }
    return id;
}

/* Until the worker has published something that nobody has read. */
void
loop_await_data(rbr_channel *host)
{
    const uint64_t until = in_ms(15000);

    while (!rbr_consumer_has_data(&host->exchange.consumer)) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
}
