/* SPDX-License-Identifier: MIT */
/*
 * followers.c - readers of a publication, and items whose bytes follow from their sequence.
 */
#include "followers.h"

#include "check.h"

#include <poll.h>
#include <string.h>

void
follower_join(follower *self, rbr_publication *publication)
{
    int memory, wait;

    CHECK(rbr_publication_join(publication, &self->ticket, &self->number, &memory, &wait, NULL) ==
          RBR_OK);
    CHECK(rbr_subscription_open(&self->subscription, memory, self->number, wait, NULL) == RBR_OK);
}

uint64_t
follower_take(follower *self)
{
    uint64_t bytes, count, sequence;
    const void *payload;
    const rbr_status status = rbr_latest_take(&self->subscription.reader, &payload, &bytes, &count);

    if (status == RBR_AGAIN)
        return 0;
    CHECK(status == RBR_OK && bytes >= sizeof(uint32_t));
    sequence = *(const uint32_t *)payload;
    CHECK(is_whole(payload, bytes, sequence));
    self->payload = (void *)(uintptr_t)payload;
    return sequence;
}

bool
follower_is_woken(const follower *self)
{
    struct pollfd polled = {.fd = self->subscription.wait, .events = POLLIN};

    return poll(&polled, 1, 0) == 1;
}

void
follower_end(follower *self)
{
    rbr_subscription_close(&self->subscription);
    rbr_subscription_close(&self->subscription); /* idempotent */
}

void
publish(rbr_publication *publication, uint64_t sequence, uint64_t bytes)
{
    const uint32_t word = (uint32_t)sequence;
    uint64_t room_bytes;
    void *room;

    CHECK(rbr_publication_claim(publication, &room, &room_bytes, NULL) == RBR_OK);
    CHECK((uintptr_t)room % RBR_LINE % 64 == 0);
    if (bytes > room_bytes) {
        CHECK(rbr_publication_enlarge(publication, bytes, NULL) == RBR_OK);
        CHECK(rbr_publication_claim(publication, &room, &room_bytes, NULL) == RBR_OK);
        CHECK(room_bytes >= bytes);
    }
    memset(room, (int)(sequence * 31 % 251), bytes);
    memcpy(room, &word, sizeof word);
    CHECK(rbr_publication_publish(publication, bytes) == RBR_OK);
}

bool
is_whole(const void *payload, uint64_t bytes, uint64_t sequence)
{
    const uint8_t *at = payload, expected = (uint8_t)(sequence * 31 % 251);
    uint64_t i;

    for (i = sizeof(uint32_t); i < bytes; i++)
        if (at[i] != expected)
            return false;
    return true;
}
