# SPDX-License-Identifier: MIT
"""What a deliberate error is."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """`old` stands in `file` exactly once; `test` is the program and the name of one test: of the
    C tests, or of the extension's (rbr_testing.flat and a group of test_flat.py).

    tool: what it takes to notice: "thread" (the core compiled with that sanitizer), "valgrind", or
    "extension" (built for the interpreter that runs this).
    """

    name: str
    file: str
    old: str
    new: str
    test: tuple[str, str]
    tool: str = ""
