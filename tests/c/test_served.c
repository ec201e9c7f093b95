/* SPDX-License-Identifier: MIT */
/*
 * test_served.c - an application's end of a channel, in this process, and its client in a forked child.
 */
#include "channel.h"
#include "channel_pair.h"
#include "check.h"
#include "loop_steps.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct served_pair {
    rbr_channel *app;
    int pid;
} served_pair;

/* With small rings. */
static void
run_client(int socket, void (*client)(rbr_channel *))
{
    const rbr_channel_options options = {.name = "app", .ring_bytes = RBR_RING_BYTES_MIN};
    rbr_channel *channel;

    CHECK(rbr_channel_open_client(&channel, socket, &options, NULL) == RBR_OK);
    CHECK(rbr_channel_handshake(channel, in_ms(15000), NULL) == RBR_OK);
    client(channel);
    pair_check_no_wake_was_lost(channel);
    rbr_channel_release(channel);
    _exit(0);
}

static void
served_open(served_pair *pair, void (*client)(rbr_channel *))
{
    const rbr_channel_options options = {.name = "client", .arena_limit = RBR_MIB};
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    pair->pid = fork();
    CHECK(pair->pid >= 0);
    if (pair->pid == 0) {
        close(ends[0]);
        run_client(ends[1], client);
    }
    close(ends[1]);
    CHECK(rbr_channel_open_served(&pair->app, ends[0], "3.0.0", "none", "test", &options, NULL) ==
          RBR_OK);
    CHECK(rbr_channel_handshake(pair->app, in_ms(15000), NULL) == RBR_OK);
    CHECK(rbr_channel_poll_requests(pair->app, NULL) == RBR_OK);
}

/* The child has ended by itself (0), or by this signal. */
static void
served_close(served_pair *pair, int signal_number)
{
    int status;

    CHECK(waitpid(pair->pid, &status, 0) == pair->pid);
    CHECK(signal_number != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == signal_number
                             : WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pair_check_no_wake_was_lost(pair->app);
    rbr_channel_release(pair->app);
}

/* As an application's loop does: arms, polls, takes. */
static rbr_message *
take_request(rbr_channel *app)
{
    rbr_inbox *inbox = rbr_channel_inbox(app);
    rbr_message *message = NULL;

    while (rbr_channel_flush(app) || rbr_channel_receive(app, &message, 0, 0) == RBR_AGAIN) {
        rbr_inbox_arm(inbox);
        CHECK(loop_is_readable(inbox, 15000));
        rbr_inbox_clear(inbox);
    }
    return message;
}

/* Answers that nobody reads, until one of them has no room. */
static void
fill(rbr_channel *app)
{
    static alignas(8) uint8_t room[1 << 14];
    const uint32_t size = pair_build_call(room, sizeof room, 1000, FUNCTION_ECHO, 0, 1 << 13);

    while (!rbr_channel_flush(app))
        CHECK(rbr_channel_post(app, room, size, NULL, 0, 0, in_ms(15000), NULL) == RBR_OK);
}

static void
stop_and_sleep(rbr_channel *client)
{
    pair_send_call(client, 1);
    for (;;)
        pause();
}

TEST(the_end_of_a_client_that_did_not_read_is_heard)
{
    served_pair pair;

    served_open(&pair, stop_and_sleep);
    pair_take_id(take_request(pair.app));
    fill(pair.app);
    rbr_inbox_arm(rbr_channel_inbox(pair.app));
    kill(pair.pid, SIGKILL);
    CHECK(loop_is_readable(rbr_channel_inbox(pair.app), 15000));
    CHECK(take_request(pair.app) == NULL);
    CHECK(rbr_channel_state(pair.app, NULL) == RBR_DEAD);
    served_close(&pair, SIGKILL);
}

static void
call_then_read(rbr_channel *client)
{
    rbr_pending pending;
    rbr_message *message;

    pair_send_call(client, 1001); /* whose answers are for nobody */
    pair_send_call(client, rbr_pending_begin(&pending, client));
    while (atomic_load(&client->wake.peers_event) < 0) /* what the first of them is to set */
        poll(NULL, 0, 1);
    kill(getpid(), SIGSTOP);
    CHECK(rbr_pending_wait(&pending, &message, 0, in_ms(15000)) == RBR_OK);
    rbr_message_free(message);
    rbr_pending_end(&pending);
}

static void
answer(rbr_channel *app, uint64_t id)
{
    CHECK(pair_send_empty(app, id, 0, RBR_BODY_RESULT, &rbr_desc_result, in_ms(15000)) == RBR_OK);
}

TEST(requests_are_taken_again_when_the_client_has_read_its_answers)
{
    served_pair pair;
    uint64_t id;

    served_open(&pair, call_then_read);
    pair_take_id(take_request(pair.app));
    CHECK(waitpid(pair.pid, NULL, WUNTRACED) == pair.pid);
    fill(pair.app);
    rbr_inbox_clear(rbr_channel_inbox(pair.app)); /* what was announced before it stopped */
    rbr_inbox_arm(rbr_channel_inbox(pair.app));
    CHECK(!loop_is_readable(rbr_channel_inbox(pair.app), 20)); /* there is a request, and no room */
    kill(pair.pid, SIGCONT);
    id = pair_take_id(take_request(pair.app));
    answer(pair.app, id);
    served_close(&pair, 0);
}

static void
call_once(rbr_channel *client)
{
    int64_t number;

    CHECK(pair_call(client, 7, 0, &number, in_ms(15000)) == RBR_OK);
}

TEST(a_descriptor_that_is_asked_for_twice_is_made_once)
{
    served_pair pair;
    uint64_t id;
    int fd;

    served_open(&pair, call_once);
    fd = rbr_inbox_fd(rbr_channel_inbox(pair.app));
    CHECK(rbr_channel_poll_requests(pair.app, NULL) == RBR_OK);
    CHECK(rbr_inbox_fd(rbr_channel_inbox(pair.app)) == fd);
    id = pair_take_id(take_request(pair.app));
    answer(pair.app, id);
    CHECK(take_request(pair.app) == NULL); /* its end wakes all inboxes, each once */
    served_close(&pair, 0);
}
