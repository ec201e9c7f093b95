# SPDX-License-Identifier: MIT
"""Geometries of some features as a Column of WKB, and back; which type a layer of them needs.

What crosses is little-endian and without curves, since shapely knows none: they are segmentised.
"""

from __future__ import annotations

from collections import deque
from itertools import compress
from typing import Any

import numpy as np
from qgis.core import Qgis, QgsFeature, QgsGeometry, QgsWkbTypes
from qgis.PyQt.QtCore import QByteArray

from ringbridge.compute import Column, Vector, wkb
from ringbridge.compute.column import pack

_COLLECTION = 7  # may have curves in it; types from 8 on are those
_POLYGON = 3
_NO_GEOMETRY = 100
_wkb_type: Any = getattr(Qgis, "WkbType", None) or QgsWkbTypes.Type  # 3.30 moved it
_WANTED = {"point": 1, "line": 2, "polygon": 3}
_KINDS = {1: "points", 2: "lines", 3: "polygons"}
_AT_ONCE = 100_000


def column_of(features: list[QgsFeature]) -> Column:
    """Their geometries; missing where there is none."""
    geometries = list(map(QgsFeature.geometry, features))
    pieces = list(map(bytes, map(QgsGeometry.asWkb, geometries)))
    packed = pack("bytes", pieces)
    there = wkb.present(packed)
    codes = wkb.iso(wkb.codes(packed, there)[0])
    odd = there.nonzero()[0][codes % 1000 >= _COLLECTION]
    for index in odd.tolist():
        pieces[index] = _linear(geometries[index])
    packed = pack("bytes", pieces) if len(odd) else packed
    packed.valid = None if there.all() else there
    return packed


def _linear(geometry: QgsGeometry) -> bytes:
    return bytes(QgsGeometry(geometry.constGet().segmentize()).asWkb())


def add_to(
    features: list[QgsFeature], geometry: Column, target: int, pool: list[QgsGeometry]
) -> None:
    """Gives each feature its geometry, as one of the type `target` (as ISO has it), or none.

    `pool` keeps objects for the next time: QGIS makes new ones slower than it fills them.
    Raises ValueError for what is no geometry, or cannot be one of that type.
    """
    there = wkb.present(geometry)
    codes = wkb.iso(wkb.codes(geometry, there)[0])
    pieces = compress(geometry.to_list(), there)
    pool.extend(QgsGeometry() for _ in range(len(codes) - len(pool)))
    shapes = pool[: len(codes)]
    deque(map(QgsGeometry.fromWkb, shapes, map(QByteArray, pieces)), maxlen=0)
    if any(map(QgsGeometry.isNull, shapes)):
        raise ValueError(
            "a geometry is no WKB that QGIS reads: give it as ISO has it, for example by "
            "shapely.to_wkb(..., flavor='iso')"
        )
    for index in (codes != target).nonzero()[0].tolist():
        shapes[index] = _coerced(shapes[index], target)
    deque(map(QgsFeature.setGeometry, compress(features, there), shapes), maxlen=0)
    deque(map(QgsFeature.clearGeometry, compress(features, ~there)), maxlen=0)


def _coerced(shape: QgsGeometry, target: int) -> QgsGeometry:
    made = shape.coerceToType(_wkb_type(target))
    if len(made) != 1:
        name = QgsWkbTypes.displayString(_wkb_type(target))
        raise ValueError(f"a geometry cannot be a {name}: {shape.asWkt(3)[:100]}")
    return made[0]


def type_of(vector: Vector, wanted: str) -> Any:
    """The layer's type, of the geometries that there are; of `wanted` where there are none.

    Multi where some are; with z or m where some have those. Raises ValueError where points, lines
    and polygons are mixed, and for others than are wanted.
    """
    if vector.geometry is None or wanted == "none":
        return _wkb_type(_NO_GEOMETRY)
    found = _codes_in(vector.geometry)
    if not found:
        return _wkb_type(_WANTED.get(wanted, _NO_GEOMETRY))
    flat = {code % 1000 for code in found}
    kinds = {_kind(code) for code in flat}
    told = " and ".join(sorted(kinds))
    if len(kinds) > 1:
        raise ValueError(f"{told} cannot be in one layer: give them as results of their own")
    if wanted in _WANTED and kinds != {_KINDS[_WANTED[wanted]]}:
        raise ValueError(f"the result has {told}, and is declared to have {wanted}s")
    return _wkb_type(max(flat) + 1000 * _has(found, 1) + 2000 * _has(found, 2))


def _codes_in(geometry: Column) -> set[int]:
    """As ISO has them. A part at a time: numpy lets nobody else run while it gathers."""
    found: set[int] = set()
    for start in range(0, len(geometry), _AT_ONCE):
        part = geometry.part(start, min(start + _AT_ONCE, len(geometry)))
        codes = wkb.codes(part, wkb.present(part))[0]
        found.update(np.unique(wkb.iso(codes)).tolist())
    return found


def _kind(flat: int) -> str:
    """Single or multi; whatever else QGIS knows is a kind of its own."""
    return _KINDS.get(flat if flat <= _POLYGON else flat - _POLYGON, "collections")


def _has(found: set[int], bit: int) -> bool:
    return any(code // 1000 & bit for code in found)
