# SPDX-License-Identifier: MIT
"""One algorithm with a parameter of every kind, which tells what it was given; and every output."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Optional

import numpy as np

from ringbridge.compute import (
    Band,
    Boolean,
    Choice,
    Crs,
    Extent,
    Field,
    File,
    FileOutput,
    Grey,
    Number,
    NumberOutput,
    Point,
    Raster,
    RasterLayer,
    RasterOutput,
    TableOutput,
    Text,
    TextOutput,
    Vector,
    VectorLayer,
    VectorOutput,
    algorithm,
)


class Everything(NamedTuple):
    grid: Annotated[Raster, RasterOutput(style=Grey())]
    located: Annotated[Vector, VectorOutput()]
    table: Annotated[Vector, TableOutput()]
    mean: Annotated[float, NumberOutput(unit="m")]
    word: Annotated[str, TextOutput()]
    told: Annotated[Path, FileOutput(extension="json")]


@algorithm("Every kind", group="Tests", help="Tells what it was given.", tags=("echo",))
def every_kind(
    dem: Annotated[Raster, RasterLayer("Elevation", help="In metres.", bands="all")],
    band: Annotated[int, Band(of="dem")],
    places: Annotated[Vector, VectorLayer("Places", geometry="point")],
    weight: Annotated[str, Field(of="places", type="number")],
    more: Annotated[list[str], Field(of="places", many=True)],
    layers: list[Raster],
    extent: Annotated[tuple, Extent(of="dem")],
    crs: Annotated[str, Crs()],
    point: Annotated[tuple, Point(of="dem")],
    file: Annotated[Path, File(extension="txt")],
    number: Annotated[float, Number(min=0, max=10, unit="m", decimals=2)] = 1.5,
    count: Annotated[int, Number(min=0, advanced=True)] = 3,
    distance: Annotated[float, Number(distance_of="dem")] = 100.0,
    mode: Literal["plain", "fancy"] = "fancy",
    labelled: Annotated[str, Choice(options=("a", "b"), labels=("First", "Second"))] = "b",
    several: Annotated[list, Choice(options=("x", "y", "z"), many=True)] = ("x", "z"),
    flag: Annotated[bool, Boolean()] = True,
    text: Annotated[str, Text(multiline=True)] = "two\nlines",
    nothing: Optional[float] = None,  # noqa: UP045 (it is evaluated, by old Pythons too)
) -> Everything:
    told = {
        "dem": [list(dem.values.shape), str(dem.values.dtype), dem.nodata, list(dem.bands)],
        "cell": list(dem.cell_size),
        "dem_crs": "UTM zone 17N" in dem.crs,
        "places": [len(places), list(places.columns), places.xy().tolist()],
        "names": [layer.values.shape for layer in layers],
        "crs": "WGS 84" in crs,
        "file": [type(file).__name__, file.read_text()],
        **{"band": band, "weight": weight, "more": more, "extent": extent, "point": point},
        **{"number": number, "count": count, "distance": distance, "mode": mode},
        **{"labelled": labelled, "several": several, "flag": flag, "text": text},
        "nothing": nothing,
    }
    written = Path(tempfile.mkdtemp()) / "told.json"
    written.write_text(json.dumps(told))
    columns = {"name": ["a", None], "n": np.array([1, 2], "int32")}
    return Everything(
        dem.like(dem.values[0] * 2.0, nodata=-1.0, bands=("twice",)),
        places.with_columns(twice=np.ma.array(places[weight]) * 2),
        Vector(columns),
        float(dem.values.mean()),
        "said",
        written,
    )
