# SPDX-License-Identifier: MIT
"""What compiled code does in a worker. Needs numba."""

import numba


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _turn(turns: int) -> int:
    total = 0
    for each in range(turns):
        total = (total * 31 + each) % 1000003
    return total


def spin(started: str, turns: int) -> int:
    """Is back in Python after so many turns of a compiled loop that has let go of the GIL."""
    _turn(10)
    open(started, "w").close()
    total = 0
    while True:
        total += _turn(turns)
