# SPDX-License-Identifier: MIT
"""Figures without a class: line(y), image(a), scatter(x, y), histogram(values).

Each kind has a figure of its own, which the first call opens and each further one updates; with
figure="..." there are as many as one likes. Their windows stay when the program ends.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ringbridge.plot.plotter import Plotter
from ringbridge.plot.view_source import Ready

if TYPE_CHECKING:
    from ringbridge.environment import EnvironmentLike

_lock = threading.RLock()  # a signal's handler may plot, too
_figures: dict[tuple[str, str], Plotter] = {}


def line(*values: Any, figure: str = "line", **named: Any) -> Plotter:
    """Curves: a number is one more point, an array the whole curve; a named one has a legend."""
    return _update("line", figure, values, named)


def image(*values: Any, figure: str = "image", **named: Any) -> Plotter:
    """An array of two dimensions, or of three with colours."""
    return _update("image", figure, values, named)


def scatter(*values: Any, figure: str = "scatter", **named: Any) -> Plotter:
    """Points: x, y, and what the view takes beside them."""
    return _update("scatter", figure, values, named)


def histogram(*values: Any, figure: str = "histogram", **named: Any) -> Plotter:
    """How values are distributed; a named array has a legend."""
    return _update("histogram", figure, values, named)


def figure(
    kind: str, name: str | None = None, *, python: EnvironmentLike | None = None, **options: Any
) -> Plotter:
    """Opens such a figure with options of its own; the one that is there is closed.

    kind     "line", "image", "scatter" or "histogram"
    name     what the calls say as figure=; None: the kind, which is what they say by themselves
    python   the viewer's interpreter, as Plotter takes it
    options  of the ready view: title, xlabel, ylim, ...
    """
    key = (kind, kind if name is None else name)
    with _lock:
        made = Plotter(Ready(kind, options), python=python, title=key[1], hold=True)
        before, _figures[key] = _figures.get(key), made
    if before is not None:
        before.close(hold=False)
    return made


def _update(kind: str, name: str, values: tuple[Any, ...], named: dict[str, Any]) -> Plotter:
    with _lock:
        plotter = _figures.get((kind, name))
        if plotter is None or plotter.closed:
            plotter = figure(kind, name)
    plotter.update(*values, **named)
    return plotter
