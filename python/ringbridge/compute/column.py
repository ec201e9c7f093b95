# SPDX-License-Identifier: MIT
"""One column of a table as it crosses: packed, so that a million texts are three arrays.

    numbers, bools, dates   values: an array                 valid: bool, or None: all are
    texts, bytes            values: their bytes in a row, offsets: where each begins, and the end

which is how Arrow lays them out. Lists are read by column_values, series and Arrow arrays by
geo_frames. numpy is imported where it is used.
"""

from __future__ import annotations

from itertools import repeat
from operator import getitem
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Column:
    """Values of one kind, some of which may be missing.

    kind     "text", "bytes", or "plain": an array of bool, int, float, datetime64 or timedelta64
    values   the array; of texts and bytes uint8
    offsets  int64, one more than there are values; None where the kind is "plain"
    valid    bool, or None where nothing is missing
    """

    __slots__ = ("kind", "offsets", "valid", "values")

    def __init__(
        self,
        kind: str,
        values: np.ndarray[Any, Any],
        offsets: np.ndarray[Any, Any] | None = None,
        valid: np.ndarray[Any, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.values = values
        self.offsets = offsets
        self.valid = valid

    @classmethod
    def of(cls, values: Any) -> Column:
        """From an array, a Series, an Arrow array, or a list that may have Nones.

        Dates become datetime64[D], datetimes with a time zone those of UTC, times of the day
        timedelta64 since midnight, Decimals floats. NaT is missing; NaN is, but among numbers.
        Raises TypeError for mixed values and for those that cannot cross, ValueError for more than
        one dimension.
        """
        if isinstance(values, Column):
            return values
        import numpy as np

        from ringbridge.compute import column_values

        if not isinstance(values, np.ndarray):
            module = type(values).__module__.partition(".")[0]
            if module in ("pandas", "geopandas", "pyarrow"):
                from ringbridge.compute import geo_frames

                return geo_frames.column_of(values)
            return column_values.of_objects(column_values.object_array(values))
        mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
        array = np.ma.getdata(values)
        if array.ndim != 1:
            raise ValueError(f"a column has one dimension, not {array.shape}")
        if array.dtype.kind in "OUST":
            return column_values.of_objects(array.astype(object, copy=False), mask)
        return column_values.of_numbers(array, mask)

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """An array: texts and bytes as objects with None; numbers with missing ones masked."""
        import numpy as np

        if self.kind == "plain":
            return self.values if self.valid is None else np.ma.array(self.values, mask=~self.valid)
        array: np.ndarray[Any, Any] = np.empty(len(self), object)
        array[:] = self.to_list()
        return array

    def to_list(self) -> list[Any]:
        """Python's values, None where one is missing; without a loop of Python's for texts.

        Dates and times finer than microseconds come as integers, as numpy gives them.
        """
        if self.offsets is None:
            values: list[Any] = self.values.tolist()
        else:
            ends = self.offsets.tolist()
            blob: Any = self.values.tobytes()
            pieces: Any = map(getitem, repeat(blob), map(slice, ends[:-1], ends[1:]))
            values = list(map(bytes.decode, pieces) if self.kind == "text" else pieces)
        if self.valid is not None:
            for missing in (~self.valid).nonzero()[0].tolist():
                values[missing] = None
        return values

    def part(self, start: int, stop: int) -> Column:
        """The values from `start` to before `stop`, which lie where they lay."""
        valid = None if self.valid is None else self.valid[start:stop]
        if self.offsets is None:
            return Column(self.kind, self.values[start:stop], None, valid)
        offsets = self.offsets[start : max(start, stop) + 1]
        values = self.values[offsets[0] : offsets[-1]]
        return Column(self.kind, values, offsets - offsets[0], valid)

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    def to_plain(self) -> dict[str, Any]:
        """As it crosses."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Column:
        """The reverse of to_plain."""
        return cls(**plain)


def pack(kind: str, pieces: list[bytes], valid: np.ndarray[Any, Any] | None = None) -> Column:
    """Texts (encoded) or bytes; a missing one has a piece of no bytes."""
    import numpy as np

    offsets: np.ndarray[Any, Any] = np.zeros(len(pieces) + 1, "int64")
    np.cumsum(np.fromiter(map(len, pieces), "int64", len(pieces)), out=offsets[1:])
    return Column(kind, np.frombuffer(b"".join(pieces), "uint8"), offsets, valid)


def join(columns: list[Column]) -> Column:
    """One after the other; all of one kind, at least one."""
    import numpy as np

    valid = None
    if any(each.valid is not None for each in columns):
        flags = [np.ones(len(c), bool) if c.valid is None else c.valid for c in columns]
        valid = np.concatenate(flags)
    values = np.concatenate([each.values for each in columns])
    if columns[0].offsets is None:
        return Column(columns[0].kind, values, None, valid)
    sizes = [np.diff(each.offsets) for each in columns if each.offsets is not None]
    offsets: np.ndarray[Any, Any] = np.zeros(sum(map(len, sizes)) + 1, "int64")
    np.cumsum(np.concatenate(sizes), out=offsets[1:])
    return Column(columns[0].kind, values, offsets, valid)
