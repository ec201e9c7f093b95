# SPDX-License-Identifier: MIT
"""The relay beside the host. To the host it is the worker: a child with a channel, whose output is
the worker's, and which ends as the worker has ended.

    ssh -> HELLO both ways -> START -> FACTS -> the host's handshake -> frames both ways -> END

Threads: one takes from the channel, one reads the line and never waits for anything but the host's
pipes, one puts into the channel, one passes cancels on; the main thread waits for the end of all.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from ringbridge import _core, diagnosis, ssh_address
from ringbridge.errors import ProtocolError, RingbridgeError
from ringbridge.relay import records
from ringbridge.relay.line import Line, LineEnded
from ringbridge.relay.passing import Inward, Outward
from ringbridge.relay.records import End, Kind, Record, Side
from ringbridge.relay.ssh import Ssh, reason

#: The variable with what is wanted, as JSON: not for a command line, which everybody can read.
VARIABLE = "RINGBRIDGE_RELAY"
#: Exit codes from which the host knows which error to raise (ssh_start.py).
START_FAILED, NOT_FOUND, ACTIVATION_FAILED = 97, 98, 99
LOST = 255  # as ssh's own
_CODES = {"EnvironmentNotFound": NOT_FOUND, "ActivationFailed": ACTIVATION_FAILED}
_CANCEL_LOOK_S = 1.0
_SSH_ENDS_S = 1.0


class _Refused(Exception):
    """There will be no worker: the reason, and the exit code for it."""

    def __init__(self, text: str, code: int = START_FAILED) -> None:
        super().__init__(text)
        self.code = code


def main(fd: int, settings: dict[str, Any]) -> NoReturn:
    """Serves the host at the other end of the socket `fd`. settings: what launch.py wrote."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # cancels come by the channel
    wanted = json.loads(os.environ.pop(VARIABLE))
    address = ssh_address.parse(wanted.pop("address"))
    try:
        near = _Near(address, wanted)
        facts = near.met()
    except (_Refused, RingbridgeError) as error:
        _write(1, str(error).encode())  # the whole text; a datagram has room for a line
        with contextlib.suppress(OSError):
            os.write(fd, b"RBRX" + str(error).partition("\n")[0].encode()[:900])
        os._exit(error.code if isinstance(error, _Refused) else START_FAILED)
    near.serve(fd, facts, float(settings["start_timeout"]))


