/* SPDX-License-Identifier: MIT */
/*
 * control.c - sendmsg and recvmsg with their corners: descriptors are closed on every path, nothing
 * raises SIGPIPE, and no descriptor that came is ever inherited by a child.
 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* More than one never comes from us, but what comes must be closed. SCM_MAX_FD is 253. */
enum { DESCRIPTORS_MAX = 253 };

rbr_status
rbr_control_prepare(int socket, rbr_error *err)
{
    const int yes = 1, flags = fcntl(socket, F_GETFL);
    int type = 0;
    socklen_t size = sizeof type;

    if (flags < 0 || getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
        return rbr_fail_sys(err, "look at the control socket (fd %d)", socket);
    if (type != SOCK_SEQPACKET)
        return rbr_fail(err, RBR_REFUSED, "fd %d is not a SOCK_SEQPACKET socket", socket);
    if (fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(socket, F_SETFD, FD_CLOEXEC) != 0 ||
        setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0)
        return rbr_fail_sys(err, "set up the control socket");
    return RBR_OK;
}

rbr_status
rbr_control_send(int socket, const void *frame, uint32_t size, int fd, rbr_error *err)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } ancillary;
    struct iovec data = {(void *)(uintptr_t)frame, size};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

    if (fd >= 0) {
        memset(&ancillary, 0, sizeof ancillary);
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof ancillary.room;
        ancillary.header.cmsg_level = SOL_SOCKET;
        ancillary.header.cmsg_type = SCM_RIGHTS;
        ancillary.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof fd);
    }
    for (;;) {
        if (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return RBR_OK;
        if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
            return rbr_fail(err, RBR_DEAD, "the other end of the control socket is closed");
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return rbr_fail_sys(err, "send on the control socket");
        return rbr_fail(err, RBR_TIMED_OUT, "the peer does not read its control socket");
    }
}

/* Keeps the first descriptor and the sender's pid; true when there was more than one. */
static bool
take_ancillary(struct msghdr *message, rbr_datagram *out)
{
    struct cmsghdr *part;
    bool extra = false;

    for (part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET)
            continue;
        if (part->cmsg_type == SCM_CREDENTIALS) {
            struct ucred sender;

            memcpy(&sender, CMSG_DATA(part), sizeof sender);
            out->pid = sender.pid;
        } else if (part->cmsg_type == SCM_RIGHTS) {
            const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            size_t i;

            for (i = 0; i < count; i++) {
                int fd;

                memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
                if (out->fd < 0) {
                    out->fd = fd;
                } else {
                    close(fd);
                    extra = true;
                }
            }
        }
    }
    return extra;
}

rbr_status
rbr_control_receive(int socket, rbr_datagram *out, rbr_error *err)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } ancillary;
    struct iovec data = {out->bytes, sizeof out->bytes};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &ancillary,
                             .msg_controllen = sizeof ancillary.room};
    ssize_t size;
    bool extra;

    do
        size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN)
        return RBR_AGAIN;
    if (size < 0 && errno != ECONNRESET)
        return rbr_fail_sys(err, "receive on the control socket");
    out->fd = -1;
    out->pid = 0;
    extra = size >= 0 && take_ancillary(&message, out);
    if (size <= 0) {
        if (out->fd >= 0) /* an empty message, with a descriptor: nobody sends that in good faith */
            close(out->fd);
        out->fd = -1;
        return rbr_fail(err, RBR_DEAD, "the peer closed its control socket");
    }
    /* MSG_CTRUNC without a descriptor: we have none left to receive it with. Whoever needs it sees
     * that it is not there. */
    if (extra || (message.msg_flags & MSG_TRUNC) != 0 ||
        ((message.msg_flags & MSG_CTRUNC) != 0 && out->fd >= 0)) {
        if (out->fd >= 0)
            close(out->fd);
        out->fd = -1;
        return rbr_fail(err, RBR_BROKEN, "a control message is too long or brings %s",
                        extra ? "several descriptors" : "more than it may");
    }
    out->size = (uint32_t)size;
    return RBR_OK;
}

size_t
rbr_control_queued(int socket)
{
    int bytes = 0;

    return ioctl(socket, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

int
rbr_control_peer_pid(int socket)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return 0;
    return peer.pid;
}
