# SPDX-License-Identifier: MIT
"""How a raster is cut into strips: whole rows, with a margin of rows above and below.

Pure arithmetic. Strips have the raster's full width, since rows lie together in memory, and mostly
in files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

BYTES_PER_STRIP = 32 << 20


class Strip(NamedTuple):
    """Rows [row, row + rows) of the result, made of rows [first, first + height) of the source."""

    row: int
    rows: int
    first: int
    height: int

    @property
    def above(self) -> int:
        """Margin rows before the first one that counts."""
        return self.row - self.first


def strips(rows: int, row_bytes: int, margin: int, block_rows: int = 1) -> Iterator[Strip]:
    """Cuts `rows` rows of `row_bytes` bytes each.

    block_rows  rows that the file keeps together: a strip ends at such a border
    """
    wanted = max(BYTES_PER_STRIP // max(row_bytes, 1), 4 * margin, 1)
    aligned = max(wanted // block_rows * block_rows, 1)
    step = aligned if aligned >= 4 * margin else wanted
    for row in range(0, rows, step):
        count = min(step, rows - row)
        first = max(row - margin, 0)
        yield Strip(row, count, first, min(row + count + margin, rows) - first)
