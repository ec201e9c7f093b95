/* SPDX-License-Identifier: MIT */
/*
 * peer_iceoryx.c - iceoryx 2: a publisher and a subscriber each way. Chunks are written and read in
 * place, in memory that iox-roudi, its daemon, hands out.
 *
 *   runner    --->  keeper  --->  iox-roudi
 *                   ends it when the runner has ended, however that was, and removes what is left
 *
 * Where an iox-roudi runs already, that one is used, and left alone. A publisher whose subscriber has
 * a full queue waits inside of publish; there is no call that does not.
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/wait_set.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 10000, END_MS = 3000, LOOK_MS = 1, CHUNKS_MAX = 256, SIDES = 2 };

struct iceoryx {
    bench_peer_setup setup;
    iox_pub_storage_t publisher_room;
    iox_sub_storage_t subscriber_room;
    iox_ws_storage_t wait_set_room;
    iox_pub_t publisher;
    iox_sub_t subscriber;
    iox_ws_t wait_set; /* NULL: nobody ever blocks */
    void *out;         /* NULL: nothing is claimed */
    const void *in;    /* NULL: nothing is held */
    bool pending;
};

extern const bench_peer bench_peer_module;

static void
sleep_a_look(void)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000L};

    nanosleep(&look, NULL);
}

/* Of a process, and of its files. */
static void
runtime_name(char *out, size_t size, const char *unique, int side)
{
    snprintf(out, size, "ringbench-%s-%d", unique, side);
}

/* -------------------------------------------------------------------------------------- keeper */

/* False: it runs on. */
static bool
ended(pid_t child, int *status, int within_ms)
{
    int left;

    for (left = within_ms; left >= 0; left -= LOOK_MS) {
        if (waitpid(child, status, WNOHANG) != 0)
            return true;
        sleep_a_look();
    }
    return false;
}

static void
remove_file(const char *folder, const char *name, const char *ending)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
    unlink(path);
}

/* Of processes that were killed: who ends by himself has none left. */
static void
remove_files_of_sides(const char *unique)
{
    char name[64];
    int side;

    for (side = 0; side < SIDES; side++) {
        runtime_name(name, sizeof name, unique, side);
        remove_file("/tmp", name, "");
        remove_file("/tmp", name, ".lock");
    }
}

/* Of a daemon that did not end well: as when one that it knows was killed. */
static void
remove_files_of_daemon(void)
{
    const struct group *group = getgrgid(getegid());

    remove_file("/dev/shm", "iceoryx_mgmt", "");
    if (group != NULL)
        remove_file("/dev/shm", group->gr_name, ""); /* its chunks: a segment for each group */
    remove_file("/tmp", "roudi", "");
    remove_file("/tmp", "roudi", ".lock");
    remove_file("/tmp", "iox-unique-roudi", ".lock");
}

static pid_t
start_daemon(int said)
{
    const pid_t child = fork();

    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* then it removes its memory itself */
    dup2(said, STDOUT_FILENO);
    execlp("iox-roudi", "iox-roudi", "--monitoring-mode", "off", "--kill-delay", "0", (char *)NULL);
    _exit(127);
}

/* `said` gets what the daemon says; `until` ends with the runner and its child. */
static _Noreturn void
keep(const char *unique, int said, int until)
{
    pid_t daemon;
    char ignored;
    int status;

    prctl(PR_SET_PDEATHSIG, 0);
    prctl(PR_SET_NAME, "rb roudi keeper");
    setsid(); /* Ctrl-C is not for us: we have to tidy up after it */
    signal(SIGTERM, SIG_IGN);
    daemon = start_daemon(said);
    close(said);
    while (read(until, &ignored, 1) < 0 && errno == EINTR)
        ;
    if (daemon > 0 && !ended(daemon, &status, 0)) { /* else another one runs */
        kill(daemon, SIGTERM);
        if (!ended(daemon, &status, END_MS)) {
            kill(daemon, SIGKILL);
            waitpid(daemon, &status, 0);
        }
        if (status != 0)
            remove_files_of_daemon();
    }
    remove_files_of_sides(unique);
    _exit(0);
}

/* Until the daemon is ready, or has ended because another one runs. */
static void
await_daemon(const bench_peer_setup *setup, int said)
{
    struct pollfd look = {.fd = said, .events = POLLIN};
    char text[1024] = "";
    size_t used = 0;

    while (strstr(text, "ready for clients") == NULL) {
        ssize_t got;

        if (poll(&look, 1, START_MS) == 0)
            setup->fail("iox-roudi is not ready after %d s", START_MS / 1000);
        got = read(said, text + used, sizeof text - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 && access("/tmp/roudi", F_OK) == 0)
            return;
        if (got <= 0)
            setup->fail("iox-roudi does not start: is Debian's package iceoryx installed?");
        used += (size_t)got;
        text[used] = '\0';
        if (used == sizeof text - 1)
            setup->fail("iox-roudi says too much: %.80s", text);
    }
}

static void *
peer_open(const bench_peer_setup *setup)
{
    struct iceoryx *all = calloc(1, sizeof *all);
    int said[2], until[2]; /* until: the keeper's sign is that nobody has its other end */
    pid_t keeper;

    if (all == NULL)
        setup->fail("no memory");
    all->setup = *setup;
    if (pipe2(said, O_CLOEXEC) != 0 || pipe2(until, O_CLOEXEC) != 0)
        setup->fail("no descriptors: %s", strerror(errno));
    keeper = fork();
    if (keeper < 0)
        setup->fail("cannot fork: %s", strerror(errno));
    if (keeper == 0) {
        close(said[0]);
        close(until[1]);
        keep(setup->unique, said[1], until[0]);
    }
    close(said[1]);
    close(until[0]);
    await_daemon(setup, said[0]);
    close(said[0]);
    return all;
}

