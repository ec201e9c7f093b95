# SPDX-License-Identifier: MIT
"""What a declaration may not say: names that refer to nothing, defaults that no dialog can show.

Raises TypeError with the function's and the parameter's name; knows nothing of annotations.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ringbridge.compute import kinds

#: (kind, its field) -> the words that are known.
_WORDS: dict[tuple[type[kinds.Kind], str], tuple[str, ...]] = {
    (kinds.RasterLayer, "bands"): ("one", "all"),
    (kinds.RasterLayer, "form"): ("raster", "array"),
    (kinds.VectorLayer, "geometry"): kinds.GEOMETRIES,
    (kinds.VectorLayer, "form"): ("vector", "geopandas", "arrow"),
    (kinds.VectorOutput, "geometry"): kinds.GEOMETRIES,
    (kinds.Field, "type"): kinds.FIELD_TYPES,
}
_LAYERS = (kinds.RasterLayer, kinds.VectorLayer)
#: What a kind's `of` or `distance_of` names.
_PARENTS: dict[type[kinds.Kind], tuple[type[kinds.Kind], ...]] = {
    kinds.Band: (kinds.RasterLayer,),
    kinds.Field: (kinds.VectorLayer,),
    **dict.fromkeys((kinds.Extent, kinds.Point, kinds.Number), _LAYERS),
}


def check(declaration: Any) -> None:
    """Raises TypeError for the first that is wrong in a Declaration."""
    name = declaration.name
    by_name = {each.name: each.kind for each in declaration.parameters}
    _check_names(name, [*by_name, *(each.name for each in declaration.outputs)])
    for each in (*declaration.parameters, *declaration.outputs):
        _check_words(f"{name}: {each.name}", each.kind)
    for each in declaration.parameters:
        what = f"{name}: {each.name}"
        _check_parent(what, each.kind, by_name)
        _check_kind(what, each.kind)
        if not each.required and each.default is not None:
            _check_default(what, each.kind, each.default)
    _check_margin(name, declaration.margin, by_name)
    if declaration.margin is not None:
        _check_blocks(name, declaration)


def _check_names(name: str, names: Sequence[str]) -> None:
    """Hosts do not tell small letters from large ones, nor a parameter from a result."""
    for word, count in Counter(each.lower() for each in names).items():
        if count > 1:
            raise TypeError(f"{name}: two parameters or results are called {word!r}")


def _check_words(what: str, kind: kinds.Kind) -> None:
    for (cls, field), words in _WORDS.items():
        of = kind.of if isinstance(kind, kinds.Layers) else kind
        if isinstance(of, cls) and getattr(of, field) not in words:
            raise TypeError(f"{what}: {field}={getattr(of, field)!r} is none of {words}")


def _check_parent(what: str, kind: kinds.Kind, by_name: dict[str, kinds.Kind]) -> None:
    parent = getattr(kind, "of", "") or getattr(kind, "distance_of", "")
    allowed = _PARENTS.get(type(kind), ())
    needed = isinstance(kind, (kinds.Band, kinds.Field))
    if allowed and (parent or needed) and not isinstance(by_name.get(parent), allowed):
        words = " or ".join(each.__name__ for each in allowed)
        raise TypeError(f"{what} is of {parent!r}, which is no parameter that is a {words}")


def _check_kind(what: str, kind: kinds.Kind) -> None:
    if isinstance(kind, kinds.Number) and None not in (kind.min, kind.max) and kind.min > kind.max:  # type: ignore[operator]
        raise TypeError(f"{what}: nothing lies between min={kind.min} and max={kind.max}")
    if isinstance(kind, kinds.Choice):
        if not kind.options or not all(isinstance(each, str) for each in kind.options):
            raise TypeError(f"{what}: a Choice is between texts, not {kind.options}")
        if len(set(kind.options)) < len(kind.options):
            raise TypeError(f"{what}: an option is there twice in {kind.options}")
        if kind.labels and len(kind.labels) != len(kind.options):
            raise TypeError(
                f"{what}: {len(kind.labels)} labels do not fit {len(kind.options)} options"
            )


def _check_default(what: str, kind: kinds.Kind, default: Any) -> None:
    problem = ""
    if isinstance(kind, kinds.Number):
        problem = _number_problem(kind, default)
    elif isinstance(kind, kinds.Choice):
        chosen = default if kind.many and isinstance(default, (list, tuple)) else [default]
        wrong = [each for each in chosen if each not in kind.options]
        problem = f"is none of {kind.options}" if wrong else ""
    elif isinstance(kind, kinds.Boolean):
        problem = "" if isinstance(default, bool) else "is neither True nor False"
    elif isinstance(kind, (kinds.Text, kinds.Crs)):
        problem = "" if isinstance(default, str) else "is no text"
    elif isinstance(kind, kinds.File):
        problem = "" if isinstance(default, (str, os.PathLike)) else "is no path"
    elif isinstance(kind, (kinds.Extent, kinds.Point)):
        problem = _numbers_problem(4 if isinstance(kind, kinds.Extent) else 2, default)
    elif isinstance(kind, (*_LAYERS, kinds.Layers)):
        problem = "cannot be chosen before there are layers; None makes it optional"
    if problem:
        raise TypeError(f"{what}: the default {default!r} {problem}")


def _number_problem(kind: kinds.Number, default: Any) -> str:
    if not isinstance(default, (int, float)):
        return "is no number"
    if kind.integer and not isinstance(default, int):
        return "is no int"
    low = kind.min is not None and default < kind.min
    high = kind.max is not None and default > kind.max
    return f"does not lie between {kind.min} and {kind.max}" if low or high else ""


def _numbers_problem(count: int, default: Any) -> str:
    is_row = isinstance(default, (list, tuple)) and len(default) == count
    fits = is_row and all(isinstance(each, (int, float)) for each in default)
    return "" if fits else f"is no tuple of {count} numbers"


def _check_margin(name: str, margin: int | str | None, by_name: dict[str, kinds.Kind]) -> None:
    if isinstance(margin, str):
        kind = by_name.get(margin)
        if not isinstance(kind, kinds.Number) or not kind.integer:
            raise TypeError(f"{name}: margin={margin!r} names no parameter that is an int")
    elif margin is not None and margin < 0:
        raise TypeError(f"{name}: margin is a number of cells, and {margin} is negative")


def _check_blocks(name: str, declaration: Any) -> None:
    """With a margin it is called on blocks: what it gives is put together of theirs."""
    for each in declaration.outputs:
        if not isinstance(each.kind, kinds.RasterOutput):
            raise TypeError(
                f"{name}: with a margin all results are rasters, and {each.name} is none: leave "
                "the margin out, so that it gets whole rasters"
            )
