# SPDX-License-Identifier: MIT
"""The deliberate errors in the latest-value buffer."""

from __future__ import annotations

import re

from mutant import Mutant

THREADS = ("test_latest_readers", "no_byte_of_a_slot_is_touched_by_two_threads_at_once")


def latest(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant("latest: " + name, "csrc/core/latest.c", old, new, ("test_latest", test))


def order(name: str, old: str, weaker: str) -> Mutant:
    """An ordering that x86 gives all the same, and other machines do not."""
    new = re.sub(r"memory_order_(acq_rel|release)", f"memory_order_{weaker}", old)
    return Mutant("latest: " + name, "csrc/core/latest.c", old, new, THREADS, "thread")


def two_steps(name: str, old: str, new: str, test: str = THREADS[1]) -> Mutant:
    return Mutant("latest: " + name, "csrc/core/latest.c", old, new, (THREADS[0], test))


LATEST = [
    order("a publish does not release", "(word, offer, memory_order_acq_rel)", "acquire"),
    order("a publish does not acquire", "(word, offer, memory_order_acq_rel)", "release"),
    order("a take does not release", "RBR_LATEST_TAKEN, memory_order_acq_rel)", "acquire"),
    order("a take does not acquire", "RBR_LATEST_TAKEN, memory_order_acq_rel)", "release"),
    order(
        "a release does not release",
        "RBR_LATEST_RELEASED,\n                                            memory_order_release,",
        "relaxed",
    ),
    order(
        "a wait does not release",
        "RBR_LATEST_WAITING,\n" + 52 * " " + "memory_order_release,",
        "relaxed",
    ),
    two_steps(
        "a take is a load and a store",
        "    offer = atomic_exchange_explicit(&reader->mine->offer, RBR_LATEST_TAKEN, "
        "memory_order_acq_rel);\n",
        "    offer = atomic_load(&reader->mine->offer);\n"
        "    atomic_store(&reader->mine->offer, RBR_LATEST_TAKEN);\n",
    ),
    two_steps(
        "a publish is a load and a store",
        "was = atomic_exchange_explicit(word, offer, memory_order_acq_rel);\n",
        "was = atomic_load(word);\n        atomic_store(word, offer);\n",
    ),
    two_steps(
        "a release is a load and a store",
        "    atomic_compare_exchange_strong_explicit(&reader->mine->offer, &word,"
        " RBR_LATEST_RELEASED,\n",
        "    if (atomic_load(&reader->mine->offer) == word)\n"
        "        atomic_store(&reader->mine->offer, RBR_LATEST_RELEASED);\n"
        "    atomic_compare_exchange_strong_explicit(&reader->mine->offer, &word, word,\n",
        "a_release_at_the_moment_of_the_next_offer_does_not_lose_it",
    ),
    latest(
        "a release is not heard",
        "            writer->held[i] = 0;\n        else",
        "            (void)0;\n        else",
        "two_slots_do_when_each_item_is_released_in_time",
    ),
    latest(
        "a release that is late takes the next offer away",
        "uint64_t word = RBR_LATEST_TAKEN;\n\n    /* release: we have",
        "uint64_t word = atomic_load(&reader->mine->offer);\n\n    /* release: we have",
        "a_release_that_comes_after_the_next_offer_takes_nothing_away",
    ),
    latest(
        "an item in hand is forgotten",
        "writer->held[i] = slot_bit(before);",
        "writer->held[i] = 0;",
        "what_a_reader_has_taken_stays_while_the_writer_goes_on",
    ),
    latest(
        "a word of the reader's names the slot",
        "writer->held[i] = slot_bit(before);",
        "writer->held[i] |= slot_bit(atomic_load(&writer->offers[i].offer));",
        "whatever_readers_write_the_writer_goes_on_and_others_are_served",
    ),
    latest(
        "a new reader is offered nothing",
        "[number].offer, writer->newest,",
        "[number].offer, 0,",
        "a_new_reader_gets_the_newest_item_though_its_predecessor_took_it",
    ),
    latest(
        "any slot is believed",
        "number >= 2 + reader->readers || ",
        "",
        "any_offer_and_any_size_are_inside_the_memory_or_broken",
    ),
    latest(
        "any size is believed",
        "if (size > reader->room)",
        "if (false)",
        "any_offer_and_any_size_are_inside_the_memory_or_broken",
    ),
    latest(
        "an old item is taken",
        " || offer >> RBR_LATEST_SLOT_BITS <= reader->sequence)",
        ")",
        "an_item_that_is_not_newer_than_the_last_is_broken",
    ),
    latest(
        "a size is read twice",
        "*bytes = size;",
        "*bytes = atomic_load(&slot->bytes);",
        "a_size_is_read_once",
    ),
    Mutant(
        "latest: a reader is dropped though it lives",
        "csrc/core/latest_ended.c",
        "        if ((polled[i].revents & POLLIN) == 0)\n            continue;\n",
        "",
        (THREADS[0], "readers_that_ended_are_found_by_their_pidfds"),
    ),
    Mutant(
        "latest: a reader that ended keeps its slot",
        "csrc/core/latest_ended.c",
        "        rbr_latest_drop_reader(writer, i);\n",
        "",
        (THREADS[0], "readers_that_ended_are_found_by_their_pidfds"),
    ),
    Mutant(
        "latest: an item may refer to blocks",
        "csrc/core/message.c",
        "    else if (verdict.refs > 0 && channel == NULL)\n",
        "    else if (false)\n",
        ("test_latest_frames", "a_copied_frame_may_hold_all_its_payloads_and_no_others"),
    ),
]
