/* SPDX-License-Identifier: MIT */
/*
 * latest_items.c - see latest_items.h.
 */
#include "latest_items.h"

#include "check.h"

uint64_t
item_bytes(uint64_t sequence)
{
    return sequence * 37 % (ITEM_ROOM + 1);
}

static uint8_t
byte_at(uint64_t sequence, uint64_t i)
{
    return (uint8_t)(sequence * 31 + i);
}

void
item_fill(uint8_t *payload, uint64_t sequence)
{
    uint64_t i;

    for (i = 0; i < item_bytes(sequence); i++)
        payload[i] = byte_at(sequence, i);
}

bool
item_is_whole(const item *it)
{
    const uint8_t *payload = it->payload;
    uint64_t i;

    for (i = 0; i < it->bytes; i++)
        if (payload[i] != byte_at(it->sequence, i))
            return false;
    return it->bytes == item_bytes(it->sequence);
}

void
item_publish(rbr_latest_writer *writer, uint64_t sequence)
{
    item_fill(rbr_latest_claim(writer), sequence);
    CHECK(rbr_latest_publish(writer, item_bytes(sequence)) == RBR_OK);
    CHECK(writer->newest >> RBR_LATEST_SLOT_BITS == sequence);
}

rbr_status
item_take(rbr_latest_reader *reader, item *it)
{
    return rbr_latest_take(reader, &it->payload, &it->bytes, &it->sequence);
}
