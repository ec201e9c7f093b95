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
from ringbridge.plot.emitting import emit
from ringbridge.plot.plotter import Plotter

__all__ = ["Plotter", "ViewerError", "emit"]
