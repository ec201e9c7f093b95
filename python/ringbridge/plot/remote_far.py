# SPDX-License-Identifier: MIT
"""The relay beside a computation, for a viewer on another machine: `ringbridge plot relay NAME`.

    plot <-letters, memory-> this, without a window <-letters over stdin, stdout-> remote_near

    PREAMBLE -> WELCOME -> for each NEXT a FRAME, the newest then; KEPT, ASK, END as they come

So the newest frame wins across the network, too: the other side asks for one when it has shown the
one before. Kept frames are not read here while much of them waits to be sent, and stand where they
would for any viewer that is behind.
"""

from __future__ import annotations

import contextlib
import os
import select

from ringbridge import _core
from ringbridge.errors import ProtocolError
from ringbridge.plot.letters import Kind, Letter, Letters, told
from ringbridge.plot.meeting import meet
from ringbridge.plot.pipes import Pipes
from ringbridge.plot.running_plots import find_plot

#: What is written before the first letter, so that what a login shell prints can be passed over.
PREAMBLE = b"ringbridge-plot-1"
_UNSENT_BYTES_MAX = 16 << 20


def main(name: str) -> int:
    """Serves the viewer at the other end of stdin and stdout, until either side ends.

    Raises HostNotFound, RingbridgeError: before anything is written.
    """
    _choose_runtime_folder()
    peer = os.environ.get("SSH_CONNECTION", "").split(" ")[0] or "another machine"
    letters = meet(find_plot(name), f"viewer on {peer}")
    line = _own_stdio()
    os.write(line.write_fileno(), b"\n" + PREAMBLE + b"\n")
    with contextlib.suppress(EOFError):
        _Far(letters, line).run()
    return 0


def _choose_runtime_folder() -> None:
    """A login by ssh need not have the variable that a session on the machine has."""
    folder = f"/run/user/{os.geteuid()}"
    if not os.environ.get("XDG_RUNTIME_DIR") and os.path.isdir(f"{folder}/ringbridge"):
        os.environ["XDG_RUNTIME_DIR"] = folder


def _own_stdio() -> Pipes:
    """What anything here prints goes to stderr."""
    pipes = Pipes(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return pipes


class _Far:
    def __init__(self, letters: Letters, pipes: Pipes) -> None:
        self._letters = letters
        self._pipes = pipes
        self._line = Letters(pipes, takes_fds=False)
        self._source: _core.Subscriber | None = None
        self._wanted = 0  # frames that the other side waits for
        self._armed = False

    def run(self) -> None:
        """Raises EOFError when the line has ended."""
        while True:
            self._give_frames()
            poll = select.poll()
            poll.register(self._line, select.POLLIN)
            if self._line.flush():
                poll.register(self._pipes.write_fileno(), select.POLLOUT)
            hears = self._line.waiting_bytes < _UNSENT_BYTES_MAX
            events = select.POLLIN if hears else 0
            if self._letters.flush():  # a picture is larger than its socket
                events |= select.POLLOUT
            if events:
                poll.register(self._letters, events)
            if self._armed and self._source is not None:
                poll.register(self._source.fileno(), select.POLLIN)
            ready = dict(poll.poll())
            if self._source is not None and ready.pop(self._source.fileno(), 0):
                self._armed = False
                if not self._source.forget():  # it has moved, or ended: its letter comes
                    self._source.close()
                    self._source = None
            if self._line.fileno() in ready:
                for letter in self._line.read():
                    self._from_viewer(letter)
            told = ready.get(self._letters.fileno(), 0) & ~select.POLLOUT
            if told and hears and not self._from_plot():
                self._finish()
                return

    def _give_frames(self) -> None:
        while self._wanted and self._source is not None and not self._armed:
            frame = self._source.take()
            if frame is not None:
                self._wanted -= 1
                self._line.post_packed(Kind.FRAME, _core.pack(*frame))
            else:
                self._armed = self._source.arm()

    def _from_viewer(self, letter: Letter) -> None:
        if letter.kind is Kind.NEXT:
            self._wanted = min(self._wanted + 1, 2)
        elif letter.kind in (Kind.ANSWER, Kind.EVENT, Kind.GONE):
            self._letters.post_packed(letter.kind, packed(letter))
        else:
            raise ProtocolError(f"a viewer on another machine has sent {letter.kind.name}")

    def _from_plot(self) -> bool:
        """False: the plot has ended."""
        try:
            letters = self._letters.read()
        except EOFError:
            return False
        for letter in letters:
            if letter.kind is Kind.MEMORY:
                (reader,) = told(letter.values, int)[:1]
                memory, wait = letter.fds
                if self._source is not None:
                    self._source.close()
                self._source, self._armed = _core.Subscriber(memory, reader, wait), False
            else:
                if letter.kind is Kind.END:
                    self._give_last()
                self._line.post_packed(letter.kind, packed(letter))
        return True

    def _give_last(self) -> None:
        """What there is still to show: nobody asks for it after the end."""
        frame = self._source.take() if self._source is not None else None
        if frame is not None:
            self._line.post_packed(Kind.FRAME, _core.pack(*frame))

    def _finish(self) -> None:
        """Sends that, where the computation has died, and what waits."""
        self._give_last()
        while self._line.flush():
            select.select([], [self._pipes.write_fileno()], [])


def packed(letter: Letter) -> bytes:
    """Its body, as it came."""
    return _core.pack(letter.number, letter.parent, letter.values, letter.named)
