# SPDX-License-Identifier: MIT
"""What happens each time Qt calls: a turn, which is some iterations of asyncio's loop.

Between turns Qt waits. Whoever adds work then makes that a turn comes, by writing to the selector's
wake-up; within a turn, and until one comes, nobody needs to.

    waiting   Qt waits for us; `_is_waiting`, so that whoever adds work wakes it
    woken     a turn will come
    turning   `_turning`; a turn within, of a Qt loop that a callback runs, is put off

Knows a Pump and a selector; not what begins and ends a run.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from ringbridge.qt.eager import EagerTasks

_BUDGET_S = 0.001  # of one turn: then Qt's other events have theirs


class TurningLoop(EagerTasks):
    """The part of a loop on Qt that runs between its beginning and its end."""

    def __init__(self, selector: Any) -> None:
        self._pump: Any = None  # a Pump, while it runs on Qt
        self._armed = math.inf  # the time for which Qt will call us
        self._is_waiting = self._turning = self._put_off = False
        super().__init__(selector)

    def _finish(self) -> None:
        """stop() was called, and its iteration is over."""
        raise NotImplementedError

    def _break_off(self, error: BaseException) -> None:
        """A callback has raised what ends the run."""
        raise NotImplementedError

    def _turn(self) -> None:
        """Called by Qt. Raises nothing: the bindings end the process for what a slot raises."""
        if self._pump is None:
            return  # a call that was under way when it was stopped
        if self._turning:
            self._pump.listen(False)  # or Qt would call us again and again until it returns
            self._put_off = True
            return
        try:
            self._turning = True
            self._is_waiting = False
            outer = asyncio.current_task(self)
            if outer is None:
                self._run_ready()
            else:  # its first step, in a slot, has started a Qt loop: the others go on meanwhile
                asyncio.tasks._leave_task(self, outer)
                try:
                    self._run_ready()
                finally:
                    asyncio.tasks._enter_task(self, outer)
        except BaseException as error:
            self._break_off(error)
        finally:
            self._turning = False
            if self._put_off:
                self._put_off = False
                if self._pump is not None:
                    self._pump.listen(True)

    def _turn_in_time(self) -> None:
        self._armed = math.inf
        self._turn()

    def _run_ready(self) -> None:
        """Iterations until nothing is ready, or for long enough."""
        run_once = super()._run_once
        look = self._selector.look
        until = time.perf_counter() + _BUDGET_S
        while True:
            run_once()
            if self._stopping:
                self._finish()
                return
            if time.perf_counter() >= until:
                self._write_to_self()
                return
            # look() takes a wake-up in: what it announced is to be seen after it.
            if not self._ready and not look() and not self._ready and self._wait_for_timers():
                return

    def _wait_for_timers(self) -> bool:
        """From here on, Qt waits for us. False: no, the next one's time has come."""
        # Qt's timer is left at a time that has been cancelled: a turn for nothing costs less than
        # to set it with each timeout that an await begins and ends.
        if self._scheduled and (when := self._scheduled[0].when()) < self._armed:
            left = when - self.time()
            if left <= self._clock_resolution:
                return False
            self._pump.wake_in(left)
            self._armed = when
        self._is_waiting = True
        return True

    def _wake(self) -> None:
        """A turn shall come: as call_soon_threadsafe would bring about."""
        self._is_waiting = False
        self._write_to_self()

    # --------------------------------------------------------------------------- interleaved code

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """As asyncio's; from interleaved code, it wakes the loop."""
        if self._first is not None and (first := self._catch(callback, args, context)):
            return first
        handle: asyncio.Handle
        if self._debug or self._closed:
            handle = super().call_soon(callback, *args, context=context)
            _leave_out_frame(handle)
        else:  # what it does without all that it checks
            handle = self._call_soon(callback, args, context)
        if self._is_waiting:
            self._wake()
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As asyncio's; from interleaved code, it wakes the loop."""
        handle: asyncio.TimerHandle = super().call_at(when, callback, *args, context=context)
        _leave_out_frame(handle)
        if self._is_waiting:
            self._wake()
        return handle


def _leave_out_frame(handle: Any) -> None:
    """Of an override: who debugs wants to see the caller's."""
    if handle._source_traceback:
        del handle._source_traceback[-1]
