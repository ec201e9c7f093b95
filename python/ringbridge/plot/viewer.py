# SPDX-License-Identifier: MIT
"""A viewer: the process with the window. Follows a computation and lets a view draw its frames.

    JOINED   WELCOME      -> SHOWING   the view is made, its windows are shown
    SHOWING  letters, frames, the timer, what the user does: each of them is a turn
             END or EOF   -> ENDING    no letter comes any more
    ENDING   all is drawn -> HELD      where the window is to stay; its title says so
                          -> OVER      where not
    any      the user has closed the last window, Ctrl-C, the view has raised -> OVER
    OVER     GONE has been said, where somebody hears it; the loop ends

A turn reads what has come, draws one frame if it is time, and answers what waited for that. Then it
is due again at the time of the next draw, if it has drawn; else a descriptor wakes it. The frames'
descriptor is armed only then, so that a computation that is quicker than the window wakes nobody.

What the view's code does amid its draw may run the event loop: a turn inside of a turn does nothing
but to come again later, and the letters are not watched until then. One thread, the main one.
"""

from __future__ import annotations

import enum
import logging
import select
import time
from typing import TYPE_CHECKING, Any

from ringbridge import _core
from ringbridge.errors import ProtocolError
from ringbridge.plot import (
    emitting,
    view_loading,
    viewer_events,
    viewer_output,
    viewer_windows,
)
from ringbridge.plot.follower import Follower, Frame
from ringbridge.plot.letters import Kind, Letter, Letters, entry, told
from ringbridge.plot.meeting import meet
from ringbridge.plot.questions import Questions, error_text
from ringbridge.plot.viewer_loops import Loop, interrupts, loop_for
from ringbridge.plot.viewer_windows import Windows
from ringbridge.rendezvous import Address

if TYPE_CHECKING:
    from collections.abc import Mapping

RATE = 30.0  # draws a second, where nobody has said
#: What a computation that does not read its events may have waiting; later ones are lost.
EVENT_BYTES_MAX = 4 << 20
_PERIOD_MAX_S = 3600.0
_OVERTAKEN_NAP_S = 0.005
_FAREWELL_S = 2.0
_FAILED, _INTERRUPTED = 1, 130  # exit statuses
_ENDED = " (the computation has ended)"

_logger = logging.getLogger("ringbridge.plot")


class _State(enum.Enum):
    JOINED = enum.auto()
    SHOWING = enum.auto()
    ENDING = enum.auto()
    HELD = enum.auto()
    OVER = enum.auto()


def main(settings: Mapping[str, Any]) -> int:
    """Runs a viewer to its end; returns the process's exit status.

    settings  address: {"name", "pid", "path"} of the computation; name: what to call this viewer;
              view, hold, rate: in the place of what the computation says, or None

    Raises what `meet` raises. Status 0: the computation has ended, or the window was closed; 1: the
    view has raised, or the computation has said what it cannot; 130: Ctrl-C.
    """
    viewer_output.outlive_reader()
    letters = meet(Address(**settings["address"]), settings["name"])
    options = {key: settings.get(key) for key in ("view", "hold", "rate")}
    return Viewer(letters, **options).run()


