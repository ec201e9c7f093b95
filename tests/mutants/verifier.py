# SPDX-License-Identifier: MIT
"""The deliberate errors of the verifier: each condition of its rules 1 to 8, left out."""

from __future__ import annotations

from mutant import Mutant

VERIFY = "csrc/core/flatbuf_verify.c"


def rule(number: int, name: str, old: str, new: str, test: str) -> Mutant:
    """`number`: of the rule that is broken, as flatbuf_verify.c counts them."""
    title = f"verifier, rule {number}: {name}"
    return Mutant(title, VERIFY, old, new, ("test_flatbuf_verify", test))


SIZE = "frame_of_a_wrong_size_is_refused"
OFFSET = "offset_that_is_zero_misaligned_or_outside_is_refused"
VTABLE = "vtable_that_is_outside_odd_or_too_short_is_refused"
TABLE = "table_that_is_too_short_or_outside_is_refused"
FIELD = "field_outside_its_table_or_misaligned_is_refused"
REQUIRED = "required_field_that_is_absent_is_refused"
UNION = "union_with_type_or_value_alone_or_unknown_is_refused"
VECTOR = "vector_that_runs_outside_is_refused"
ALIGNED = "vector_whose_first_element_is_misaligned_is_refused_unless_empty"
STRING = "string_without_its_terminator_is_refused"
STRINGS = "strings_of_a_vector_are_looked_at_one_by_one"
DEPTH = "sixty_four_tables_above_each_other_pass_and_sixty_five_do_not"
TABLES = "a_hundred_thousand_tables_pass_and_one_more_does_not"
BOMB = "shared_node_is_legal_but_a_bomb_of_them_is_refused"

RULES = [
    rule(1, "too short", "walk->size < 8 || ", "", SIZE),
    rule(1, "too long", " || walk->size > RBR_FRAME_BYTES_MAX", "", SIZE),
    rule(
        1,
        "any identifier",
        "memcmp(walk->bytes + 4, RBR_WIRE_IDENTIFIER, 4) != 0",
        "false",
        "another_identifier_is_refused",
    ),
    rule(2, "an offset of 0", "offset == 0 || to % 4", "to % 4", OFFSET),
    rule(2, "a misaligned offset", "offset == 0 || to % 4 != 0 ||", "offset == 0 ||", OFFSET),
    rule(2, "an offset that leads outside", " || to + 4 > walk->size", "", OFFSET),
    rule(3, "a vtable before the frame", "vtable < 0 || ", "", VTABLE),
    rule(3, "a vtable at an odd place", "vtable < 0 || vtable % 2 != 0", "vtable < 0", VTABLE),
    rule(3, "a vtable behind the frame", " || (uint64_t)vtable + 4 > walk->size", "", VTABLE),
    rule(3, "a vtable of 2 bytes", "vtable_bytes < 4 || ", "", VTABLE),
    rule(3, "a vtable of odd length", "vtable_bytes % 2 != 0 || ", "", VTABLE),
    rule(
        3,
        "a vtable that runs outside",
        " || vtable_bytes > walk->size - place.vtable",
        "",
        VTABLE,
    ),
    rule(3, "a table of 3 bytes", "place.table_bytes < 4 || ", "", TABLE),
    rule(
        3,
        "a table that runs outside",
        " || place.table_bytes > walk->size - place.table",
        "",
        TABLE,
    ),
    rule(4, "a field in the table's own offset", "offset < 4 || offset +", "offset +", FIELD),
    rule(
        4, "a field outside its table", " || offset + field->bytes > place->table_bytes", "", FIELD
    ),
    rule(4, "a misaligned field", "(at & (field->align - 1u)) != 0", "false", FIELD),
    rule(
        5,
        "a required field that is absent",
        "(desc->required & ~present) != 0",
        "false",
        REQUIRED,
    ),
    rule(5, "a union's value without its type", "if (type == 0)", "if (false)", UNION),
    rule(5, "a union's type without its value", "if (walk->bytes[at] != 0)", "if (false)", UNION),
    rule(
        5,
        "a union of unknown type",
        "type > desc->member_count",
        "type > desc->member_count + 1",
        UNION,
    ),
    rule(6, "a vector that runs outside", "bytes > walk->size - *first || ", "", VECTOR),
    rule(6, "a product in 32 bits", "(uint64_t)*count * element", "*count * element", VECTOR),
    rule(
        6,
        "a misaligned vector",
        "*count != 0 && (*first & (element_align - 1)) != 0",
        "false",
        ALIGNED,
    ),
    rule(6, "an empty vector must be aligned too", "*count != 0 && ", "", ALIGNED),
    rule(7, "a terminator outside", "(uint64_t)first + count >= walk->size || ", "", STRING),
    rule(7, "no terminator", " || walk->bytes[first + count] != 0", "", STRING),
    rule(
        7,
        "a vector's strings",
        "if (!check_string(walk, first + 4 * i))",
        "if (false)",
        STRINGS,
    ),
    rule(8, "one level too many", "depth > RBR_DEPTH_MAX", "depth > RBR_DEPTH_MAX + 1", DEPTH),
    rule(
        8,
        "one table too many",
        "++walk->tables > RBR_TABLES_MAX",
        "walk->tables++ > RBR_TABLES_MAX",
        TABLES,
    ),
    rule(8, "a bomb", "walk->vector_bytes > 2 * walk->size", "false", BOMB),
]
