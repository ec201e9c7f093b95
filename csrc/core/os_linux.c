/* SPDX-License-Identifier: MIT */
/*
 * os_linux.c - the operating system's quirks, and no others: each function tries the modern call
 * first and falls back where a kernel or C library is older.
 */
#include "os.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#define RBR_P_PIDFD ((idtype_t)3) /* P_PIDFD, glibc 2.36 */
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* ------------------------------------------------------------------------------- time, CPUs */

uint64_t
rbr_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * RBR_SECOND + (uint64_t)now.tv_nsec;
}

uint32_t
rbr_os_cpu(void)
{
    const int cpu = sched_getcpu();

    return cpu < 0 ? UINT32_MAX : (uint32_t)cpu;
}

void
rbr_os_yield(void)
{
    sched_yield();
}

static struct timespec
timespec_of(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / RBR_SECOND), (long)(ns % RBR_SECOND)};
}

/* sem_clockwait came with glibc 2.30; bound at run time so that older ones still load us. */
typedef int (*sem_clockwait_function)(sem_t *, clockid_t, const struct timespec *);

static sem_clockwait_function
find_sem_clockwait(void)
{
    static _Atomic(void *) cached;
    static _Atomic int looked;
    void *symbol = atomic_load_explicit(&cached, memory_order_relaxed);

    if (symbol == NULL && !atomic_load_explicit(&looked, memory_order_relaxed)) {
        symbol = dlsym(RTLD_DEFAULT, "sem_clockwait");
        atomic_store_explicit(&cached, symbol, memory_order_relaxed);
        atomic_store_explicit(&looked, 1, memory_order_relaxed);
    }
    sem_clockwait_function function;
    memcpy(&function, &symbol, sizeof function);
    return function;
}

rbr_status
rbr_os_sem_wait(sem_t *semaphore, uint64_t deadline_ns)
{
    const sem_clockwait_function clockwait = find_sem_clockwait();
    struct timespec until = timespec_of(deadline_ns);
    int result;

    if (clockwait != NULL) {
        result = clockwait(semaphore, CLOCK_MONOTONIC, &until);
    } else {
        /* sem_timedwait knows only the settable clock; callers wait 100 ms at most, so a step of
         * it costs no more than one look. */
        const uint64_t now = rbr_now_ns();
        struct timespec wall;

        clock_gettime(CLOCK_REALTIME, &wall);
        until = timespec_of((uint64_t)wall.tv_sec * RBR_SECOND + (uint64_t)wall.tv_nsec +
                            (deadline_ns > now ? deadline_ns - now : 0));
        result = sem_timedwait(semaphore, &until);
    }
    if (result == 0)
        return RBR_OK;
    return errno == EINTR ? RBR_INTERRUPTED : RBR_TIMED_OUT;
}

rbr_status
rbr_os_hint_wait(_Atomic uint32_t *hint, uint64_t deadline_ns)
{
    const struct timespec until = timespec_of(deadline_ns);

    if (atomic_exchange(hint, 0) != 0)
        return RBR_OK;
    if (syscall(SYS_futex, hint, FUTEX_WAIT_BITSET, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY) == 0 ||
        errno == EAGAIN) {
        atomic_store(hint, 0);
        return RBR_OK;
    }
    return errno == EINTR ? RBR_INTERRUPTED : RBR_TIMED_OUT;
}

void
rbr_os_hint_post(_Atomic uint32_t *hint)
{
    atomic_store(hint, 1);
    syscall(SYS_futex, hint, FUTEX_WAKE, 1, NULL, NULL, 0);
}

rbr_status
rbr_os_event_new(int *event, rbr_error *err)
{
    const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (made < 0)
        return rbr_fail_sys(err, "make an eventfd");
    *event = made;
    return RBR_OK;
}

void
rbr_os_event_set(int event)
{
    const uint64_t one = 1;

    while (write(event, &one, sizeof one) < 0 && errno == EINTR)
        ; /* any other error: the counter is full, so it is set */
}

bool
rbr_os_event_clear(int event)
{
    uint64_t ignored;

    return read(event, &ignored, sizeof ignored) >= 0 || errno == EAGAIN || errno == EINTR;
}

