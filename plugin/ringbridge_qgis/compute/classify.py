# SPDX-License-Identifier: MIT
"""A raster to classes that are learnt from examples, by a random forest.

L. Breiman, "Random Forests", Machine Learning 45, 2001, pages 5-32, as scikit-learn has it. The
accuracy is that of the trees on the cells that each of them has not learnt from ("out of bag").
"""

from typing import Annotated, Any, NamedTuple, Optional

import numpy as np

import ringbridge as rb
from ringbridge.compute import (
    Classes,
    Field,
    Number,
    NumberOutput,
    Ramp,
    Raster,
    RasterLayer,
    RasterOutput,
    TableOutput,
    Vector,
    VectorLayer,
    algorithm,
)

GROUP = "Raster"
TREES_IN_A_PART = 10
CELLS_IN_A_PART = 100_000  # between two looks at Cancel: some 0.1 s with 100 trees
CLASSES_MAX = 255


class Classified(NamedTuple):
    """The classes, how sure they are, how good, and what they are called."""

    classes: Annotated[Raster, RasterOutput("Classes", style=Classes())]
    confidence: Annotated[
        Raster, RasterOutput("Confidence", optional=True, style=Ramp("Magma", min=0, max=1))
    ]
    legend: Annotated[Vector, TableOutput("Legend", optional=True)]
    accuracy: Annotated[float, NumberOutput("Accuracy out of bag", unit="%")]


@algorithm("Classify raster", tags=("random forest", "land cover", "training", "machine learning"))
def classify(
    raster: Annotated[
        Raster, RasterLayer("Raster", bands="all", help="All of its bands are looked at.")
    ],
    training: Annotated[
        Any,
        VectorLayer(
            "Training areas",
            form="geopandas",
            help="Polygons or points in places whose class is known. In polygons the cells count "
            "whose centre they contain.",
        ),
    ],
    class_field: Annotated[
        str, Field("Class", of="training", help="Numbers or names; empty ones are left out.")
    ],
    trees: Annotated[
        int, Number("Trees", min=10, max=10_000, help="More are slower, and seldom worse.")
    ] = 100,
    depth: Annotated[
        Optional[int],
        Number(
            "Depth of the trees", min=1, max=1000, advanced=True, help="Empty: as deep as it takes."
        ),
    ] = None,
    cells_in_leaf: Annotated[
        int,
        Number(
            "Fewest training cells in a leaf",
            min=1,
            max=1_000_000,
            advanced=True,
            help="More make the trees smaller, and blind to single odd cells.",
        ),
    ] = 1,
    seed: Annotated[
        int,
        Number(
            "Seed",
            min=0,
            max=2**32 - 1,
            advanced=True,
            help="The same one gives the same trees.",
        ),
    ] = 0,
) -> Classified:
    """Gives each cell of a raster the class that its values are most like, as in training areas.

    Classes that are whole numbers from 1 to 255 stay so; others are numbered from 1, in the order
    of their names, and the legend tells which is which. A cell that has no value in one of the
    bands gets 0, no data.
    """
    here = rb.current_task()
    bands = raster.values.reshape(-1, *raster.shape)
    valid = raster.valid().reshape(bands.shape).all(axis=0)
    here.progress(fraction=0.0, text="training cells")
    names, cells, label = _examples(raster, valid, training, class_field)
    here.log(f"{len(label)} training cells of {len(names)} classes: {', '.join(map(str, names))}")
    forest = _forest(trees, depth, cells_in_leaf, seed)
    _learn(forest, trees, bands.reshape(len(bands), -1)[:, cells].T, label, here)
    accuracy = 100 * float(forest.oob_score_)
    here.log(f"{accuracy:.1f} % of the training cells are recognised by trees that have not had it")
    classes, confidence = _classified(forest, bands, valid, here)
    values = _numbers_of(names)
    counts = (np.bincount(each, minlength=CLASSES_MAX + 1) for each in (label, classes.ravel()))
    learnt, found = (count[values] for count in counts)
    legend = {"value": values, "class": names, "training_cells": learnt, "cells": found}
    return Classified(
        Raster(classes, raster.geotransform, raster.crs, nodata=0),
        Raster(confidence, raster.geotransform, raster.crs, nodata=-1),
        Vector(legend),
        accuracy,
    )


