# SPDX-License-Identifier: MIT
"""Algorithms called directly: plain arrays and frames go in, and plain ones come back.

A function always works with what its kinds say (a Raster, a GeoDataFrame). Whoever calls it with an
array where a Raster is wanted gets arrays where Rasters are given.
"""

from __future__ import annotations

import contextlib
import inspect
import operator
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ringbridge.compute import kinds
from ringbridge.compute.raster import Raster
from ringbridge.compute.vector import Vector

if TYPE_CHECKING:
    from ringbridge.compute.declaration import Declaration


def call(
    function: Callable[..., Any],
    declaration: Declaration,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """The function's result, rasters and vectors in the form in which the first of them came."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    given: dict[type, str] = {}
    grid = None
    for each in declaration.parameters:
        if each.name not in bound.arguments:
            continue
        value = bound.arguments[each.name]
        taken = taken_as(each.kind, value)
        bound.arguments[each.name] = in_form(each.kind, taken)
        is_list = isinstance(each.kind, kinds.Layers) and value is not None
        for one, layer in zip(value, taken) if is_list else [(value, taken)]:
            if isinstance(layer, (Raster, Vector)):
                given.setdefault(type(layer), form_of(one))
        grid = grid or first_raster(taken)
    results = results_of(declaration, function(*bound.args, **bound.kwargs), grid)
    back = [_given_back(value, given) for value in results]
    returned = typing.get_type_hints(function)["return"]
    return returned(*back) if hasattr(returned, "_fields") else back[0]


def first_raster(taken: Any) -> Raster | None:
    """The Raster that an argument is, or the first of several."""
    several = taken if isinstance(taken, list) else [taken]
    return next((each for each in several if isinstance(each, Raster)), None)


def taken_as(kind: kinds.Kind, value: Any) -> Any:
    """An argument as a Raster or a Vector, where its kind is one of those."""
    if value is None:
        return None
    if isinstance(kind, kinds.RasterLayer):
        return value if isinstance(value, Raster) else Raster(value)
    if isinstance(kind, kinds.VectorLayer):
        return as_vector(value)
    if isinstance(kind, kinds.Layers):
        return [taken_as(kind.of, each) for each in value]
    return value


def in_form(kind: kinds.Kind, value: Any) -> Any:
    """A Raster or a Vector, or a list of them, as the function wants it."""
    if isinstance(kind, kinds.Layers) and value is not None:
        return [in_form(kind.of, each) for each in value]
    form = getattr(kind, "form", "")
    if value is None or form in ("", "raster", "vector"):
        return value
    made = {
        "array": lambda: value.values,
        "geopandas": lambda: value.to_geopandas(),
        "arrow": lambda: value.to_arrow(),
    }
    return made[form]()


def form_of(value: Any) -> str:
    """What a caller's value is: "ours", or the form to give back."""
    if isinstance(value, (Raster, Vector)):
        return "ours"
    module = type(value).__module__.partition(".")[0]
    return {"geopandas": "geopandas", "pandas": "geopandas", "pyarrow": "arrow"}.get(
        module, "array"
    )


def as_vector(value: Any) -> Vector:
    """A Vector from one, from a GeoDataFrame, a DataFrame, an Arrow table or a dict of columns."""
    from ringbridge.compute import geo_frames

    if isinstance(value, Vector):
        return value
    if isinstance(value, Mapping):
        return Vector(value)
    return geo_frames.vector_of(value)


def results_of(declaration: Declaration, result: Any, grid: Raster | None) -> list[Any]:
    """What a function gave, one for each output, as a Raster, a Vector, or a plain value.

    Raises TypeError or ValueError for what the declaration does not say.
    """
    outputs = declaration.outputs
    alone = len(outputs) == 1 and not isinstance(result, tuple)
    results = [result] if alone else list(result)
    if len(results) != len(outputs):
        raise ValueError(
            f"{declaration.name} gave {len(results)} results, and declares {len(outputs)}"
        )
    return [_result(declaration.name, o.kind, value, grid) for o, value in zip(outputs, results)]


def _result(name: str, kind: kinds.Kind, value: Any, grid: Raster | None) -> Any:
    if value is None:
        if kind.optional:
            return None
        raise TypeError(f"{name} gave None for {kind.label!r}, which is not optional")
    if isinstance(kind, kinds.RasterOutput) and not isinstance(value, Raster):
        if grid is None or isinstance(value, (str, bytes, Vector)):
            raise TypeError(
                f"{name} gave a {type(value).__name__} where {kind.label!r} is a Raster"
            )
        return grid.like(value)
    if isinstance(kind, (kinds.VectorOutput, kinds.TableOutput)):
        return as_vector(value)
    if isinstance(kind, kinds.NumberOutput):
        return _number(name, kind, value)
    return str(value) if isinstance(kind, (kinds.TextOutput, kinds.FileOutput)) else value


def _number(name: str, kind: kinds.Kind, value: Any) -> int | float:
    for convert in (operator.index, float):
        with contextlib.suppress(TypeError, ValueError):
            return convert(value)
    raise TypeError(f"{name} gave a {type(value).__name__} where {kind.label!r} is a number")


def _given_back(value: Any, given: Mapping[type, str]) -> Any:
    form = given.get(type(value), "ours")
    if form == "array" and isinstance(value, Raster):
        return value.values
    if form in ("geopandas", "arrow") and isinstance(value, Vector):
        return value.to_geopandas() if form == "geopandas" else value.to_arrow()
    return value
