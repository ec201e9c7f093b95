# SPDX-License-Identifier: MIT
"""Run as a script in one environment: calls every interpreter that is named, with every value.

Prints a line for each: what the two sides are, and how many values came back exactly.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ringbridge as rb
from rbr_testing import corpus
from rbr_testing.equality import identical

HERE = Path(__file__).resolve().parents[1]
DTYPES = "?bBhHiIqQefdFD"


def side() -> str:
    """This interpreter, its numpy, and which extension it has loaded."""
    from ringbridge import _core

    version = ".".join(map(str, sys.version_info[:2]))
    try:
        import numpy
    except ImportError:
        numpy_version = "none"
    else:
        numpy_version = numpy.__version__
    return f"{version}{' abi3' if '.abi3.' in _core.__file__ else ''} numpy {numpy_version}"


def arrays() -> list[Any]:
    """Every plain dtype, both byte orders, small and large, C order, Fortran order and strided."""
    try:
        import numpy as np
    except ImportError:
        return []
    made = [np.array(["NaT", 5], "M8[25s]"), np.zeros(3, [("a", ">i4"), ("b", "S3")])]
    for code in DTYPES:
        for order in "<>":
            for count in (6, 60_000):
                array = np.arange(count).astype(order + code).reshape(2, -1)
                made += [array, array.T, array[:, ::-2]]
    return made


def exchange(other: str) -> int:
    """Sends everything there and back; how much that was."""
    with rb.Worker(other, paths=[HERE]) as worker:
        there = worker.load("rbr_testing.corpus")
        echo = worker.load("rbr_testing.basics").echo
        sent = [(name, corpus.give(name)) for name in corpus.corpus()]
        for name, value in sent:
            wrong = there.check(name, value)
            assert wrong == "", wrong
            assert identical(there.give(name), value), name
        made = arrays()
        for array in made:
            assert identical(echo(array), array), array.dtype
        print(f"{side():25} -> {worker.load('rbr_testing.pairs').side():25}", end="  ")
        print(f"{len(sent)} values, {len(made)} arrays")
        assert worker.stats()["late_looks"] == 0
    return len(sent) + len(made)


if __name__ == "__main__":
    for python in sys.argv[1:]:
        exchange(python)