static void
peer_close(void *peer)
{
    struct iceoryx *all = peer;

    free(all); /* the keeper waits for our end, where iceoryx says goodbye to its daemon */
}

/* ------------------------------------------------------------------------------------- joining */

static void
await_other_side(const struct iceoryx *all)
{
    int left;

    for (left = START_MS; left > 0; left -= LOOK_MS) {
        if (iox_sub_get_subscription_state(all->subscriber) == SubscribeState_SUBSCRIBED &&
            iox_pub_has_subscribers(all->publisher))
            return;
        sleep_a_look();
    }
    all->setup.fail("the two sides did not find each other within %d s", START_MS / 1000);
}

static void
peer_attach(void *peer, int side)
{
    static const char *const events[SIDES] = {"back", "there"}; /* by the side that receives */
    struct iceoryx *all = peer;
    const uint32_t fit = all->setup.room_bytes / all->setup.bytes;
    iox_pub_options_t publishing;
    iox_sub_options_t subscribing;
    char name[64];

    iox_set_loglevel(Iceoryx_LogLevel_Error);
    runtime_name(name, sizeof name, all->setup.unique, side);
    iox_runtime_init(name);
    iox_pub_options_init(&publishing);
    publishing.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
    iox_sub_options_init(&subscribing);
    subscribing.queueCapacity = fit < CHUNKS_MAX ? fit : CHUNKS_MAX;
    subscribing.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
    all->publisher = iox_pub_init(&all->publisher_room, "ringbench", all->setup.unique,
                                  events[1 - side], &publishing);
    all->subscriber = iox_sub_init(&all->subscriber_room, "ringbench", all->setup.unique,
                                   events[side], &subscribing);
    if (all->setup.wait == BENCH_WAIT_BLOCK || all->setup.wait == BENCH_WAIT_ADAPTIVE) {
        all->wait_set = iox_ws_init(&all->wait_set_room);
        if (iox_ws_attach_subscriber_state(all->wait_set, all->subscriber, SubscriberState_HAS_DATA,
                                           1, NULL) != WaitSetResult_SUCCESS)
            all->setup.fail("the wait set does not take the subscriber");
    }
    await_other_side(all);
}

/* ------------------------------------------------------------------------- sending, receiving */

static void *
peer_claim(void *peer, bool may_block)
{
    struct iceoryx *all = peer;
    enum iox_AllocationResult result;

    (void)may_block; /* its memory pools have no way to wait */
    if (all->out != NULL)
        return all->out;
    result = iox_pub_loan_chunk(all->publisher, &all->out, all->setup.bytes);
    if (result == AllocationResult_SUCCESS)
        return all->out;
    all->out = NULL;
    if (result != AllocationResult_RUNNING_OUT_OF_CHUNKS)
        all->setup.fail("no chunk of %u bytes (result %d): see the pools of iox-roudi",
                        all->setup.bytes, (int)result);
    return NULL;
}

static void
peer_send(void *peer)
{
    ((struct iceoryx *)peer)->pending = true;
}

static bool
peer_flush(void *peer, bool may_block)
{
    struct iceoryx *all = peer;

    (void)may_block;
    if (all->pending) {
        iox_pub_publish_chunk(all->publisher, all->out);
        all->out = NULL;
        all->pending = false;
    }
    return true;
}

static void
peer_release(void *peer)
{
    struct iceoryx *all = peer;

    if (all->in != NULL)
        iox_sub_release_chunk(all->subscriber, all->in);
    all->in = NULL;
}

static const void *
peer_receive(void *peer, uint32_t *bytes, bool may_block)
{
    struct iceoryx *all = peer;
    iox_notification_info_t ignored;
    uint64_t missed;
    enum iox_ChunkReceiveResult result;

    peer_release(peer);
    result = iox_sub_take_chunk(all->subscriber, &all->in);
    if (result == ChunkReceiveResult_NO_CHUNK_AVAILABLE && may_block && all->wait_set != NULL) {
        iox_ws_wait(all->wait_set, &ignored, 1, &missed);
        result = iox_sub_take_chunk(all->subscriber, &all->in);
    }
    *bytes = all->setup.bytes;
    if (result == ChunkReceiveResult_SUCCESS)
        return all->in;
    all->in = NULL;
    if (result != ChunkReceiveResult_NO_CHUNK_AVAILABLE)
        all->setup.fail("no chunk can be taken (result %d)", (int)result);
    return NULL;
}

static void
peer_detach(void *peer)
{
    struct iceoryx *all = peer;

    peer_release(peer);
    if (all->out != NULL)
        iox_pub_release_chunk(all->publisher, all->out);
    if (all->wait_set != NULL) {
        iox_ws_detach_subscriber_state(all->wait_set, all->subscriber, SubscriberState_HAS_DATA);
        iox_ws_deinit(all->wait_set);
    }
    iox_sub_deinit(all->subscriber);
    iox_pub_deinit(all->publisher);
    iox_runtime_shutdown();
}

__attribute__((visibility("default")))
const bench_peer bench_peer_module = {.version = BENCH_PEER_VERSION,
                                      .open = peer_open,
                                      .attach = peer_attach,
                                      .claim = peer_claim,
                                      .send = peer_send,
                                      .flush = peer_flush,
                                      .receive = peer_receive,
                                      .release = peer_release,
                                      .detach = peer_detach,
                                      .close = peer_close};
