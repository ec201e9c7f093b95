/* SPDX-License-Identifier: MIT */
/*
 * fault_look.c - what a process holds, what it left behind, and where its ring segment is mapped: all
 * of it from /proc and /dev/shm, nothing from the channel's own books.
 */
#include "fault.h"

#include "base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A thread that has been joined may stay in /proc for a moment. */
#define SETTLE_NS RBR_SECOND
#define NAP_NS (50 * UINT64_C(1000))

void
bench_fault_nap(uint64_t ns)
{
    const struct timespec pause = {(time_t)(ns / RBR_SECOND), (long)(ns % RBR_SECOND)};

    nanosleep(&pause, NULL);
}

void
bench_fault_await(bench_fault_round *round, _Atomic bool *flag, bool value)
{
    const uint64_t until = rbr_now_ns() + BENCH_FAULT_HANG_NS;

    while (atomic_load(flag) != value) {
        if (rbr_now_ns() >= until)
            bench_fault_end(round, FAULT_HANGS, "the other side did not come to the point");
        bench_fault_nap(NAP_NS);
    }
}

void
bench_fault_await_kill(bench_fault_round *round)
{
    const uint64_t until = rbr_now_ns() + BENCH_FAULT_HANG_NS;

    while (atomic_load(&round->board->killed_ns) == 0) {
        if (rbr_now_ns() >= until)
            bench_fault_end(round, FAULT_HANGS, "the other side did not come to the point");
        bench_fault_nap(NAP_NS);
    }
}

/* ------------------------------------------------------------------------------------ resources */

static int
entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;

    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* A line of /proc/self/maps that is shared memory of a channel. */
static bool
is_shared_memory(const char *line)
{
    return strstr(line, " rw-s ") != NULL &&
           (strstr(line, "/dev/shm/") != NULL || strstr(line, "/memfd:ringbridge") != NULL);
}

static int
shared_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int count = 0;

    if (maps == NULL)
        return 0;
    while (fgets(line, sizeof line, maps) != NULL)
        count += is_shared_memory(line);
    fclose(maps);
    return count;
}

static int
ended_children(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) == 0 ? 1 : 0;
}

void
bench_fault_look(bench_fault_held *out)
{
    *out = (bench_fault_held){entries("/proc/self/fd"), shared_mappings(),
                              entries("/proc/self/task"), ended_children()};
}

static void
compare(bench_fault_round *round, const char *what, int before, int after)
{
    if (after > before)
        bench_fault_say(round, FAULT_LEAKS, "%d %s before the channel, %d after it", before, what,
                        after);
}

void
bench_fault_compare(bench_fault_round *round, const bench_fault_held *before)
{
    const uint64_t until = rbr_now_ns() + SETTLE_NS;
    bench_fault_held after;

    bench_fault_look(&after);
    while (after.threads > before->threads && rbr_now_ns() < until) {
        bench_fault_nap(RBR_MS);
        bench_fault_look(&after);
    }
    compare(round, "descriptors", before->fds, after.fds);
    compare(round, "shared mappings", before->mappings, after.mappings);
    compare(round, "threads", before->threads, after.threads);
    compare(round, "children", before->children, after.children);
}

/* Where memory has a name, that starts with the number of its maker (os_linux_memory.c). */
void
bench_fault_look_for_names(bench_fault_round *round)
{
    DIR *folder = opendir("/dev/shm");
    const struct dirent *entry;
    char ours[2][32], path[300];
    int role;

    if (folder == NULL)
        return;
    for (role = 0; role < 2; role++)
        snprintf(ours[role], sizeof ours[role], "ringbridge-%d-",
                 atomic_load(&round->board->pids[role]));
    while ((entry = readdir(folder)) != NULL)
        for (role = 0; role < 2; role++) {
            if (strncmp(entry->d_name, ours[role], strlen(ours[role])) != 0)
                continue;
            bench_fault_say(round, FAULT_LEAKS, "the %s left /dev/shm/%s",
                            role == RBR_ROLE_HOST ? "host" : "worker", entry->d_name);
            snprintf(path, sizeof path, "/%s", entry->d_name);
            shm_unlink(path);
        }
    closedir(folder);
}

/* ------------------------------------------------------------------------------------- segment */

enum { WINDOWS_MAX = 64 };

/* A piece of this process's memory that shows a piece of a shared file. */
typedef struct window {
    uintptr_t start, end;
    uint64_t offset;
} window;

static size_t
read_windows(window *windows, size_t most)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long start, end, offset;
    char line[512];
    size_t count = 0;

    while (maps != NULL && count < most && fgets(line, sizeof line, maps) != NULL)
        if (is_shared_memory(line) &&
            /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
            sscanf(line, "%lx-%lx rw-s %lx", &start, &end, &offset) == 3)
            windows[count++] = (window){start, end, offset};
    if (maps != NULL)
        fclose(maps);
    return count;
}

/* Whether `bytes` from `at` on show the file from `offset` on. */
static bool
shows(const window *windows, size_t count, uintptr_t at, uint64_t offset, uint64_t bytes)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (at >= windows[i].start && at + bytes <= windows[i].end &&
            offset == windows[i].offset + (at - windows[i].start))
            return true;
    return false;
}

/* Where the file's part is mapped twice in a row. */
static uint8_t *
find_twice(const window *windows, size_t count, uint64_t offset, uint64_t bytes)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const uintptr_t at = windows[i].start + (uintptr_t)(offset - windows[i].offset);

        if (offset >= windows[i].offset && shows(windows, count, at, offset, bytes) &&
            shows(windows, count, at + bytes, offset, bytes))
            return (uint8_t *)at;
    }
    return NULL;
}

bool
bench_fault_find_segment(rbr_segment *out, uint32_t ring_bytes)
{
    window windows[WINDOWS_MAX];
    const size_t count = read_windows(windows, WINDOWS_MAX);
    size_t i;
    int ring;

    *out = (rbr_segment){.ring_bytes = ring_bytes};
    for (i = 0; i < count && out->shared == NULL; i++) {
        struct rbr_segment_shared *shared = (struct rbr_segment_shared *)windows[i].start;

        if (windows[i].offset == 0 && windows[i].end - windows[i].start >= RBR_RING_DATA_OFFSET &&
            shared->magic == RBR_SEGMENT_MAGIC)
            out->shared = shared;
    }
    for (ring = 0; ring < 2; ring++)
        out->data[ring] = find_twice(
            windows, count, RBR_RING_DATA_OFFSET + (uint64_t)ring * ring_bytes, ring_bytes);
    return out->shared != NULL && out->data[0] != NULL && out->data[1] != NULL;
}
