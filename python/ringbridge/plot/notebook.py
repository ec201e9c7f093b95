# SPDX-License-Identifier: MIT
"""A plot's picture below a notebook's cell, and a newer one while frames come.

The view draws in the viewer's process, as ever; the kernel only shows what comes back. IPython is
imported when a picture is to be shown.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ringbridge import threads
from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge.plot.plotter import Plotter

_PICTURE_S = 30.0
_LAST_S = 5.0


class Shown:
    """A picture below a cell, until its plot is closed, or `stop`. picture: what is shown of a PNG;
    update: shows it in the place of the one before."""

    def __init__(self, picture: Callable[[bytes], Any], update: Callable[[Any], object]) -> None:
        self._picture = picture
        self._update = update
        self._stopped = threading.Event()
        self._turn = threading.Lock()  # of who shows a picture
        self._shown = 0  # the number of updates that the picture has seen

    def begin(self, plot: weakref.ref[Plotter], period_s: float) -> None:
        """The plot is not held: one that nobody holds any more is closed."""
        threads.start(self._run, "ringbridge pictures", plot, period_s)

    def stop(self) -> None:
        """The picture stays as it is. Idempotent."""
        self._stopped.set()

    def finish(self, plot: Plotter) -> None:
        """Shows the last picture, if it comes before long; none comes after it."""
        if not self._stopped.is_set():
            self._look(plot, _LAST_S)
            with self._turn:
                self.stop()

    def _run(self, plot: weakref.ref[Plotter], period_s: float) -> None:
        while not self._stopped.wait(period_s):
            held = plot()
            if held is None or held.closed:
                return
            self._look(held, _PICTURE_S)
            del held

    def _look(self, plot: Plotter, timeout_s: float) -> None:
        """Shows what is newer. A viewer that is stopped, or has gone, may go on or be reopened."""
        number = plot.updates
        if number == self._shown:
            return
        with contextlib.suppress(RingbridgeError):
            picture = plot.picture("png", timeout=timeout_s)
            with self._turn:
                if number > self._shown and not self._stopped.is_set():
                    self._update(self._picture(picture))
                    self._shown = number


def show(plot: Plotter, rate: float) -> Shown:
    """Shows the plot below the cell that runs, with a newer picture at most `rate` times a second.

    Raises RingbridgeError outside of a notebook.
    """
    if not 0 < rate <= 30:
        raise ValueError(
            f"rate must be more than 0, and at most 30 pictures a second, not {rate!r}"
        )
    try:
        from IPython import get_ipython
        from IPython.display import HTML, Image, display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        raise RingbridgeError("there is no notebook here: show() is for cells of Jupyter's")
    show_it: Any = display  # these have no types
    html: Any = HTML
    image: Any = Image
    handle = show_it(html("<i>no picture yet</i>"), display_id=True)
    shown = Shown(lambda png: image(data=png, format="png"), handle.update)
    shown.begin(weakref.ref(plot), 1.0 / rate)
    return shown
