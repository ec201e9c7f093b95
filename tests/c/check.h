/* SPDX-License-Identifier: MIT */
/*
 * check.h - the runner of the C tests; check.c has main.
 *
 *   TEST(claim_refuses_when_full)            one test; its name is a sentence
 *   {
 *       CHECK(rbr_ring_claim(...) == RBR_AGAIN);
 *   }
 *
 * Every test runs in a child process of its own, under an alarm. It fails when a CHECK does, when
 * it exits with anything but 0 or SKIP's 77, when a signal ends it, when it leaves a descriptor
 * open, and when it leaves a segment or a semaphore in /dev/shm.
 *
 *   test_ring [--list] [part of a name]...
 *
 * The last line is `N passed, N failed, N skipped`; the program exits with 1 if any test failed,
 * with 77 if all were skipped, else with 0. CHECK_TIME_SCALE=10 in the environment multiplies the
 * alarms: for valgrind.
 */
#ifndef RBR_TESTS_CHECK_H
#define RBR_TESTS_CHECK_H

#include <stddef.h>

#define CHECK_PASSED 0
#define CHECK_FAILED 1
#define CHECK_SKIPPED 77

struct check_test {
    const char *name;
    void (*run)(void);
    unsigned seconds;
    struct check_test *next;
};

void check_register(struct check_test *test);

/* Zeros that this process shares with those that it forks from here on. */
void *check_share(size_t bytes);

/* Both end the calling process, which may be a child of the test: wait for that one's exit code. */
_Noreturn void check_fail(const char *file, int line, const char *expression);
_Noreturn void check_skip(const char *reason);

#define TEST(name) TEST_SECONDS(name, 20)
#define TEST_SECONDS(name, limit)                                                                  \
    static void test_##name(void);                                                                 \
    static struct check_test check_##name = {#name, test_##name, limit, 0};                        \
    __attribute__((constructor)) static void check_register_##name(void)                           \
    {                                                                                              \
        check_register(&check_##name);                                                             \
    }                                                                                              \
    static void test_##name(void)

#define CHECK(expression)                                                                          \
    do {                                                                                           \
        if (!(expression))                                                                         \
            check_fail(__FILE__, __LINE__, #expression);                                           \
    } while (0)

/* The machine cannot do what the test is about. */
#define SKIP(reason) check_skip(reason)

#endif
