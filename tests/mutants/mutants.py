# SPDX-License-Identifier: MIT
"""The deliberate errors: where, what stands there, what is put there, and the test that notices."""

from __future__ import annotations

from latest import LATEST
from leaks import LEAKS
from mutant import Mutant
from progress import PROGRESS
from publication import PUBLICATION
from relay import RELAY
from room import ROOM
from verifier import RULES
from waiting import WAITING

ARENA_TEST = ("test_arena_model", "any_misuse_is_an_error_and_every_byte_stays_where_it_was")


def unwritten(name: str, file: str, old: str, new: str) -> Mutant:
    """Old memory goes out: valgrind's error, and so the test's."""
    test = ("test_defined", "every_byte_of_what_is_sent_was_written")
    return Mutant("unwritten: " + name, "csrc/core/" + file, old, new, test, "valgrind")


UNWRITTEN = [
    unwritten(
        "the padding before a piece",
        "flatbuf_build.c",
        "clear(builder, builder->used, (uint32_t)(end - later))",
        "clear(builder, (uint32_t)at, (uint32_t)(end - later))",
    ),
    unwritten(
        "the padding at a frame's end",
        "flatbuf_build.c",
        "reserve(builder, 0, 0, 8);",
        "builder->used = (builder->used + 7) & ~7u;",
    ),
    unwritten(
        "the last bytes of a frame in a block",
        "send.c",
        "memcpy(rbr_block_data(block), frame, size);",
        "memcpy(rbr_block_data(block), frame, size - 8);",
    ),
    unwritten(
        "the ancillary data of the control socket",
        "control.c",
        "        memset(&ancillary, 0, sizeof ancillary);\n",
        "",
    ),
]


def race(name: str, old: str, new: str) -> Mutant:
    """An ordering that x86 gives all the same, and other machines do not."""
    test = ("test_ring", "no_byte_of_a_ring_is_touched_by_two_threads_at_once")
    return Mutant("ring: " + name, "csrc/core/ring.c", old, new, test, "thread")


def fence(name: str, old: str) -> Mutant:
    test = ("test_fence", "a_sleeper_and_a_waker_at_the_same_moment_never_miss_each_other")
    new = "atomic_signal_fence(memory_order_seq_cst);"
    return Mutant("wake: " + name, "csrc/core/wake.c", old, new, test)


ORDER = [
    fence(
        "the sleeper's fence is gone",
        "atomic_thread_fence(memory_order_seq_cst); /* F1: pairs with F2 in rbr_wake_peer */",
    ),
    fence(
        "the waker's fence is gone",
        "atomic_thread_fence(memory_order_seq_cst); /* F2: pairs with F1 */",
    ),
    race(
        "a commit does not release",
        "&producer->shared->tail, producer->tail, memory_order_release",
        "&producer->shared->tail, producer->tail, memory_order_relaxed",
    ),
    race(
        "a look at the tail does not acquire",
        "&consumer->shared->tail, memory_order_acquire",
        "&consumer->shared->tail, memory_order_relaxed",
    ),
    race(
        "a release of room does not release",
        "&consumer->shared->head, consumer->head, memory_order_release",
        "&consumer->shared->head, consumer->head, memory_order_relaxed",
    ),
    race(
        "a look at the head does not acquire",
        "uint64_t head = atomic_load_explicit(&producer->shared->head, memory_order_acquire)",
        "uint64_t head = atomic_load_explicit(&producer->shared->head, memory_order_relaxed)",
    ),
]

