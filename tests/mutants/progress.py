# SPDX-License-Identifier: MIT
"""Deliberate errors in what tells how far a call has come."""

from __future__ import annotations

from mutant import Mutant


def progress(name: str, old: str, new: str, test: str) -> Mutant:
    file = "csrc/core/call_progress.c"
    return Mutant("progress: " + name, file, old, new, ("test_progress", test))


PROGRESS = [
    progress(
        "the watcher is not told that it has to come sooner",
        "        rbr_watch_poke(channel);\n",
        "        (void)0;\n",
        "the_watcher_that_sleeps_is_woken_for_each_value_that_is_held",
    ),
    progress(
        "what was held is forgotten when its call ends",
        "        if (slot->held)\n            send_slot(",
        "        if (false)\n            send_slot(",
        "the_last_value_is_sent_when_the_call_ends_and_nothing_after_that",
    ),
    progress(
        "what finds no room is given up",
        "slot->held = status == RBR_AGAIN;",
        "slot->held = false;",
        "what_finds_no_room_is_held_and_sent_later",
    ),
    progress(
        "each value is sent",
        "slot->held = now_ns < slot->next_ns;",
        "slot->held = false;",
        "the_newest_of_many_is_sent_when_its_time_has_come_and_the_watcher_is_poked_once",
    ),
]
