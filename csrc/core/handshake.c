/* SPDX-License-Identifier: MIT */
/*
 * handshake.c - the two ends meet over the control socket, before any shared memory is touched.
 *
 *   worker                               host
 *   Hello (versions, layout, pid)  --->  refuses, or makes the ring segment
 *                                  <---  Welcome (sizes, session, reject) with the segment's fd
 *   maps it; Segment Accepted      --->  channel open
 *
 * A bootstrap that cannot even load the extension sends "RBRX" and a text instead of Hello: why.
 */
#include "channel.h"

#include "os.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum step { STEP_HELLO, STEP_WELCOME, STEP_READY, STEP_DONE };

/* How often a wait for the socket looks whether the child has died meanwhile. */
#define HANDSHAKE_LOOK_NS (20 * RBR_MS)

/* An application maps no larger rings for a client. */
#define RBR_CLIENT_RING_BYTES_MAX (16 * RBR_MIB)

/* In Segment.arena: the ring segment, which is no arena. */
#define RING_SEGMENT UINT16_MAX

static void
build_text(rbr_builder *builder, uint32_t table, const rbr_shape *shape, uint32_t field,
           const char *text)
{
    rbr_build_string(builder, rbr_build_slot(table, shape, field), text, (uint32_t)strlen(text));
}

rbr_status
rbr_channel_control_segment(rbr_channel *channel, uint16_t index, uint8_t state, uint64_t bytes,
                            int fd, rbr_error *err)
{
    alignas(8) uint8_t room[256];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t table;

    rbr_shape_make(&shape, &rbr_desc_segment,
                   RBR_BIT(RBR_SEGMENT__ARENA) | RBR_BIT(RBR_SEGMENT__STATE) |
                       RBR_BIT(RBR_SEGMENT__BYTES));
    table = rbr_frame_start(&builder, room, sizeof room, 0, RBR_BODY_SEGMENT, &shape);
    rbr_build_u16(&builder, table, &shape, RBR_SEGMENT__ARENA, index);
    rbr_build_u8(&builder, table, &shape, RBR_SEGMENT__STATE, state);
    rbr_build_u64(&builder, table, &shape, RBR_SEGMENT__BYTES, bytes);
    return rbr_control_send(channel->watch.control, room, rbr_build_finish(&builder), fd, err);
}

/* -------------------------------------------------------------------------------- worker's side */

static rbr_status
send_hello(rbr_channel *channel, rbr_error *err)
{
    alignas(8) uint8_t room[4096];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t hello;

    rbr_shape_make(&shape, &rbr_desc_hello,
                   RBR_BIT(RBR_HELLO__PROTO_MAJOR) | RBR_BIT(RBR_HELLO__PROTO_MINOR) |
                       RBR_BIT(RBR_HELLO__PID) | RBR_BIT(RBR_HELLO__LAYOUT_HASH) |
                       RBR_BIT(RBR_HELLO__PYTHON) | RBR_BIT(RBR_HELLO__ABI) |
                       RBR_BIT(RBR_HELLO__PICKLE_OK) | RBR_BIT(RBR_HELLO__ROLE) |
                       RBR_BIT(RBR_HELLO__VERSION) | RBR_BIT(RBR_HELLO__EXECUTABLE));
    hello = rbr_frame_start(&builder, room, sizeof room, 0, RBR_BODY_HELLO, &shape);
    rbr_build_u16(&builder, hello, &shape, RBR_HELLO__PROTO_MAJOR, RBR_PROTO_MAJOR);
    rbr_build_u16(&builder, hello, &shape, RBR_HELLO__PROTO_MINOR, RBR_PROTO_MINOR);
    rbr_build_i32(&builder, hello, &shape, RBR_HELLO__PID, getpid());
    rbr_build_u64(&builder, hello, &shape, RBR_HELLO__LAYOUT_HASH, RBR_LAYOUT_HASH);
    rbr_build_u8(&builder, hello, &shape, RBR_HELLO__ROLE, RBR_ROLE_WORKER);
    rbr_build_u8(&builder, hello, &shape, RBR_HELLO__PICKLE_OK, channel->pickle_ok);
    build_text(&builder, hello, &shape, RBR_HELLO__PYTHON, channel->peer_text[0]);
    build_text(&builder, hello, &shape, RBR_HELLO__ABI, channel->peer_text[1]);
    build_text(&builder, hello, &shape, RBR_HELLO__VERSION, RBR_VERSION);
    build_text(&builder, hello, &shape, RBR_HELLO__EXECUTABLE, channel->peer_text[3]);
    return rbr_control_send(channel->watch.control, room, rbr_build_finish(&builder), -1, err);
}

