/* SPDX-License-Identifier: MIT */
/*
 * test_latest_frames.c - a frame that lies where the peer may write, as an item of a latest-value
 * buffer does: what rbr_message_copy makes of it.
 */
#include "channel.h"
#include "check.h"
#include "flatbuf_frames.h"

#include "ringbridge_latest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TEST(a_copied_frame_is_verified_and_private)
{
    const uint32_t size = build(build_ints);
    rbr_message *message;
    const uint8_t *bytes;
    uint32_t copied;
    uint8_t type;

    CHECK(rbr_message_copy(&message, room, size, NULL, NULL) == RBR_OK);
    bytes = rbr_message_frame(message, &copied);
    CHECK(copied == size && memcmp(bytes, room, size) == 0);
    memset(room, 0xAA, size);
    CHECK(rbr_message_body(message, &type).at != NULL && type == RBR_BODY_CALL);
    CHECK(rbr_get_u32(rbr_message_body(message, &type), RBR_CALL__FUNCTION, 0) == 3);
    rbr_message_free(message);
}

TEST(a_frame_is_copied_into_memory_that_is_given)
{
    const uint32_t size = build(build_ints);
    uint8_t *memory = aligned_alloc(64, 64 + rbr_round_up(RBR_MESSAGE_HEAD + size, 64));
    rbr_message *message;
    uint32_t copied;

    CHECK(memory != NULL);
    memory[RBR_MESSAGE_HEAD + size] = 0x55;
    CHECK(rbr_message_copy(&message, room, size, memory, NULL) == RBR_OK);
    CHECK(rbr_message_frame(message, &copied) == memory + RBR_MESSAGE_HEAD && copied == size);
    CHECK(memcmp(memory + RBR_MESSAGE_HEAD, room, size) == 0);
    CHECK(memory[RBR_MESSAGE_HEAD + size] == 0x55);
    room[0] ^= 0x81;
    CHECK(rbr_message_copy(&message, room, size, memory, NULL) == RBR_BROKEN);
    free(memory);
}

TEST(a_copied_frame_may_hold_all_its_payloads_and_no_others)
{
    const uint32_t size = build(build_rich); /* one of its tensors lies in an arena */
    rbr_message *message = NULL;
    rbr_error error;

    CHECK(verify(room, size) == RBR_OK && verdict.refs == 1);
    CHECK(rbr_message_copy(&message, room, size, NULL, &error) == RBR_BROKEN && message == NULL);
    CHECK(strstr(error.text, "payloads") != NULL);
}

/* Under the sanitizers, nothing outside of what was copied is looked at. */
TEST(a_frame_of_any_size_and_with_any_byte_changed_is_refused_or_sound)
{
    const uint32_t size = build(build_log);
    uint32_t at, sound = 0;
    rbr_message *message;

    for (at = 0; at + 8 <= size; at++) { /* what follows is padding */
        uint8_t *exact = malloc(at > 0 ? at : 1); /* ends where it ends */

        CHECK(exact != NULL);
        memcpy(exact, room, at);
        CHECK(rbr_message_copy(&message, exact, at, NULL, NULL) == RBR_BROKEN);
        free(exact);
    }
    for (at = 0; at < size; at++) {
        room[at] ^= 0x81;
        if (rbr_message_copy(&message, room, size, NULL, NULL) == RBR_OK) {
            sound++;
            rbr_message_free(message);
        }
        room[at] ^= 0x81;
    }
    CHECK(sound > 0 && sound < size); /* a letter of its text, and an offset */
    CHECK(rbr_message_copy(&message, room, UINT64_C(1) << 40, NULL, NULL) == RBR_BROKEN);
}

TEST(an_item_that_was_built_in_its_slot_is_taken_as_a_frame)
{
    const uint64_t bytes = rbr_latest_bytes(1, 4096);
    void *memory = malloc(bytes);
    rbr_latest_writer writer;
    rbr_latest_reader reader;
    rbr_message *message;
    rbr_builder builder;
    const void *payload;
    uint64_t size, sequence;

    CHECK(memory != NULL);
    memset(memory, 0xAA, bytes);
    rbr_latest_writer_init(&writer, memory, 1, 4096);
    CHECK(rbr_latest_reader_init(&reader, memory, bytes, 0) == RBR_OK);
    rbr_build_start(&builder, rbr_latest_claim(&writer), (uint32_t)writer.room, NULL, NULL);
    build_ints(&builder);
    CHECK(rbr_latest_publish(&writer, rbr_build_finish(&builder)) == RBR_OK);
    CHECK(rbr_latest_take(&reader, &payload, &size, &sequence) == RBR_OK && sequence == 1);
    CHECK(rbr_message_copy(&message, payload, size, NULL, NULL) == RBR_OK);
    rbr_latest_release(&reader);
    rbr_message_free(message);
    free(memory);
}
