# SPDX-License-Identifier: MIT
"""Plotter: one figure of a computation, drawn by viewers in other processes.

Puts together the frames (`_core.Publisher`), the viewers (audience), the door that they come in by
and the process that is launched; does the work of none of them.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from ringbridge import _core, plan, rendezvous, threads
from ringbridge.errors import Busy, RingbridgeError
from ringbridge.plot.asking import Question, ViewerError
from ringbridge.plot.audience import BEHIND_BYTES_MAX, Audience
from ringbridge.plot.doorman import let_viewers_in
from ringbridge.plot.handling import Handlers, PlotEvent
from ringbridge.plot.view_source import Ready, described, spec_of
from ringbridge.plot.viewer_process import Program, ViewerProcess, program_of, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ringbridge.door import Door
    from ringbridge.environment import EnvironmentLike
    from ringbridge.plot.notebook import Shown

RATE = 30.0
_ANSWER_S = 30.0
_COUNTS_S = 1.0
#: The event that the launched viewer has gone.
CLOSED = "close"
_WITH_DETAILS = ("click", "key")

_logger = logging.getLogger("ringbridge.plot")
_numbers = itertools.count(1)


class Plotter:
    """One figure. Any thread may use it; in a forked child it cannot be used.

    view     "module:Class", importable by the viewer; or a class, sent as source with what of its
             module it uses. It has __init__(self) and draw(self, *values, **named). Or a ready one:
             Ready("line", {"title": "energy"})
    python   the viewer's interpreter, as Worker takes it: a name of an environment, a prefix, a
             path; None: this interpreter
    command  instead of it, a command line that ends where code follows:
             ["ipython", "--pylab", "-c"]
    name     under which `ringbridge plot attach` finds it; None: plot-1, plot-2, ...
    title    of the window; None: the name
    rate     draws a second at the most; 0: as many as the viewer can
    hold     the window stays when the computation ends, until its user closes it
    paths    folders for the viewer's sys.path; before them is the main program's own
    environ  variables for the viewer, {"MPLBACKEND": "TkAgg"} for example
    launch   False: no viewer is launched; others may attach, and `reopen` launches one

    The viewer starts in the background. Where it cannot, that is logged once, as a warning of
    "ringbridge.plot", and said by `wait`, `save` and `snapshot`; the computation goes on.
    Raises EnvironmentNotFound, ValueError for a view that cannot be sent.
    """

    def __init__(
        self,
        view: str | type | Ready,
        *,
        python: EnvironmentLike | None = None,
        command: Sequence[str] | None = None,
        name: str | None = None,
        title: str | None = None,
        rate: float = RATE,
        hold: bool = False,
        paths: Iterable[str | os.PathLike[str]] = (),
        environ: Mapping[str, str] | None = None,
        launch: bool = True,
    ) -> None:
        self._program = program_of(python, command, environ)
        self._paths = (*plan.folders(paths), _main_folder())
        self._hold = bool(hold)
        name = name or f"plot-{next(_numbers)}"
        spec = spec_of(view)
        self._address = rendezvous.address_of(name, os.getpid(), rendezvous.PLOT)
        welcome: dict[str, Any] = {"name": name, "title": title or name, "view": spec}
        welcome.update(rate=_rate(rate), hold=self._hold)
        _core.pack(0, 0, (welcome,), {})  # CannotCross is for here, and not for who lets viewers in
        self._handlers = Handlers(name)
        # What these hold must not hold us: a plot that nobody holds any more is closed.
        self._audience = Audience(name, welcome, _Ears(name, self._handlers))
        self._publisher = self._audience.publisher
        self._shown: list[Shown] = []
        self._token, door = let_viewers_in(self._audience, self._address, described(view))
        self._audience.start()
        self._finalizer = weakref.finalize(
            self, _collected, door, self._audience, self._handlers, self._hold
        )
        self._finalizer.atexit = False  # type: ignore[misc]  # see _at_exit
        _plots.add(self)
        if launch:
            self.reopen()

    # ------------------------------------------------------------------------------------ frames

    def update(self, *values: Any, keep: bool = False, **named: Any) -> None:
        """Shows these: `draw(*values, **named)` is called with copies of them, in each viewer.

        Never waits for a viewer: the newest frame wins, and what is not drawn before the next one
        is dropped. Values are what a call may have; arrays are copied once, into shared memory.
        keep=True: each viewer draws this frame, in order with the others.

        Raises CannotCross for a value that cannot; Busy where the launched viewer has not read
        256 MiB of kept frames (then nothing is shown).
        """
        if keep:
            if self._audience.behind_bytes > BEHIND_BYTES_MAX:
                raise Busy(
                    f"the viewer of {self.name} is {self._audience.behind_bytes >> 20} MiB of kept "
                    "frames behind: wait() for it, or keep fewer"
                )
            self._publisher.update_kept(*values, **named)
        else:
            self._publisher.update(*values, **named)

    def wait(self, timeout: float | None = _ANSWER_S) -> None:
        """Returns once the newest frame has been drawn: by the launched viewer, else by another.

        Raises ViewerError when none is there, CallTimeout.
        """
        self._asked("drawn", self._publisher.number, timeout=timeout)

    def snapshot(self, timeout: float | None = _ANSWER_S, **options: Any) -> Any:
        """A picture of the window with the newest frame: uint8, of shape (height, width, 4), RGBA.

        options  as the viewer's back end has them. Raises what `wait` raises.
        """
        return self._asked("snapshot", self._publisher.number, options, timeout=timeout)

    def save(
        self, path: str | os.PathLike[str], timeout: float | None = _ANSWER_S, **options: Any
    ) -> None:
        """Writes such a picture here; the name's end says what: .png, .svg, .pdf as the viewer can.

        options  of matplotlib's savefig: dpi, transparent, ... Raises what `wait` raises, OSError.
        """
        target = os.fspath(path)
        kind = os.path.splitext(target)[1].lstrip(".").lower()
        if not kind:
            raise ValueError(f"{target!r} does not say what to write: end it with .png, say")
        picture = self.picture(kind, timeout=timeout, **options)
        with open(target, "wb") as file:
            file.write(picture)

    def picture(
        self, kind: str = "png", timeout: float | None = _ANSWER_S, **options: Any
    ) -> bytes:
        """The same as the bytes of such a file."""
        number = self._publisher.number
        picture = self._asked("picture", number, kind, options, timeout=timeout)
        if not isinstance(picture, bytes):
            raise ViewerError(f"a viewer of {self.name} has sent no picture")
        return picture

    def show(self, rate: float = 2.0) -> Shown:
        """In a notebook: the picture below this cell, and at most so many newer ones a second.

        They are taken in a thread; the computation does not wait for them. Raises RingbridgeError
        elsewhere.
        """
        from ringbridge.plot import notebook

        self._shown.append(notebook.show(self, rate))
        return self._shown[-1]

    def _repr_png_(self) -> bytes | None:
        """For a notebook, whose cell ends with this plot."""
        if self.closed or not (self.open or self.viewers):
            return None
        return self.picture("png")

    def _asked(self, what: str, *arguments: Any, timeout: float | None) -> Any:
        question = Question(what, *arguments)
        self._audience.ask(question)
        return question.answer(timeout)

    # ------------------------------------------------------------------------------------ events

    def on(self, event: str, handler: Callable[..., object]) -> Callable[..., object]:
        """Calls the handler with the values of each such event, which a view has emitted.

        On a thread of this plot's own. Gives the handler back: it serves as a decorator, too.
        """
        self._audience.check_ours()
        self._handlers.add(event, handler)
        return handler

    def on_click(self, handler: Callable[[PlotEvent], object]) -> Callable[[PlotEvent], object]:
        """Calls the handler when a viewer's user clicks: x, y, button, xdata, ydata, ..."""
        return self.on("click", handler)

    def on_key(self, handler: Callable[[PlotEvent], object]) -> Callable[[PlotEvent], object]:
        """Calls the handler when a viewer's user presses a key: key, ..."""
        return self.on("key", handler)

    def on_close(self, handler: Callable[[], object]) -> Callable[[], object]:
        """Calls the handler when the launched viewer has gone: closed by its user, or crashed."""
        return self.on(CLOSED, handler)

    # ------------------------------------------------------------------------------------- state

    @property
    def name(self) -> str:
        return self._address.name

    @property
    def updates(self) -> int:
        """How many there have been."""
        return self._publisher.number

    @property
    def viewers(self) -> int:
        """How many viewers are there now."""
        return len(self._audience.viewers)

    @property
    def open(self) -> bool:
        """Whether the launched viewer is there, or starts."""
        return self._audience.open

    @property
    def closed(self) -> bool:
        """Whether close() has been called."""
        return not self._finalizer.alive

    def stats(self) -> dict[str, Any]:
        """updates, kept: how many there were; viewers: of each, its label and pid, how many frames
        it has drawn and dropped. One that does not answer within a second has None there."""
        asked = []
        for viewer in self._audience.viewers:
            question = Question("counts", 0)
            self._audience.ask(question, viewer)
            asked.append((viewer, question))
        deadline = time.monotonic() + _COUNTS_S
        told = []
        for viewer, question in asked:
            counts: dict[str, Any] = {"drawn": None, "dropped": None}
            with contextlib.suppress(RingbridgeError):
                counts.update(question.answer(max(deadline - time.monotonic(), 0.001)))
            told.append({"label": viewer.label, "pid": viewer.pid, **counts})
        number, kept = self._publisher.number, self._publisher.kept
        return {"updates": number, "kept": kept, "viewers": told}

    def __repr__(self) -> str:
        state = f"viewers: {self.viewers}" if not self.closed else "closed"
        return f"<ringbridge.plot.Plotter {self.name!r} ({state})>"

    # ------------------------------------------------------------------------------ start and end

    def reopen(self) -> None:
        """Launches a viewer, in the background. Does nothing while one is there, or starts."""
        if self.closed:
            raise RingbridgeError(f"the plot {self.name} is closed")
        if self._audience.starts():
            at = {"name": self.name, "pid": self._address.pid, "path": self._address.path}
            settings = settings_for(at, self._token, self._paths)
            threads.start(
                _launch,
                f"ringbridge launch of {self.name}",
                self._audience,
                self._program,
                settings,
            )

    def close(self, *, hold: bool | None = None) -> None:
        """Ends the plot: viewers draw what there is, then end; with hold the window stays.

        hold: None: as it was made. A launched viewer that still starts is waited for, 30 seconds at
        the most, where there is something to draw; then it has some seconds for that, and is ended.
        Idempotent.
        """
        if self._address.pid == os.getpid():
            for each in self._shown:
                each.finish(self)
        ending = self._finalizer.detach()
        if ending is not None:
            (door, audience, handlers, hold_as_made) = ending[2]
            _close(door, audience, handlers, hold_as_made if hold is None else hold)

    def __enter__(self) -> Plotter:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _close(door: Door, audience: Audience, handlers: Handlers, hold: bool) -> None:
    """In a forked child nothing of this is its own: the parent's plot goes on."""
    if not door.is_ours:
        return
    try:
        audience.close(hold, shows=audience.publisher.number > 0)
    finally:
        door.stop()
        handlers.close()
        audience.publisher.close()


