/* SPDX-License-Identifier: MIT */
/*
 * test_stepped.c - a worker that is killed after each single instruction of a call (F1).
 *
 *   this process (the tracer)    steps the worker's main thread, then kills it
 *     host                       makes one call, and must get the answer or RBR_DEAD
 *       worker                   receives, answers
 *
 * RBR_ROUNDS is at how many points, evenly spread over the call, the worker is killed; 5000 is after
 * each instruction.
 */
#include "channel_pair.h"
#include "check.h"
#include "soak.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBER = 4711, POINTS = 40, HANG_S = 300, STEPS_MAX = 1000000 };

/* What the three tell each other. */
typedef struct board {
    _Atomic int worker;   /* its pid, once it waits to go on */
    _Atomic int worker_may, host_may;
    _Atomic int answered; /* the host has the answer */
} board;

static board *shared;

static void
wait_set(_Atomic int *word)
{
    while (atomic_load(word) == 0)
        usleep(50);
}

static void
serve_when_told(rbr_channel *channel)
{
    atomic_store(&shared->worker, getpid());
    while (atomic_load(&shared->worker_may) == 0)
        ; /* no system call: the tracer steps from here on */
    pair_serve(channel);
}

static int
open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* One call of a worker that is being killed. */
static void
run_host(uint32_t padding)
{
    const rbr_channel_options options = {.name = "test", .ring_bytes = 65536, .spin_ns = 0};
    const int before = open_descriptors();
    channel_pair pair;
    int64_t answer = 0;
    rbr_exit result;
    rbr_status status;

    alarm(HANG_S);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pair_open(&pair, &options, serve_when_told);
    wait_set(&shared->host_may);
    status = pair_call(pair.host, NUMBER, padding, &answer, RBR_FOREVER);
    CHECK(status == RBR_DEAD || (status == RBR_OK && answer == NUMBER));
    atomic_store(&shared->answered, status == RBR_OK);
    CHECK(rbr_channel_wait_end(pair.host, &result, RBR_FOREVER) == RBR_OK);
    CHECK(result.known && result.signalled && result.code == SIGKILL);
    CHECK(pair_call(pair.host, NUMBER, padding, &answer, RBR_FOREVER) == RBR_DEAD);
    rbr_channel_release(pair.host);
    CHECK(open_descriptors() == before);
    _exit(0);
}

/* Steps until `steps` are done or the host has its answer; gives how many were done. */
static int
step(int worker, int steps)
{
    int done, status;

    for (done = 0; done < steps && atomic_load(&shared->answered) == 0; done++) {
        CHECK(ptrace(PTRACE_SINGLESTEP, worker, NULL, NULL) == 0);
        CHECK(waitpid(worker, &status, __WALL) == worker && WIFSTOPPED(status));
    }
    return done;
}

/* Kills the worker after so many instructions, or once it has answered. Gives how many it made. */
static int
kill_after(int steps, uint32_t padding)
{
    int host, worker, status, done;

    *shared = (board){0};
    host = fork();
    CHECK(host >= 0);
    if (host == 0)
        run_host(padding);
    wait_set(&shared->worker);
    worker = atomic_load(&shared->worker);
    if (ptrace(PTRACE_SEIZE, worker, NULL, (void *)PTRACE_O_EXITKILL) != 0) {
        kill(worker, SIGKILL);
        kill(host, SIGKILL);
        SKIP("ptrace is not allowed here");
    }
    CHECK(ptrace(PTRACE_INTERRUPT, worker, NULL, NULL) == 0);
    CHECK(waitpid(worker, &status, __WALL) == worker && WIFSTOPPED(status));
    atomic_store(&shared->worker_may, 1);
    atomic_store(&shared->host_may, 1);
    done = step(worker, steps);
    kill(worker, SIGKILL);
    CHECK(waitpid(worker, &status, __WALL) == worker && WIFSIGNALED(status));
    CHECK(waitpid(host, &status, 0) == host);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return done;
}

static void
kill_at_points(int kills, uint32_t padding)
{
    int instructions, answered = 0, i;

#ifdef __SANITIZE_ADDRESS__
    SKIP("most instructions would be the sanitizer's");
#endif
    shared = check_share(sizeof *shared);
    instructions = kill_after(STEPS_MAX, padding);
    printf("a call takes %d instructions of the worker's\n", instructions);
    CHECK(instructions > 500 && instructions < STEPS_MAX);
    if (kills > instructions)
        kills = instructions;
    for (i = 0; i < kills; i++) {
        kill_after((int)((int64_t)instructions * i / kills), padding);
        answered += atomic_load(&shared->answered);
    }
    CHECK(answered < kills); /* or nobody was killed in time */
    soak_count("workers killed after a single step", kills);
    munmap(shared, sizeof *shared);
}

TEST_SECONDS(a_worker_killed_after_any_instruction_of_a_call_is_dead_or_has_answered, 580)
{
    kill_at_points((int)soak_rounds(POINTS), 0);
}

TEST_SECONDS(the_same_where_the_answer_goes_through_the_arena, 580)
{
    kill_at_points((int)(soak_rounds(POINTS) / 20 + 1),
                   20000); /* thirty times as many instructions */
}
