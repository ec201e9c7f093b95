# SPDX-License-Identifier: MIT
"""The command `ringbench`: hands over to the program of that name in the package. No measuring."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NOT_THERE = 127  # as a shell says it


def binary() -> Path:
    """Where the package carries the program, whether it is there or not."""
    return Path(__file__).resolve().parent.parent / "bin" / "ringbench"


def main() -> int:
    """Becomes ringbench; returns (an exit code) only when that is not possible."""
    path = binary()
    try:
        os.execv(path, ["ringbench", *sys.argv[1:]])
    except OSError as error:
        print(
            f"ringbench: {path}: {error.strerror}. This copy of ringbridge was built without it: "
            "build it with `cmake -S . -B build && cmake --build build`, or install ringbridge "
            "again where a C compiler is.",
            file=sys.stderr,
        )
    return _NOT_THERE


if __name__ == "__main__":
    raise SystemExit(main())