def _collected(door: Door, audience: Audience, handlers: Handlers, hold: bool) -> None:
    """Nobody holds it any more: on whichever thread that happens, a plot's own one too, none waits
    for its end."""
    name = f"ringbridge end of {audience.name}"
    if door.is_ours:
        _ends.add(threads.start(_close, name, door, audience, handlers, hold))


def _at_exit() -> None:
    for plot in list(_plots):
        plot.close()
    for thread in list(_ends):
        thread.join()


_plots: weakref.WeakSet[Plotter] = weakref.WeakSet()
_ends: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
atexit.register(_at_exit)


def _launch(audience: Audience, program: Program, settings: dict[str, Any]) -> None:
    try:
        environ = program.environ(lambda: audience.ended)
        process = ViewerProcess(program, environ, settings)
    except Exception as error:
        audience.not_launched(error)
    else:
        audience.launched(process)


class _Ears:
    """Hears the audience: logs who leaves, and hands events on."""

    def __init__(self, name: str, handlers: Handlers) -> None:
        self._name = name
        self._handlers = handlers

    def event(self, name: str, values: tuple[Any, ...], size: int) -> None:
        if name in _WITH_DETAILS:
            details = values[0] if values and isinstance(values[0], dict) else {}
            self._handlers.tell(name, PlotEvent(details), size=size)
        elif name != CLOSED:  # which is told when it has gone
            self._handlers.tell(name, *values, size=size)

    def left(self, reason: str, own: bool) -> None:
        if not own:
            _logger.info("plot %s: %s", self._name, reason)
            return
        _logger.warning(
            "the viewer of the plot %s has gone: %s\nThe computation goes on; reopen() launches "
            "another viewer",
            self._name,
            reason,
        )
        self._handlers.tell(CLOSED)


# ------------------------------------------------------------------------------------ what is asked


def _rate(rate: float) -> float:
    value = float(rate)
    if not 0 <= value < float("inf"):
        raise ValueError(f"rate must be 0 or more draws a second, not {rate!r}")
    return value


def _main_folder() -> str:
    """Where the main program's own modules are."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.dirname(os.path.abspath(file)) if file else os.getcwd()
