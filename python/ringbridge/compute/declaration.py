# SPDX-License-Identifier: MIT
"""`@algorithm`: an ordinary function that says what a dialog has to ask for.

    @algorithm("Hillshade", group="Terrain", margin=1)
    def hillshade(dem: Raster, azimuth: Annotated[float, Number(unit="°")] = 315.0) -> Raster:
        '''Shaded relief. ...'''

The declaration is read from the annotations and the docstring when it is asked for, not when the
function is defined. Called directly, the function takes plain arrays and frames too
(direct_call). Knows neither QGIS nor numpy.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from ringbridge.compute import direct_call, kinds

_ATTRIBUTE = "__ringbridge_algorithm__"
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function. `required`: it has no default."""

    name: str
    kind: kinds.Kind
    default: Any
    required: bool


@dataclass(frozen=True)
class Output:
    """One result; `name` is the function's own word for it, "output" where there is only one."""

    name: str
    kind: kinds.Kind


@dataclass(frozen=True)
class Declaration:
    """What is known of an algorithm without its code: enough for a toolbox and a dialog.

    name     the function's
    margin   None: it needs whole rasters; else it can be called on blocks that overlap by so many
             cells, or by the value of the parameter of this name
    outputs  in the order of the function's tuple; one alone is not in a tuple
    """

    name: str
    label: str
    group: str
    help: str
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    margin: int | str | None
    tags: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **{n: getattr(self, n) for n in ("name", "label", "group", "help", "margin")},
            "tags": list(self.tags),
            "parameters": [
                [p.name, kinds.to_plain(p.kind), kinds.to_plain(p.default), p.required]
                for p in self.parameters
            ],
            "outputs": [[o.name, kinds.to_plain(o.kind)] for o in self.outputs],
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Declaration:
        """The reverse. Raises ValueError, KeyError or TypeError for what is no declaration."""
        parameters = tuple(
            Parameter(name, kinds.from_plain(kind), kinds.from_plain(default), required)
            for name, kind, default, required in plain["parameters"]
        )
        outputs = tuple(Output(name, kinds.from_plain(kind)) for name, kind in plain["outputs"])
        rest = {n: plain[n] for n in ("name", "label", "group", "help", "margin")}
        return cls(parameters=parameters, outputs=outputs, tags=tuple(plain["tags"]), **rest)


def algorithm(
    label: str = "",
    *,
    group: str = "",
    help: str = "",
    margin: int | str | None = None,
    tags: tuple[str, ...] = (),
) -> Callable[[_F], _F]:
    """Declares a function to be an algorithm, of this label and group in the toolbox.

    help    for people, plain text or simple HTML; the docstring by default
    margin  says that the function may be called on blocks of its rasters: with so many cells more
            on each side, of which it needs no more than that, or the name of the integer parameter
            that says how many. Its results are rasters of the same size. None: on whole rasters.
    tags    more words for the toolbox's search
    """
    if callable(label):
        raise TypeError("@algorithm needs parentheses: @algorithm() or @algorithm('Label')")

    def declare(function: _F) -> _F:
        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            return direct_call.call(function, declaration_of(called), args, kwargs)

        words = (label, group, help, margin, tags)
        setattr(called, _ATTRIBUTE, functools.cache(lambda: _read(function, *words)))
        return called  # type: ignore[return-value]

    return declare


def declaration_of(function: Callable[..., Any]) -> Declaration:
    """Of a function with `@algorithm`. Raises TypeError where it declares nothing or nonsense."""
    made: Declaration = getattr(function, _ATTRIBUTE)()
    return made


def algorithms_of(module: Any) -> Iterator[Callable[..., Any]]:
    """The algorithms that a module defines, in the order in which they stand there."""
    for name, value in vars(module).items():
        is_own = hasattr(value, _ATTRIBUTE) and value.__module__ == module.__name__
        if is_own and name == value.__name__:  # not a second name for it
            yield value


def _read(
    function: Callable[..., Any],
    label: str,
    group: str,
    help: str,
    margin: int | str | None,
    tags: tuple[str, ...],
) -> Declaration:
    import inspect

    from ringbridge.compute import annotations, declaration_checks

    name = function.__name__
    hints = annotations.hints_of(function)
    parameters = []
    for each in inspect.signature(function).parameters.values():
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise TypeError(f"{name}: {each.name} cannot be given by its name")
        required = each.default is each.empty
        default = None if required else kinds.as_read(each.default)
        kind = annotations.kind_of(name, each.name, hints.get(each.name), default, required)
        parameters.append(Parameter(each.name, kind, default, required))
    outputs = annotations.outputs_of(name, hints.get("return"))
    text = inspect.cleandoc(help or function.__doc__ or "")
    module = sys.modules.get(function.__module__)
    group = (
        group or getattr(module, "GROUP", "") or kinds.readable(function.__module__.split(".")[-1])
    )
    declaration = Declaration(
        *(name, label or kinds.readable(name), group, text, tuple(parameters)),
        *(tuple(Output(n, kind) for n, kind in outputs), margin, tuple(tags)),
    )
    declaration_checks.check(declaration)
    return declaration
