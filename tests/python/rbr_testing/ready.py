# SPDX-License-Identifier: MIT
"""Ready views in the test's own process, and what can be seen in them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from ringbridge.plot import emitting


@contextlib.contextmanager
def agg_only() -> Iterator[None]:
    """Without windows; a warning is an error; closes what was made."""
    from matplotlib import pyplot

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of matplotlib's own helpers
        pyplot.switch_backend("Agg")
        yield
        pyplot.close("all")
        emitting.set_frame_number(0)


def make(name: str, **options: Any) -> Any:
    from ringbridge.plot import ready_views

    return getattr(ready_views, name)(**options)


def lines(view: Any) -> list[tuple[list[float], list[float]]]:
    return [tuple(map(list, line.get_data())) for line in view.axes.lines]


def shown(view: Any) -> Any:
    view.figure.canvas.draw()
    import numpy as np

    return np.array(view.figure.canvas.buffer_rgba())


def names(view: Any) -> list[str]:
    legend = view.axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []
