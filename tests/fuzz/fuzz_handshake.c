/* SPDX-License-Identifier: MIT */
/* fuzz_handshake.c - any words from a peer that we have not met: its datagrams (fuzz_socket.h) after
 * byte 0, whose bit 0 is our role (0: host), and bit 1 whether it begins as a good peer does. The
 * handshake ends, with or without a channel. */
#include "fuzz.h"
#include "fuzz_socket.h"

#include "check.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_socket socket;
    rbr_error error;
    rbr_status status;

    if (size == 0)
        return 0;
    fuzz_socket_open(&socket, (data[0] & 1) == 0);
    if ((data[0] & 2) != 0)
        fuzz_socket_greet(&socket);
    fuzz_socket_send(&socket, data + 1, size - 1);
    do {
        error = (rbr_error){.status = RBR_OK};
        status = rbr_channel_handshake(socket.channel, 0, &error);
        CHECK(status == RBR_OK || error.text[0] != '\0');
    } while (status == RBR_INTERRUPTED);
    fuzz_socket_close(&socket);
    return 0;
}
