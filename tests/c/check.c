/* SPDX-License-Identifier: MIT */
/*
 * check.c - runs the tests that TEST of check.h has registered.
 *
 *   parent                        child, leader of its own process group
 *   names in /dev/shm
 *   fork ------------------------> count descriptors, alarm, the test, count descriptors, exit
 *   wait <------------------------ 0, 1, 77 or a signal
 *   kill what is left of the group
 *   names in /dev/shm again
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Names in /dev/shm may be another process's that is at work: only what stays is a leak. */
#define SHM_GRACE_TRIES 20
#define SHM_GRACE_NS 50000000

struct names {
    char **name;
    size_t count;
};

static struct check_test *tests;
static struct check_test **tests_end = &tests;

void
check_register(struct check_test *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

_Noreturn void
check_fail(const char *file, int line, const char *expression)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, expression);
    fflush(stderr);
    _exit(CHECK_FAILED);
}

_Noreturn void
check_skip(const char *reason)
{
    printf("     skipped: %s\n", reason);
    fflush(stdout);
    _exit(CHECK_SKIPPED);
}

void *
check_share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(memory != MAP_FAILED);
    return memory;
}

/* ------------------------------------------------------------------------------------- leaks */

/* Which descriptors are open: used[fd]. Those past the end are not looked at. */
static int
open_descriptors(bool *used, int max)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    int count = 0;

    memset(used, 0, (size_t)max * sizeof *used);
    if (directory == NULL)
        return -1;
    while ((entry = readdir(directory)) != NULL) {
        const int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(directory))
            continue;
        count++;
        if (fd < max)
            used[fd] = true;
    }
    closedir(directory);
    return count;
}

static void
print_descriptor(int fd)
{
    char path[64], target[256];
    ssize_t length;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    length = readlink(path, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    fprintf(stderr, "left open: descriptor %d, %s\n", fd, target);
}

static bool
starts_with(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

static struct names
shm_names(void)
{
    struct names out = {NULL, 0};
    DIR *directory = opendir("/dev/shm");
    struct dirent *entry;

    if (directory == NULL)
        return out;
    while ((entry = readdir(directory)) != NULL) {
        char **grown;
        if (!starts_with(entry->d_name, "ringbridge-") &&
            (!starts_with(entry->d_name, "sem.") || starts_with(entry->d_name, "sem.mp-")))
            continue; /* the last ones are Python's: multiprocessing, in whatever runs beside us */
        grown = realloc(out.name, (out.count + 1) * sizeof *grown);
        if (grown == NULL)
            abort();
        out.name = grown;
        out.name[out.count++] = strdup(entry->d_name);
    }
    closedir(directory);
    return out;
}

static void
names_free(struct names *names)
{
    size_t i;

    for (i = 0; i < names->count; i++)
        free(names->name[i]);
    free(names->name);
}

static size_t
count_new(const struct names *before, const struct names *after, bool print)
{
    size_t i, j, found = 0;

    for (i = 0; i < after->count; i++) {
        for (j = 0; j < before->count; j++)
            if (strcmp(after->name[i], before->name[j]) == 0)
                break;
        if (j < before->count)
            continue;
        found++;
        if (print)
            fprintf(stderr, "left behind: /dev/shm/%s\n", after->name[i]);
    }
    return found;
}

/* How many names have come since and stay. */
static size_t
shm_leaks(const struct names *before)
{
    const struct timespec pause = {0, SHM_GRACE_NS};
    size_t found = 0;
    int tries;

    for (tries = 1; tries <= SHM_GRACE_TRIES; tries++) {
        struct names after = shm_names();
        found = count_new(before, &after, tries == SHM_GRACE_TRIES);
        names_free(&after);
        if (found == 0)
            break;
        nanosleep(&pause, NULL);
    }
    return found;
}

/* ------------------------------------------------------------------------------------ running */

static unsigned
time_scale(void)
{
    const char *text = getenv("CHECK_TIME_SCALE");
    const int scale = text != NULL ? atoi(text) : 1;

    return scale > 0 ? (unsigned)scale : 1;
}

static _Noreturn void
run_child(const struct check_test *test)
{
    static bool before[4096], after[4096];
    const int max = (int)(sizeof before / sizeof before[0]);
    int opened, left, fd;

    setpgid(0, 0);
    opened = open_descriptors(before, max);
    alarm(test->seconds * time_scale());
    test->run();
    alarm(0);
    left = open_descriptors(after, max);
    for (fd = 0; fd < max; fd++)
        if (after[fd] && !before[fd])
            print_descriptor(fd);
    if (left != opened) {
        fprintf(stderr, "%d descriptors open before the test, %d after\n", opened, left);
        _exit(CHECK_FAILED);
    }
    exit(CHECK_PASSED); /* not _exit: sanitizers report leaked memory at exit */
}

static int
result_of(const struct check_test *test, int status)
{
    if (WIFEXITED(status)) {
        const int code = WEXITSTATUS(status);
        if (code != CHECK_PASSED && code != CHECK_FAILED && code != CHECK_SKIPPED)
            fprintf(stderr, "exit code %d\n", code);
        return code == CHECK_PASSED || code == CHECK_SKIPPED ? code : CHECK_FAILED;
    }
    if (WTERMSIG(status) == SIGALRM)
        fprintf(stderr, "not finished after %u s\n", test->seconds * time_scale());
    else
        fprintf(stderr, "ended by signal %d, %s\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return CHECK_FAILED;
}

static int
run(const struct check_test *test)
{
    struct names before = shm_names();
    int status = 0, result;
    siginfo_t info;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child < 0) {
        perror("fork");
        exit(CHECK_FAILED);
    }
    if (child == 0)
        run_child(test);
    setpgid(child, child); /* both sides, so that it is done whoever comes first */
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    kill(-child, SIGKILL); /* what the test has started; before the wait, while the id is taken */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    result = result_of(test, status);
    if (shm_leaks(&before) != 0)
        result = CHECK_FAILED;
    names_free(&before);
    return result;
}

/* --------------------------------------------------------------------------------------- main */

static bool
chosen(const struct check_test *test, int argc, char **argv)
{
    bool filtered = false;
    int i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            continue;
        filtered = true;
        if (strstr(test->name, argv[i]) != NULL)
            return true;
    }
    return !filtered;
}

int
main(int argc, char **argv)
{
    int passed = 0, failed = 0, skipped = 0, i;
    const struct check_test *test;
    bool list = false;

    for (i = 1; i < argc; i++)
        list |= strcmp(argv[i], "--list") == 0;
    for (test = tests; test != NULL; test = test->next) {
        int result;
        if (!chosen(test, argc, argv))
            continue;
        if (list) {
            puts(test->name);
            continue;
        }
        result = run(test);
        passed += result == CHECK_PASSED;
        failed += result == CHECK_FAILED;
        skipped += result == CHECK_SKIPPED;
        fflush(stderr);
        printf("%s %s\n",
               result == CHECK_PASSED ? "PASS" : (result == CHECK_SKIPPED ? "SKIP" : "FAIL"),
               test->name);
        fflush(stdout);
    }
    if (list)
        return 0;
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    if (failed != 0)
        return CHECK_FAILED;
    return passed == 0 && skipped != 0 ? CHECK_SKIPPED : CHECK_PASSED;
}