static void
open_exchange(rbr_channel *channel)
{
    const int us = channel->role, peer = 1 - channel->role;
    rbr_segment *segment = &channel->segment;

    rbr_producer_init(&channel->exchange.producer, &segment->shared->ring[us], segment->data[us],
                      segment->ring_bytes, 0);
    rbr_consumer_init(&channel->exchange.consumer, &segment->shared->ring[peer],
                      segment->data[peer], segment->ring_bytes, 0);
    channel->handshake_step = STEP_DONE;
    atomic_store(&channel->watch.handshaken, true);
    rbr_watch_poke(channel); /* the control socket is the watcher's from now on */
}

static void
keep_text(char *to, size_t size, rbr_table table, uint32_t field)
{
    uint32_t length;
    const char *text = rbr_get_string(table, field, &length);

    snprintf(to, size, "%.*s", text != NULL ? (int)length : 0, text != NULL ? text : "");
}

static rbr_status
on_welcome(rbr_channel *channel, rbr_table welcome, int fd, rbr_error *err)
{
    const uint32_t ring_bytes = rbr_get_u32(welcome, RBR_WELCOME__RING_BYTES, 0);
    const uint64_t spin_ns = rbr_get_u32(welcome, RBR_WELCOME__SPIN_NS, 0);
    char reject[512], version[64];
    rbr_status status;
    uint64_t limit;

    keep_text(reject, sizeof reject, welcome, RBR_WELCOME__REJECT);
    keep_text(version, sizeof version, welcome, RBR_WELCOME__VERSION);
    if (reject[0] != '\0')
        return rbr_fail(err, RBR_REFUSED, "the host refused: %s", reject);
    if (fd < 0)
        return rbr_fail(err, RBR_BROKEN,
                        "the host's Welcome came without its segment (may this process open no "
                        "more files? ulimit -n)");
    channel->session = rbr_get_u64(welcome, RBR_WELCOME__SESSION, 0);
    channel->peer.pickle = channel->pickle_ok &&
                           rbr_get_u8(welcome, RBR_WELCOME__PICKLE_OK, 0) != 0;
    if (channel->served && ring_bytes > RBR_CLIENT_RING_BYTES_MAX)
        return rbr_fail(err, RBR_BROKEN, "the client wants rings of %u bytes", ring_bytes);
    /* Before it is looked at: the client may shrink it meanwhile. */
    if (channel->served && !rbr_os_shared_is_sealed(fd))
        return rbr_fail(err, RBR_BROKEN,
                        "the client's shared memory is not sealed: it could shrink");
    status = rbr_segment_attach(&channel->segment, fd, ring_bytes, channel->session, err);
    if (status != RBR_OK)
        return status;
    if (rbr_os_shared_is_sealed(fd)) /* the host wants, or has, only this kind */
        channel->options.memory = RBR_MEMORY_MEMFD;
    limit = rbr_get_u64(welcome, RBR_WELCOME__ARENA_BYTES, 0);
    if (!channel->served ||
        limit < channel->blocks.limit) /* an application has a word of its own */
        channel->blocks.limit = limit;
    channel->peer.pid = rbr_get_i32(welcome, RBR_WELCOME__PID, 0);
    snprintf(channel->peer_text[2], sizeof channel->peer_text[2], "%s", version);
    rbr_wake_init(&channel->wake, channel->segment.shared, RBR_ROLE_WORKER,
                  channel->served && spin_ns > RBR_SPIN_MAX_NS ? RBR_SPIN_MAX_NS : spin_ns);
    status = rbr_channel_control_segment(channel, RING_SEGMENT, RBR_SEGMENT_STATE_ACCEPTED, 0, -1,
                                         err);
    if (status == RBR_OK)
        open_exchange(channel);
    return status;
}

/* ---------------------------------------------------------------------------------- host's side */

