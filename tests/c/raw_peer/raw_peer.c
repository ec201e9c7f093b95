/* SPDX-License-Identifier: MIT */
/*
 * raw_peer.c - a peer that meets ours as the real ones do, and then sends the bytes it is given.
 *
 * So frames that our encoder never makes (of other writers, of other versions, hostile ones) reach
 * the decoders of a real host and a real worker. Nothing here checks what it sends.
 *
 *   raw_peer worker SOCKET     the worker of a host; each Call's function says what to do:
 *       ANSWER (0)  args: frame, orders, payload, all bytes. Sends the frame as the answer, with the
 *                   call's id and with the references that the orders ask for.
 *       SHOW (1)    answers with bytes: the size of the call's own frame (u32), that frame, and for
 *                   each block that it refers to: where (u32), how many bytes (u32), the bytes.
 *       FLOOD (2)   args: frame, orders. Sends the frame, as ANSWER does, until the channel ends.
 *              A Load is answered with the frame that its module's name is: in hexadecimal, after
 *              the place of the id (i32).
 *   raw_peer host PYTHON CODE  starts a worker, `PYTHON -c CODE` with the socket's number; then for
 *       each frame on stdin (u32 size, i32 place of the id, frame) sends it and writes the answer
 *       to stdout (u32 size, frame). Ends when stdin does, with 0 when the worker ended well.
 *
 * Orders are int64: the place of the id (-1: none); then for each reference five: its place, and
 * what is added to the offset, length, generation and segment of a block that holds the payload.
 */
#include "message.h"
#include "ringbridge_wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FUNCTION_ANSWER = 0, FUNCTION_SHOW = 1, FUNCTION_FLOOD = 2 };
enum { ORDER_AT, ORDER_OFFSET, ORDER_LENGTH, ORDER_GENERATION, ORDER_ARENA, ORDER_NUMBERS };

#define PATIENCE_NS UINT64_C(60000000000)

static void
need(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "raw_peer: %s\n", what);
        exit(1);
    }
}

static void
need_ok(rbr_status status, const rbr_error *error)
{
    if (status != RBR_OK) {
        fprintf(stderr, "raw_peer: status %d: %s\n", (int)status, error->text);
        exit(1);
    }
}

static void *
need_room(size_t size)
{
    void *room = malloc(size + 8);

    need(room != NULL, "out of memory");
    return room;
}

/* ------------------------------------------------------------------------------------- a worker */

typedef struct bytes_arg {
    const uint8_t *bytes;
    uint32_t size;
    rbr_block *block; /* of a long one */
} bytes_arg;

static bytes_arg
bytes_of(const rbr_message *message, rbr_table call, uint32_t index)
{
    bytes_arg arg = {.block = NULL};
    uint32_t count;
    const uint8_t *args = rbr_get_vector(call, RBR_CALL__ARGS, &count);
    rbr_table value;

    need(index < count, "a call lacks an argument");
    value = rbr_vector_table(args, index);
    arg.bytes = rbr_get_vector(value, RBR_VALUE__B, &arg.size);
    if (arg.bytes == NULL) {
        const rbr_table tensor = rbr_get_table(value, RBR_VALUE__TENSOR);

        need(tensor.at != NULL, "an argument is not bytes");
        arg.block = rbr_message_block(message, rbr_field(tensor, RBR_TENSOR__ARENA));
        arg.bytes = rbr_block_data(arg.block);
        arg.size = (uint32_t)rbr_block_bytes(arg.block);
    }
    return arg;
}

static void
put_reference(uint8_t *frame, const int64_t *order, const rbr_block *block)
{
    rbr_arena_ref ref;

    rbr_block_ref(block, &ref);
    ref.offset += (uint64_t)order[ORDER_OFFSET];
    ref.length += (uint64_t)order[ORDER_LENGTH];
    ref.generation += (uint32_t)order[ORDER_GENERATION];
    ref.arena = (uint16_t)(ref.arena + order[ORDER_ARENA]);
    memcpy(frame + order[ORDER_AT], &ref, sizeof ref);
}

static rbr_status
answer(rbr_channel *channel, const rbr_message *message, rbr_table call)
{
    bytes_arg frame = bytes_of(message, call, 0), payload = bytes_of(message, call, 2);
    const bytes_arg given = bytes_of(message, call, 1);
    const uint64_t id = rbr_message_id(message);
    const size_t count = given.size / 8;
    int64_t *orders = need_room(given.size);
    uint8_t *sent = need_room(frame.size);
    rbr_block *block = NULL;
    rbr_error error;
    rbr_status status;
    size_t i;

    memcpy(orders, given.bytes, given.size);
    memcpy(sent, frame.bytes, frame.size);
    if (orders[0] >= 0)
        memcpy(sent + orders[0], &id, sizeof id);
    if (count > 1) {
        need_ok(
            rbr_block_allocate(&block, channel, payload.size, rbr_now_ns() + PATIENCE_NS, &error),
            &error);
        memcpy(rbr_block_data(block), payload.bytes, payload.size);
    }
    for (i = 1; i + ORDER_NUMBERS <= count; i += ORDER_NUMBERS)
        put_reference(sent, orders + i, block);
    status = rbr_channel_send(channel, sent, frame.size, &block, block != NULL, RBR_FOREVER, NULL);
    free(sent);
    free(orders);
    if (block != NULL)
        rbr_block_release(block);
    if (frame.block != NULL)
        rbr_block_release(frame.block);
    if (payload.block != NULL)
        rbr_block_release(payload.block);
    return status;
}

