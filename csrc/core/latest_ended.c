/* SPDX-License-Identifier: MIT */
/*
 * latest_ended.c - readers of a latest-value buffer whose process has ended: latest.c is told.
 *
 * A pidfd is readable once its process can touch no memory any more. So a claim is never cleared
 * under a reader that still reads.
 */
#include "channel.h"

#include "ringbridge_latest.h"

#include <poll.h>
#include <unistd.h>

uint32_t
rbr_latest_drop_ended(rbr_latest_writer *writer, int *pidfds)
{
    struct pollfd polled[RBR_LATEST_READERS_MAX];
    uint32_t i, ended = 0;

    for (i = 0; i < writer->readers; i++)
        polled[i] = (struct pollfd){.fd = pidfds[i], .events = POLLIN}; /* -1 is passed over */
    if (poll(polled, writer->readers, 0) <= 0)
        return 0;
    for (i = 0; i < writer->readers; i++) {
        if ((polled[i].revents & POLLIN) == 0)
            continue;
        rbr_latest_drop_reader(writer, i);
        close(pidfds[i]);
        pidfds[i] = -1;
        ended++;
    }
    return ended;
}