static rbr_status
send_welcome(rbr_channel *channel, const char *reject, int fd, rbr_error *err)
{
    alignas(8) uint8_t room[2048];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t welcome;

    rbr_shape_make(&shape, &rbr_desc_welcome,
                   RBR_BIT(RBR_WELCOME__PROTO_MAJOR) | RBR_BIT(RBR_WELCOME__PROTO_MINOR) |
                       RBR_BIT(RBR_WELCOME__PID) | RBR_BIT(RBR_WELCOME__SESSION) |
                       RBR_BIT(RBR_WELCOME__RING_BYTES) | RBR_BIT(RBR_WELCOME__ARENA_BYTES) |
                       RBR_BIT(RBR_WELCOME__PICKLE_OK) | RBR_BIT(RBR_WELCOME__REJECT) |
                       RBR_BIT(RBR_WELCOME__VERSION) | RBR_BIT(RBR_WELCOME__SPIN_NS));
    welcome = rbr_frame_start(&builder, room, sizeof room, 0, RBR_BODY_WELCOME, &shape);
    rbr_build_u16(&builder, welcome, &shape, RBR_WELCOME__PROTO_MAJOR, RBR_PROTO_MAJOR);
    rbr_build_u16(&builder, welcome, &shape, RBR_WELCOME__PROTO_MINOR, RBR_PROTO_MINOR);
    rbr_build_i32(&builder, welcome, &shape, RBR_WELCOME__PID, getpid());
    rbr_build_u64(&builder, welcome, &shape, RBR_WELCOME__SESSION, channel->session);
    rbr_build_u32(&builder, welcome, &shape, RBR_WELCOME__RING_BYTES, channel->options.ring_bytes);
    rbr_build_u64(&builder, welcome, &shape, RBR_WELCOME__ARENA_BYTES, channel->blocks.limit);
    rbr_build_u32(&builder, welcome, &shape, RBR_WELCOME__SPIN_NS, (uint32_t)channel->wake.spin_ns);
    rbr_build_u8(&builder, welcome, &shape, RBR_WELCOME__PICKLE_OK, channel->pickle_ok);
    build_text(&builder, welcome, &shape, RBR_WELCOME__REJECT, reject);
    build_text(&builder, welcome, &shape, RBR_WELCOME__VERSION, RBR_VERSION);
    return rbr_control_send(channel->watch.control, room, rbr_build_finish(&builder), fd, err);
}

/* The kernel's word for who sent Hello; where that is not our child (a wrapper started it), its
 * life is watched as well. Opened, then used only while the socket answers (send_welcome). */
static rbr_status
watch_sender(rbr_channel *channel, int pid, rbr_error *err)
{
    rbr_watch *watch = &channel->watch;
    rbr_status status;
    int pidfd;

    if (channel->served) /* watched since it accepted us */
        return RBR_OK;
    channel->peer.pid = pid != 0 ? pid : watch->child_pid;
    if (channel->peer.pid == watch->child_pid)
        return RBR_OK;
    status = rbr_os_pidfd_open(&pidfd, channel->peer.pid, err);
    atomic_store(&watch->peer_pidfd, pidfd);
    rbr_watch_poke(channel);
    return status;
}

static rbr_status
reject_hello(rbr_channel *channel, const char *reason, rbr_error *err)
{
    send_welcome(channel, reason, -1, NULL);
    return rbr_fail(err, RBR_REFUSED, "%s", reason);
}

static rbr_status
on_hello(rbr_channel *channel, rbr_table hello, int pid, rbr_error *err)
{
    const uint16_t major = rbr_get_u16(hello, RBR_HELLO__PROTO_MAJOR, 0);
    const uint64_t layout = rbr_get_u64(hello, RBR_HELLO__LAYOUT_HASH, 0);
    char reason[400];
    rbr_status status;
    int fd;

    keep_text(channel->peer_text[0], sizeof channel->peer_text[0], hello, RBR_HELLO__PYTHON);
    keep_text(channel->peer_text[1], sizeof channel->peer_text[1], hello, RBR_HELLO__ABI);
    keep_text(channel->peer_text[2], sizeof channel->peer_text[2], hello, RBR_HELLO__VERSION);
    keep_text(channel->peer_text[3], sizeof channel->peer_text[3], hello, RBR_HELLO__EXECUTABLE);
    channel->peer.pickle = channel->pickle_ok && rbr_get_u8(hello, RBR_HELLO__PICKLE_OK, 0) != 0;
    status = watch_sender(channel, pid, err);
    if (status != RBR_OK)
        return status;
    if (major != RBR_PROTO_MAJOR || layout != RBR_LAYOUT_HASH) {
        snprintf(reason, sizeof reason,
                 "the host has ringbridge %s (protocol %d, layout %llx) and the worker ringbridge "
                 "%.60s (protocol %u, layout %llx): install the same version in both",
                 RBR_VERSION, RBR_PROTO_MAJOR, (unsigned long long)RBR_LAYOUT_HASH,
                 channel->peer_text[2], major, (unsigned long long)layout);
        return reject_hello(channel, reason, err);
    }
    rbr_os_random(&channel->session, sizeof channel->session);
    status = rbr_segment_create(&channel->segment, &fd, channel->options.ring_bytes,
                                channel->session, channel->options.memory, err);
    if (status != RBR_OK)
        return status;
    rbr_wake_init(&channel->wake, channel->segment.shared, RBR_ROLE_HOST, channel->wake.spin_ns);
    status = send_welcome(channel, "", fd, err);
    close(fd);
    if (status == RBR_OK)
        channel->handshake_step = STEP_READY;
    return status;
}

