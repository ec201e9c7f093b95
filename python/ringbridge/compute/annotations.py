# SPDX-License-Identifier: MIT
"""From a function's annotations to kinds: what `float`, `Raster` or Annotated[...] ask for.

Loaded only where declarations are read, in the worker. Knows types by their names, so that
geopandas or numpy are imported by nobody but the function's own module.
"""

from __future__ import annotations

import pathlib
import sys
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
    """The annotations, evaluated. Raises TypeError for what is nothing at run time."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise TypeError(_why_not(function.__name__, error)) from None


def _why_not(function: str, error: Exception) -> str:
    if isinstance(error, NameError):
        return (
            f"{function}: an annotation is no name at run time ({error}): import it outside of "
            "`if TYPE_CHECKING`, or say it by a kind"
        )
    if isinstance(error, TypeError) and "|" in str(error) and sys.version_info < (3, 10):
        return f"{function}: Python 3.9 knows no `X | None`: write Optional[X]"
    return f"{function}: an annotation cannot be read: {type(error).__name__}: {error}"


def kind_of(function: str, name: str, hint: Any, default: Any, required: bool) -> kinds.Kind:
    """Of a parameter. Raises TypeError where its annotation does not say what to ask for."""
    base, kind, optional = _taken_apart(hint)
    kind = kind or _input(base)
    if kind is None or isinstance(kind, kinds.OUTPUTS):
        raise TypeError(
            f"{function}: the annotation of {name!r} does not say what it is; for example Raster, "
            f"Annotated[float, Number({kinds.readable(name)!r})], int, or Literal['a', 'b']"
        )
    kind = _completed(kind, base)
    if optional or (not required and default is None):
        kind = replace(kind, optional=True)
    return kind if kind.label else replace(kind, label=kinds.readable(name))


def _completed(kind: kinds.Kind, base: Any) -> kinds.Kind:
    """With what the type says and the kind beside it does not."""
    many = get_origin(base) is list
    if isinstance(kind, (kinds.RasterLayer, kinds.VectorLayer)):
        form = _FORMS.get(_class_name(base))
        return replace(kind, form=form.form) if type(form) is type(kind) else kind  # type: ignore[union-attr]
    if isinstance(kind, kinds.Number) and base is int:
        return replace(kind, integer=True)
    if isinstance(kind, kinds.Choice):
        return replace(kind, options=kind.options or _options(base), many=kind.many or many)
    if isinstance(kind, kinds.Field):
        return replace(kind, many=kind.many or many)
    if isinstance(kind, kinds.Layers) and kind.of == kinds.RasterLayer():
        return replace(kind, of=_layers_of(base) or kind.of)
    return kind


def outputs_of(function: str, hint: Any) -> list[tuple[str, kinds.Kind]]:
    """The results: of a NamedTuple its members, else one. Raises TypeError without any."""
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        members = typing.get_type_hints(hint, include_extras=True)
        return [(name, _output(function, name, members[name])) for name in hint._fields]
    return [("output", _output(function, "output", hint))]


def _output(function: str, name: str, hint: Any) -> kinds.Kind:
    base, kind, optional = _taken_apart(hint)
    kind = (
        kind
        or (_OUTPUTS.get(base) if isinstance(base, type) else None)
        or _FORMS_OUT.get(_class_name(base))
    )
    kind = replace(kind, optional=True) if kind is not None and optional else kind
    if not isinstance(kind, kinds.OUTPUTS):
        raise TypeError(
            f"{function}: the annotation of what it returns ({name}) says no result; for example "
            "-> Raster, -> Annotated[Vector, VectorOutput('Clusters')], or a NamedTuple of such"
        )
    return kind if kind.label else replace(kind, label=kinds.readable(name))


def _taken_apart(hint: Any) -> tuple[Any, kinds.Kind | None, bool]:
    """The type, the kind beside it, and whether None may stand there; a kind may stand alone."""
    hint, optional = _without_none(hint)
    if get_origin(hint) is Annotated:
        base, *extras = get_args(hint)
        base, inside = _without_none(base)
        found = [each() if isinstance(each, type) else each for each in extras if _is_kind(each)]
        return base, found[0] if found else None, optional or inside
    if _is_kind(hint):
        return None, hint() if isinstance(hint, type) else hint, optional
    return hint, None, optional


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The hint without Optional around it, and whether it was there."""
    left = [each for each in get_args(hint) if each is not type(None)]
    is_union = get_origin(hint) is Union or type(hint).__name__ == "UnionType"
    return (left[0], True) if is_union and len(left) == 1 else (hint, False)


def _is_kind(value: Any) -> bool:
    return isinstance(value, kinds.Kind) or (
        isinstance(value, type) and issubclass(value, kinds.Kind)
    )


def _input(base: Any) -> kinds.Kind | None:
    if _options(base):
        return kinds.Choice()
    if _layers_of(base):
        return kinds.Layers()
    return (_INPUTS.get(base) if isinstance(base, type) else None) or _FORMS.get(_class_name(base))


def _layers_of(base: Any) -> Any:
    """Of a list of layers, the kind of one."""
    if get_origin(base) is not list:
        return None
    each, kind, _ = _taken_apart(get_args(base)[0])
    kind = kind or _input(each)
    is_layer = isinstance(kind, (kinds.RasterLayer, kinds.VectorLayer))
    return _completed(kind, each) if kind is not None and is_layer else None


def _options(base: Any) -> tuple[Any, ...]:
    """Of Literal["a", "b"], or of a list of one."""
    if get_origin(base) is list:
        base = get_args(base)[0]
    return get_args(base) if get_origin(base) is Literal else ()


def _class_name(base: Any) -> tuple[str, str]:
    return getattr(base, "__module__", "").partition(".")[0], getattr(base, "__name__", "")
