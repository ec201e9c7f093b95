# SPDX-License-Identifier: MIT
"""The relay beside the worker: `python -m ringbridge relay`, started by ssh. It is the host of an
ordinary local worker, and ends with the line.

    PREAMBLE, HELLO -> START -> the worker is found and started here -> FACTS -> frames -> END

Nothing but records goes to stdout; what anything here prints goes to stderr, which is ssh's.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ringbridge import _core, launch, plan
from ringbridge.discovery import find
from ringbridge.errors import EnvironmentNotFound, ProtocolError, RingbridgeError
from ringbridge.relay import records
from ringbridge.relay.line import Line, LineEnded
from ringbridge.relay.passing import Inward, Outward
from ringbridge.relay.records import End, Kind, Record, Side

_RUNS_LOOK_S = 0.02
_RUNS_SOON_S = 0.004  # as long as frames have just come
_QUIET_S = 1.0  # after which nobody looks at what runs until another frame comes
_OUTPUT_S = 5.0
_LAST_OUTPUT_S = 2.0


def main() -> int:
    """Serves the relay at the other end of stdin and stdout; returns when there is nothing left."""
    file, write_fd = _own_stdio()
    os.write(write_fd, b"\n" + records.PREAMBLE + b"\n")
    line = Line(file, write_fd, Side.NEAR)
    try:
        hello = {"protocol": records.PROTOCOL, "version": _core.VERSION}
        line.send(Kind.HELLO, records.json_body(hello))
        theirs = line.expect(Kind.HELLO)
        if theirs is None or records.document(theirs).get("protocol") != records.PROTOCOL:
            return 1  # that side says so to its user
        start = line.expect(Kind.START)
        if start is not None:
            _Far(line, records.document(start)).run()
    except LineEnded:
        return 1
    except ProtocolError as error:
        os.write(2, f"ringbridge relay: {error}\n".encode())
        return 1
    return 0


def _own_stdio() -> tuple[Any, int]:
    """Takes stdin and stdout for the records; what is left there is nothing, and stderr."""
    read_fd, write_fd = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(read_fd, "rb"), write_fd


def plan_of(wanted: Mapping[str, Any]) -> plan.Plan:
    """What is to be started here. Raises EnvironmentNotFound, and ValueError, TypeError for what is
    wrong with the rest."""
    kept = dict(wanted["kept"])
    return plan.Plan(
        name=str(wanted["name"]),
        environment=find(str(wanted["environment"])),
        base={**os.environ, **kept},
        wishes=plan.Wishes.of(wanted["environ"], tuple(wanted["keep_environ"]), wanted["threads"]),
        cwd=None if wanted["cwd"] is None else plan.folder("cwd", wanted["cwd"]),
        paths=plan.folders(wanted["paths"]),
        limits=plan.Limits(*wanted["limits"]),
        start_timeout_s=plan.start_timeout(wanted["start_timeout"]),
    )


class _Far:
    def __init__(self, line: Line, wanted: Mapping[str, Any]) -> None:
        self._line = line
        self._wanted = wanted
        self._start: launch.Start | None = None
        self._child: launch.Child | None = None
        self._gone = threading.Event()
        #: What ends us: the line's end (None), or what went wrong.
        self._endings: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._ready = threading.Event()  # the reader may pass on what comes

    def run(self) -> None:
        self._begin(self._read)
        child = self._started()
        if child is None:
            return
        try:
            self._serve(child)
        finally:
            child.kill()  # it, and what it has started
            child.close()

    def _started(self) -> launch.Child | None:
        try:
            start = self._start = launch.Start(plan_of(self._wanted))
            if self._gone.is_set():
                start.abandon()
            child = self._child = start.run()
        except (RingbridgeError, ValueError, TypeError, KeyError) as error:
            name = type(error).__name__ if isinstance(error, RingbridgeError) else ""
            text = repr(error) if isinstance(error, KeyError) else str(error)
            if isinstance(error, EnvironmentNotFound):
                text += (
                    "\n  (all of it over there: the address names an environment of that machine)"
                )
            with contextlib.suppress(LineEnded):
                self._line.send(Kind.FAILED, records.json_body({"error": name, "text": text}))
            return None
        return child

    def _serve(self, child: launch.Child) -> None:
        passage = _core.Passage(child.channel)
        self._outward = Outward(passage, self._line)
        self._inward = Inward(passage, self._line, self._outward, self._in_turn)
        peer = child.channel.peer
        facts = {**peer, "prefix": child.plan.environment.prefix}
        self._line.send(Kind.FACTS, records.json_body(facts))
        self._printing = self._begin(self._pass_output)  # what it prints comes after FACTS
        self._ready.set()
        for work in (self._outward.run, self._inward.run, lambda: self._tell_runs(passage)):
            self._begin(work)
        error = self._endings.get()
        if isinstance(error, ProtocolError) and child.channel.alive:
            raise error
        if error is not None and not self._gone.is_set():
            self._tell_end(child)

    def _begin(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guarded, args=(work,), daemon=True)
        thread.start()
        return thread

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except LineEnded:
            self._line_ended()
        except Exception as error:
            self._endings.put(error)

    def _line_ended(self) -> None:
        self._gone.set()
        start = self._start
        if start is not None and self._child is None:
            start.abandon()
        self._endings.put(None)

    # ------------------------------------------------------------------------------- what comes

    def _read(self) -> None:
        record = self._line.receive()
        if record is None:  # before there is a worker
            self._line_ended()
            return
        self._ready.wait()
        while record is not None:
            self._on_record(record)
            record = self._line.receive()
        self._line_ended()

    def _on_record(self, record: Record) -> None:
        """Never waits."""
        assert self._child is not None
        if record.kind in (Kind.FRAME, Kind.MORE, Kind.GOODBYE):
            self._inward.accept(record)
        elif record.kind is Kind.CREDIT:
            self._outward.window.grant(records.credit(record))
        elif record.kind is Kind.CANCEL:
            with contextlib.suppress(RingbridgeError):  # it has ended: that is told soon
                self._child.channel.cancel(*records.cancel(record))
        elif record.kind is Kind.SIGNAL and record.body[0] == signal.SIGTERM:
            with contextlib.suppress(RingbridgeError):
                self._child.channel.kill(signal.SIGTERM, False)
        else:
            raise ProtocolError(f"a record {record.kind.name} out of turn")

    def _in_turn(self, record: Record | None) -> None:
        """After the frames that came before it."""
        assert self._child is not None
        if record is not None:  # GOODBYE
            self._child.channel.say_goodbye()

    # ------------------------------------------------------------------------------ what is told

    def _pass_output(self) -> None:
        assert self._child is not None
        while True:
            piece = self._child.channel.read_output(_OUTPUT_S)
            if piece is None:
                return
            if piece[1] or piece[2]:
                stream, data, lost = piece
                self._line.send(Kind.OUTPUT, records.output_body(stream or 2, lost, data))

    def _tell_runs(self, passage: _core.Passage) -> None:
        """As long as there is something to tell; a call shorter than a look is never told of."""
        told: tuple[int, ...] = ()
        items = 0  # each makes the near side guess that its stream goes on
        moved = self._inward.moved
        while True:
            moved.wait()
            until = time.monotonic() + _QUIET_S
            while told or time.monotonic() < until:
                if moved.is_set():
                    moved.clear()
                    until = time.monotonic() + _QUIET_S
                gone, runs = self._outward.items, passage.running()
                if runs != told or gone != items:
                    body = records.runs_body(runs)
                    self._outward.window.take(records.cost(len(body)))
                    self._line.send(Kind.RUNS, body)
                    told, items = runs, gone
                    until = time.monotonic() + _QUIET_S
                just_now = time.monotonic() < until - _QUIET_S + _RUNS_LOOK_S
                time.sleep(_RUNS_SOON_S if just_now else _RUNS_LOOK_S)

    def _tell_end(self, child: launch.Child) -> None:
        """The worker has ended, and all that it sent before has gone to the line."""
        status = child.channel.wait_end(_LAST_OUTPUT_S)
        self._printing.join(_LAST_OUTPUT_S)
        known, signalled, code, _dumped = status or (False, False, 0, False)
        end = End(known, signalled, code, child.pid)
        with contextlib.suppress(LineEnded):
            self._line.send(Kind.END, records.end_body(end))
