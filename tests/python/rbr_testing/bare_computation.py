# SPDX-License-Identifier: MIT
"""A computation with nothing but what a viewer needs of one: a door, a publisher, letters.

It does at once what it is told to, in the test's own thread, and waits for a viewer's letters with
a deadline. What a viewer is told by it is what the letters' description says, and no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rbr_testing.eventually import LONG_S
from ringbridge import _core, rendezvous
from ringbridge.plot.letters import Kind, Letter, Letters

NAME = "bare"
#: What a viewer's process runs; the settings are its only argument.
RUN = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
from ringbridge.plot.viewer import main
sys.exit(main(json.loads({!r})))
"""


class BareComputation:
    """One plot. `view` and others of the welcome are keywords."""

    def __init__(self, **welcome: Any) -> None:
        self.welcome = {"name": NAME, "title": "", "rate": 30.0, "hold": False, **welcome}
        self._woken, wake = socket.socketpair()
        with wake:
            self.publisher = _core.Publisher(wake.fileno())
        self._moves = 0
        self.letters: Letters | None = None
        self.heard: list[Letter] = []
        self._ticket = 0
        self._questions = 0
        address = rendezvous.address_of(NAME, os.getpid())
        self.address = {"name": address.name, "pid": address.pid, "path": address.path}
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.bind(address.path)
        self._door.listen(1)
        self._door.settimeout(LONG_S)

    # ------------------------------------------------------------------------------ the meeting

    def start(self, *, command: list[str] | None = None, **settings: Any) -> subprocess.Popen[str]:
        """A viewer's process, which has not knocked yet."""
        environ = {**os.environ, "MPLBACKEND": "Agg", **settings.pop("environ", {})}
        told = {"name": "a test", "address": self.address, **settings}
        program = command or [sys.executable, "-c"]
        return subprocess.Popen(
            [*program, RUN.format(json.dumps(told))],
            env={key: value for key, value in environ.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def let_in(self) -> None:
        """Welcomes the next one that knocks, and gives it the frames."""
        visitor, _ = self._door.accept()
        with visitor:
            visitor.settimeout(LONG_S)
            self.knock = json.loads(visitor.recv(rendezvous.KNOCK_BYTES_MAX))
            visitor.send(json.dumps({"ringbridge": rendezvous.PROTOCOL, "ok": {}}).encode())
            ours, theirs = socket.socketpair()
            with theirs:
                socket.send_fds(visitor, [b"stream"], [theirs.fileno()])
        self.letters = Letters(ours, takes_fds=False)
        self.letters.post(Kind.WELCOME, {**self.welcome, "kept": self.publisher.kept})
        self.give_memory()

    def give_memory(self) -> None:
        assert self.letters is not None
        self._moves = self.publisher.moves
        self._ticket, memory, reader, wait = self.publisher.add_reader()
        self.letters.post(Kind.MEMORY, reader, fds=(memory, wait))

    # --------------------------------------------------------------------------------- its work

    def update(self, *values: Any, **named: Any) -> int:
        number = self.publisher.update(*values, **named)
        if self.publisher.moves != self._moves and self.letters is not None:
            self.give_memory()
        return number

    def keep(self, *values: Any, **named: Any) -> int:
        assert self.letters is not None
        number = self.publisher.update_kept(*values, **named)
        if self.publisher.moves != self._moves:
            self.give_memory()
        frame = self.publisher.take_kept()
        assert frame is not None
        self.letters.post_packed(Kind.KEPT, frame)
        return number

    def end(self, hold: bool = False) -> None:
        assert self.letters is not None
        self.letters.post(Kind.END, hold)

    def ask(self, what: str, number: int, *more: Any) -> Any:
        """The answer; AssertionError with the reason where there is none."""
        good, value = self.answer_to(what, number, *more)
        assert good, value
        return value

    def answer_to(self, what: str, number: int, *more: Any) -> tuple[bool, Any]:
        assert self.letters is not None
        self._questions += 1
        self.letters.post(Kind.ASK, what, number, *more, number=self._questions)
        letter = self.hear(Kind.ANSWER)
        assert letter.number == self._questions
        good, value = letter.values
        return good, value

    # --------------------------------------------------------------------------- what it is told

    def hear(self, kind: Kind, name: str | None = None) -> Letter:
        """The next letter of that kind (an event of that name); others stay for later."""
        end = time.monotonic() + LONG_S
        while True:
            for letter in self.heard:
                if letter.kind is kind and (name is None or letter.values[0] == name):
                    self.heard.remove(letter)
                    return letter
            try:
                self._listen(end)
            except EOFError:
                raise AssertionError(f"the viewer has left: {self.heard}") from None

    def hear_end(self) -> None:
        """Until the viewer has left."""
        end = time.monotonic() + LONG_S
        with contextlib.suppress(EOFError):
            while True:
                self._listen(end)

    def _listen(self, end: float) -> None:
        assert self.letters is not None
        writes = [self.letters] if self.letters.flush() else []
        left = end - time.monotonic()
        assert left > 0, f"nothing came for {LONG_S} s; before that: {self.heard}"
        select.select([self.letters], writes, [], left)
        self.heard += self.letters.read()

    def close(self) -> None:
        self._door.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.address["path"])
        if self.letters is not None:
            self.letters.close()
        self.publisher.close()
        self._woken.close()


@contextlib.contextmanager
def viewed(
    *,
    command: list[str] | None = None,
    settings: dict[str, Any] | None = None,
    environ: dict[str, str | None] | None = None,
    **welcome: Any,
) -> Iterator[tuple[BareComputation, subprocess.Popen[str]]]:
    """A computation with one viewer that has joined."""
    there = BareComputation(**welcome)
    with contextlib.closing(there):
        process = there.start(command=command, environ=environ or {}, **(settings or {}))
        with process:
            try:
                there.let_in()
                yield there, process
            finally:
                process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How the viewer has ended, and what it wrote to stderr."""
    _, said = process.communicate(timeout=LONG_S)
    return process.returncode, said


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


# ------------------------------------------------------------------------ views of plot_views.py

TESTS = Path(__file__).resolve().parents[1]


def view(name: str) -> dict[str, Any]:
    return {"module": "rbr_testing.plot_views", "class": name, "paths": [str(TESTS)]}


def grey(array: Any) -> Any:
    """The pixels of a snapshot of Wave that shows it."""
    import numpy

    levels = numpy.round(numpy.asarray(array) * 255).astype("u1")
    opaque = numpy.full_like(levels, 255)
    return numpy.stack([levels, levels, levels, opaque], axis=-1)


def cells(seed: int) -> Any:
    """One number for each of Wave's pixels; what a colour map of 256 levels keeps exactly."""
    import numpy

    return numpy.random.default_rng(seed).integers(0, 256, (30, 40)) / 255