static uint8_t *
append(uint8_t *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

/* The call's frame and its blocks, one after the other. */
static uint8_t *
shown_of(const rbr_message *message, uint32_t *size)
{
    uint32_t frame_size, i;
    const uint8_t *frame = rbr_message_frame(message, &frame_size);
    size_t room = 4 + (size_t)frame_size;
    uint8_t *shown, *end;

    for (i = 0; i < message->ref_count; i++)
        room += 8 + rbr_block_bytes(message->refs[i].block);
    shown = need_room(room);
    end = append(shown, &frame_size, 4);
    end = append(end, frame, frame_size);
    for (i = 0; i < message->ref_count; i++) {
        const rbr_block *block = message->refs[i].block;
        const uint32_t bytes = (uint32_t)rbr_block_bytes(block);

        end = append(end, &message->refs[i].at, 4);
        end = append(end, &bytes, 4);
        end = append(end, rbr_block_data(block), bytes);
    }
    *size = (uint32_t)(end - shown);
    return shown;
}

static rbr_status
show(rbr_channel *channel, const rbr_message *message)
{
    uint32_t size, root, result, value;
    uint8_t *shown = shown_of(message, &size);
    uint8_t *room = need_room(size + 512);
    rbr_builder builder;
    rbr_status status;

    rbr_build_start(&builder, room, size + 512, NULL, NULL);
    root = rbr_build_table(&builder, 0, &rbr_shape_frame);
    rbr_build_u64(&builder, root, &rbr_shape_frame, RBR_FRAME__ID, rbr_message_id(message));
    rbr_build_u8(&builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_RESULT);
    result = rbr_build_table(&builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY),
                             &rbr_shape_result);
    value = rbr_build_table(&builder, rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE),
                            &rbr_shape_value_bytes);
    rbr_build_u8(&builder, value, &rbr_shape_value_bytes, RBR_VALUE__KIND, RBR_KIND_BYTES);
    rbr_build_bytes(&builder, rbr_build_slot(value, &rbr_shape_value_bytes, RBR_VALUE__B), shown,
                    size);
    size = rbr_build_finish(&builder);
    status = rbr_channel_send(channel, room, size, NULL, 0, RBR_FOREVER, NULL);
    free(room);
    free(shown);
    return status;
}

static rbr_status
answer_load(rbr_channel *channel, const rbr_message *message, rbr_table load)
{
    const uint64_t id = rbr_message_id(message);
    uint32_t digits, i;
    const char *name = rbr_get_string(load, RBR_LOAD__MODULE, &digits);
    const uint32_t size = digits / 2;
    uint8_t *bytes = need_room(size);
    int32_t id_at;
    rbr_status status;

    need(size > sizeof id_at, "a module's name is no frame");
    for (i = 0; i < size; i++)
        need(sscanf(name + 2 * (size_t)i, "%2hhx", &bytes[i]) == 1, "a module's name is no frame");
    memcpy(&id_at, bytes, sizeof id_at);
    memcpy(bytes + sizeof id_at + id_at, &id, sizeof id);
    status = rbr_channel_send(channel, bytes + sizeof id_at, size - (uint32_t)sizeof id_at, NULL, 0,
                              RBR_FOREVER, NULL);
    free(bytes);
    return status;
}

static rbr_status
flood(rbr_channel *channel, const rbr_message *message, rbr_table call)
{
    const bytes_arg frame = bytes_of(message, call, 0), orders = bytes_of(message, call, 1);
    const uint64_t id = rbr_message_id(message);
    uint8_t *sent = need_room(frame.size);
    rbr_status status = RBR_OK;
    int64_t id_at;

    memcpy(sent, frame.bytes, frame.size);
    memcpy(&id_at, orders.bytes, sizeof id_at);
    memcpy(sent + id_at, &id, sizeof id);
    while (status == RBR_OK || status == RBR_INTERRUPTED)
        status = rbr_channel_send(channel, sent, frame.size, NULL, 0, RBR_FOREVER, NULL);
    free(sent);
    return status;
}

static rbr_status
on_call(rbr_channel *channel, const rbr_message *message, rbr_table call)
{
    const uint32_t function = rbr_get_u32(call, RBR_CALL__FUNCTION, 0);

    if (function == FUNCTION_SHOW)
        return show(channel, message);
    if (function == FUNCTION_FLOOD)
        return flood(channel, message, call);
    return answer(channel, message, call);
}