/* What a bootstrap sends instead of Hello. */
static rbr_status
on_reason(const rbr_datagram *datagram, rbr_error *err)
{
    const char *text = (const char *)datagram->bytes + 4;
    const int length = (int)datagram->size - 4;

    if (length == 0 || text[0] == '\0')
        return rbr_fail(err, RBR_REFUSED, "the worker could not start, and does not say why");
    return rbr_fail(err, RBR_REFUSED, "%.*s", length, text);
}

/* ------------------------------------------------------------------------------------ both sides */

static rbr_status
on_datagram(rbr_channel *channel, const rbr_datagram *datagram, rbr_error *err)
{
    rbr_verdict verdict = {.refs_max = 0};
    rbr_table root, body;
    uint8_t type;

    if (channel->handshake_step == STEP_HELLO && datagram->size >= 4 &&
        memcmp(datagram->bytes, "RBRX", 4) == 0)
        return on_reason(datagram, err);
    if (rbr_verify(datagram->bytes, datagram->size, &root, &verdict) != RBR_OK)
        return rbr_fail(err, RBR_BROKEN, "the handshake's message is malformed: %s at byte %u",
                        rbr_defect_text(verdict.defect), verdict.offset);
    type = rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0);
    body = rbr_get_table(root, RBR_FRAME__BODY);
    if (channel->handshake_step == STEP_HELLO && type == RBR_BODY_HELLO)
        return on_hello(channel, body, datagram->pid, err);
    if (channel->handshake_step == STEP_WELCOME && type == RBR_BODY_WELCOME)
        return on_welcome(channel, body, datagram->fd, err);
    if (channel->handshake_step == STEP_READY && type == RBR_BODY_SEGMENT &&
        rbr_get_u16(body, RBR_SEGMENT__ARENA, 0) == RING_SEGMENT &&
        rbr_get_u8(body, RBR_SEGMENT__STATE, 0) == RBR_SEGMENT_STATE_ACCEPTED) {
        open_exchange(channel);
        return RBR_OK;
    }
    return rbr_fail(err, RBR_BROKEN, "the handshake's message is of kind %u, out of turn", type);
}

static rbr_status
wait_datagram(rbr_channel *channel, uint64_t deadline_ns, rbr_datagram *out, rbr_error *err)
{
    for (;;) {
        const uint64_t now = rbr_now_ns(), look = now + HANDSHAKE_LOOK_NS;
        const uint64_t until = deadline_ns < look ? deadline_ns : look;
        struct pollfd ready = {.fd = channel->watch.control, .events = POLLIN};
        rbr_status status = rbr_control_receive(channel->watch.control, out, err);

        if (status == RBR_DEAD) {
            /* The watcher knows the exit, give it the moment to say so. */
            const uint64_t known = now + RBR_SECOND;

            while (rbr_channel_state(channel, err) == RBR_OK && rbr_now_ns() < known)
                poll(NULL, 0, 1);
            return RBR_DEAD;
        }
        if (status != RBR_AGAIN)
            return status;
        status = rbr_channel_state(channel, err);
        if (status != RBR_OK)
            return status;
        if (now >= deadline_ns)
            return rbr_fail(err, RBR_TIMED_OUT, "%s has not answered in time", channel->title);
        if (poll(&ready, 1, (int)((until - now) / RBR_MS) + 1) < 0 && errno == EINTR)
            return rbr_fail(err, RBR_INTERRUPTED, "a signal arrived");
    }
}

rbr_status
rbr_channel_handshake(rbr_channel *channel, uint64_t deadline_ns, rbr_error *err)
{
    rbr_status status = RBR_OK;

    if (channel->role == RBR_ROLE_WORKER && channel->handshake_step == STEP_HELLO) {
        status = send_hello(channel, err);
        channel->handshake_step = STEP_WELCOME;
    }
    while (status == RBR_OK && channel->handshake_step != STEP_DONE) {
        rbr_datagram datagram;

        status = wait_datagram(channel, deadline_ns, &datagram, err);
        if (status != RBR_OK)
            break;
        status = on_datagram(channel, &datagram, err);
        if (datagram.fd >= 0)
            close(datagram.fd);
    }
    return status;
}
