/* SPDX-License-Identifier: MIT */
/*
 * fuzz_socket.h - a channel of ours whose peer is the input: what it sends on the control socket.
 *
 * An input is a list of datagrams: u16 bytes, u8 what comes with it, the bytes.
 *   bits 0-1  how many file descriptors
 *   bits 2-3  of what: /dev/null; a memfd of 64 KiB; ring memory as ours is; an arena as ours is
 */
#ifndef RBR_TESTS_FUZZ_SOCKET_H
#define RBR_TESTS_FUZZ_SOCKET_H

#include "ringbridge.h"

#include <stddef.h>

typedef struct fuzz_socket {
    rbr_channel *channel;
    int peer; /* the other end of its socket */
    bool host;
    int free_fd; /* the lowest one before all this; a higher one after it is a leak */
} fuzz_socket;

/* The session of the ring memory that a datagram can bring. */
#define FUZZ_SESSION UINT64_C(0x1122334455667788)
#define FUZZ_RING_BYTES (UINT32_C(1) << 16)
#define FUZZ_ARENA_BYTES (UINT64_C(1) << 20)

void fuzz_socket_open(fuzz_socket *self, bool host);
/* Sends the first words of a good peer: a Hello, or a Welcome with ring memory. */
void fuzz_socket_greet(fuzz_socket *self);
/* Of a host: has all said that a good worker says, so that the channel is open. */
void fuzz_socket_meet(fuzz_socket *self);
/* Sends the datagrams as far as there is room for them. */
void fuzz_socket_send(fuzz_socket *self, const uint8_t *data, size_t size);
/* Closes all, and checks that no descriptor is left. */
void fuzz_socket_close(fuzz_socket *self);

#endif
