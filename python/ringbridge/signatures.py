# SPDX-License-Identifier: MIT
"""The signature of a remote function, from the text that the worker sent.

Parses, and never evaluates: a default that is no literal is shown by its text. Called by the C
extension when somebody asks for a function's `__signature__`.
"""

from __future__ import annotations

import ast
from inspect import Parameter, Signature
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inspect import _ParameterKind


class Shown:
    """A default that lives over there; its repr is how it looks."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def parse(text: str) -> Signature:
    """From what str(signature) gives, "(dem, azimuth=315.0) -> float"; ValueError for the rest."""
    try:
        (function,) = ast.parse(f"def f{text}: pass").body
    except SyntaxError as error:
        raise ValueError(f"not a signature: {text!r}") from error
    if not isinstance(function, ast.FunctionDef):
        raise ValueError(f"not a signature: {text!r}")
    return Signature(_parameters(function.args), return_annotation=_annotation(function.returns))


def _parameters(given: ast.arguments) -> list[Parameter]:
    positional = given.posonlyargs + given.args
    without = len(positional) - len(given.defaults)  # defaults belong to the last ones
    result = []
    for index, argument in enumerate(positional):
        default = None if index < without else given.defaults[index - without]
        only = index < len(given.posonlyargs)
        kind = Parameter.POSITIONAL_ONLY if only else Parameter.POSITIONAL_OR_KEYWORD
        result.append(_parameter(argument, kind, default))
    if given.vararg is not None:
        result.append(_parameter(given.vararg, Parameter.VAR_POSITIONAL, None))
    for argument, value in zip(given.kwonlyargs, given.kw_defaults):
        result.append(_parameter(argument, Parameter.KEYWORD_ONLY, value))
    if given.kwarg is not None:
        result.append(_parameter(given.kwarg, Parameter.VAR_KEYWORD, None))
    return result


def _parameter(argument: ast.arg, kind: _ParameterKind, default: ast.expr | None) -> Parameter:
    return Parameter(
        argument.arg,
        kind,
        default=Parameter.empty if default is None else _default(default),
        annotation=_annotation(argument.annotation),
    )


def _default(expression: ast.expr) -> object:
    try:
        value = ast.literal_eval(expression)
    except ValueError:
        return Shown(ast.unparse(expression))
    return Shown("...") if value is ... else value  # what the worker puts for what it cannot show


def _annotation(expression: ast.expr | None) -> object:
    """As text, which is what `from __future__ import annotations` gives too."""
    if expression is None:
        return Parameter.empty
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return expression.value
    return ast.unparse(expression)
