/* SPDX-License-Identifier: MIT */
/*
 * fault_memory.c - /dev/shm is full, to any degree.
 *
 * The host makes a namespace of its own with a small tmpfs over /dev/shm, leaves some bytes of it, and
 * then starts its worker and calls it. Each step works or gives the error that says so; what was
 * allocated can be written to the last byte, so no SIGBUS ends anybody.
 */
#include "fault_traffic.h"

#include "sequence.h"

#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHM_BYTES (8 * RBR_MIB)
enum { CALLS = 24, EXIT_NO_NAMESPACE = 4, EXIT_NO_MOUNT = 5 };

/* ------------------------------------------------------------------------------------- namespace */

static bool
write_file(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return done;
}

/* 0, or why not. The calling process alone, and its children, see another /dev/shm. */
static int
enter_namespace(void)
{
    const unsigned user = geteuid(), group = getegid();
    char text[64];

    if (unshare(user == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return EXIT_NO_NAMESPACE;
    if (user != 0) {
        snprintf(text, sizeof text, "%u %u 1", user, user);
        if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", text))
            return EXIT_NO_NAMESPACE;
        snprintf(text, sizeof text, "%u %u 1", group, group);
        if (!write_file("/proc/self/gid_map", text))
            return EXIT_NO_NAMESPACE;
    }
    snprintf(text, sizeof text, "size=%llu,mode=1777", (unsigned long long)SHM_BYTES);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, text) != 0)
        return EXIT_NO_MOUNT;
    return 0;
}

/* Tried in a child, so that this process stays where it is. */
static bool
may_enter_namespace(char *why, size_t size)
{
    const pid_t child = fork();
    int status = 0;

    if (child == 0)
        _exit(enter_namespace());
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        snprintf(why, size, "a child to try it in could not be had");
    else if (WEXITSTATUS(status) == EXIT_NO_NAMESPACE)
        snprintf(why, size, "this process may have no namespaces of its own (unshare)");
    else if (WEXITSTATUS(status) == EXIT_NO_MOUNT)
        snprintf(why, size, "this process may not mount a tmpfs in a namespace of its own");
    else
        return true;
    return false;
}

static uint64_t
room_left(bench_fault_round *round)
{
    struct statvfs room;

    if (statvfs("/dev/shm", &room) != 0)
        bench_fault_end(round, FAULT_WRONG, "cannot look at /dev/shm: %s", strerror(errno));
    return (uint64_t)room.f_bavail * room.f_frsize;
}

/* Half of the rounds around what the rings need, half around what the arenas need. */
static uint64_t
leave_some_room(bench_fault_round *round)
{
    const uint64_t rings = RBR_RING_DATA_OFFSET + 2 * (uint64_t)round->options->ring_bytes;
    const uint64_t most = bench_random(&round->random) % 2 == 0 && 2 * rings < SHM_BYTES
                              ? 2 * rings
                              : SHM_BYTES;
    const uint64_t left = bench_random(&round->random) % most;
    const int fd = open("/dev/shm/full", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0 || posix_fallocate(fd, 0, (off_t)(SHM_BYTES - left)) != 0)
        bench_fault_end(round, FAULT_WRONG, "cannot fill a /dev/shm of our own");
    close(fd);
    return room_left(round);
}

/* ------------------------------------------------------------------------------------ both sides */

/* One call at a time: whether there was memory for it, or not. */
static rbr_status
call(bench_fault_round *round, rbr_error *error)
{
    const uint64_t until = rbr_now_ns() + round->patience_ns;
    rbr_pending pending;
    rbr_status status = bench_fault_send_call(round, &pending, round->next, until, error);

    if (bench_fault_is_full(status, error)) {
        rbr_pending_end(&pending);
        bench_fault_add(round, FAULT_REFUSED, 1);
        status = RBR_OK;
    } else {
        const rbr_status answered = bench_fault_take_answer(round, &pending, round->next);

        status = status == RBR_OK ? answered : status;
    }
    round->next++;
    return status;
}

/* Nothing was there to share: the worker is of no use. */
static void
end_unshared(bench_fault_round *round)
{
    rbr_exit how;

    bench_fault_add(round, FAULT_REFUSED, 1);
    rbr_channel_kill(round->channel, SIGKILL, false, NULL);
    if (rbr_channel_wait_end(round->channel, &how, rbr_now_ns() + BENCH_FAULT_HANG_NS) != RBR_OK)
        bench_fault_end(round, FAULT_HANGS, "the worker's end is not known after 10 s");
    atomic_store(&round->board->ended[RBR_ROLE_WORKER], true);
    rbr_channel_release(round->channel);
}

static void
full_shm_host(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status;
    uint64_t left;
    int i;

    if (enter_namespace() != 0)
        bench_fault_end(round, FAULT_WRONG, "no namespace, and the first try had one");
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the kernel forgets it with the user */
    round->short_of_memory = true;
    round->memory = round->number % 2 == 0 ? RBR_MEMORY_SHM : RBR_MEMORY_AUTO;
    left = leave_some_room(round);
    status = bench_fault_join_host(round, &error);
    if (bench_fault_is_full(status, &error) && round->memory == RBR_MEMORY_SHM) {
        end_unshared(round);
    } else {
        for (i = 0; i < CALLS && status == RBR_OK; i++)
            status = call(round, &error);
        if (status != RBR_OK)
            bench_fault_end_with(round, status, &error);
        bench_fault_finish(round);
    }
    if (room_left(round) != left)
        bench_fault_say(round, FAULT_LEAKS, "%llu bytes of /dev/shm were free, %llu are at the end",
                        (unsigned long long)left, (unsigned long long)room_left(round));
}

static void
full_shm_worker(bench_fault_round *round)
{
    rbr_error error = {.text = ""};
    rbr_status status = bench_fault_join_worker(round, &error);

    round->short_of_memory = true;
    if (status == RBR_OK)
        status = bench_fault_serve(round);
    if (status != RBR_CLOSED)
        bench_fault_end_with(round, status, &error);
    bench_fault_finish(round);
}

size_t
bench_fault_memory_kinds(bench_fault_kind *out)
{
    out[0] = (bench_fault_kind){
        .name = "full-shm",
        .what =
            "a small /dev/shm of its own, full to any degree: each start and each call works or "
            "is refused with the reason (or takes a memfd), nobody meets a SIGBUS",
        .rounds = 100,
        .shown = 1u << FAULT_REFUSED,
        .victim = -1,
        .host = full_shm_host,
        .worker = full_shm_worker,
        .allowed = may_enter_namespace};
    return 1;
}
