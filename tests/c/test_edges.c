/* SPDX-License-Identifier: MIT */
/* test_edges.c - before the handshake, after the release, failed openings, a ring that is full. */
#include "channel.h"
#include "channel_pair.h"
#include "check.h"
#include "os.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const rbr_channel_options small_ring = {.ring_bytes = 65536, .spin_ns = 0};

static _Noreturn void
park(void)
{
    alarm(60);
    for (;;)
        pause();
}

/* ------------------------------------------------------------------------------------- control */

/* It counted as the end of the socket, and what came with it stayed open for ever. */
TEST(an_empty_control_message_with_descriptors_leaves_none)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } ancillary = {.room = {0}};
    struct msghdr empty = {.msg_control = &ancillary, .msg_controllen = sizeof ancillary.room};
    int ends[2], free_fd;
    rbr_datagram datagram;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    CHECK(rbr_control_prepare(ends[0], NULL) == RBR_OK);
    ancillary.header.cmsg_level = SOL_SOCKET;
    ancillary.header.cmsg_type = SCM_RIGHTS;
    ancillary.header.cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(&ancillary.header), ends, sizeof ends);
    CHECK(sendmsg(ends[1], &empty, 0) == 0);
    free_fd = dup(ends[0]);
    close(free_fd);
    CHECK(rbr_control_receive(ends[0], &datagram, NULL) == RBR_DEAD);
    CHECK(datagram.fd == -1 && dup(ends[0]) == free_fd);
    close(free_fd);
    close(ends[0]);
    close(ends[1]);
}

/* ------------------------------------------------------------------------------------ opening */

/* An allocation said RBR_OK and gave no block; a receive read a ring that was not there. */
TEST(nothing_but_the_handshake_works_before_the_handshake)
{
    rbr_message *const no_message = (rbr_message *)&small_ring;
    rbr_block *const no_block = (rbr_block *)&small_ring;
    rbr_message *message = no_message;
    rbr_block *block = no_block;
    rbr_pending pending;
    rbr_channel *host;
    rbr_error error;
    int ends[2], pid;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    pid = fork();
    if (pid == 0)
        park();
    close(ends[1]);
    CHECK(rbr_channel_open_host(&host, ends[0], pid, -1, -1, &small_ring, &error) == RBR_OK);
    CHECK(rbr_block_allocate(&block, host, 10, in_ms(100), &error) != RBR_OK);
    CHECK(rbr_channel_receive(host, &message, 0, in_ms(100)) != RBR_OK);
    rbr_pending_begin(&pending, host);
    CHECK(rbr_pending_wait(&pending, &message, 0, in_ms(100)) != RBR_OK);
    rbr_pending_end(&pending);
    CHECK(rbr_channel_send(host, &error, 8, NULL, 0, in_ms(100), NULL) != RBR_OK);
    CHECK(message == no_message && block == no_block);
    kill(pid, SIGKILL);
    rbr_channel_release(host);
}

/* A channel's structure was made of zeroes, so the descriptor of the stream that was never reached
 * was 0: the failure closed the program's stdin, and the pipe on stderr stayed open. */
TEST(a_bad_descriptor_for_the_output_closes_what_was_given_and_nothing_else)
{
    rbr_channel *host;
    rbr_error error;
    int ends[2], output[2];

    CHECK(fcntl(0, F_GETFD) >= 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 && pipe(output) == 0);
    CHECK(rbr_channel_open_host(&host, ends[0], getpid(), 4095, output[0], &small_ring, &error) ==
          RBR_SYSTEM);
    CHECK(fcntl(0, F_GETFD) >= 0);
    CHECK(fcntl(output[0], F_GETFD) < 0 && fcntl(ends[0], F_GETFD) < 0);
    close(output[1]);
    close(ends[1]);
}

/* ---------------------------------------------------------------------------------------- names */

/* Makes segments until it is killed. */
static _Noreturn void
make_segments(void)
{
    rbr_error error;
    bool sealed;
    int fd;

    alarm(60);
    for (;;) {
        CHECK(rbr_os_shared_create(&fd, &sealed, 4096, RBR_MEMORY_SHM, &error) == RBR_OK);
        close(fd);
    }
}

static bool
has_nameless_files(void)
{
    const int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    close(fd);
    return fd >= 0;
}

/* A name that lived for microseconds was left behind by about every fiftieth process that was killed
 * while it joined. Here the runner looks for what is left in /dev/shm. */
TEST(whoever_is_killed_while_it_makes_a_segment_leaves_no_name)
{
    int kills, status;

    if (!has_nameless_files())
        SKIP("this /dev/shm has no files without a name");
    for (kills = 0; kills < 200; kills++) {
        const pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0)
            make_segments();
        usleep(500 + (useconds_t)kills);
        CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
}