class _Near:
    def __init__(self, address: ssh_address.SshAddress, wanted: dict[str, object]) -> None:
        self._address = address
        self._wanted = wanted
        command = [address.python, "-m", "ringbridge", "relay"]
        self._ssh = Ssh(address, command, heard=lambda data: _write(2, data))
        self._file = os.fdopen(self._ssh.stdout, "rb", closefd=False)
        self._line = Line(self._file, self._ssh.stdin, Side.FAR)
        #: What ends us: a record END, a signal's number, the host's end (None), or what went wrong.
        self._endings: queue.SimpleQueue[Record | int | Exception | None] = queue.SimpleQueue()

    # ----------------------------------------------------------------------------------- meeting

    def met(self) -> dict[str, object]:
        """What the far side says of the worker that it has started. Raises _Refused."""
        try:
            found, noise = records.skip_noise(self._file)
            if not found:
                raise _Refused(self._no_relay(noise))
            hello = {"protocol": records.PROTOCOL, "version": _core.VERSION}
            self._line.send(Kind.HELLO, records.json_body(hello))
            self._check(self._expected(Kind.HELLO))
            self._line.send(Kind.START, records.json_body(self._wanted))
            return self._expected(Kind.FACTS)
        except LineEnded:
            raise _Refused(self._no_relay(b"")) from None
        except ProtocolError as error:
            self._ssh.end(0.0)
            raise _Refused(f"{self._address.machine} broke the relays' protocol: {error}") from None

    def _expected(self, kind: Kind) -> dict[str, object]:
        record = self._line.receive()
        if record is None:
            raise _Refused(self._no_relay(b""))
        document = records.document(record)
        if record.kind is Kind.FAILED:
            self._ssh.end()
            said = str(document.get("text"))
            said = said.removeprefix(f"worker {self._wanted['name']!r} did not start: ")
            text = f"on {self._address.machine}: {said}"
            raise _Refused(text, _CODES.get(str(document.get("error")), START_FAILED))
        if record.kind is not kind:
            raise ProtocolError(f"a record {record.kind.name} in place of {kind.name}")
        return document

    def _check(self, hello: dict[str, object]) -> None:
        if hello.get("protocol") == records.PROTOCOL:
            return
        self._ssh.end(0.0)
        raise _Refused(
            f"this machine has ringbridge {_core.VERSION} (relay protocol {records.PROTOCOL}) and "
            f"{self._address.machine} ringbridge {hello.get('version')} (relay protocol "
            f"{hello.get('protocol')}): install the same version on both"
        )

    def _no_relay(self, noise: bytes) -> str:
        """Why nothing that we know has answered."""
        code = self._ssh.exit_code()
        if code is None:  # it goes on, and says something else
            self._ssh.end(0.0)
        words = self._ssh.last_words()
        why = reason(code, words + noise.decode("utf-8", "replace"))
        lines = [f"no relay answers on {self._address.machine}" + (f": {why}" if why else "")]
        if code is not None:
            lines.append(f"  ssh {diagnosis.ending((True, code < 0, abs(code), False))}")
        lines += [f"    | {line}" for line in words.splitlines()]
        if noise.strip():
            lines.append("  what came in place of an answer:")
            text = noise.decode("utf-8", "backslashreplace")
            lines += [f"    | {line}" for line in text.strip().splitlines()[-10:]]
        lines.append(f"  it ran {' '.join(self._ssh.command)}")
        return "\n".join(lines)

    # ----------------------------------------------------------------------------------- serving

    def serve(self, fd: int, facts: dict[str, object], timeout_s: float) -> NoReturn:
        """Joins the host's channel, and passes on what comes until one of the ends has ended."""
        told = tuple(str(facts.get(name, "")) for name in ("python", "abi", "executable"))
        there = self._address.of_file(told[2]) if told[2] else ""
        try:
            channel = _core.Channel.join(fd, False, (told[0], told[1], there))
            channel.handshake(timeout_s)
            self._passage = _core.Passage(channel)
        except RingbridgeError as error:
            self._ssh.end(0.0)
            _write(2, f"ringbridge: {error}\n".encode())
            os._exit(START_FAILED)
        self._outward = Outward(self._passage, self._line)
        self._inward = Inward(self._passage, self._line, self._outward, self._endings.put)
        for work in (self._take, self._read, self._put, self._pass_cancels):
            threading.Thread(target=self._guarded, args=(work,), daemon=True).start()
        signal.signal(signal.SIGTERM, lambda number, _frame: self._endings.put(number))
        while True:
            ending = self._endings.get()
            if isinstance(ending, int):
                with contextlib.suppress(LineEnded):
                    self._line.send(Kind.SIGNAL, bytes([ending]))
            elif isinstance(ending, Record):
                try:
                    end = records.end(ending)
                except ProtocolError as error:
                    self._end_without(error)
                self._end_as(end)
            else:
                self._end_without(ending)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except LineEnded:
            pass  # who reads the line knows more
        except Exception as error:
            self._endings.put(error)

    def _take(self) -> None:
        try:
            self._outward.run()
        except EOFError:
            self._line.send(Kind.GOODBYE)

    def _put(self) -> None:
        self._inward.run()

    def _pass_cancels(self) -> None:
        while True:
            cancel = self._passage.next_cancel(_CANCEL_LOOK_S)
            if cancel is not None:
                self._line.send(Kind.CANCEL, records.cancel_body(*cancel))

    def _read(self) -> None:
        while True:
            record = self._line.receive()
            if record is None or record.kind in (*records.WINDOWED, Kind.END):
                self._inward.accept(record)
                if record is None:
                    return
            elif record.kind is Kind.CREDIT:
                self._outward.window.grant(records.credit(record))
            elif record.kind is Kind.OUTPUT:
                stream, lost, data = records.output(record)
                if lost:
                    _write(2, f"[{lost} bytes of output were lost over there]\n".encode())
                _write(stream, data)
            else:
                raise ProtocolError(f"a record {record.kind.name} out of turn")

    # ---------------------------------------------------------------------------------- endings

    def _end_as(self, end: End) -> NoReturn:
        """The worker has ended: so do we, in the same way."""
        self._ssh.end(_SSH_ENDS_S)
        if end.code != 0 or not end.known:
            how = diagnosis.ending((end.known, end.signalled, end.code, False))
            _write(2, f"[process {end.pid} on {self._address.machine} {how}]\n".encode())
        if end.signalled:
            _die_of(end.code)
        os._exit(end.code & 0xFF if end.known else 1)

    def _end_without(self, error: Exception | None) -> NoReturn:
        """Without a word of how the worker ended: the line is lost, or one of the ends is wrong."""
        machine = self._address.machine
        if isinstance(error, RingbridgeError) and not isinstance(error, ProtocolError):
            self._ssh.end(0.0)  # the host has gone, or has closed the channel
            os._exit(0)
        if error is None:
            code = self._ssh.exit_code(_SSH_ENDS_S)
            how = (
                "goes on" if code is None else diagnosis.ending((True, code < 0, abs(code), False))
            )
            text = f"the connection to {machine} has ended (ssh {how})"  # its words stand above
        elif isinstance(error, ProtocolError):
            text = f"{machine} broke the relays' protocol: {error}"
        else:
            text = f"the relay failed: {error!r}"
        _write(2, f"ringbridge: {text}\n".encode())
        self._ssh.end(0.0)
        os._exit(LOST)


def _die_of(number: int) -> NoReturn:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it is not we who have crashed
    with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    time.sleep(1.0)  # a signal that does not end us
    os._exit(128 + number)


def _write(stream: int, data: bytes) -> None:
    """To the host, which reads it as the worker's output."""
    left = memoryview(data)
    with contextlib.suppress(OSError):  # it has gone, and so will we
        while left:
            left = left[os.write(stream, left) :]
