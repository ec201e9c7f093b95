/* SPDX-License-Identifier: MIT */
/*
 * peers.h - which peers there are. See peers.c.
 */
#ifndef RBR_BENCH_PEERS_H
#define RBR_BENCH_PEERS_H

#include "peer.h"

#include <stdbool.h>
#include <stddef.h>

#define BENCH_PEERS 9

typedef struct bench_peer_entry {
    const char *key;  /* of --peers */
    const char *name; /* of its rows */
    const char *what;
    const char *packages;      /* of Debian, that a module is built with; NULL: it is built in */
    const bench_peer *built_in;
} bench_peer_entry;

/* ringbridge itself is the first. */
extern const bench_peer_entry bench_peers[BENCH_PEERS];

/* Built in: peer_ringbridge.c peer_bytes.c peer_mq.c peer_eventfd.c */
extern const bench_peer bench_peer_ringbridge, bench_peer_pipe, bench_peer_socket, bench_peer_mq,
    bench_peer_eventfd;

/* Of --peers; NULL: all. Ends the program when a name is unknown. ringbridge is always chosen. */
void bench_peers_choose(bool chosen[BENCH_PEERS], const char *list);
/* Its operations; NULL: it is not here, and `why` says so. */
const bench_peer *bench_peer_load(const bench_peer_entry *entry, char *why, size_t size);
/* What --peers list tells. */
void bench_peers_list(void);

#endif