rbr_status
rbr_os_nudge_new(int *wait, int *nudge, rbr_error *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return rbr_fail_sys(err, "make a pair of sockets");
    *wait = pair[0];
    *nudge = pair[1];
    return RBR_OK;
}

void
rbr_os_nudge(int nudge)
{
    /* Full: it is readable then. No socket at all: its loss, who gave it to us. */
    while (send(nudge, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

bool
rbr_os_nudge_forget(int wait)
{
    char ignored
        [4096]; /* more than fit: a peer that sends on is heard again, and keeps nobody here */
    ssize_t size;

    do
        size = recv(wait, ignored, sizeof ignored, MSG_DONTWAIT);
    while (size < 0 && errno == EINTR);
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

/* ------------------------------------------------------------------------------------ threads */

rbr_status
rbr_os_thread_start(unsigned long *thread, void *(*run)(void *), void *argument, const char *name,
                    rbr_error *err)
{
    sigset_t all, before;
    pthread_t started;
    int result;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits the mask */
    result = pthread_create(&started, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        errno = result;
        return rbr_fail_sys(err, "start a thread");
    }
    pthread_setname_np(started, name);
    *thread = started;
    return RBR_OK;
}

/* --------------------------------------------------------------------------------------- fork */

static _Atomic(_Atomic uint64_t *) fork_page;
static _Atomic uint64_t fork_tokens;

static void
forget_token(void)
{
    atomic_store(atomic_load(&fork_page), 0);
}

uint64_t
rbr_os_fork_token(void)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    _Atomic uint64_t *page;
    uint64_t token;

    pthread_mutex_lock(&once);
    page = atomic_load(&fork_page);
    if (page == NULL) {
        void *fresh = mmap(NULL, RBR_OS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                           -1, 0);

        if (fresh != MAP_FAILED) {
            /* The kernel zeroes this page in every child, whichever way it forked; where it does not
             * know how (before 4.14, some emulators), C's own fork still does. */
            madvise(fresh, RBR_OS_PAGE, MADV_WIPEONFORK);
            page = fresh;
            atomic_store(&fork_page, page);
            pthread_atfork(NULL, NULL, forget_token);
        }
    }
    token = 0;
    if (page != NULL) {
        token = atomic_load(page);
        if (token == 0) { /* a new process: a token that its parent never had */
            token = atomic_fetch_add(&fork_tokens, 1) + 1;
            atomic_store(page, token);
        }
    }
    pthread_mutex_unlock(&once);
    return token;
}

bool
rbr_os_fork_check(uint64_t token)
{
    _Atomic uint64_t *page = atomic_load_explicit(&fork_page, memory_order_relaxed);

    return page != NULL && atomic_load_explicit(page, memory_order_relaxed) == token;
}

/* ---------------------------------------------------------------------------------- processes */

rbr_status
rbr_os_pidfd_open(int *pidfd, int pid, rbr_error *err)
{
    *pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
    if (*pidfd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        return rbr_fail_sys(err, "watch process %d", pid);
    return RBR_OK;
}

rbr_status
rbr_os_pidfd_signal(int pidfd, int signal_number, rbr_error *err)
{
    if (syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) == 0)
        return RBR_OK;
    if (errno == ESRCH)
        return rbr_fail(err, RBR_DEAD, "the process has ended");
    return rbr_fail_sys(err, "send signal %d", signal_number);
}

rbr_status
rbr_os_wait_child(int pidfd, int pid, bool keep, rbr_exit *out)
{
    const int flags = WEXITED | WNOHANG | (keep ? WNOWAIT : 0);
    siginfo_t info;
    int result;

    memset(&info, 0, sizeof info);
    do {
        result = pidfd >= 0 ? waitid(RBR_P_PIDFD, (id_t)pidfd, &info, flags) : -1;
        if (result < 0 && (pidfd < 0 || errno == EINVAL)) /* a kernel before 5.4 */
            result = waitid(P_PID, (id_t)pid, &info, flags);
    } while (result < 0 && errno == EINTR);
    if (result < 0)
        return RBR_DEAD;
    if (info.si_pid == 0)
        return RBR_AGAIN;
    *out = (rbr_exit){
        .known = true,
        .signalled = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED,
        .core_dumped = info.si_code == CLD_DUMPED,
        .code = info.si_status,
    };
    return RBR_OK;
}