static int
run_worker(int socket)
{
    rbr_channel *channel;
    rbr_message *message;
    rbr_status status;
    rbr_error error;

    need_ok(rbr_channel_open_worker(&channel, socket, "3", "none", "raw_peer", &error), &error);
    need_ok(rbr_channel_handshake(channel, rbr_now_ns() + PATIENCE_NS, &error), &error);
    for (;;) {
        rbr_table body;
        uint8_t type;

        status = rbr_channel_receive(channel, &message, RBR_FOREVER, RBR_FOREVER);
        if (status == RBR_INTERRUPTED)
            continue;
        if (status != RBR_OK)
            break;
        body = rbr_message_body(message, &type);
        if (type == RBR_BODY_RELEASE) { /* of a handle that was made of a frame of ours */
            rbr_message_free(message);
            continue;
        }
        need(type == RBR_BODY_CALL || type == RBR_BODY_LOAD, "a request of another kind");
        if (type == RBR_BODY_LOAD)
            status = answer_load(channel, message, body);
        else
            status = on_call(channel, message, body);
        rbr_message_free(message);
        if (status != RBR_OK)
            break;
    }
    rbr_channel_release(channel);
    return status == RBR_CLOSED || status == RBR_DEAD ? 0 : 1;
}

/* --------------------------------------------------------------------------------------- a host */

static bool
read_all(void *to, size_t size)
{
    return fread(to, 1, size, stdin) == size;
}

/* One frame of stdin, and its answer. False at the end. */
static bool
exchange_one(rbr_channel *channel)
{
    rbr_pending pending;
    rbr_message *message;
    uint64_t id;
    uint32_t size;
    int32_t id_at;
    uint8_t *frame;
    const uint8_t *back;
    rbr_error error = {.text = "the worker gave no answer"};
    rbr_status status;

    if (!read_all(&size, 4))
        return false;
    frame = need_room(size);
    need(read_all(&id_at, 4) && read_all(frame, size), "stdin ends within a frame");
    id = rbr_pending_begin(&pending, channel);
    memcpy(frame + id_at, &id, sizeof id);
    need_ok(rbr_channel_send(channel, frame, size, NULL, 0, rbr_now_ns() + PATIENCE_NS, &error),
            &error);
    free(frame);
    do
        status = rbr_pending_wait(&pending, &message, RBR_FOREVER, rbr_now_ns() + PATIENCE_NS);
    while (status == RBR_INTERRUPTED);
    if (status != RBR_OK)
        rbr_channel_state(channel, &error);
    need_ok(status, &error);
    rbr_pending_end(&pending);
    back = rbr_message_frame(message, &size);
    need(fwrite(&size, 4, 1, stdout) == 1 && fwrite(back, 1, size, stdout) == size &&
             fflush(stdout) == 0,
         "nobody reads stdout");
    rbr_message_free(message);
    return true;
}

/* Never returns in the child. */
static int
start_python(const char *python, const char *code, int socket)
{
    const int pid = fork();
    char number[16];

    if (pid == 0) {
        const int nothing = open("/dev/null", O_RDONLY);

        snprintf(number, sizeof number, "%d", socket);
        need(nothing >= 0 && dup2(nothing, 0) == 0 && dup2(2, 1) == 1, "redirect");
        /* NOLINTNEXTLINE(clang-analyzer-optin.taint.GenericTaint): what the test gave us */
        execlp(python, python, "-c", code, number, (char *)NULL);
        _exit(127);
    }
    need(pid > 0, "fork");
    close(socket);
    return pid;
}

static int
run_host(const char *python, const char *code)
{
    const rbr_channel_options options = {.name = "raw", .spin_ns = -1};
    rbr_channel *channel;
    rbr_exit how;
    rbr_error error;
    int ends[2], pid;

    need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0, "socketpair");
    need(fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0, "fcntl");
    pid = start_python(python, code, ends[1]);
    need_ok(rbr_channel_open_host(&channel, ends[0], pid, -1, -1, &options, &error), &error);
    need_ok(rbr_channel_handshake(channel, rbr_now_ns() + PATIENCE_NS, &error), &error);
    while (exchange_one(channel))
        continue;
    rbr_channel_say_goodbye(channel);
    need(rbr_channel_wait_end(channel, &how, rbr_now_ns() + PATIENCE_NS) == RBR_OK,
         "the worker does not end");
    rbr_channel_release(channel);
    need(how.known && !how.signalled && how.code == 0, "the worker did not end well");
    return 0;
}

int
main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "worker") == 0)
        return run_worker(atoi(words[2]));
    need(count == 4 && strcmp(words[1], "host") == 0, "usage: worker SOCKET | host PYTHON CODE");
    return run_host(words[2], words[3]);
}
