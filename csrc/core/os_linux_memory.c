/* SPDX-License-Identifier: MIT */
/*
 * os_linux_memory.c - how much memory there is, and memory that two processes share. The rest of
 * the system's quirks: os_linux.c.
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* getrandom and memfd_create are called by their numbers: glibc has them from 2.25 and 2.27 on, and
 * a host's may be older. */

/* ------------------------------------------------------------------------------------ memory */

/* The number after `key` in a small file ("" : the whole file is one number); UINT64_MAX when
 * there is none ("max"). */
static uint64_t
read_number(const char *path, const char *key)
{
    char text[4096];
    const char *at;
    char *end;
    ssize_t size;
    unsigned long long number;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return UINT64_MAX;
    size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return UINT64_MAX;
    text[size] = '\0';
    at = strstr(text, key);
    if (at == NULL)
        return UINT64_MAX;
    at += strlen(key);
    number = strtoull(at, &end, 10);
    return end == at ? UINT64_MAX : (uint64_t)number;
}

/* What the control group still allows: version 2 where this process stands, else version 1's
 * root, which is the container's own. */
static uint64_t
cgroup_available(void)
{
    char group[512] = "", path[640];
    uint64_t limit, used;
    FILE *file = fopen("/proc/self/cgroup", "re");

    if (file != NULL) {
        char line[512];

        while (fgets(line, sizeof line, file) != NULL)
            if (sscanf(line, "0::%511[^\n]", group) == 1)
                break;
        fclose(file);
    }
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
    limit = read_number(path, "");
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", group);
    used = read_number(path, "");
    if (limit == UINT64_MAX) {
        limit = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", "");
        used = read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes", "");
    }
    if (limit == UINT64_MAX || used == UINT64_MAX)
        return UINT64_MAX;
    return limit > used ? limit - used : 0;
}

uint64_t
rbr_os_memory_available(void)
{
    const uint64_t kib = read_number("/proc/meminfo", "MemAvailable:");
    const uint64_t group = cgroup_available();
    const uint64_t machine = kib == UINT64_MAX ? UINT64_MAX : kib * 1024;

    return machine < group ? machine : group;
}

uint64_t
rbr_os_memory_total(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void
rbr_os_random(void *bytes, size_t size)
{
    uint8_t *at = bytes;

    while (size > 0) {
        const long got = syscall(SYS_getrandom, at, size, 0);

        if (got > 0) {
            at += got;
            size -= (size_t)got;
        } else if (errno != EINTR) {
            /* Only names and nonces come from here, guarded by O_EXCL and the socket: the clock
             * will do where a sandbox forbids getrandom. */
            const uint64_t now = rbr_now_ns() * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)getpid();
            const size_t part = size < sizeof now ? size : sizeof now;

            memcpy(at, &now, part);
            at += part;
            size -= part;
        }
    }
}

/* ------------------------------------------------------------------------------ shared memory */

