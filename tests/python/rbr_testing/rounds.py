# SPDX-License-Identifier: MIT
"""Seeds, rounds and counts of tests that make up their own input.

RBR_SEED repeats a run, RBR_ROUNDS lengthens it, RBR_COUNTS names a file that collects the counts.
"""

from __future__ import annotations

import os
import random


def seed() -> int:
    """This run's seed, printed so that a failure shows it."""
    chosen = int(os.environ.get("RBR_SEED") or random.randrange(2**32))
    print(f"RBR_SEED={chosen}")
    return chosen


def rounds(usual: int) -> int:
    return int(os.environ.get("RBR_ROUNDS") or usual)


def count(what: str, number: int) -> None:
    print(f"{what}: {number}")
    path = os.environ.get("RBR_COUNTS")
    if path:
        with open(path, "a") as file:
            file.write(f"{what}\t{number}\n")
