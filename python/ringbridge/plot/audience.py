# SPDX-License-Identifier: MIT
"""The viewers of one plot, from the computation's side: a thread that writes to them and hears.

    other threads --commands--> the thread: lets in, asks
    Publisher     --a byte-->               tells of moved memory, sends kept frames
    viewers       --letters-->              events -> Listener.event; answers -> Question.settle
    its process   --output, end-->          Launched

Nothing here makes an update wait. An attached viewer that does not read what is kept for it is sent
away beyond `BEHIND_BYTES_MAX`; for the launched one, who keeps is told. What is kept while that one
starts waits here for it: its first draw may be of the first frame of all.

Why the launched viewer has gone is in its last letter, or else in how its process ended.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from ringbridge import _core, threads
from ringbridge.errors import ProtocolError, RingbridgeError
from ringbridge.plot.asking import Question, ViewerError
from ringbridge.plot.commands import Commands
from ringbridge.plot.joined import CUT_OFF, Viewer, send_rest
from ringbridge.plot.kept import Kept
from ringbridge.plot.launched import Launched
from ringbridge.plot.letters import Kind, Letter, Letters, told

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ringbridge.plot.viewer_process import ViewerProcess

#: Kept frames and questions that a viewer has not read.
BEHIND_BYTES_MAX = 256 << 20
_FRAMES_MAX = 100  # of a turn: a quick computation must not keep the thread from viewers
_FRAMES_LEFT_MAX = 1 << 20  # at the end
_FAREWELL_S = 1.0  # for what is on its way to viewers, at the end
_END_S = 5.0  # for the launched one to draw it, and to end
_JOIN_S = 30.0  # for the launched one to start, where there is something to draw at the end

_logger = logging.getLogger("ringbridge.plot")


class Listener(Protocol):
    """What an audience tells. On its thread."""

    def event(self, name: str, values: tuple[Any, ...], size: int) -> None:
        """A user has done something in a viewer. size: bytes that were sent of it."""

    def left(self, reason: str, own: bool) -> None:
        """A viewer has gone, which nobody has told to. own: the launched one."""


class Audience:
    """Started by `start`, ended by `close`. What is public is for any thread; in a forked child
    what asks or launches raises RingbridgeError."""

    def __init__(
        self, name: str, welcome: dict[str, Any], listener: Listener, kept: int = 0
    ) -> None:
        """kept: how many frames were kept before."""
        self.name = name
        self._welcome = welcome
        self._listener = listener
        self._commands = Commands()
        self.publisher = _core.Publisher(self._commands.wake_fileno())
        self._kept = Kept(self.publisher, kept)
        self._moves = 0  # that viewers have been told of
        self._selector = selectors.DefaultSelector()
        self._viewers: list[Viewer] = []
        self._launched = Launched(name, self._selector, self._process_has_ended)
        self._problem = "it has no viewer: launch one with reopen(), or attach one"
        self._waiting: list[Question] = []  # for the launched viewer to join
        self._ended = False
        self._forked = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        _audiences.add(self)
        self._selector.register(self._commands, selectors.EVENT_READ, self._hear_others)
        self._thread = threads.start(self._run, f"ringbridge viewers of {self.name}")

    @property
    def viewers(self) -> list[Viewer]:
        """Those that are there."""
        return list(self._viewers)

    @property
    def behind_bytes(self) -> int:
        """What has been kept for the launched viewer, and has not been read."""
        own = [each.letters.waiting_bytes for each in list(self._viewers) if each.own]
        return self._kept.waiting_bytes + sum(own)

    @property
    def open(self) -> bool:
        """Whether the launched viewer is there, or starts."""
        return self._launched.open

    def check_ours(self) -> None:
        """Raises RingbridgeError in a forked child."""
        if self._forked:
            raise RingbridgeError(
                f"a forked child cannot use the plot {self.name}, which is its parent's"
            )

    # --------------------------------------------------------------------- from other threads

    def _do(self, command: Callable[[], None]) -> None:
        self.check_ours()
        self._commands.do(command)

    def let_in(self, sock: socket.socket, label: str, pid: int, own: bool) -> None:
        """A viewer, over its letters' socket, which is owned from here on."""
        self._do(lambda: self._join(Viewer(Letters(sock, takes_fds=False), label, pid, own)))

    def ask(self, question: Question, viewer: Viewer | None = None) -> None:
        """Has it settled: by that viewer; else by the launched one, or the first of others."""
        self._do(lambda: self._ask(question, viewer))

    @property
    def ended(self) -> bool:
        return self._ended

    def starts(self) -> bool:
        """A viewer is to be launched: `launched` or `not_launched` follows. False: one is there."""
        self.check_ours()
        if not self.open:  # else those that are held already stay
            self._kept.hold_from_now()
        return self._launched.starts()

    def launched(self, process: ViewerProcess) -> None:
        self._do(lambda: self._watch(process))

    def not_launched(self, error: Exception) -> None:
        self._do(lambda: self._own_gone(str(error)))

    def close(self, hold: bool, shows: bool) -> None:
        """Tells viewers of the end, sends what is on its way, and ends the launched process, or
        with hold lets go of it. Idempotent; not on its own thread.

        shows: there is something to draw, and a launched viewer that starts is waited for.
        """
        if self._thread is None:
            return
        grace_s = _END_S
        try:
            if shows:
                self._launched.until_settled(_JOIN_S)
        except BaseException:  # Ctrl-C: then at once
            hold, grace_s = False, 0.0
            raise
        finally:
            if not self._ended:
                self._do(lambda: self._end(hold))
            until = time.monotonic() + grace_s
            self._thread.join(grace_s + _FAREWELL_S)
            left_s = max(until - time.monotonic(), min(grace_s, _FAREWELL_S))
            self._launched.end(hold, left_s)

    # --------------------------------------------------------------------------- its own thread

    def _run(self) -> None:
        try:
            while not self._ended:
                nap_s = self._launched.nap_s
                for key, _ in self._selector.select(nap_s):
                    key.data()
                if nap_s is not None:
                    self._launched.look()
            send_rest(self._viewers, _END_S, _FAREWELL_S)
        except Exception:
            _logger.exception("the thread of the viewers of %s failed", self.name)
        finally:
            self._ended = True
            self._commands.finish()
            for viewer in list(self._viewers):
                self._part(viewer)
            self._fail_waiting(ViewerError(f"the plot {self.name} is closed"))
            self._selector.close()
            self._commands.close()

    def _hear_others(self) -> None:
        self._commands.obey()
        if not self._ended and self._hear_publisher(_FRAMES_MAX):
            self._commands.wake()

    # ------------------------------------------------------------------------ viewers come and go

    def _join(self, viewer: Viewer) -> None:
        if self._ended:
            viewer.letters.close()
            return
        self._viewers.append(viewer)
        self._selector.register(
            viewer.letters, selectors.EVENT_READ, lambda: self._hear_viewer(viewer)
        )
        kept_before = self._kept.before(starts=viewer.own)
        viewer.letters.post(Kind.WELCOME, {**self._welcome, "kept": kept_before})
        self._give_memory(viewer)
        _logger.debug("viewer %s has joined the plot %s", viewer, self.name)
        if viewer.own:
            self._launched.joined()
            for frame in self._kept.held():
                viewer.letters.post_packed(Kind.KEPT, frame)
            self._after_posting(viewer)
            waiting, self._waiting = self._waiting, []
            for question in waiting:
                self._ask(question, viewer)

    def _give_memory(self, viewer: Viewer) -> None:
        if viewer.ticket is not None:  # of before the move, or of this one, told twice
            self.publisher.drop_reader(viewer.ticket)
        try:
            viewer.ticket, memory, reader, wait = self.publisher.add_reader()
        except (RingbridgeError, OSError) as error:
            viewer.ticket = None
            viewer.why_gone = str(error)
            self._gone(viewer)
        else:
            viewer.letters.post(Kind.MEMORY, reader, fds=(memory, wait))
            self._after_posting(viewer)

    def _part(self, viewer: Viewer) -> None:
        self._viewers.remove(viewer)
        self._selector.unregister(viewer.letters)
        viewer.close()
        if viewer.ticket is not None:
            self.publisher.drop_reader(viewer.ticket)

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
            self._listener.event(name, letter.values[1:], letter.size)
        elif letter.kind is Kind.GONE:
            viewer.hear_farewell(letter)
        else:
            raise ProtocolError(f"a viewer has sent {letter.kind.name}")

    def _after_posting(self, viewer: Viewer) -> None:
        """Sees whether the socket's room is to be waited for."""
        if viewer not in self._viewers:
            return
        writing = viewer.letters.flush()
        if writing != viewer.writing:
            viewer.writing = writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            self._selector.modify(viewer.letters, events, lambda: self._hear_viewer(viewer))

    # ---------------------------------------------------------------------------------- frames

    def _hear_publisher(self, most: int) -> bool:
        """Sends so many kept frames at the most. True: there may be more."""
        frame = None
        for _ in range(most):
            frame = self._kept.take(hold=self._launched.starting)
            if frame is None:
                break
            for viewer in list(self._viewers):
                self._send_kept(viewer, frame)
        moves = self.publisher.moves
        if moves != self._moves:
            self._moves = moves
            for viewer in list(self._viewers):
                self._give_memory(viewer)
        return frame is not None

    def _send_kept(self, viewer: Viewer, frame: bytes) -> None:
        behind = viewer.letters.waiting_bytes
        if behind > BEHIND_BYTES_MAX and not viewer.own:
            viewer.why_gone = f"it has not read {behind >> 20} MiB that were kept for it"
            self._gone(viewer)
        else:
            viewer.letters.post_packed(Kind.KEPT, frame)
            self._after_posting(viewer)

    # -------------------------------------------------------------------------------- questions

    def _ask(self, question: Question, viewer: Viewer | None) -> None:
        asked = viewer or self._own()
        if asked is None and not self.open and self._viewers:
            asked = self._viewers[0]
        if self._ended:
            question.fail(ViewerError(f"the plot {self.name} is closed"))
        elif asked in self._viewers:
            asked.ask(question)
            self._after_posting(asked)
        elif asked is None and self.open:  # it is on its way
            self._waiting.append(question)
        else:
            question.fail(ViewerError(f"the plot {self.name} cannot: {self._problem}"))

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
        self._kept.held()
        self._problem = f"its viewer has gone: {reason}"
        self._listener.left(reason, own=True)  # first, so that who waited finds it logged
        self._fail_waiting(ViewerError(f"the plot {self.name} cannot: {self._problem}"))

    # ------------------------------------------------------------------------------------- the end

    def _end(self, hold: bool) -> None:
        self._hear_publisher(_FRAMES_LEFT_MAX)
        self._ended = True
        for viewer in list(self._viewers):
            viewer.letters.post(Kind.END, hold)

    def forget(self) -> None:
        """In a forked child: with its copies of the sockets, its parent's end would be heard by
        nobody. Takes nothing off the selector: its list in the kernel is the parent's, too."""
        self._forked = True
        while self._viewers:
            self._viewers.pop().letters.forget()
        self._commands.close()
        self._launched.forget()


_audiences: weakref.WeakSet[Audience] = weakref.WeakSet()


def _in_forked_child() -> None:
    for audience in list(_audiences):
        audience.forget()


os.register_at_fork(after_in_child=_in_forked_child)
