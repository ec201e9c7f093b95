# SPDX-License-Identifier: MIT
"""The deliberate errors in publications, and in who waits for the newest item."""

from __future__ import annotations

from mutant import Mutant


def alone(name: str, old: str, new: str, test: str, file: str = "publication") -> Mutant:
    path = f"csrc/core/{file}.c"
    return Mutant("publication: " + name, path, old, new, ("test_publication", test))


PUBLICATION = [
    alone(
        "nobody is woken",
        "            rbr_os_nudge(self->nudge[reader]);\n",
        "            (void)reader;\n",
        "a_reader_that_waits_is_woken_once",
    ),
    alone(
        "who waits is woken each time",
        "        if (was == RBR_LATEST_WAITING)\n            writer->waited |=",
        "        writer->waited |=",
        "a_reader_that_waits_is_woken_once",
        "latest",
    ),
    alone(
        "whom to wake is not forgotten",
        "    writer->waited = 0;\n",
        "",
        "a_reader_that_waits_is_woken_once",
        "latest",
    ),
    alone(
        "who waits keeps its slot",
        "    if (was == RBR_LATEST_RELEASED || was == RBR_LATEST_WAITING)\n",
        "    if (was == RBR_LATEST_RELEASED)\n",
        "to_wait_gives_the_slot_back",
        "latest",
    ),
    alone(
        "a wait takes the place of an offer",
        "        if (word > RBR_LATEST_WAITING)\n            return false;\n",
        "",
        "a_reader_that_waits_is_woken_once",
        "latest",
    ),
    Mutant(
        "publication: a wait looks, and then stores",
        "csrc/core/latest.c",
        "    while (!atomic_compare_exchange_strong_explicit(&reader->mine->offer, &word, "
        "RBR_LATEST_WAITING,\n",
        "    if (rbr_latest_has_newer(reader))\n        return false;\n"
        "    atomic_store(&reader->mine->offer, RBR_LATEST_WAITING);\n"
        "    word = RBR_LATEST_WAITING;\n"
        "    while (!atomic_compare_exchange_strong_explicit(&reader->mine->offer, &word, "
        "RBR_LATEST_WAITING,\n",
        ("test_latest_readers", "who_waits_at_the_moment_of_the_next_offer_is_woken_or_finds_it"),
    ),
    alone(
        "who joins finds nothing",
        "        rbr_latest_drop_reader(&self->memory.writer, (uint32_t)number); "
        "/* it gets the newest */\n",
        "",
        "a_number_that_was_left_is_the_next_ones_with_the_newest_item",
    ),
    alone(
        "a number that was left stays taken",
        "        self->nudge[number] = -1;\n        rbr_latest_part_reader",
        "        rbr_latest_part_reader",
        "one_reader_more_than_there_is_room_for_is_refused",
    ),
    alone(
        "a ticket means whoever has its number",
        "    if (number < READERS && self->nudge[number] >= 0 && self->ticket[number] == ticket) {",
        "    if (number < READERS && self->nudge[number] >= 0) {",
        "a_number_that_was_left_is_the_next_ones_with_the_newest_item",
    ),
    alone(
        "old readers are not told of a move",
        "        if (nudges[i] >= 0)\n            close(nudges[i]);\n    memory_drop(&old);\n",
        "        if (nudges[i] >= 0)\n            (void)nudges[i];\n    memory_drop(&old);\n",
        "an_item_that_is_too_large_moves_the_publication",
    ),
    alone(
        "the old memory is kept",
        "    memory_drop(&old);\n",
        "    (void)old;\n",
        "a_thousand_publications_leave_nothing_behind",
    ),
    alone(
        "all slots get their memory at once",
        "    fresh.allocated = WORDS_BYTES;\n",
        "    fresh.allocated = fresh.bytes;\n",
        "slots_get_their_memory_when_they_are_needed",
    ),
    alone(
        "a move is not counted",
        "    self->moves++;\n",
        "",
        "an_item_that_is_too_large_moves_the_publication",
    ),
    alone(
        "memory that could shrink is taken",
        '        return rbr_fail(err, RBR_BROKEN, "a received segment could shrink");\n',
        "        (void)0;\n",
        "what_is_no_publication_is_refused",
        "os_linux_memory",
    ),
    alone(
        "a refused descriptor stays open",
        "    close(memory); /* mapped, or of no use */\n",
        "    if (status == RBR_OK)\n        close(memory);\n",
        "what_is_no_publication_is_refused",
    ),
    alone(
        "a forked child publishes",
        "    if (!rbr_os_fork_check(self->fork_token))\n        return RBR_FORKED;\n",
        "",
        "a_forked_child_is_refused_and_its_parent_goes_on",
    ),
]
