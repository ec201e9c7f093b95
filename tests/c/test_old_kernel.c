/* SPDX-License-Identifier: MIT */
/*
 * test_old_kernel.c - on a kernel before 5.3, which has no pidfds: deaths are seen all the same.
 *
 * End of file on the control socket was once taken for the death itself: the child was killed while
 * it was on its way out, never reaped, and its exit "unknown". A filter that makes the two calls
 * fail is what such a kernel looks like.
 */
#include "channel_pair.h"
#include "check.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

/* For this process and its children, for good. */
static void
have_no_pidfds(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_send_signal, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        SKIP("no filter of system calls here");
    CHECK(syscall(SYS_pidfd_open, getpid(), 0) < 0 && errno == ENOSYS);
}

/* Closes its socket, and needs a while from there to its end. */
static void
leave_slowly(rbr_channel *channel)
{
    rbr_channel_release(channel);
    poll(NULL, 0, 50);
    _exit(3);
}

TEST(without_pidfds_an_exit_code_is_reported)
{
    channel_pair pair;
    rbr_exit result;

    have_no_pidfds();
    pair_open(&pair, NULL, leave_slowly);
    CHECK(rbr_channel_wait_end(pair.host, &result, in_ms(5000)) == RBR_OK);
    CHECK(result.known && !result.signalled && result.code == 3);
    CHECK(waitpid(pair.pid, NULL, WNOHANG) < 0 && errno == ECHILD); /* reaped */
    rbr_channel_release(pair.host);
}

/* Leaves a child that holds the socket. */
static void
fork_and_wait(rbr_channel *channel)
{
    (void)channel;
    fork();
    for (;;)
        pause();
}

TEST(without_pidfds_a_killed_worker_is_dead_though_its_child_holds_the_socket)
{
    channel_pair pair;
    rbr_error error;
    rbr_exit result;
    int64_t answer;

    have_no_pidfds();
    pair_open(&pair, NULL, fork_and_wait);
    CHECK(pair_call(pair.host, 1, 0, &answer, in_ms(20)) == RBR_TIMED_OUT);
    CHECK(rbr_channel_kill(pair.host, SIGKILL, false, &error) == RBR_OK);
    CHECK(pair_call(pair.host, 1, 0, &answer, in_ms(5000)) == RBR_DEAD);
    CHECK(rbr_channel_state(pair.host, &error) == RBR_DEAD);
    CHECK(strstr(error.text, "signal 9") != NULL);
    CHECK(rbr_channel_wait_end(pair.host, &result, in_ms(5000)) == RBR_OK);
    CHECK(result.known && result.signalled && result.code == SIGKILL);
    CHECK(rbr_channel_kill(pair.host, SIGKILL, false, &error) == RBR_DEAD); /* nobody's number */
    rbr_channel_release(pair.host);
}
