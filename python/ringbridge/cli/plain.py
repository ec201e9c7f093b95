# SPDX-License-Identifier: MIT
"""What several verbs need to show things as text: sizes, durations, names, columns."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence


def say(text: str) -> None:
    """Prints a line, also where stdout has no code for some of its characters."""
    code = sys.stdout.encoding or "utf-8"
    print(text.encode(code, "backslashreplace").decode(code))


def printable(text: str, columns_max: int | None = None) -> str:
    """The text on one line, with nothing in it that a terminal would obey; the rest cut off."""
    shown = "".join(each if each.isprintable() else _escaped(each) for each in text)
    if columns_max is None or _columns(shown) <= columns_max:
        return shown
    while _columns(shown) > columns_max - 3:
        shown = shown[:-1]
    return shown + "..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _columns(text: str) -> int:
    """How many columns of a terminal it takes."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def count(number: int, what: str) -> str:
    """1 script, 2 scripts"""
    return f"{number} {what}" + ("" if number == 1 else "s")


def size(count: int | None) -> str:
    if count is None:
        return "-"
    if count < 1024:
        return f"{count} B"
    value, units = count / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while value >= 1023.95 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.1f} {units[0]}"


def duration(seconds: float) -> str:
    """In the unit in which it is a number that one can read."""
    for unit, length, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < most * length:
            value = seconds / length
            return f"{value:.1f} {unit}" if unit == "s" and value < 9.95 else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def table(rows: Sequence[Sequence[str]], right: Sequence[int]) -> list[str]:
    """Lines with the columns of `rows` below each other, those numbered in `right` to the right."""
    widths = [max(_columns(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for i, (text, width) in enumerate(zip(row, widths)):
            room = " " * (width - _columns(text))
            cells.append(room + text if i in right else text + room)
        lines.append("  ".join(cells).rstrip())
    return lines
