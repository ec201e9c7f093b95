# SPDX-License-Identifier: MIT
"""Plotting beside the computation: a window that lives in a process and interpreter of its own.

    from ringbridge.plot import Plotter

    with Plotter("views:Wave", python="plotting-env") as plot:
        for step in simulate():
            plot.update(x, y)

The computation's side: plotter over audience, handling, asking, viewer_process, view_source. The
viewer's side, in the other process: viewer over follower, viewer_loops, viewer_windows, ... Both
know letters, and neither knows the other.
"""

from __future__ import annotations

from ringbridge.plot.asking import ViewerError
from ringbridge.plot.emitting import emit, frame_number
from ringbridge.plot.handling import PlotEvent
from ringbridge.plot.plotter import Plotter
from ringbridge.plot.quick import figure, histogram, image, line, scatter
from ringbridge.plot.view_source import Ready

__all__ = [
    "PlotEvent",
    "Plotter",
    "Ready",
    "ViewerError",
    "emit",
    "figure",
    "frame_number",
    "histogram",
    "image",
    "line",
    "scatter",
]
