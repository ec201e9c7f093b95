# SPDX-License-Identifier: MIT
"""What the function plotter computes: the envelope of a function, from very many samples.

Runs in a worker, in whatever environment has numpy. Knows nothing of Qt and of the window.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy

import ringbridge as rb

_FUNCTIONS = (
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
    *("exp", "log", "log2", "log10", "sqrt", "abs", "floor", "sign", "sinc"),
)
_ALLOWED = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Constant, ast.Load),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod, ast.USub, ast.UAdd),
)
_BATCH = 1 << 18  # samples at a time: they stay in the processor's cache


def compiled(text: str) -> Any:
    """The expression, after a look at what is in it: it is evaluated over here, as Python."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no expression: {error.msg}") from None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"{ast.unparse(node)!r} is not possible here")
        if isinstance(node, ast.Name) and node.id not in (*_FUNCTIONS, "x", "pi", "e"):
            known = ", ".join(_FUNCTIONS)
            raise ValueError(f"{node.id!r} is not known here; known are x, pi, e, {known}")
    return compile(tree, text, "eval")


def envelope(text: str, start: float, stop: float, columns: int, samples: int) -> dict[str, Any]:
    """The least and the greatest value in each column, of so many samples in it: `low` and `high`,
    float64, NaN where the function has no value. And its integral, its changes of sign, and how
    many samples had no value."""
    code = compiled(text)
    names = {name: getattr(numpy, name) for name in _FUNCTIONS}
    names.update(pi=numpy.pi, e=numpy.e, __builtins__={})
    task = rb.current_task()
    low, high = rb.empty(columns), rb.empty(columns)
    total, roots, undefined, before = 0.0, 0, 0, 0.0
    width = (stop - start) / columns
    for column in range(columns):
        least, greatest = numpy.inf, -numpy.inf
        for first in range(0, samples, _BATCH):
            inner = numpy.arange(first, min(first + _BATCH, samples)) + 0.5
            names["x"] = start + (column + inner / samples) * width
            with numpy.errstate(all="ignore"):
                values = numpy.broadcast_to(eval(code, names), inner.shape)
            known = values[numpy.isfinite(values)]
            undefined += inner.size - known.size
            if known.size:
                least, greatest = min(least, known.min()), max(greatest, known.max())
                total += known.sum() * width / samples
                signs = numpy.sign(numpy.concatenate([[before], known]))
                roots += int(numpy.count_nonzero(signs[1:] * signs[:-1] < 0))
                before = known[-1]
        none = least > greatest
        low[column], high[column] = (numpy.nan, numpy.nan) if none else (least, greatest)
        task.progress(column + 1, columns, f"{(column + 1) * samples:,} samples")
        if column % max(columns // 4, 1) == 0:
            task.log(f"at x = {start + column * width:.4g}: {roots} roots so far")
    if undefined:
        task.log(f"no value at {undefined:,} of {columns * samples:,} samples", "WARNING")
    return {
        "low": low,
        "high": high,
        "integral": float(total),
        "roots": roots,
        "undefined": undefined,
    }