class Viewer:
    """Owns the letters. view, hold, rate: None for what the computation says."""

    def __init__(
        self,
        letters: Letters,
        *,
        view: Mapping[str, Any] | None = None,
        hold: bool | None = None,
        rate: float | None = None,
    ) -> None:
        self._letters = letters
        self._spec, self._hold_here, self._rate_here = view, hold, rate
        self._hold = False
        self._period_s = 0.0
        self._title = ""
        self._follower = Follower(letters, self._subscribe)
        self._questions = Questions(letters, lambda: self._follower.counts)
        self._state = _State.JOINED
        self._hears = True  # whether letters may come
        self._view: Any = None
        self._windows: Windows | None = None
        self._loop: Loop | None = None
        self._draw_at = 0.0
        self._turning = False
        self._again = False
        self._warned = False
        self._status = 0

    def run(self) -> int:
        """From the first letter to the end; the exit status."""
        emitting.begin(self._send_event)
        try:
            first = self._first_letters()
            if self._make_view(first[0]):
                self._show(first[1:])
        except (EOFError, ProtocolError) as error:
            self._failed(str(error))
        except KeyboardInterrupt:
            self._interrupted()
        except Exception as error:  # of the toolkit, when the windows are shown
            self._failed(error_text(error))
        finally:
            emitting.end()
            if self._loop is not None:  # first: nothing that is closed may still be watched
                self._loop.close()
            self._follower.close()
            if self._windows is not None:
                self._windows.close()
            self._farewell()
            self._letters.close()
        return self._status

    # ---------------------------------------------------------------------------- the beginning

    def _first_letters(self) -> list[Letter]:
        while True:
            letters = self._follower.hear()
            if letters:
                return letters
            select.select([self._letters], [], [])

    def _make_view(self, welcome: Letter) -> bool:
        (said,) = told(welcome.values, dict)[:1]
        rate = entry(said, "rate", float, RATE) if self._rate_here is None else self._rate_here
        self._period_s = min(1.0 / rate, _PERIOD_MAX_S) if rate > 0 else 0.0
        self._hold = entry(said, "hold", bool, False)
        self._title = entry(said, "title", str, "") or entry(said, "name", str, "")
        viewer_windows.choose_without_screen()
        try:
            make = view_loading.load(self._spec or entry(said, "view", dict, {}))
            viewer_windows.make_ready(make)
            before = viewer_windows.pyplot_managers()
            self._view = make()
            self._windows = Windows(self._view, before)
            self._loop = loop_for(self._windows.toolkit)
        except KeyboardInterrupt:
            self._interrupted()
        except view_loading.ViewError as error:
            self._failed(f"the view could not be made: {error}")
        except (Exception, SystemExit) as error:
            self._failed(f"the view could not be made\n{error_text(error)}")
        return self._loop is not None

    def _show(self, letters: list[Letter]) -> None:
        loop, windows = self._loop, self._windows
        assert loop is not None and windows is not None
        self._state = _State.SHOWING
        viewer_windows.print_what_slots_raise()
        with interrupts(loop, self._interrupted):
            windows.show(self._title, self._closed)
            held = viewer_events.connect(windows, self._send_event)
            if self._follower.source is not None:
                loop.watch(self._follower.source.fileno(), self._nudged)
            self._sort(letters)
            loop.call_at(0.0, self._turn)
            status = loop.run()
            if self._state is not _State.OVER:  # somebody has ended the toolkit's loop
                self._over(status, "closed")
            del held

    def _subscribe(self, memory: int, reader: int, nudge: int) -> _core.Subscriber:
        loop, old = self._loop, self._follower.source
        if loop is not None and old is not None:
            loop.watch(old.fileno(), None)
        source = _core.Subscriber(memory, reader, nudge)
        if loop is not None:
            loop.watch(source.fileno(), self._nudged)
        return source

    # ----------------------------------------------------------------------------------- a turn

    def _nudged(self) -> None:
        source = self._follower.source
        if source is not None and not source.forget() and self._loop is not None:
            self._loop.watch(source.fileno(), None)
        self._turn()

    def _turn(self) -> None:
        if self._turning:
            self._again = True
            if self._loop is not None:  # what stays ready keeps Tk's update() from ever ending
                self._loop.watch(self._letters.fileno(), None)
            return
        self._turning, self._again = True, False
        try:
            if self._state is not _State.OVER:
                self._work()
        except KeyboardInterrupt:
            self._interrupted()
        except ProtocolError as error:
            self._failed(str(error))
        except Exception as error:  # a toolkit would print it, and go on
            self._failed(error_text(error))
        finally:
            self._turning = False
        if self._again and self._loop is not None:
            self._loop.call_at(0.0, self._turn)

    def _work(self) -> None:
        self._listen()
        frame = self._next_frame() if time.monotonic() >= self._draw_at else None
        if frame is not None:
            self._draw(frame)
        if self._state is _State.OVER or self._windows is None:
            return
        self._questions.answer(self._windows, self._follower.drawn)
        self._plan(frame is not None)

    def _listen(self) -> None:
        if self._hears and not self._follower.is_full:
            try:
                self._sort(self._follower.hear())
            except EOFError:
                self._no_more_letters()

    def _sort(self, letters: list[Letter]) -> None:
        for letter in letters:
            if letter.kind is Kind.ASK:
                self._questions.add(letter)
            else:
                (self._hold,) = told(letter.values, bool)[:1]
                self._no_more_letters()

    def _no_more_letters(self) -> None:
        self._hears = False
        self._follower.no_more_letters()
        if self._state is _State.SHOWING:
            self._state = _State.ENDING

    def _next_frame(self) -> Frame | None:
        """Arms, where there is none."""
        for _ in range(2):
            frame = self._follower.next()
            if frame is not None or self._follower.arm():
                return frame
        # The newest waits for a kept one, and is overtaken meanwhile: let letters and windows work.
        self._draw_at = time.monotonic() + _OVERTAKEN_NAP_S
        return None

    def _draw(self, frame: Frame) -> None:
        assert self._windows is not None
        begun = time.monotonic()
        emitting.set_frame_number(frame.number)
        try:
            with viewer_windows.no_drawing_behind():
                self._view.draw(*frame.values, **frame.named)
                for figure in self._windows.adopt():
                    viewer_events.connect_figure(self._windows, figure, self._send_event)
                self._windows.refresh()
        except (Exception, SystemExit) as error:
            self._failed(f"the view could not draw frame {frame.number}\n{error_text(error)}")
        self._draw_at = max(begun + self._period_s, time.monotonic())

    def _plan(self, has_drawn: bool) -> None:
        """What the next turn waits for."""
        loop, windows = self._loop, self._windows
        assert loop is not None and windows is not None
        hears = self._hears and not self._follower.is_full
        loop.watch(self._letters.fileno(), self._turn if hears else None)
        self._watch_room()
        if has_drawn or time.monotonic() < self._draw_at:
            loop.call_at(self._draw_at, self._turn)
        elif self._state is _State.ENDING:
            self._questions.give_up("the plot has ended")
            hold = self._hold if self._hold_here is None else self._hold_here
            if hold and windows.on_screen:
                self._state = _State.HELD
                viewer_output.let_go()
                windows.add_to_title(_ENDED)
            else:
                self._over(0)

    def _watch_room(self) -> None:
        """Whether what is to be sent waits for the computation to read."""
        if self._loop is not None:
            waits = self._letters.flush()
            self._loop.watch_room(self._letters.fileno(), self._watch_room if waits else None)

    # ---------------------------------------------------------------------- events, and the end

    def _send_event(self, name: str, *values: Any) -> None:
        """Raises CannotCross."""
        if self._state is _State.OVER:
            return
        if self._letters.waiting_bytes > EVENT_BYTES_MAX:
            if not self._warned:
                self._warned = True
                _logger.warning("the computation does not read its events: some are lost")
            return
        self._letters.post(Kind.EVENT, name, *values)
        self._watch_room()

    def _closed(self) -> None:
        self._send_event("close")
        self._over(0, "closed")

    def _interrupted(self) -> None:
        self._over(_INTERRUPTED, "closed")

    def _failed(self, text: str) -> None:
        _logger.error("%s", text)
        self._over(_FAILED, text)

    def _over(self, status: int, reason: str = "") -> None:
        if self._state is _State.OVER:
            return
        self._state, self._status = _State.OVER, status
        if reason:
            self._letters.post(Kind.GONE, reason)
        if self._loop is not None:
            self._loop.stop(status)

    def _farewell(self) -> None:
        """The last words are sent, if the computation reads them before long."""
        until = time.monotonic() + _FAREWELL_S
        while self._letters.flush() and time.monotonic() < until:
            select.select([], [self._letters], [], max(until - time.monotonic(), 0.0))
