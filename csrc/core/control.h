/* SPDX-License-Identifier: MIT */
/*
 * control.h - the control socket: whole frames, a file descriptor beside one where it has to be.
 *
 * A SOCK_SEQPACKET socket keeps the borders of messages, so nothing is reassembled here. What the
 * frames mean is decided by handshake.c and watcher.c.
 */
#ifndef RBR_CONTROL_H
#define RBR_CONTROL_H

#include "base.h"

#define RBR_CONTROL_BYTES_MAX 16384

typedef struct rbr_datagram {
    _Alignas(8) uint8_t bytes[RBR_CONTROL_BYTES_MAX];
    uint32_t size;
    int fd;  /* -1: none came; the receiver closes it */
    int pid; /* of the sender, from the kernel; 0: unknown */
} rbr_datagram;

/* Makes the socket non-blocking, close-on-exec, and asks for the sender's credentials. */
rbr_status rbr_control_prepare(int socket, rbr_error *err);

/* fd -1: none. Never waits. RBR_DEAD: the other end is closed; RBR_TIMED_OUT: it does not read, and
 * there is no room left. */
rbr_status rbr_control_send(int socket, const void *frame, uint32_t size, int fd, rbr_error *err);

/* Never waits. RBR_AGAIN: nothing there. RBR_DEAD: end of file. RBR_BROKEN: a message that is too
 * long, or several descriptors; all of them are closed. */
rbr_status rbr_control_receive(int socket, rbr_datagram *out, rbr_error *err);

/* Bytes sent that the peer has not read yet. */
size_t rbr_control_queued(int socket);

/* Who is at the other end, by the kernel's word when the pair was made; 0: unknown. */
int rbr_control_peer_pid(int socket);

#endif