/* Allocates for real: a full /dev/shm must be an error here, not a SIGBUS later. An errno, or 0. */
static int
allocate(int fd, uint64_t offset, uint64_t bytes)
{
    const struct timespec now = {0};
    sigset_t all, before, too_large;
    int result;

    /* Some kernels begin anew after each signal: a timer of the host could keep us here for ever. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    do {
        result = posix_fallocate(fd, (off_t)offset, (off_t)bytes);
    } while (result == EINTR);
    if (result == EFBIG) { /* comes with a signal that ends a host which does not ignore it */
        sigemptyset(&too_large);
        sigaddset(&too_large, SIGXFSZ);
        sigtimedwait(&too_large, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

/* Says what was wanted, what there is, and what to do. number: what `allocate` gave. */
static rbr_status
fail_allocate(int fd, int number, uint64_t bytes, bool memfd, rbr_error *err)
{
    const unsigned long long wanted = bytes;
    const unsigned long long memory = rbr_os_memory_available();
    const char *where = memfd ? "a memfd" : "/dev/shm";
    struct statvfs room;
    struct rlimit largest;
    const bool limited = number == EFBIG && getrlimit(RLIMIT_FSIZE, &largest) == 0;
    const bool full = number == ENOSPC && !memfd && fstatvfs(fd, &room) == 0;

    errno = number;
    if (limited)
        return rbr_fail_sys(err,
                            "allocate %llu bytes in %s (this process may have files of %llu "
                            "bytes: raise RLIMIT_FSIZE, with ulimit -f)",
                            wanted, where, (unsigned long long)largest.rlim_cur);
    if (full)
        return rbr_fail_sys(err,
                            "allocate %llu bytes in /dev/shm (%llu are free; enlarge it, or use "
                            "limits={\"memory\": \"memfd\"})",
                            wanted, (unsigned long long)room.f_bavail * room.f_frsize);
    return rbr_fail_sys(err, "allocate %llu bytes in %s (this machine has %llu left)", wanted,
                        where, memory);
}

static rbr_status
new_memfd(int *fd, rbr_error *err)
{
    const int fresh = (int)syscall(SYS_memfd_create, "ringbridge", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fresh < 0)
        return rbr_fail_sys(err, "create a memfd");
    *fd = fresh;
    return RBR_OK;
}

/* Its size is final. */
static rbr_status
seal(int fd, rbr_error *err)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return rbr_fail_sys(err, "seal a memfd");
    return RBR_OK;
}

/* Memory as large as offset + bytes, of which these are allocated. */
static rbr_status
create_memfd(int *fd, uint64_t offset, uint64_t bytes, rbr_error *err)
{
    rbr_status status;
    int fresh, refused;

    status = new_memfd(&fresh, err);
    if (status != RBR_OK)
        return status;
    refused = allocate(fresh, offset, bytes);
    status = refused != 0 ? fail_allocate(fresh, refused, offset + bytes, true, err)
                          : seal(fresh, err);
    if (status != RBR_OK) {
        close(fresh);
        return status;
    }
    *fd = fresh;
    return RBR_OK;
}

rbr_status
rbr_os_shared_reserve(int *fd, uint64_t bytes, rbr_error *err)
{
    /* ftruncate beyond RLIMIT_FSIZE would end the process by SIGXFSZ; this is only refused. */
    return create_memfd(fd, bytes - 1, 1, err);
}

rbr_status
rbr_os_shared_allocate(int fd, uint64_t offset, uint64_t bytes, rbr_error *err)
{
    const int refused = allocate(fd, offset, bytes);

    return refused == 0 ? RBR_OK : fail_allocate(fd, refused, bytes, true, err);
}

/* A name that lives for microseconds. Whoever is killed within those leaves it behind. */
static rbr_status
open_named(int *fd, rbr_error *err)
{
    char name[64];
    uint64_t nonce[2];
    rbr_status status;
    int fresh;

    rbr_os_random(nonce, sizeof nonce);
    snprintf(name, sizeof name, "/ringbridge-%d-%016llx%016llx", (int)getpid(),
             (unsigned long long)nonce[0], (unsigned long long)nonce[1]);
    fresh = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600); /* close-on-exec by itself */
    if (fresh < 0)
        return rbr_fail_sys(err, "create shared memory %s", name);
    if (shm_unlink(name) != 0) { /* before anybody is told */
        status = rbr_fail_sys(err, "unlink shared memory %s", name);
        shm_unlink(name); /* or its memory, once it has some, would outlive us all */
        close(fresh);
        return status;
    }
    *fd = fresh;
    return RBR_OK;
}

