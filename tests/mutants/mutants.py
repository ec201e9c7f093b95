# SPDX-License-Identifier: MIT
"""The deliberate errors: where, what stands there, what is put there, and the test that notices."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """`old` stands in `file` exactly once; `test` is the program and the name of one test."""

    name: str
    file: str
    old: str
    new: str
    test: tuple[str, str]


VERIFY = "csrc/core/flatbuf_verify.c"


def rule(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant("verifier: " + name, VERIFY, old, new, ("test_flatbuf_verify", test))


MUTANTS = [
    rule("any size", "walk->size < 8 || ", "", "frame_of_a_wrong_size_is_refused"),
    rule(
        "any identifier",
        "memcmp(walk->bytes + 4, RBR_WIRE_IDENTIFIER, 4) != 0",
        "false",
        "another_identifier_is_refused",
    ),
    rule(
        "an offset of 0",
        "offset == 0 || to % 4 != 0",
        "to % 4 != 0",
        "offset_that_is_zero_misaligned_or_outside_is_refused",
    ),
    rule(
        "a misaligned offset",
        "offset == 0 || to % 4 != 0 ||",
        "offset == 0 ||",
        "offset_that_is_zero_misaligned_or_outside_is_refused",
    ),
    rule(
        "an odd vtable",
        "vtable_bytes < 4 || vtable_bytes % 2 != 0 ||",
        "vtable_bytes < 4 ||",
        "vtable_that_is_outside_odd_or_too_short_is_refused",
    ),
    rule(
        "a table that runs outside",
        "place.table_bytes < 4 || place.table_bytes > walk->size - place.table",
        "place.table_bytes < 4",
        "table_that_is_too_short_or_outside_is_refused",
    ),
    rule(
        "a field outside its table",
        " || offset + field->bytes > place->table_bytes",
        "",
        "field_outside_its_table_or_misaligned_is_refused",
    ),
    rule(
        "a required field that is absent",
        "(desc->required & ~present) != 0",
        "false",
        "required_field_that_is_absent_is_refused",
    ),
    rule(
        "a union of unknown type",
        "type > desc->member_count",
        "type > desc->member_count + 1",
        "union_with_type_or_value_alone_or_unknown_is_refused",
    ),
    rule(
        "a vector that runs outside",
        "bytes > walk->size - *first || ",
        "",
        "vector_that_runs_outside_is_refused",
    ),
    rule(
        "a misaligned vector",
        "*count != 0 && (*first & (element_align - 1)) != 0",
        "false",
        "vector_whose_first_element_is_misaligned_is_refused_unless_empty",
    ),
    rule(
        "a string without its terminator",
        " || walk->bytes[first + count] != 0",
        "",
        "string_without_its_terminator_is_refused",
    ),
    rule(
        "one level too many",
        "depth > RBR_DEPTH_MAX",
        "depth > RBR_DEPTH_MAX + 1",
        "sixty_four_tables_above_each_other_pass_and_sixty_five_do_not",
    ),
    rule(
        "one table too many",
        "++walk->tables > RBR_TABLES_MAX",
        "walk->tables++ > RBR_TABLES_MAX",
        "a_hundred_thousand_tables_pass_and_one_more_does_not",
    ),
    rule(
        "a bomb",
        "walk->vector_bytes > 2 * walk->size",
        "false",
        "shared_node_is_legal_but_a_bomb_of_them_is_refused",
    ),
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
        "    if (ring_has_data(&exchange->consumer) || is_over(channel, want) != RBR_OK ||\n",
        "    if (is_over(channel, want) != RBR_OK ||\n",
        ("test_wake", "what_is_published_right_before_a_sleep_is_announced_is_seen"),
    ),
    Mutant(
        "wake: a reader leaves and offers the role to nobody",
        "csrc/core/exchange.c",
        "    rbr_sleepers_offer_role(exchange); /* E1 */\n",
        "",
        ("test_wake", "a_reader_that_leaves_at_its_deadline_offers_the_role_to_who_sleeps"),
    ),
    Mutant(
        "wake: a look that is faster than the post counts as late",
        "csrc/core/wake.c",
        "        status == RBR_TIMED_OUT)\n        return RBR_OK;\n",
        "        status == RBR_TIMED_OUT)\n        return status;\n",
        ("test_wake", "a_look_that_is_faster_than_the_post_is_no_late_one"),
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
        "if (producer->tail - head > capacity || head % RECORD_ALIGN != 0)",
        "if (false)",
        ("test_ring", "a_head_that_overtakes_the_tail_is_broken"),
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
        "        if (!exchange->reading) {\n",
        "        if (true) {\n",
        ("test_channel", "threads_that_call_at_once_each_get_their_own_answers"),
    ),
    Mutant(
        "checks: a free extent stays beside a free one",
        "csrc/core/arena.c",
        "if (below != NULL && below->is_free) {",
        "if (false) {",
        ("test_arena", "any_sequence_keeps_blocks_apart_and_loses_no_byte"),
    ),
]
