/* SPDX-License-Identifier: MIT */
/* fuzz_socket.c - see fuzz_socket.h. */
#include "fuzz_socket.h"

#include "channel.h"
#include "check.h"
#include "os.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 3, KINDS = 4 };

static int
next_fd(void)
{
    const int fd = dup(STDERR_FILENO);

    CHECK(fd >= 0);
    close(fd);
    return fd;
}

/* The host's child, for all channels: nothing is ever read from it or sent to it. */
static int
idle_child(void)
{
    static int pid;

    if (pid != 0)
        return pid;
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid();
        for (;;)
            pause();
    }
    return pid;
}

void
fuzz_socket_open(fuzz_socket *self, bool host)
{
    const rbr_channel_options options = {.name = "fuzz",
                                         .ring_bytes = FUZZ_RING_BYTES,
                                         .arena_limit = 4 * FUZZ_ARENA_BYTES,
                                         .memory = RBR_MEMORY_MEMFD,
                                         .spin_ns = 0};
    int ends[2];

    idle_child();
    self->free_fd = next_fd();
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    self->peer = ends[1];
    self->host = host;
    if (host)
        CHECK(rbr_channel_open_host(&self->channel, ends[0], idle_child(), -1, -1, &options,
                                    NULL) == RBR_OK);
    else
        CHECK(rbr_channel_open_worker(&self->channel, ends[0], "3.11.0", "cp311", "/python",
                                      NULL) == RBR_OK);
}

static int
make_fd(unsigned kind)
{
    rbr_segment segment;
    rbr_mapping *mapping;
    int fd = -1;
    bool sealed;

    if (kind == 0)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    if (kind == 1)
        CHECK(rbr_os_shared_create(&fd, &sealed, 64 << 10, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    if (kind == 2) {
        CHECK(rbr_segment_create(&segment, &fd, FUZZ_RING_BYTES, FUZZ_SESSION, RBR_MEMORY_MEMFD,
                                 NULL) == RBR_OK);
        rbr_segment_detach(&segment);
    }
    if (kind == 3) {
        CHECK(rbr_mapping_create(&mapping, &fd, FUZZ_ARENA_BYTES, 0, RBR_MEMORY_MEMFD, NULL) ==
              RBR_OK);
        rbr_mapping_release(mapping);
    }
    return fd;
}

static void
send_frame(fuzz_socket *self, rbr_builder *builder, int fd)
{
    const uint32_t size = rbr_build_finish(builder);

    CHECK(rbr_control_send(self->peer, builder->base, size, fd, NULL) == RBR_OK);
}

static void
send_hello(fuzz_socket *self)
{
    alignas(8) uint8_t room[512];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t hello;

    rbr_shape_make(&shape, &rbr_desc_hello,
                   RBR_BIT(RBR_HELLO__PROTO_MAJOR) | RBR_BIT(RBR_HELLO__LAYOUT_HASH));
    hello = rbr_frame_start(&builder, room, sizeof room, 0, RBR_BODY_HELLO, &shape);
    rbr_build_u16(&builder, hello, &shape, RBR_HELLO__PROTO_MAJOR, RBR_PROTO_MAJOR);
    rbr_build_u64(&builder, hello, &shape, RBR_HELLO__LAYOUT_HASH, RBR_LAYOUT_HASH);
    send_frame(self, &builder, -1);
}

static void
send_welcome(fuzz_socket *self)
{
    alignas(8) uint8_t room[512];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t welcome;
    const int fd = make_fd(2);

    rbr_shape_make(&shape, &rbr_desc_welcome,
                   RBR_BIT(RBR_WELCOME__SESSION) | RBR_BIT(RBR_WELCOME__RING_BYTES));
    welcome = rbr_frame_start(&builder, room, sizeof room, 0, RBR_BODY_WELCOME, &shape);
    rbr_build_u64(&builder, welcome, &shape, RBR_WELCOME__SESSION, FUZZ_SESSION);
    rbr_build_u32(&builder, welcome, &shape, RBR_WELCOME__RING_BYTES, FUZZ_RING_BYTES);
    send_frame(self, &builder, fd);
    close(fd);
}

void
fuzz_socket_greet(fuzz_socket *self)
{
    if (self->host)
        send_hello(self);
    else
        send_welcome(self);
}

void
fuzz_socket_meet(fuzz_socket *self)
{
    alignas(8) uint8_t room[512];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t segment;
    rbr_datagram answer;

    send_hello(self);
    rbr_shape_make(&shape, &rbr_desc_segment,
                   RBR_BIT(RBR_SEGMENT__ARENA) | RBR_BIT(RBR_SEGMENT__STATE));
    segment = rbr_frame_start(&builder, room, sizeof room, 0, RBR_BODY_SEGMENT, &shape);
    rbr_build_u16(&builder, segment, &shape, RBR_SEGMENT__ARENA, UINT16_MAX);
    rbr_build_u8(&builder, segment, &shape, RBR_SEGMENT__STATE, RBR_SEGMENT_STATE_ACCEPTED);
    send_frame(self, &builder, -1);
    CHECK(rbr_channel_handshake(self->channel, RBR_FOREVER, NULL) == RBR_OK);
    CHECK(rbr_control_receive(self->peer, &answer, NULL) == RBR_OK);
    if (answer.fd >= 0)
        close(answer.fd);
}

/* False: the socket is full, or closed. */
static bool
send_datagram(fuzz_socket *self, const uint8_t *bytes, size_t size, unsigned count, unsigned kind)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } ancillary;
    struct iovec data = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    int fds[FDS_MAX];
    unsigned i;
    bool sent;

    for (i = 0; i < count; i++)
        fds[i] = make_fd(kind);
    if (count > 0) {
        memset(&ancillary, 0, sizeof ancillary);
        message.msg_control = &ancillary;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        ancillary.header.cmsg_level = SOL_SOCKET;
        ancillary.header.cmsg_type = SCM_RIGHTS;
        ancillary.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&ancillary.header), fds, count * sizeof(int));
    }
    sent = sendmsg(self->peer, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
    for (i = 0; i < count; i++)
        close(fds[i]);
    return sent;
}

void
fuzz_socket_send(fuzz_socket *self, const uint8_t *data, size_t size)
{
    while (size >= 3) {
        size_t bytes = (size_t)data[0] | (size_t)data[1] << 8;
        const unsigned flags = data[2];

        data += 3;
        size -= 3;
        if (bytes > size)
            bytes = size;
        /* An empty one means the end, and then a host waits a second for its child's. */
        if (bytes > 0 && !send_datagram(self, data, bytes, flags & 3, flags >> 2 & (KINDS - 1)))
            return;
        data += bytes;
        size -= bytes;
    }
}

void
fuzz_socket_close(fuzz_socket *self)
{
    rbr_channel_close(self->channel);
    rbr_channel_release(self->channel);
    close(self->peer);
    CHECK(next_fd() == self->free_fd);
}
