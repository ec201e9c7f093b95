# SPDX-License-Identifier: MIT
"""The deliberate errors in how much may wait for a call."""

from __future__ import annotations

from mutant import Mutant


def room(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant("room: " + name, "csrc/core/deliver.c", old, new, ("test_deliver_room", test))


ROOM = [
    room(
        "items of a call have no bound",
        "return count < RBR_ITEMS_MAX && bytes",
        "return bytes",
        "items_beyond_the_limit_break_the_channel",
    ),
    room(
        "bytes of a call's items have no bound",
        "RBR_ITEMS_MAX && bytes < RBR_ITEM_BYTES_MAX;",
        "RBR_ITEMS_MAX;",
        "items_of_more_bytes_than_a_parked_worker_sends_break_the_channel",
    ),
    room(
        "callbacks of a call have no bound",
        "return count < RBR_CALLBACKS_MAX && bytes",
        "return bytes",
        "a_callback_beyond_the_limit_is_refused",
    ),
    room(
        "too many callbacks are dropped without a word",
        "        return RBR_AGAIN;\n    case RBR_SORT_ASIDE:",
        "        return RBR_OK;\n    case RBR_SORT_ASIDE:",
        "a_callback_beyond_the_limit_is_refused",
    ),
    room(
        "too many logs break a channel",
        "dropped_asides, 1, memory_order_relaxed);\n        return RBR_OK;",
        "dropped_asides, 1, memory_order_relaxed);\n        return RBR_BROKEN;",
        "logs_that_nobody_takes_leave_room_for_items_callbacks_and_the_answer",
    ),
    room(
        "logs take the places of items",
        "    case RBR_BODY_LOG:\n    case RBR_BODY_RELEASE:\n        return RBR_SORT_ASIDE;",
        "    case RBR_BODY_RELEASE:\n        return RBR_SORT_ASIDE;\n"
        "    case RBR_BODY_LOG:\n        return RBR_SORT_ITEM;",
        "logs_that_nobody_takes_leave_room_for_items_callbacks_and_the_answer",
    ),
    room(
        "the bytes of logs have no bound",
        "exchange->aside_bytes < RBR_ASIDE_BYTES_MAX &&",
        "true &&",
        "the_bytes_of_logs_are_bounded_for_the_channel",
    ),
    room(
        "a call's end leaves its logs counted",
        "        exchange->aside_bytes -= message->size;\n    if (call == NULL)",
        "        exchange->aside_bytes -= call != NULL ? message->size : 0;\n    if (call == NULL)",
        "the_bytes_of_logs_are_bounded_for_the_channel",
    ),
    room(
        "every progress of a call waits",
        "== RBR_BODY_PROGRESS ? call->progress : NULL;",
        "== RBR_BODY_LOADED ? call->progress : NULL;",
        "of_a_calls_progress_only_the_newest_waits_and_it_comes_last",
    ),
    room(
        "a progress that was taken is replaced",
        "    if (call->progress == message)\n        call->progress = NULL;\n",
        "",
        "of_a_calls_progress_only_the_newest_waits_and_it_comes_last",
    ),
    room(
        "a second answer waits",
        "        return count == 0;\n",
        "        return true;\n",
        "a_second_answer_is_dropped",
    ),
    room(
        "what an inbox gave away still counts",
        "        count_out(exchange, rbr_pending_find(exchange, id), message);\n    } else {",
        "        (void)0;\n    } else {",
        "an_inbox_counts_what_it_holds_for_each_call",
    ),
]
