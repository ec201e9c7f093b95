/* SPDX-License-Identifier: MIT */
/*
 * peers.c - which peers there are, and whether they are here.
 *
 * Those that need a library are modules beside the program, ringbench-KEY.so: so the program itself
 * runs where the library is not.
 */
#include "peers.h"

#include "option_values.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

const bench_peer_entry bench_peers[BENCH_PEERS] = {
    {"ringbridge", "ringbridge", "records in two rings in shared memory", NULL,
     &bench_peer_ringbridge},
    {"pipe", "pipe", "pipe(2), one each way; a length before each message", NULL, &bench_peer_pipe},
    {"socket", "Unix socket", "socketpair(2), SOCK_STREAM; a length before each message", NULL,
     &bench_peer_socket},
    {"mq", "POSIX mq", "mq_open(3), a queue each way", NULL, &bench_peer_mq},
    {"eventfd", "eventfd",
     "slots in shared memory; an eventfd(2) each way tells, one back makes room", NULL,
     &bench_peer_eventfd},
    {"zeromq", "ZeroMQ", "PAIR sockets over ipc://, an abstract name", "libzmq3-dev", NULL},
    {"nng", "nng", "pair0 sockets over ipc, an abstract name", "libnng-dev", NULL},
    {"boost", "Boost.Interprocess", "message_queue, one each way", "libboost-dev and g++", NULL},
    {"iceoryx", "iceoryx", "publisher and subscriber each way, chunks written and read in place",
     "libiceoryx-binding-c-dev and iceoryx", NULL},
};

static int
find(const char *key)
{
    int i;

    for (i = 0; i < BENCH_PEERS; i++)
        if (strcmp(bench_peers[i].key, key) == 0)
            return i;
    return -1;
}

static _Noreturn void
refuse(const char *given)
{
    char known[160] = "";
    int i;

    for (i = 0; i < BENCH_PEERS; i++) {
        strncat(known, bench_peers[i].key, sizeof known - strlen(known) - 1);
        strncat(known,
                i + 2 < BENCH_PEERS   ? ", "
                : i + 1 < BENCH_PEERS ? " and "
                                      : "",
                sizeof known - strlen(known) - 1);
    }
    strncat(known, " are known, as in pipe,zeromq; 'list' tells of them",
            sizeof known - strlen(known) - 1);
    bench_usage("--peers", given, known);
}

void
bench_peers_choose(bool chosen[BENCH_PEERS], const char *list)
{
    char copy[256], *rest = copy, *key;
    int i;

    for (i = 0; i < BENCH_PEERS; i++)
        chosen[i] = list == NULL;
    chosen[0] = true; /* the others are compared with it */
    if (list == NULL)
        return;
    snprintf(copy, sizeof copy, "%s", list);
    while ((key = strsep(&rest, ",")) != NULL) {
        i = find(key);
        if (i < 0)
            refuse(key);
        chosen[i] = true;
    }
}

/* ------------------------------------------------------------------------------------- modules */

/* Beside this program. False: there is none. */
static bool
module_path(char *path, size_t size, const char *key)
{
    const ssize_t length = readlink("/proc/self/exe", path, size - 1);
    char *slash;
    size_t used;

    if (length <= 0)
        return false;
    path[length] = '\0';
    slash = strrchr(path, '/');
    used = (size_t)(slash + 1 - path);
    return snprintf(slash + 1, size - used, "ringbench-%s.so", key) < (int)(size - used) &&
           access(path, F_OK) == 0;
}

const bench_peer *
bench_peer_load(const bench_peer_entry *entry, char *why, size_t size)
{
    const bench_peer *peer = entry->built_in;
    char path[1024];
    void *module;

    if (peer != NULL)
        return peer;
    if (!module_path(path, sizeof path, entry->key)) {
        snprintf(why, size, "not here: install %s and build again", entry->packages);
        return NULL;
    }
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        snprintf(why, size, "not here: %s", dlerror());
        return NULL;
    }
    peer = dlsym(module, BENCH_PEER_SYMBOL);
    if (peer == NULL || peer->version != BENCH_PEER_VERSION) {
        snprintf(why, size, "not here: %s is of another version: build again", path);
        return NULL;
    }
    return peer;
}

void
bench_peers_list(void)
{
    char why[256];
    int i;

    for (i = 0; i < BENCH_PEERS; i++) {
        const bench_peer_entry *entry = &bench_peers[i];
        const bool here = bench_peer_load(entry, why, sizeof why) != NULL;

        printf("%-11s %-19s %s; %s\n", entry->key, entry->name, entry->what, here ? "here" : why);
    }
}
