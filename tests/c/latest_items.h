/* SPDX-License-Identifier: MIT */
/*
 * latest_items.h - items for a latest-value buffer: size and bytes follow from the sequence, so that a
 * torn one, or one that has changed, shows.
 */
#ifndef RBR_TESTS_LATEST_ITEMS_H
#define RBR_TESTS_LATEST_ITEMS_H

#include "base.h"
#include "layout.h"

#include "ringbridge_latest.h"

enum { ITEM_ROOM = 1001 }; /* odd, so that rounding shows */

typedef struct item {
    const void *payload;
    uint64_t bytes, sequence;
} item;

uint64_t item_bytes(uint64_t sequence);
void item_fill(uint8_t *payload, uint64_t sequence);
bool item_is_whole(const item *it);

/* Claims, fills and publishes the item of that sequence, which is to be the next. */
void item_publish(rbr_latest_writer *writer, uint64_t sequence);
rbr_status item_take(rbr_latest_reader *reader, item *it);

#endif
