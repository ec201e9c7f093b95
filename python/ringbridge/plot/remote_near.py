# SPDX-License-Identifier: MIT
"""A window on a plot of another machine: `ringbridge plot attach ssh://[user@]host[:port]/NAME`.

    remote_far  <-letters over ssh->  this, a plot of its own  <-letters, memory->  viewers here

To viewers on this machine it is a plot as any other, under the name "NAME on HOST": more of them
may attach. What the user does in them goes back. No port is opened; nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Any

from ringbridge import rendezvous
from ringbridge.errors import ProtocolError, RingbridgeError, WorkerStartFailed
from ringbridge.plot.asking import Question
from ringbridge.plot.audience import Audience
from ringbridge.plot.commands import Commands
from ringbridge.plot.doorman import let_viewers_in
from ringbridge.plot.letters import Kind, Letter, Letters, entry, told
from ringbridge.plot.pipes import Pipes
from ringbridge.plot.remote_far import PREAMBLE, packed
from ringbridge.plot.viewer_process import Program, ViewerProcess, settings_for
from ringbridge.relay.ssh import FAILED, Ssh, reason

if TYPE_CHECKING:
    from ringbridge.door import Door
    from ringbridge.ssh_address import SshAddress

_NOISE_BYTES_MAX = 64 << 10
_UNSENT_BYTES_MAX = 16 << 20
_NAME_MAX = 60


def attach(
    address: SshAddress, program: Program, paths: tuple[str, ...], options: dict[str, Any]
) -> int:
    """Shows the plot until its window is closed, or it ends; the exit status.

    address  its `environment` is the plot's name. options: view, hold, rate, as `viewer.main` has
             them. Ctrl-C raises KeyboardInterrupt, when the window has been closed.
    Raises WorkerStartFailed with what ssh said, RingbridgeError for what the other machine refuses,
    and where the connection is lost.
    """
    command = [address.python, "-m", "ringbridge", "plot", "relay", address.environment]
    ssh = Ssh(address, command, heard=lambda data: _show(data))
    try:
        near = _Near(_meet(ssh, address), address)
        try:
            return near.run(program, paths, options)
        finally:
            near.close()
    except EOFError:  # the plot has not said its end
        if ssh.exit_code() != FAILED:
            return 0  # its computation has died
        raise RingbridgeError(f"the connection to {address.machine} is lost") from None
    finally:
        ssh.end()


def _show(data: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(2, data)


def _meet(ssh: Ssh, address: SshAddress) -> Pipes:
    """The line, from its first letter on."""
    noise = b""
    with os.fdopen(os.dup(ssh.stdout), "rb", buffering=0) as file:
        while len(noise) < _NOISE_BYTES_MAX:
            line = file.readline(_NOISE_BYTES_MAX)
            if line == PREAMBLE + b"\n":
                return Pipes(os.dup(ssh.stdout), os.dup(ssh.stdin))
            if not line:
                break
            noise += line
    code = ssh.exit_code()
    words = ssh.last_words()
    why = reason(code, words + noise.decode("utf-8", "replace"))
    raise WorkerStartFailed(
        f"no plot {address.environment!r} answers on {address.machine}"
        + (f": {why}" if why else "")
        + "".join(f"\n    | {each}" for each in words.splitlines())
    )


class _Near:
    """The plot here. The main thread has the line; the audience's thread the viewers."""

    def __init__(self, pipes: Pipes, address: SshAddress) -> None:
        self._pipes = pipes
        self._line = Letters(pipes, takes_fds=False)
        self._newest = 0  # number of the frame that was published last
        self._early: list[Letter] = []  # what came with the first letter
        self._commands = Commands()
        self._over = threading.Event()
        self._door: Door | None = None
        self._status = 0
        self._hold = False
        self._hold_here: bool | None = None
        welcome = self._first_letter()
        kept = entry(welcome, "kept", int, 0)
        self._hold = entry(welcome, "hold", bool, False)
        host = "".join(each if each.isalnum() or each in "-_." else "-" for each in address.host)
        name = f"{address.environment} on {host}"[:_NAME_MAX].strip()
        title = entry(welcome, "title", str, "") or address.environment
        welcome.update(name=name, title=f"{title} on {address.machine}")
        self.name = name
        self._audience = Audience(name, welcome, self, kept)
        self._publisher = self._audience.publisher

    def _first_letter(self) -> dict[str, Any]:
        while not self._early:
            select.select([self._line], [], [])
            self._early += self._line.read()
        first = self._early.pop(0)
        if first.kind is not Kind.WELCOME:
            raise ProtocolError(f"a plot's first letter is {first.kind.name}")
        return dict(told(first.values, dict)[0])

    def run(self, program: Program, paths: tuple[str, ...], options: dict[str, Any]) -> int:
        address = rendezvous.address_of(self.name, os.getpid(), rendezvous.PLOT)
        view = options["view"] and options["view"]["class"]
        view = view or "a view of another machine's"
        token, self._door = let_viewers_in(self._audience, address, view)
        self._audience.start()
        self._audience.starts()
        at = {"name": address.name, "pid": address.pid, "path": address.path}
        settings = {**settings_for(at, token, paths), **options}
        environ = program.environ(lambda: False)
        self._audience.launched(ViewerProcess(program, environ, settings, quiet=False))
        self._hold_here = options["hold"]
        self._line.post(Kind.NEXT)
        for letter in self._early:
            self._take(letter)
        while not self._over.is_set():
            self._turn()
        return self._status

    def close(self) -> None:
        hold = self._hold if self._hold_here is None else self._hold_here
        interrupted = sys.exc_info()[0] is KeyboardInterrupt
        self._audience.close(hold and not interrupted, shows=self._newest > 0 and not interrupted)
        if self._door is not None:  # until now, for the viewer that starts
            self._door.stop()
        self._publisher.close()
        self._line.close()
        self._commands.finish()
        self._commands.close()

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._commands, select.POLLIN)
        if self._audience.behind_bytes < _UNSENT_BYTES_MAX:
            poll.register(self._line, select.POLLIN)
        if self._line.flush():
            poll.register(self._pipes.write_fileno(), select.POLLOUT)
        ready = dict(poll.poll(200))
        if self._commands.fileno() in ready:
            self._commands.obey()
        if self._line.fileno() in ready:
            for letter in self._line.read():
                self._take(letter)

    def _take(self, letter: Letter) -> None:
        if letter.kind is Kind.FRAME:
            self._newest = letter.number
            self._publisher.republish(packed(letter))
            self._line.post(Kind.NEXT)
        elif letter.kind is Kind.KEPT:
            frame = packed(letter)
            if letter.number > self._newest:  # else the newest has overtaken it
                self._newest = letter.number
                self._publisher.republish(frame)
            self._publisher.keep(frame)
        elif letter.kind is Kind.ASK:
            number = letter.number
            question = Question(*told(letter.values, str), then=lambda it: self._answer(number, it))
            self._audience.ask(question)
        elif letter.kind is Kind.END:
            (self._hold,) = told(letter.values, bool)[:1]
            self._over.set()
        else:
            raise ProtocolError(f"a plot on another machine has sent {letter.kind.name}")

    # ------------------------------------------------------------------- on the audience's thread

    def _post(self, kind: Kind, *values: Any, number: int = 0) -> None:
        self._commands.do(lambda: self._line.post(kind, *values, number=number))

    def _answer(self, number: int, question: Question) -> None:
        try:
            value = question.answer(0.0)
        except RingbridgeError as error:
            self._post(Kind.ANSWER, False, str(error), number=number)
        else:
            self._post(Kind.ANSWER, True, value, number=number)

    def event(self, name: str, values: tuple[Any, ...], size: int) -> None:
        """Of Listener: a user has done something in a viewer here."""
        self._post(Kind.EVENT, name, *values)

    def left(self, reason: str, own: bool) -> None:
        """Of Listener: a viewer here has gone."""
        if own:
            self._status = 0 if reason == "closed" else 1
            if self._status:
                _show(f"ringbridge: the viewer has gone: {reason}\n".encode())
            self._post(Kind.GONE, reason)
            self._commands.do(self._over.set)
