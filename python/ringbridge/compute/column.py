# SPDX-License-Identifier: MIT
"""One column of a table as it crosses: packed, so that a million texts are three arrays.

    numbers, bools, dates   values: an array                 valid: bool, or None: all are
    texts, bytes            values: their bytes in a row, offsets: where each begins, and the end

which is how Arrow lays them out. numpy is imported where it is used.
"""

from __future__ import annotations

from itertools import repeat
from operator import getitem
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_PACKED = ("text", "bytes")


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
        """From an array, or a list that may have Nones. Raises TypeError for mixed ones."""
        import numpy as np

        if isinstance(values, Column):
            return values
        if isinstance(values, np.ma.MaskedArray):
            valid = ~np.ma.getmaskarray(values)
            return cls("plain", _plain(values.data), None, None if valid.all() else valid)
        array = values if isinstance(values, np.ndarray) else _array(values)
        if array.ndim != 1:
            raise ValueError(f"a column has one dimension, not {array.shape}")
        if array.dtype.kind == "U":
            array = array.astype(object)
        if array.dtype != object:
            return cls("plain", _plain(array))
        return _of_objects(array.tolist())

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """An array: texts and bytes as objects with None; numbers with missing ones masked."""
        import numpy as np

        if self.kind == "plain":
            return self.values if self.valid is None else np.ma.array(self.values, mask=~self.valid)
        array: np.ndarray[Any, Any] = np.empty(len(self), object)
        array[:] = self.to_list()
        return array

    def to_list(self) -> list[Any]:
        """Python's values, None where one is missing; without a loop of Python's for texts."""
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

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    def to_plain(self) -> dict[str, Any]:
        """As it crosses."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Column:
        """The reverse of to_plain."""
        return cls(**plain)


def _array(values: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    if hasattr(values, "to_numpy"):  # a Series: masked extension types say Nones
        values = values.to_numpy()
        return values if isinstance(values, np.ndarray) else np.asarray(values, object)
    listed = list(values)
    array: np.ndarray[Any, Any] = np.empty(len(listed), object)
    array[:] = listed
    return array


def _plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind not in "biufMm":
        raise TypeError(f"a column of {array.dtype} cannot cross")
    return array


def _of_objects(values: list[Any]) -> Column:
    import numpy as np

    missing = [v is None or v != v or type(v).__name__ == "NAType" for v in values]
    valid = ~np.array(missing, bool) if any(missing) else None
    present = [v for v, gone in zip(values, missing) if not gone]
    found = {type(v) for v in present}
    if not found:
        return Column("plain", np.zeros(len(values), "float64"), None, valid)
    for kind, packed in ((str, "text"), (bytes, "bytes")):
        if all(issubclass(each, kind) for each in found):
            pieces = [
                b"" if g else v.encode() if kind is str else v for v, g in zip(values, missing)
            ]
            return pack(packed, pieces, valid)
    array = np.array(present)
    if array.dtype == object:  # dates
        array = np.array(present, "datetime64[D]" if "date" in str(found) else object)
    full = np.zeros(len(values), array.dtype)
    full[slice(None) if valid is None else valid] = array
    return Column("plain", _plain(full), None, valid)


def pack(kind: str, pieces: list[bytes], valid: np.ndarray[Any, Any] | None = None) -> Column:
    """Texts (encoded) or bytes; a missing one has a piece of no bytes."""
    import numpy as np

    offsets: np.ndarray[Any, Any] = np.zeros(len(pieces) + 1, "int64")
    np.cumsum(np.fromiter(map(len, pieces), "int64", len(pieces)), out=offsets[1:])
    return Column(kind, np.frombuffer(b"".join(pieces), "uint8"), offsets, valid)
