# SPDX-License-Identifier: MIT
"""Deliberate errors in a channel's end that passes on what comes."""

from __future__ import annotations

from mutant import Mutant


def relay(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant("relay: " + name, "csrc/core/relay.c", old, new, ("test_relay", test))


RELAY = [
    relay(
        "a cancel that was heard is heard again",
        "        relay->seen[at] = word;\n",
        "",
        "a_relay_hears_a_cancel_once_and_once_more_when_it_becomes_hard",
    ),
    relay(
        "whether it is hard is forgotten",
        "*hard = (word & 1) != 0;",
        "*hard = false;",
        "a_relay_hears_a_cancel_once_and_once_more_when_it_becomes_hard",
    ),
    relay(
        "nobody is woken",
        "    if (relay != NULL)\n        sem_post(&relay->wake);",
        "    (void)relay;",
        "who_waits_for_cancels_is_woken_by_the_peers_death",
    ),
    relay(
        "one place of the table is never looked at",
        "looked < RBR_CANCELLED_MAX;",
        "looked < RBR_CANCELLED_MAX && relay->next != 256;",
        "cancels_that_come_all_at_once_are_all_heard",
    ),
    relay(
        "its word is taken for the last one",
        "atomic_store(&channel->segment.shared->late, 1);",
        "(void)0;",
        "a_host_sees_what_runs_behind_a_relay_and_after_its_end_all_may_have_begun",
    ),
    relay(
        "what may run has not begun",
        "        has_begun(runs, id);\n        atomic_store",
        "        atomic_store",
        "a_host_sees_what_runs_behind_a_relay_and_after_its_end_all_may_have_begun",
    ),
    relay(
        "what does not run any more stays",
        "depth < count ? ids[depth] : 0,",
        "depth < count ? ids[depth] : runs->calls[depth],",
        "a_host_sees_what_runs_behind_a_relay_and_after_its_end_all_may_have_begun",
    ),
    relay(
        "the reader's own calls are told, not the peer's",
        "runs[1 - channel->role]",
        "runs[channel->role]",
        "a_relay_sees_what_its_worker_runs",
    ),
    relay(
        "all counts as read",
        "return rbr_channel_check(channel) != RBR_OK ||",
        "return true ||",
        "what_was_sent_is_not_read_while_the_peer_stands_still",
    ),
]
