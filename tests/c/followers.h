/* SPDX-License-Identifier: MIT */
/*
 * followers.h - readers of a publication, and items whose bytes follow from their sequence.
 */
#ifndef RBR_TESTS_FOLLOWERS_H
#define RBR_TESTS_FOLLOWERS_H

#include "base.h"
#include "layout.h"

#include "ringbridge_publication.h"

typedef struct follower {
    rbr_subscription subscription;
    uint64_t ticket;
    uint32_t number;
    void *payload; /* of the item taken last */
} follower;

void follower_join(follower *self, rbr_publication *publication);
/* The sequence of the newest item, which must be whole and newer than the one before; 0: none. */
uint64_t follower_take(follower *self);
/* Whether its descriptor is readable now. */
bool follower_is_woken(const follower *self);
void follower_end(follower *self);

/* Claims, fills and publishes an item of `bytes`, 4 or more, that stands for that sequence. Grows what is too
 * small. */
void publish(rbr_publication *publication, uint64_t sequence, uint64_t bytes);
bool is_whole(const void *payload, uint64_t bytes, uint64_t sequence);

#endif