/* ----------------------------------------------------------------------------------- releasing */

/* How many pieces of shared memory this process has mapped. */
static int
shared_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    int count = 0;

    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL)
        count += (strstr(line, "/dev/shm/") != NULL || strstr(line, "/memfd:") != NULL) &&
                 strstr(line, "(deleted)") != NULL;
    fclose(maps);
    return count;
}

static uint32_t
build_call_with_block(void *room, uint32_t room_bytes, const rbr_block *block)
{
    rbr_builder builder;
    rbr_arena_ref ref;
    uint32_t root, call, args, value, tensor;

    rbr_block_ref(block, &ref);
    rbr_build_start(&builder, room, room_bytes, NULL, NULL);
    root = rbr_build_table(&builder, 0, &rbr_shape_frame);
    rbr_build_u64(&builder, root, &rbr_shape_frame, RBR_FRAME__ID, 7);
    rbr_build_u8(&builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_CALL);
    call = rbr_build_table(&builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY),
                           &rbr_shape_call);
    args = rbr_build_vector(&builder, rbr_build_slot(call, &rbr_shape_call, RBR_CALL__ARGS), 1, 4,
                            4);
    value = rbr_build_table(&builder, args, &rbr_shape_value_tensor);
    tensor = rbr_build_table(&builder,
                             rbr_build_slot(value, &rbr_shape_value_tensor, RBR_VALUE__TENSOR),
                             &rbr_shape_tensor_arena);
    rbr_build_vector(&builder, rbr_build_slot(tensor, &rbr_shape_tensor_arena, RBR_TENSOR__SHAPE),
                     1, 8, 8);
    rbr_build_set(&builder, tensor, &rbr_shape_tensor_arena, RBR_TENSOR__ARENA, &ref, sizeof ref);
    return rbr_build_finish(&builder);
}

/* Waits for an answer that never comes, so that the request which does is put aside, then ends. */
static void
leave_a_request_unread(rbr_channel *channel)
{
    rbr_message *message;
    rbr_pending pending;

    rbr_pending_begin(&pending, channel);
    while (channel->exchange.own.queue.first == NULL)
        CHECK(rbr_pending_wait(&pending, &message, 0, in_ms(50)) == RBR_TIMED_OUT);
    rbr_pending_end(&pending);
    CHECK(shared_mappings() > 0);
    rbr_channel_release(channel);
    _exit(shared_mappings() == 0 ? 0 : 1);
}

/* The unread request held a block, the block the channel's memory, and that the request: nothing of
 * it was ever freed. */
TEST(a_released_channel_with_an_unread_request_is_freed)
{
    alignas(8) uint8_t room[1024];
    channel_pair pair;
    rbr_block *block;
    rbr_exit result;
    uint32_t size;

    pair_open(&pair, &small_ring, leave_a_request_unread);
    CHECK(rbr_block_allocate(&block, pair.host, 64, in_ms(15000), NULL) == RBR_OK);
    memset(rbr_block_data(block), 1, 64);
    size = build_call_with_block(room, sizeof room, block);
    CHECK(rbr_channel_send(pair.host, room, size, &block, 1, in_ms(15000), NULL) == RBR_OK);
    rbr_block_release(block);
    CHECK(rbr_channel_wait_end(pair.host, &result, in_ms(15000)) == RBR_OK);
    CHECK(result.known && !result.signalled && result.code == 0);
    rbr_channel_release(pair.host);
}

/* -------------------------------------------------------------------------------------- growing */

static void
park_as_worker(rbr_channel *channel)
{
    (void)channel;
    park();
}

static void *
wait_for_growth(void *argument)
{
    rbr_block *block;

    CHECK(rbr_block_allocate(&block, argument, 100000, in_ms(10000), NULL) == RBR_DEAD);
    return NULL;
}

/* How long a thread that waits for the worker to map a segment takes to learn of its death. */
static uint64_t
death_amid_growth_ns(void)
{
    channel_pair pair;
    pthread_t thread;
    rbr_error error;
    uint64_t start;

    pair_open(&pair, &small_ring, park_as_worker);
    CHECK(rbr_channel_kill(pair.host, SIGSTOP, false, &error) == RBR_OK);
    CHECK(pthread_create(&thread, NULL, wait_for_growth, pair.host) == 0);
    poll(NULL, 0, 20);
    start = rbr_now_ns();
    CHECK(rbr_channel_kill(pair.host, SIGKILL, false, &error) == RBR_OK);
    pthread_join(thread, NULL);
    start = rbr_now_ns() - start;
    rbr_channel_release(pair.host);
    return start;
}

