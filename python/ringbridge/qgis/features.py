# SPDX-License-Identifier: MIT
"""Features of any source as a Vector, and a Vector as features of any sink.

For the thread of an algorithm: the work is done in pieces of a few milliseconds, after each of
which `progress` is told how much of it is done (of 1) and `cancelled` is asked. Between them, and
within where Python does the work, the window gets its turn.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsFields,
    QgsGeometry,
    QgsProcessingException,
    QgsWkbTypes,
)

from ringbridge.compute import Column, Vector
from ringbridge.compute.column import join
from ringbridge.qgis import attributes, shapes

_PIECE_S = 0.003
_FEATURES_MIN, _FEATURES_MAX = 8, 2048

Progress = Callable[[float], object]
Cancelled = Callable[[], bool]


class _Pieces:
    """How many features to take at a time; and who is told about it.

    Of points thousands take as long as one coastline, so the size follows the clock.
    """

    def __init__(self, total: int, progress: Progress | None, cancelled: Cancelled | None) -> None:
        self.size = _FEATURES_MIN
        self._total = total
        self._done = 0
        self._progress = progress
        self._cancelled = cancelled
        self._began = time.perf_counter()

    def done(self, count: int) -> bool:
        """After each piece: False where it was the last, since the user cancelled."""
        took = time.perf_counter() - self._began
        self.size = self.size * 2 if took < _PIECE_S / 2 else self.size
        self.size = self.size // 2 if took > _PIECE_S else self.size
        self.size = min(max(self.size, _FEATURES_MIN), _FEATURES_MAX)
        self._done += count
        if self._progress is not None and self._total > 0:
            self._progress(min(self._done / self._total, 1.0))
        goes_on = self._cancelled is None or not self._cancelled()
        time.sleep(0)  # gives the interpreter away: who waits would ask for it only after 5 ms
        self._began = time.perf_counter()
        return goes_on


def read(
    source: Any,
    *,
    fields: Sequence[str] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Vector:
    """The features of a QgsFeatureSource, such as a layer or what parameterAsSource gives.

    fields  the wanted ones; None: all. Raises ValueError for one that the source does not have.

    Datetimes are what the clock shows, times of the day durations since midnight, lists and maps
    JSON. Ends early, with what was read until then, when the user cancels. In the source's thread.
    """
    indexes = _indexes(source.fields(), fields)
    has_geometry = source.wkbType() != QgsWkbTypes.NoGeometry
    request = QgsFeatureRequest().setSubsetOfAttributes(indexes)
    if not has_geometry:
        request.setFlags(QgsFeatureRequest.Flag.NoGeometry)
    makers = [attributes.column_maker(source.fields().at(index)) for index in indexes]
    columns: list[list[Column]] = [[make(())] for make in makers]
    geometry: list[Column] = [shapes.column_of([])]
    pieces = _Pieces(source.featureCount(), progress, cancelled)
    for features in _taken(source.getFeatures(request), pieces):
        if indexes:
            values = list(zip(*map(QgsFeature.attributes, features)))
            for index, make, parts in zip(indexes, makers, columns):
                parts.append(make(values[index]))
        if has_geometry:
            geometry.append(shapes.column_of(features))
        if not pieces.done(len(features)):
            break
    crs = source.sourceCrs().toWkt(QgsCoordinateReferenceSystem.WKT2_2019)
    names = [source.fields().at(index).name() for index in indexes]
    return Vector(
        dict(zip(names, map(join, columns))), join(geometry) if has_geometry else None, crs
    )


def _indexes(fields: QgsFields, names: Sequence[str] | None) -> list[int]:
    if names is None:
        return list(range(fields.count()))
    indexes = [fields.indexOf(name) for name in names]
    if -1 in indexes:
        missing = names[indexes.index(-1)]
        raise ValueError(f"there is no field {missing!r}; there are {', '.join(fields.names())}")
    return indexes


def _taken(iterator: Any, pieces: _Pieces) -> Iterator[list[QgsFeature]]:
    """Some features at a time, always in the same objects: to make new ones takes QGIS longer than
    to fill them."""
    pool: list[QgsFeature] = []
    while True:
        pool.extend(QgsFeature() for _ in range(pieces.size - len(pool)))
        filled = list(map(iterator.nextFeature, pool[: pieces.size]))
        if not all(filled):
            if any(filled):
                yield list(compress(pool, filled))
            return
        yield pool[: len(filled)]


def fields_of(vector: Vector) -> QgsFields:
    """A field for each column, as a sink wants them."""
    fields = QgsFields()
    for name, column in vector.columns.items():
        fields.append(attributes.field_of(name, column))
    return fields


def wkb_type_of(vector: Vector, wanted: str = "any") -> Any:
    """What a layer of these features is, in QGIS's words (QgsWkbTypes or Qgis.WkbType).

    wanted  one of kinds.GEOMETRIES; decides where no feature has a geometry. "none" is a table.

    Multi where some are, with z or m where some have those. Raises ValueError where points, lines
    and polygons are mixed, and for others than are wanted.
    """
    return shapes.type_of(vector, wanted)


def write(
    vector: Vector,
    sink: Any,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> None:
    """All features into a QgsFeatureSink that was made with fields_of and wkb_type_of.

    Geometries become the type that the sink has: single ones multi, flat ones with z. A missing one
    is an empty one in a file that QGIS writes.

    Ends early when the user cancels. Raises ValueError for values and geometries that no layer
    holds, QgsProcessingException for what the sink refuses.
    """
    fields = fields_of(vector)
    target = int(wkb_type_of(vector))
    pieces = _Pieces(len(vector), progress, cancelled)
    pool: list[QgsFeature] = []
    shape_pool: list[QgsGeometry] = []
    start = 0
    while start < len(vector):
        part = vector.part(start, min(start + pieces.size, len(vector)))
        pool.extend(QgsFeature(fields) for _ in range(len(part) - len(pool)))
        features = pool[: len(part)]
        columns = [attributes.values_of(name, column) for name, column in part.columns.items()]
        deque(map(QgsFeature.setAttributes, features, map(list, zip(*columns))), maxlen=0)
        if part.geometry is not None:
            shapes.add_to(features, part.geometry, target, shape_pool)
        _add(sink, features, start)
        start += len(part)
        if not pieces.done(len(part)):
            return


def _add(sink: Any, features: list[QgsFeature], first: int) -> None:
    added = sink.addFeatures(features, QgsFeatureSink.Flag.FastInsert)
    # A provider says which it added, too.
    if not (added[0] if isinstance(added, tuple) else added):
        why = sink.lastError() or "it does not say why"
        raise QgsProcessingException(
            f"The result refused features {first + 1} to {first + len(features)}: {why}"
        )
