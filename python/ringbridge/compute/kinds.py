# SPDX-License-Identifier: MIT
"""What an algorithm takes and gives, in the words of a dialog: a raster layer, a number of degrees.

Plain data: a kind is written beside a type (`Annotated[float, Number("Azimuth", unit="°")]`), is
read in the worker, and crosses as a dict to the host, which makes a widget of it. Imports nothing
that is not Python's own, and knows neither QGIS nor numpy.

    Kind  <-  RasterLayer, Band, VectorLayer, Field, Number, ...   what is asked for
          <-  RasterOutput, VectorOutput, ...                      what comes back
    Style <-  Grey, Ramp, Classes | Categories, Graduated, Single  how a layer of it looks
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any

GEOMETRIES = ("any", "point", "line", "polygon", "none")
FIELD_TYPES = ("any", "number", "text", "date")


class _Plain:
    """Equal where all fields are. Made here for all of them: dataclass would make code for each
    class, and QGIS's start waits for this import."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({said})"


@dataclass(frozen=True, eq=False, repr=False)
class Style(_Plain):
    """How a layer of a result is drawn."""


@dataclass(frozen=True, eq=False, repr=False)
class Grey(Style):
    """A raster's first band in greys, from `min` to `max`; None: what the band has."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Ramp(Style):
    """A raster's first band in the colours of one of QGIS's ramps, from `min` to `max`."""

    ramp: str = "Viridis"
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Classes(Style):
    """A raster of classes: (value, label, "#rrggbb") for each; none: every value that is there."""

    classes: tuple[tuple[float, str, str], ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Categories(Style):
    """A vector layer with one colour for each value of `field`, of one of QGIS's ramps."""

    field: str = ""
    ramp: str = "Spectral"


@dataclass(frozen=True, eq=False, repr=False)
class Graduated(Style):
    """A vector layer coloured by the number in `field`, in so many `classes` of equal count."""

    field: str = ""
    ramp: str = "Viridis"
    classes: int = 5


@dataclass(frozen=True, eq=False, repr=False)
class Single(Style):
    """A vector layer in one colour, "#rrggbb"; `size` in millimetres: of a point, or a line."""

    colour: str = "#1f78b4"
    size: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Kind(_Plain):
    """A label for people, a sentence of help, and whether it is among the advanced ones.

    label     without one, the parameter's name is made readable
    optional  may be left empty: the function gets None. A default of None says the same.
    """

    label: str = ""
    help: str = ""
    advanced: bool = False
    optional: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class RasterLayer(Kind):
    """A raster layer; the function gets a Raster.

    bands  "one": values of (rows, columns); the band that a Band parameter says, or the first.
           "all": values of (bands, rows, columns)
    form   "raster", or "array": the function gets the values alone
    """

    bands: str = "one"
    form: str = "raster"


@dataclass(frozen=True, eq=False, repr=False)
class Band(Kind):
    """A band of the raster parameter `of`; the function gets its number, from 1."""

    of: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class VectorLayer(Kind):
    """A vector layer, or its selected features; the function gets a Vector.

    geometry  one of GEOMETRIES; "none" takes tables too
    form      "vector"; "geopandas": the function gets a GeoDataFrame (a DataFrame without
              geometry); "arrow": a pyarrow.Table with a column `geometry` of WKB
    """

    geometry: str = "any"
    form: str = "vector"


@dataclass(frozen=True, eq=False, repr=False)
class Field(Kind):
    """A field of the vector parameter `of`; the function gets its name, or a list of names."""

    of: str = ""
    type: str = "any"
    many: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Number(Kind):
    """A number, from `min` to `max`.

    unit         shown behind the label: "°", "m/s"
    integer      the function gets an int
    decimals     as many can be typed in
    distance_of  a distance in the units of this layer parameter's CRS
    """

    min: float | None = None
    max: float | None = None
    unit: str = ""
    integer: bool = False
    decimals: int | None = None
    distance_of: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Choice(Kind):
    """One of `options` (many=True: a list of some); the function gets the option itself."""

    options: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    many: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Boolean(Kind):
    """A check box."""


@dataclass(frozen=True, eq=False, repr=False)
class Text(Kind):
    """A str, of several lines where `multiline`."""

    multiline: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class File(Kind):
    """An existing file with this `extension` ("" any), or a folder; the function gets a Path."""

    extension: str = ""
    folder: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Extent(Kind):
    """(xmin, ymin, xmax, ymax), floats, in the CRS of the layer parameter `of`."""

    of: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Crs(Kind):
    """A coordinate reference system; the function gets its WKT (of 2019)."""


@dataclass(frozen=True, eq=False, repr=False)
class Point(Kind):
    """(x, y), floats, in the CRS of the layer parameter `of`."""

    of: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Layers(Kind):
    """Several layers of one kind; the function gets a list of Rasters or Vectors."""

    of: RasterLayer | VectorLayer = RasterLayer()


@dataclass(frozen=True, eq=False, repr=False)
class RasterOutput(Kind):
    """A raster. The function gives a Raster, or an array on the grid of its first raster."""

    style: Grey | Ramp | Classes | None = None


@dataclass(frozen=True, eq=False, repr=False)
class VectorOutput(Kind):
    """A vector layer. The function gives a Vector, a GeoDataFrame or an Arrow table.

    geometry  that of the layer when it is made; "any": what the first geometry is
    """

    geometry: str = "any"
    style: Categories | Graduated | Single | None = None


@dataclass(frozen=True, eq=False, repr=False)
class TableOutput(Kind):
    """A table. The function gives a Vector without geometry, a DataFrame, or a dict of columns."""


@dataclass(frozen=True, eq=False, repr=False)
class NumberOutput(Kind):
    """A number, which models can go on with."""

    unit: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class TextOutput(Kind):
    """A str, which models can go on with."""


@dataclass(frozen=True, eq=False, repr=False)
class FileOutput(Kind):
    """A file. The function writes one and gives its path; it is moved to where it was wanted."""

    extension: str = ""


OUTPUTS = (RasterOutput, VectorOutput, TableOutput, NumberOutput, TextOutput, FileOutput)
_CLASSES = {
    cls.__name__: cls
    for cls in (
        *(Grey, Ramp, Classes, Categories, Graduated, Single),
        *(RasterLayer, Band, VectorLayer, Field, Number, Choice, Boolean, Text, File),
        *(Extent, Crs, Point, Layers, *OUTPUTS),
    )
}


def readable(name: str) -> str:
    """A name of a program's, for people: "cell_size" is "Cell size"."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def to_plain(value: Any) -> Any:
    """A kind, a style or a default as dicts, lists and plain values, for JSON."""
    if isinstance(value, (Kind, Style)):
        return {
            "is": type(value).__name__,
            **{f.name: to_plain(getattr(value, f.name)) for f in fields(value)},
        }
    if isinstance(value, (tuple, list)):
        return [to_plain(each) for each in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def from_plain(plain: Any) -> Any:
    """The reverse of to_plain. Raises ValueError for what another version wrote."""
    if isinstance(plain, dict):
        cls = _CLASSES.get(plain.get("is", ""))
        if cls is None:
            raise ValueError(f"no kind {plain.get('is')!r}")
        try:
            return cls(**{name: from_plain(v) for name, v in plain.items() if name != "is"})
        except TypeError as error:
            raise ValueError(f"{cls.__name__}: {error}") from None
    return tuple(from_plain(each) for each in plain) if isinstance(plain, list) else plain


def as_read(default: Any) -> Any:
    """A default as a host reads it: what from_plain makes of what to_plain has written."""
    return from_plain(to_plain(default))