MUTANTS = [
    *RULES,
    *UNWRITTEN,
    *ORDER,
    *LATEST,
    *PUBLICATION,
    *RELAY,
    *ROOM,
    *WAITING,
    *LEAKS,
    Mutant(
        "builder: long pieces, and those at the end, left as they were",
        "csrc/core/flatbuf_build.c",
        "        memset(builder->base + from, 0, to - from);\n",
        "",
        ("test_flatbuf", "what_is_reserved_and_not_written_is_zero"),
    ),
    Mutant(
        "builder: short pieces left as they were",
        "csrc/core/flatbuf_build.c",
        "        memset(builder->base + at, 0, STEP);\n",
        "        (void)0;\n",
        ("test_flatbuf", "what_is_reserved_and_not_written_is_zero"),
    ),
    Mutant(
        "wake: no second look before a sleep",
        "csrc/core/exchange.c",
        "    if (rbr_consumer_has_data(&exchange->consumer) || is_over(",
        "    if (is_over(",
        ("test_wake", "what_is_published_right_before_a_sleep_is_announced_is_seen"),
    ),
    Mutant(
        "wake: a reader leaves and offers the role to nobody",
        "csrc/core/exchange.c",
        "    rbr_sleepers_offer_role(channel); /* E1 */\n",
        "",
        ("test_wake", "a_reader_that_leaves_at_its_deadline_offers_the_role_to_who_sleeps"),
    ),
    Mutant(
        "wake: a look that is faster than the post counts as late",
        "csrc/core/wake.c",
        "memory_order_relaxed) != 0 &&\n           status == RBR_TIMED_OUT;",
        "memory_order_relaxed) != 0 ||\n           status == RBR_TIMED_OUT;",
        ("test_wake", "a_look_that_is_faster_than_the_post_is_no_late_one"),
    ),
    Mutant(
        "wake: a sleep that timed out takes its announcement back before the look",
        "csrc/core/wake.c",
        "    if (status != RBR_TIMED_OUT)\n        rbr_wake_cancel(wake);",
        "    rbr_wake_cancel(wake);",
        ("test_wake", "who_is_still_on_his_way_to_wake_a_sleeper_has_not_forgotten_it"),
    ),
    Mutant(
        "wake: a sleeper that nobody wakes counts nothing",
        "csrc/core/wake.c",
        "    if (found)\n        status = rbr_os_hint_wait",
        "    if (!found)\n        status = rbr_os_hint_wait",
        ("test_wake", "who_is_still_on_his_way_to_wake_a_sleeper_has_not_forgotten_it"),
    ),
    Mutant(
        "wake: no post at death",
        "csrc/core/waiters.c",
        "        rbr_wake_self(&channel->wake);",
        "        (void)0;",
        ("test_channel", "a_killed_peer_is_reported_to_every_waiter"),
    ),
    Mutant(
        "wake: released room is announced to nobody",
        "csrc/core/message.c",
        "    rbr_wake_peer(&channel->wake, RBR_WAKE_ROOM);\n",
        "",
        ("test_edges", "a_small_record_is_sent_as_soon_as_it_fits_while_another_thread_reads"),
    ),
    Mutant(
        "ring: a torn tail is believed",
        "csrc/core/ring.c",
        "if (tail - consumer->head > consumer->mask + 1 || tail % RECORD_ALIGN != 0)",
        "if (false)",
        ("test_ring", "a_tail_beyond_the_capacity_is_broken"),
    ),
    Mutant(
        "ring: a head that overtakes is believed",
        "csrc/core/ring.c",
        "if (producer->tail - head > capacity || producer->tail - head < uncommitted ||",
        "if (",
        ("test_ring", "a_head_that_overtakes_the_tail_is_broken"),
    ),
    Mutant(
        "wake: an announcement of room is overwritten",
        "csrc/core/exchange.c",
        "(!room && rbr_room_is_wanted(exchange))",
        "false",
        (
            "test_announcement",
            "a_reader_that_overwrites_an_announcement_of_room_looks_again_before_it_sleeps",
        ),
    ),
    Mutant(
        "cancel: which call runs is stored in no order with the look at cancels",
        "csrc/core/watcher.c",
        "    atomic_store(&channel->watch.running_id, id);",
        "    atomic_store_explicit(&channel->watch.running_id, id, memory_order_release);",
        ("test_cancel", "a_cancel_at_the_moment_when_its_call_begins_is_not_lost"),
    ),
    Mutant(
        "blocks: a return is forgotten",
        "csrc/core/block.c",
        "        atomic_fetch_add_explicit(&block->header->returned, 1, memory_order_release);\n",
        "",
        ("test_channel", "calls_of_all_sizes_cross_in_order"),
    ),
    Mutant(
        "blocks: a message keeps its references",
        "csrc/core/message.c",
        "        rbr_block_release(message->refs[i].block);\n",
        "        (void)0;\n",
        ("test_channel", "calls_of_all_sizes_cross_in_order"),
    ),
    Mutant(
        "control: a stray descriptor stays open",
        "csrc/core/control.c",
        "                    close(fd);\n                    extra = true;",
        "                    extra = true;",
        ("test_channel", "stray_descriptors_are_refused_and_closed"),
    ),
    # What the extra checks of VERIFY builds are for.
    Mutant(
        "checks: whoever waited for room stays counted",
        "csrc/core/waiters.c",
        "        atomic_fetch_sub_explicit(&exchange->room_sleepers, 1, memory_order_relaxed);\n",
        "        (void)0;\n",
        ("test_edges", "a_small_record_is_sent_as_soon_as_it_fits_while_another_thread_reads"),
    ),
    Mutant(
        "checks: two threads read",
        "csrc/core/exchange.c",
        "        if (!exchange->reading && !gave_way) {\n",
        "        if (!gave_way) {\n",
        ("test_channel", "threads_that_call_at_once_each_get_their_own_answers"),
    ),
    Mutant(
        "checks: a free extent stays beside a free one",
        "csrc/core/arena.c",
        "if (below != NULL && below->is_free) {",
        "if (false) {",
        ("test_arena", "any_sequence_keeps_blocks_apart_and_loses_no_byte"),
    ),
    Mutant(
        "double fetch: a record's size",
        "csrc/core/ring.c",
        "    *bytes = size;",
        "    *bytes = atomic_load_explicit(&header->bytes, memory_order_relaxed);",
        ("test_flipper", "a_records_size_is_read_once"),
    ),
    Mutant(
        "double fetch: the tail",
        "csrc/core/ring.c",
        "consumer->tail_seen = tail;",
        "consumer->tail_seen = atomic_load(&consumer->shared->tail);",
        ("test_flipper", "a_tail_is_read_once"),
    ),
    Mutant(
        "double fetch: the head",
        "csrc/core/ring.c",
        "producer->head_seen = head;",
        "producer->head_seen = atomic_load(&producer->shared->head);",
        ("test_flipper", "a_head_is_read_once"),
    ),
    Mutant(
        "double fetch: how often a block came back",
        "csrc/core/arena.c",
        "return returned < block->sent ?",
        "return atomic_load(&rbr_extent_header(block)->returned) < block->sent ?",
        ("test_flipper", "the_count_of_returns_is_read_once"),
    ),
    Mutant(
        "double fetch: a frame is copied again after it was verified",
        "csrc/core/message.c",
        "    status = open_frame(message, channel, err);\n",
        "    status = open_frame(message, channel, err);\n"
        "    memcpy(message->bytes, record, size);\n",
        ("test_flipper", "a_call_that_becomes_a_log_is_verified_as_it_was_copied"),
    ),
    Mutant(
        "double fetch: a frame in a block is copied again after it was verified",
        "csrc/core/message.c",
        "    status = open_frame(inner, channel, err);\n",
        "    status = open_frame(inner, channel, err);\n"
        "    memcpy(inner->bytes, rbr_block_data(outer->refs[0].block), size);\n",
        ("test_flipper", "a_frame_in_a_block_is_verified_as_it_was_copied"),
    ),
    *PROGRESS,
    Mutant(
        "arena: a block that the peer has is free",
        "csrc/core/arena.c",
        "if (returned == block->sent)",
        "if (returned <= block->sent)",
        ARENA_TEST,
    ),
    Mutant(
        "arena: too many returns are one of many states",
        "csrc/core/arena.c",
        "RBR_AGAIN : RBR_BROKEN;",
        "RBR_AGAIN : RBR_AGAIN;",
        ARENA_TEST,
    ),
    Mutant(
        "arena: the rest after a block begins inside it",
        "csrc/core/arena.c",
        "rest->base = extent->base + need;",
        "rest->base = extent->base + need - RBR_ARENA_GRAIN;",
        ARENA_TEST,
    ),
    Mutant(
        "arena: free neighbours are not joined",
        "csrc/core/arena.c",
        "if (above != NULL && above->is_free)",
        "if (false)",
        ARENA_TEST,
    ),
    Mutant(
        "arena: a reference of any generation is taken",
        "csrc/core/block.c",
        "memory_order_relaxed) == ref->generation;",
        "memory_order_relaxed) > 0;",
        ARENA_TEST,
    ),
    Mutant(
        "arena: a reference past the end is taken",
        "csrc/core/block.c",
        " || ref->length > mapping->bytes - ref->offset",
        "",
        ARENA_TEST,
    ),
    Mutant(
        "arena: what was not sent counts as sent",
        "csrc/core/block.c",
        "        blocks[i]->extent->sent--;",
        "        (void)i;",
        ARENA_TEST,
    ),
]
