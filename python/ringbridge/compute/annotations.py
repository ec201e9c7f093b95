# SPDX-License-Identifier: MIT
"""From a function's annotations to kinds: what `float`, `Raster` or Annotated[...] ask for.

Loaded only where declarations are read, in the worker. Knows types by their names, so that
geopandas or numpy are imported by nobody but the function's own module.
"""

from __future__ import annotations

import pathlib
import typing
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ringbridge.compute import kinds
from ringbridge.compute.raster import Raster
from ringbridge.compute.vector import Vector

_INPUTS: dict[Any, kinds.Kind] = {
    Raster: kinds.RasterLayer(),
    Vector: kinds.VectorLayer(),
    bool: kinds.Boolean(),
    int: kinds.Number(integer=True),
    float: kinds.Number(),
    str: kinds.Text(),
    pathlib.Path: kinds.File(),
}
_OUTPUTS: dict[Any, kinds.Kind] = {
    Raster: kinds.RasterOutput(),
    Vector: kinds.VectorOutput(),
    int: kinds.NumberOutput(),
    float: kinds.NumberOutput(),
    str: kinds.TextOutput(),
    pathlib.Path: kinds.FileOutput(),
}
#: (first part of the module's name, class) -> what a function with that annotation gets.
_FORMS = {
    ("numpy", "ndarray"): kinds.RasterLayer(form="array"),
    ("geopandas", "GeoDataFrame"): kinds.VectorLayer(form="geopandas"),
    ("pandas", "DataFrame"): kinds.VectorLayer(form="geopandas", geometry="none"),
    ("pyarrow", "Table"): kinds.VectorLayer(form="arrow"),
}
_FORMS_OUT = {
    ("numpy", "ndarray"): kinds.RasterOutput(),
    ("geopandas", "GeoDataFrame"): kinds.VectorOutput(),
    ("pandas", "DataFrame"): kinds.TableOutput(),
    ("pyarrow", "Table"): kinds.VectorOutput(),
}


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations, evaluated. Raises TypeError for a name that is not there at run time."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{function.__name__}: an annotation is no name at run time ({error}): import it "
            "outside of `if TYPE_CHECKING`, or say it by a kind"
        ) from None


def kind_of(function: str, name: str, hint: Any, default: Any, required: bool) -> kinds.Kind:
    """Of a parameter. Raises TypeError where its annotation does not say what to ask for."""
    hint, optional = _without_none(hint)
    base, kind = _annotated(hint)
    if kind is None:
        kind = _input(base)
    if kind is None or isinstance(kind, kinds.OUTPUTS):
        raise TypeError(
            f"{function}: the annotation of {name!r} does not say what it is; for example Raster, "
            f"Annotated[float, Number({kinds.readable(name)!r})], int, or Literal['a', 'b']"
        )
    if isinstance(kind, (kinds.RasterLayer, kinds.VectorLayer)):
        form = _FORMS.get(_class_name(base))
        kind = replace(kind, form=form.form) if type(form) is type(kind) else kind  # type: ignore[union-attr]
    if isinstance(kind, kinds.Number) and base is int:
        kind = replace(kind, integer=True)
    if isinstance(kind, kinds.Choice) and not kind.options:
        kind = replace(kind, options=_options(base), many=get_origin(base) is list)
    if isinstance(kind, kinds.Layers) and get_origin(base) is list:
        inner = _annotated(get_args(base)[0])[0]
        if inner is Vector and isinstance(kind.of, kinds.RasterLayer):
            kind = replace(kind, of=kinds.VectorLayer())
    if optional or (not required and default is None):
        kind = replace(kind, optional=True)
    return kind if kind.label else replace(kind, label=kinds.readable(name))


def outputs_of(function: str, hint: Any) -> list[tuple[str, kinds.Kind]]:
    """The results: of a NamedTuple its members, else one. Raises TypeError without any."""
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        members = typing.get_type_hints(hint, include_extras=True)
        return [(name, _output(function, name, members[name])) for name in hint._fields]
    return [("output", _output(function, "output", hint))]


def _output(function: str, name: str, hint: Any) -> kinds.Kind:
    base, kind = _annotated(_without_none(hint)[0])
    kind = kind or _OUTPUTS.get(base) or _FORMS_OUT.get(_class_name(base))
    if not isinstance(kind, kinds.OUTPUTS):
        raise TypeError(
            f"{function}: the annotation of what it returns ({name}) says no result; for example "
            "-> Raster, -> Annotated[Vector, VectorOutput('Clusters')], or a NamedTuple of such"
        )
    return kind if kind.label else replace(kind, label=kinds.readable(name))


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The hint without Optional around it, and whether it was there."""
    left = [each for each in get_args(hint) if each is not type(None)]
    is_union = get_origin(hint) is Union or type(hint).__name__ == "UnionType"
    return (left[0], True) if is_union and len(left) == 1 else (hint, False)


def _annotated(hint: Any) -> tuple[Any, kinds.Kind | None]:
    """The type, and the kind beside it; a kind may also stand alone."""
    if get_origin(hint) is Annotated:
        base, *extras = get_args(hint)
        found = [each() if isinstance(each, type) else each for each in extras if _is_kind(each)]
        return _without_none(base)[0], found[0] if found else None
    if _is_kind(hint):
        return None, hint() if isinstance(hint, type) else hint
    return hint, None


def _is_kind(value: Any) -> bool:
    return isinstance(value, kinds.Kind) or (
        isinstance(value, type) and issubclass(value, kinds.Kind)
    )


def _input(base: Any) -> kinds.Kind | None:
    if _options(base):
        return kinds.Choice(options=_options(base), many=get_origin(base) is list)
    if get_origin(base) is list and _annotated(get_args(base)[0])[0] in (Raster, Vector):
        return kinds.Layers()
    return (_INPUTS.get(base) if isinstance(base, type) else None) or _FORMS.get(_class_name(base))


def _options(base: Any) -> tuple[str, ...]:
    """Of Literal["a", "b"], or of a list of one."""
    if get_origin(base) is list:
        base = get_args(base)[0]
    return tuple(map(str, get_args(base))) if get_origin(base) is Literal else ()


def _class_name(base: Any) -> tuple[str, str]:
    return getattr(base, "__module__", "").partition(".")[0], getattr(base, "__name__", "")
