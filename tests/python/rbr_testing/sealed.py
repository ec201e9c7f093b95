# SPDX-License-Identifier: MIT
"""A host whose worker's memory is meddled with: a program for test_sealed_memory.py.

python -m rbr_testing.sealed PYTHON TRANSFERS   PYTHON leads to middleman.py

Prints, for each worker that it needed, how many transfers were right and why it was given up.
"""

from __future__ import annotations

import logging
import random
import sys
from pathlib import Path

import ringbridge
from rbr_testing import rounds

LARGE = 1 << 20
HERE = Path(__file__).resolve().parent.parent


def transfer(module: ringbridge.RemoteModule, rng: random.Random) -> bool:
    """There and back; whether it came back as it went."""
    size, byte = rng.choice([10, 5000, 100_000, 700_000]), rng.randrange(1, 256)
    sent = bytes([byte]) * size
    if rng.random() < 0.5:
        return bytes(module.echo(memoryview(sent))) == sent
    return bytes(module.pattern(size, byte)) == sent


def transfers(python: str, most: int, rng: random.Random) -> tuple[int, int, str]:
    """How many were right, how many altered, and the error that ended it."""
    right = altered = 0
    limits = {"memory": "memfd"}
    # Each worker's own: a seed that ends one worker at its start would end all of them so.
    environ = {"MIDDLEMAN_SEED": str(rng.randrange(2**32))}
    try:
        with ringbridge.Worker(
            python, name="meddled", paths=[HERE], environ=environ, call_timeout=5, limits=limits
        ) as worker:
            module = worker.load("rbr_testing.faults")
            module.pattern(LARGE, 1)  # the worker offers an arena
            while right + altered < most:
                if transfer(module, rng):
                    right += 1
                else:
                    altered += 1
    except (ringbridge.RingbridgeError, OSError) as error:
        return right, altered, f"{type(error).__name__}: {error}".replace("\n", " ")
    return right, altered, ""


if __name__ == "__main__":
    logging.getLogger("ringbridge").addHandler(logging.NullHandler())  # workers say why they end
    rng, left = random.Random(rounds.seed()), int(sys.argv[2])
    while left > 0:
        right, altered, error = transfers(sys.argv[1], left, rng)
        print(right, altered, error, flush=True)
        left -= right + altered + 1
