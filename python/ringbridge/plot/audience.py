# SPDX-License-Identifier: MIT
"""The viewers of one plot, from the computation's side: a thread that writes to them and hears.

    other threads --commands--> the thread: lets in, tells of moved memory, asks, sends kept frames
    viewers       --letters-->              events -> Audience.event; answers -> Question.settle
    its process   --output, end-->          Launched

Nothing here makes an update wait. An attached viewer that does not read what is kept for it is sent
away beyond `BEHIND_BYTES_MAX`; for the launched one, who keeps is told.

Why the launched viewer has gone is in its last letter, or else in how its process ended.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import selectors
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from ringbridge import threads
from ringbridge.errors import ProtocolError, RingbridgeError
from ringbridge.plot.asking import Question, ViewerError
from ringbridge.plot.joined import CUT_OFF, Viewer
from ringbridge.plot.launched import Launched
from ringbridge.plot.letters import Kind, Letter, Letters, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge import _core
    from ringbridge.plot.viewer_process import ViewerProcess

#: Kept frames and questions that a viewer has not read.
BEHIND_BYTES_MAX = 256 << 20
_FAREWELL_S = 1.0  # for what is on its way to viewers, at the end


_logger = logging.getLogger("ringbridge.plot")


class Listener(Protocol):
    """What an audience tells. On its thread."""

    def event(self, name: str, values: tuple[Any, ...]) -> None:
        """A user has done something in a viewer."""

    def left(self, reason: str, own: bool) -> None:
        """A viewer has gone, which nobody has told to. own: the launched one."""


class Audience:
    """Started by `start`, ended by `close`. What is public is for any thread."""

    def __init__(
        self,
        name: str,
        publisher: _core.Publisher,
        welcome: dict[str, Any],
        listener: Listener,
        kept: Callable[[], int],
    ) -> None:
        """kept: how many frames have been kept so far."""
        self._kept = kept
        self._name = name
        self._publisher = publisher
        self._welcome = welcome
        self._listener = listener
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._viewers: list[Viewer] = []
        self._launched = Launched(name, self._selector, self._process_has_ended)
        self._problem = "it has no viewer: launch one with reopen(), or attach one"
        self._waiting: list[Question] = []  # for the launched viewer to join
        self._kept_bytes = 0  # of kept frames that other threads have handed over
        self._counting = threading.Lock()
        self._over = threading.Event()  # the thread has ended, or is about to
        self._ended = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        _audiences.add(self)
        self._selector.register(self._woken, selectors.EVENT_READ, self._hear_commands)
        self._thread = threads.start(self._run, f"ringbridge viewers of {self._name}")

    @property
    def viewers(self) -> list[Viewer]:
        """Those that are there."""
        return list(self._viewers)

    @property
    def behind_bytes(self) -> int:
        """What has been kept for the launched viewer, and has not been read."""
        own = [each.letters.waiting_bytes for each in list(self._viewers) if each.own]
        return self._kept_bytes + sum(own)

    @property
    def open(self) -> bool:
        """Whether the launched viewer is there, or starts."""
        return self._launched.open

    # --------------------------------------------------------------------- from other threads

    def _do(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        with contextlib.suppress(BlockingIOError, OSError):  # full: it is awake; closed: it ended
            self._wake.send(b"\0")
        if self._over.is_set():
            self._obey()  # each once, whoever takes it

    def let_in(self, sock: socket.socket, label: str, pid: int, own: bool) -> None:
        """A viewer, over its letters' socket, which is owned from here on."""
        self._do(lambda: self._join(Viewer(Letters(sock, takes_fds=False), label, pid, own)))

    def moved(self) -> None:
        """The frames have moved to other memory."""
        self._do(self._tell_moved)

    def send_kept(self, frame: bytes) -> None:
        """A frame of update(keep=True), which each viewer has to draw."""
        with self._counting:
            self._kept_bytes += len(frame)
        self._do(lambda: self._send_kept(frame))

    def ask(self, question: Question, viewer: Viewer | None = None) -> None:
        """Has it settled: by that viewer; else by the launched one, or the first of others."""
        self._do(lambda: self._ask(question, viewer))

    @property
    def ended(self) -> bool:
        return self._ended

    def starts(self) -> bool:
        """A viewer is to be launched: `launched` or `not_launched` follows. False: one is there."""
        return self._launched.starts()

    def launched(self, process: ViewerProcess) -> None:
        self._do(lambda: self._watch(process))

    def not_launched(self, error: Exception) -> None:
        self._do(lambda: self._own_gone(str(error)))

    def close(self, hold: bool, grace_s: float) -> None:
        """Tells viewers of the end, sends what is on its way, and ends the launched process, or
        with hold lets go of it. Idempotent."""
        if self._thread is None:
            return
        if not self._ended:
            self._do(lambda: self._end(hold))
        if self._thread is not threading.current_thread():
            self._thread.join(grace_s + _FAREWELL_S)
        self._launched.end(hold, grace_s)

    # --------------------------------------------------------------------------- its own thread

    def _run(self) -> None:
        try:
            while not self._ended:
                nap_s = self._launched.nap_s
                for key, _ in self._selector.select(nap_s):
                    key.data()
                if nap_s is not None:
                    self._launched.look()
            self._send_the_rest()
        except Exception:
            _logger.exception("the thread of the viewers of %s failed", self._name)
        finally:
            self._ended = True
            self._over.set()
            self._obey()
            for viewer in list(self._viewers):
                self._part(viewer)
            self._fail_waiting(ViewerError(f"the plot {self._name} is closed"))
            self._selector.close()
            self._woken.close()
            self._wake.close()

    def _hear_commands(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        self._obey()

    def _obey(self) -> None:
        while self._commands:
            try:
                command = self._commands.popleft()
            except IndexError:  # another thread has it, at the end
                return
            command()

    # ------------------------------------------------------------------------ viewers come and go

    def _join(self, viewer: Viewer) -> None:
        if self._ended:
            viewer.letters.close()
            return
        self._viewers.append(viewer)
        self._selector.register(
            viewer.letters, selectors.EVENT_READ, lambda: self._hear_viewer(viewer)
        )
        viewer.letters.post(Kind.WELCOME, {**self._welcome, "kept": self._kept()})
        self._give_memory(viewer)
        _logger.debug("viewer %s has joined the plot %s", viewer, self._name)
        if viewer.own:
            self._launched.joined()
            waiting, self._waiting = self._waiting, []
            for question in waiting:
                self._ask(question, viewer)

    def _give_memory(self, viewer: Viewer) -> None:
        if viewer.ticket is not None:  # of before the move, or of this one, told twice
            self._publisher.drop_reader(viewer.ticket)
        try:
            viewer.ticket, memory, reader, wait = self._publisher.add_reader()
        except (RingbridgeError, OSError) as error:
            viewer.ticket = None
            viewer.why_gone = str(error)
            self._gone(viewer)
        else:
            viewer.letters.post(Kind.MEMORY, reader, fds=(memory, wait))
            self._after_posting(viewer)

    def _tell_moved(self) -> None:
        for viewer in () if self._ended else list(self._viewers):
            self._give_memory(viewer)

    def _part(self, viewer: Viewer) -> None:
        self._viewers.remove(viewer)
        self._selector.unregister(viewer.letters)
        viewer.close()
        if viewer.ticket is not None:
            self._publisher.drop_reader(viewer.ticket)

    def _gone(self, viewer: Viewer) -> None:
        """It has left, or is sent away."""
        self._part(viewer)
        if not viewer.own:
            self._listener.left(f"the {viewer}: {viewer.why_gone or CUT_OFF}", own=False)
        elif viewer.why_gone or not self._launched.runs:
            self._own_gone(viewer.why_gone or CUT_OFF)
        else:  # its process is about to end, and that says how
            self._launched.expect_end(CUT_OFF)

    # ------------------------------------------------------------------------------ their letters

    def _hear_viewer(self, viewer: Viewer) -> None:
        if self._read(viewer):
            self._after_posting(viewer)
        elif viewer in self._viewers:
            self._gone(viewer)

    def _read(self, viewer: Viewer) -> bool:
        """Takes what has come. False: nothing will come any more."""
        try:
            for letter in viewer.letters.read():
                self._take(viewer, letter)
        except EOFError:
            return False
        except Exception as error:  # whatever one of them sends, the others stay
            viewer.why_gone = viewer.why_gone or f"it has sent what is no letter: {error}"
            return False
        return True

    def _take(self, viewer: Viewer, letter: Letter) -> None:
        if letter.kind is Kind.ANSWER:
            viewer.hear_answer(letter)
        elif letter.kind is Kind.EVENT:
            (name,) = told(letter.values, str)[:1]
            self._listener.event(name, letter.values[1:])
        elif letter.kind is Kind.GONE:
            viewer.hear_farewell(letter)
        else:
            raise ProtocolError(f"a viewer has sent {letter.kind.name}")

    def _after_posting(self, viewer: Viewer) -> None:
        """Sees whether the socket's room is to be waited for, and who is too far behind."""
        if viewer not in self._viewers:
            return
        behind = viewer.letters.waiting_bytes
        if behind > BEHIND_BYTES_MAX and not viewer.own:
            viewer.why_gone = f"it has not read {behind >> 20} MiB that were kept for it"
            self._gone(viewer)
            return
        writing = viewer.letters.flush()
        if writing != viewer.writing:
            viewer.writing = writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            self._selector.modify(viewer.letters, events, lambda: self._hear_viewer(viewer))

    def _send_kept(self, frame: bytes) -> None:
        with self._counting:
            self._kept_bytes -= len(frame)
        for viewer in () if self._ended else list(self._viewers):
            viewer.letters.post_packed(Kind.KEPT, frame)
            self._after_posting(viewer)

    # -------------------------------------------------------------------------------- questions

    def _ask(self, question: Question, viewer: Viewer | None) -> None:
        asked = viewer or self._own()
        if asked is None and not self.open and self._viewers:
            asked = self._viewers[0]
        if self._ended:
            question.fail(ViewerError(f"the plot {self._name} is closed"))
        elif asked in self._viewers:
            asked.ask(question)
            self._after_posting(asked)
        elif asked is None and self.open:  # it is on its way
            self._waiting.append(question)
        else:
            question.fail(ViewerError(f"the plot {self._name} cannot: {self._problem}"))

    def _own(self) -> Viewer | None:
        return next((each for each in self._viewers if each.own), None)

    def _fail_waiting(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            question.fail(error)

    # ------------------------------------------------------------------------ the launched viewer

    def _watch(self, process: ViewerProcess) -> None:
        if self._ended:
            process.end(0.0)
            process.close()
        else:
            self._launched.watch(process)

    def _process_has_ended(self, how: str) -> None:
        own = self._own()
        if own is None:
            self._own_gone(how)
        else:
            self._read(own)  # its last letters
            own.why_gone = own.why_gone or how
            self._part(own)
            self._own_gone(own.why_gone)

    def _own_gone(self, reason: str) -> None:
        """It is there no more, and was not told to go."""
        if self._ended:
            return
        self._launched.gone()
        self._problem = f"its viewer has gone: {reason}"
        self._listener.left(reason, own=True)  # first, so that who waited finds it logged
        self._fail_waiting(ViewerError(f"the plot {self._name} cannot: {self._problem}"))

    # ------------------------------------------------------------------------------------- the end

    def _end(self, hold: bool) -> None:
        self._ended = True
        for viewer in list(self._viewers):
            viewer.letters.post(Kind.END, hold)

    def forget(self) -> None:
        """In a forked child: with its copies of the sockets, its parent's end would be heard by
        nobody. Takes nothing off the selector: its list in the kernel is the parent's, too."""
        for viewer in self._viewers:
            viewer.letters.forget()
        self._woken.close()
        self._wake.close()
        self._launched.forget()

    def _send_the_rest(self) -> None:
        deadline = time.monotonic() + _FAREWELL_S
        left = [each for each in self._viewers if each.letters.flush()]
        while left and time.monotonic() < deadline:
            time.sleep(0.002)
            left = [each for each in left if each.letters.flush()]


_audiences: weakref.WeakSet[Audience] = weakref.WeakSet()


def _in_forked_child() -> None:
    for audience in list(_audiences):
        audience.forget()


os.register_at_fork(after_in_child=_in_forked_child)