def _forest(trees: int, depth: Optional[int], cells_in_leaf: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=min(TREES_IN_A_PART, trees),
        max_depth=depth,
        min_samples_leaf=cells_in_leaf,
        warm_start=True,  # trees are added to those that are there
        n_jobs=-1,
        random_state=seed,
    )


def _learn(forest: Any, trees: int, values: Any, label: Any, here: Any) -> None:
    """So many trees, some at a time."""
    for count in [*range(TREES_IN_A_PART, trees, TREES_IN_A_PART), trees]:
        here.progress(fraction=0.3 * count / trees, text=f"learning, {count} of {trees} trees")
        forest.set_params(n_estimators=count, oob_score=count == trees)
        forest.fit(values, label)


def _classified(forest: Any, bands: Any, valid: Any, here: Any) -> tuple[Any, Any]:
    """Each cell's class, and the part of the trees that say so."""
    classes, confidence = rb.empty(valid.shape, "uint8"), rb.empty(valid.shape, "float32")
    classes[...], confidence[...] = 0, -1
    flat, there = bands.reshape(len(bands), -1), np.flatnonzero(valid)
    for begin in range(0, len(there), CELLS_IN_A_PART):
        here.progress(fraction=0.3 + 0.7 * begin / len(there), text="classifying")
        part = there[begin : begin + CELLS_IN_A_PART]
        chances = forest.predict_proba(flat[:, part].T)
        best = chances.argmax(axis=1)
        classes.reshape(-1)[part] = forest.classes_[best]
        confidence.reshape(-1)[part] = chances[np.arange(len(part)), best]
    return classes, confidence


def _examples(raster: Raster, valid: Any, training: Any, field: str) -> tuple[Any, Any, Any]:
    """The classes' names, and of each training cell its number in the raster and its class.

    Raises ValueError where nothing can be learnt from them.
    """
    known = training[training[field].notna() & training.geometry.notna()]
    if raster.crs and known.crs is not None:
        known = known.to_crs(raster.crs)
    known = known.explode(index_parts=False)
    names, label = np.unique(known[field].to_numpy(), return_inverse=True)
    if len(names) > CLASSES_MAX:
        raise ValueError(f"{field!r} has {len(names)} values: more than {CLASSES_MAX} classes")
    cells: list[Any] = [np.zeros(0, "int64")]
    classes: list[Any] = [np.zeros(0, "int64")]
    for geometry, number in zip(known.geometry, _numbers_of(names)[label]):
        inside = _cells_of(geometry, raster)
        cells.append(inside[valid.flat[inside]])
        classes.append(np.full(len(cells[-1]), number))
    found = np.unique(np.concatenate(classes))
    if len(found) < 2:
        raise ValueError(
            "there is nothing to tell apart: the training areas cover cells with values of "
            f"{len(found)} classes. Do they lie on the raster, and is {field!r} the field of the "
            "class?"
        )
    return names, np.concatenate(cells), np.concatenate(classes)


def _numbers_of(names: Any) -> Any:
    """The classes' numbers in the result."""
    whole = names.size > 0 and names.dtype.kind in "iuf" and not np.any(names % 1)
    if whole and names.min() >= 1 and names.max() <= CLASSES_MAX:
        return names.astype("int64")
    return np.arange(1, len(names) + 1)


def _cells_of(geometry: Any, raster: Raster) -> Any:
    """The numbers of the cells whose centre a polygon contains, or of the one a point is in."""
    import shapely

    columns = raster.shape[1]
    xmin, ymin, xmax, ymax = geometry.bounds
    corners = raster.cell_at(np.array([xmin, xmin, xmax, xmax]), np.array([ymin, ymax] * 2))
    (top, bottom), (left, right) = (
        (max(each.min(), 0), min(each.max() + 1, count))
        for each, count in zip(corners, raster.shape)
    )
    row, column = np.mgrid[top : max(top, bottom), left : max(left, right)]
    if geometry.geom_type == "Polygon":
        shapely.prepare(geometry)
        inside = shapely.contains_xy(geometry, *raster.xy(row, column))
        row, column = row[inside], column[inside]
    elif geometry.geom_type != "Point":
        raise ValueError(f"training areas are polygons or points, not {geometry.geom_type}s")
    return (row * columns + column).ravel()