static rbr_status
create_shm(int *fd, uint64_t bytes, rbr_error *err)
{
    /* A file that never has a name; O_EXCL: nobody can give it one. */
    int fresh = open("/dev/shm", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    rbr_status status = RBR_OK;
    int refused;

    if (fresh < 0) /* emulated kernels and old ones cannot */
        status = open_named(&fresh, err);
    if (status != RBR_OK)
        return status;
    refused = allocate(fresh, 0, bytes);
    if (refused != 0) {
        status = fail_allocate(fresh, refused, bytes, false, err);
        close(fresh);
        return status;
    }
    *fd = fresh;
    return RBR_OK;
}

rbr_status
rbr_os_shared_create(int *fd, bool *sealed, uint64_t bytes, enum rbr_memory memory, rbr_error *err)
{
    rbr_status status = RBR_SYSTEM;

    if (memory != RBR_MEMORY_MEMFD)
        status = create_shm(fd, bytes, err);
    if (memory == RBR_MEMORY_SHM || status == RBR_OK) {
        *sealed = false;
        return status;
    }
    status = create_memfd(fd, 0, bytes, err);
    if (status == RBR_OK)
        *sealed = true;
    return status;
}

/* Refuses what is not memory of this user. */
static rbr_status
look_at(int fd, struct stat *info, rbr_error *err)
{
    struct statfs system;

    if (fstat(fd, info) != 0 || fstatfs(fd, &system) != 0)
        return rbr_fail_sys(err, "look at a received segment");
    /* A file on a disk or behind a daemon could make a touch of it slow, or fatal. */
    if (!S_ISREG(info->st_mode) || info->st_uid != geteuid() || system.f_type != TMPFS_MAGIC)
        return rbr_fail(err, RBR_BROKEN, "a received segment is not memory of this user");
    return RBR_OK;
}

rbr_status
rbr_os_shared_measure(int fd, uint64_t *bytes, rbr_error *err)
{
    struct stat info;
    const rbr_status status = look_at(fd, &info, err);

    if (status != RBR_OK)
        return status;
    if (!rbr_os_shared_is_sealed(fd))
        return rbr_fail(err, RBR_BROKEN, "a received segment could shrink");
    *bytes = (uint64_t)info.st_size;
    return RBR_OK;
}

rbr_status
rbr_os_shared_check(int fd, uint64_t bytes, rbr_error *err)
{
    struct stat info;
    const rbr_status status = look_at(fd, &info, err);

    if (status != RBR_OK)
        return status;
    if ((uint64_t)info.st_size < bytes)
        return rbr_fail(err, RBR_BROKEN, "a received segment has %lld bytes instead of %llu",
                        (long long)info.st_size, (unsigned long long)bytes);
    /* A hole would be filled at our first touch, at the machine's expense, or kill us. */
    if ((uint64_t)info.st_blocks * 512 < bytes)
        return rbr_fail(err, RBR_BROKEN, "a received segment of %llu bytes has holes",
                        (unsigned long long)bytes);
    return RBR_OK;
}

bool
rbr_os_shared_is_sealed(int fd)
{
    const int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

rbr_status
rbr_os_map(void **base, int fd, uint64_t bytes, bool populate, rbr_error *err)
{
    void *fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | (populate ? MAP_POPULATE : 0), fd, 0);

    if (fresh == MAP_FAILED)
        return rbr_fail_sys(err, "map %llu bytes of shared memory", (unsigned long long)bytes);
    *base = fresh;
    return RBR_OK;
}

rbr_status
rbr_os_map_twice(void **base, int fd, uint64_t offset, uint64_t bytes, rbr_error *err)
{
    /* Reserve both windows first, so that nothing can slip between them. */
    uint8_t *fresh = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int window;

    if (fresh == MAP_FAILED)
        return rbr_fail_sys(err, "reserve %llu bytes", 2 * (unsigned long long)bytes);
    for (window = 0; window < 2; window++)
        if (mmap(fresh + (uint64_t)window * bytes, bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, (off_t)offset) == MAP_FAILED) {
            rbr_fail_sys(err, "map a ring of %llu bytes", (unsigned long long)bytes);
            munmap(fresh, 2 * bytes);
            return RBR_SYSTEM;
        }
    *base = fresh;
    return RBR_OK;
}

void
rbr_os_unmap(void *base, uint64_t bytes)
{
    if (base != NULL)
        munmap(base, bytes);
}