/* It learned of it at its next look, up to 100 ms later. */
TEST(a_death_ends_a_wait_for_the_arena_at_once)
{
    uint64_t best = RBR_FOREVER;
    int i;

    for (i = 0; i < 5; i++) {
        const uint64_t took = death_amid_growth_ns();

        best = took < best ? took : best;
    }
    CHECK(best < 40 * RBR_MS);
}

/* ---------------------------------------------------------------------------- room in the ring */

enum { SMALL_RECORD = 3000 };

/* Reads one record, once somebody over there sleeps for room; then nothing more. */
static void
read_one_when_they_wait_for_room(rbr_channel *channel)
{
    struct rbr_wake_shared *host = &channel->segment.shared->wake[RBR_ROLE_HOST];
    rbr_message *message;

    while ((atomic_load(&host->waiting) & RBR_WAKE_ROOM) == 0)
        rbr_os_yield();
    CHECK(rbr_channel_receive(channel, &message, 0, in_ms(15000)) == RBR_OK);
    rbr_message_free(message);
    park();
}

static void *
wait_for_an_answer(void *argument)
{
    rbr_message *message;
    rbr_pending pending;

    rbr_pending_begin(&pending, argument);
    while (rbr_pending_wait(&pending, &message, 0, RBR_FOREVER) == RBR_INTERRUPTED)
        ;
    rbr_pending_end(&pending);
    return NULL;
}

/* Whoever waited for room while another thread read was woken only when a quarter of the ring was
 * free, the most that any record needs. His own small record fitted long before: he found that out
 * by looking every 100 ms. */
TEST(a_small_record_is_sent_as_soon_as_it_fits_while_another_thread_reads)
{
    alignas(8) uint8_t room[SMALL_RECORD + 512];
    channel_pair pair;
    pthread_t reader;
    rbr_stats stats;
    rbr_status status;
    uint32_t size;

    pair_open(&pair, &small_ring, read_one_when_they_wait_for_room);
    size = pair_build_call(room, sizeof room, 0, FUNCTION_ECHO, 0, SMALL_RECORD);
    while ((status = rbr_channel_send(pair.host, room, size, NULL, 0, 0, NULL)) == RBR_OK)
        ;
    CHECK(status == RBR_AGAIN);
    CHECK(pthread_create(&reader, NULL, wait_for_an_answer, pair.host) == 0);
    do { /* until it has the reader role */
        poll(NULL, 0, 1);
        rbr_channel_stats(pair.host, &stats);
    } while (stats.sleeps == 0);
    CHECK(rbr_channel_send(pair.host, room, size, NULL, 0, in_ms(15000), NULL) == RBR_OK);
    pair_check_no_wake_was_lost(pair.host);
    rbr_channel_close(pair.host);
    pthread_join(reader, NULL);
    rbr_channel_kill(pair.host, SIGKILL, true, NULL);
    rbr_channel_release(pair.host);
}

/* Makes room for somebody who sleeps for it, and does not wake him. */
static void
make_room_and_tell_nobody(rbr_channel *channel)
{
    struct rbr_ring_shared *in = &channel->segment.shared->ring[RBR_ROLE_HOST];
    struct rbr_wake_shared *host = &channel->segment.shared->wake[RBR_ROLE_HOST];

    while ((atomic_load(&host->waiting) & RBR_WAKE_ROOM) == 0)
        rbr_os_yield();
    poll(NULL, 0, 20); /* from the announcement into the kernel */
    atomic_store(&in->head, atomic_load(&in->tail));
    park();
}

/* Only data that came late was counted, and a lost wake-up for room was hidden by the next look. */
TEST(a_wake_up_for_room_that_is_lost_is_counted)
{
    alignas(8) uint8_t room[SMALL_RECORD + 512];
    channel_pair pair;
    rbr_stats stats;
    rbr_status status;
    uint32_t size;

    if (RBR_LOOK_NS > RBR_SECOND)
        SKIP("nobody looks by himself in this build");
    pair_open(&pair, &small_ring, make_room_and_tell_nobody);
    size = pair_build_call(room, sizeof room, 0, FUNCTION_ECHO, 0, SMALL_RECORD);
    do
        status = rbr_channel_send(pair.host, room, size, NULL, 0, 0, NULL);
    while (status == RBR_OK);
    CHECK(status == RBR_AGAIN);
    CHECK(rbr_channel_send(pair.host, room, size, NULL, 0, in_ms(15000), NULL) == RBR_OK);
    rbr_channel_stats(pair.host, &stats);
    CHECK(stats.late_looks == 1);
    rbr_channel_kill(pair.host, SIGKILL, true, NULL);
    rbr_channel_release(pair.host);
}
