# SPDX-License-Identifier: MIT
"""Starts a worker's process, meets it, and ends it.

Everything about the process and nothing about what is called in it. Whatever fails, no process, no
file descriptor and no thread is left behind, and WorkerStartFailed says what to do about it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from typing import NamedTuple

from ringbridge import _core, diagnosis, interrupts, ssh_start
from ringbridge.activation import environ_for
from ringbridge.activation.process import as_bytes
from ringbridge.errors import (
    ActivationFailed,
    CallTimeout,
    RingbridgeError,
    WorkerDied,
    WorkerStartFailed,
)
from ringbridge.plan import Plan

GRACE_S = 1.0  # to finish the call that the worker is in, and to run its exit handlers
TERM_S = 0.5  # for the `finally` of a call that SIGTERM has interrupted
KILL_S = 5.0  # SIGKILL needs no time, unless the process is stuck in the kernel

_BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bootstrap.py")
_SHOWN_NAME_MAX = 200


class Child(NamedTuple):
    """A started worker: its process, and the channel to it. Ended by `end`, then `close`."""

    plan: Plan
    pid: int
    channel: _core.Channel

    def end(self, *, grace_s: float = GRACE_S, term_s: float = TERM_S) -> None:
        """Ends the process: asks, insists, kills. Its last output can still be read then."""
        try:
            with contextlib.suppress(RingbridgeError):  # dead already, or the protocol is broken
                self.channel.say_goodbye()
            if self.channel.wait_end(grace_s) is None:
                self.channel.kill(signal.SIGTERM, False)
                if self.channel.wait_end(term_s) is None:
                    self.kill()
        except BaseException:  # Ctrl-C while we wait: it wants an end, and gets one
            self.kill()
            raise

    def kill(self) -> None:
        """Ends the process and its whole session at once."""
        self.channel.kill(signal.SIGKILL, True)
        self.channel.wait_end(KILL_S)

    def close(self) -> None:
        self.channel.close()


class Start:
    """One attempt to start a worker, which another thread may give up."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._abandoned = False
        self._child: Child | None = None

    def run(self) -> Child:
        """Activates the environment, starts the worker and meets it.

        Raises ActivationFailed or WorkerStartFailed; nothing is left behind then.
        """
        plan = self._plan
        deadline = time.monotonic() + plan.start_timeout_s
        environ = self._activated()
        try:
            with interrupts.held():
                child = self._child = _spawn(plan, environ)
            if self._abandoned:  # while it was spawned: abandon() has seen no child
                child.kill()
            child.channel.handshake(max(deadline - time.monotonic(), 0.0))
        except RingbridgeError as error:
            if self._child is None:
                raise
            failure = _failure(self._child, error)
            self._child.close()
            raise failure from None
        except BaseException:
            if self._child is not None:
                self._child.kill()
                self._child.close()
            raise
        return child

    def abandon(self) -> None:
        """Makes run() raise soon, in the thread that it runs in. From any thread, at any time."""
        self._abandoned = True
        child = self._child
        if child is not None:
            with contextlib.suppress(RingbridgeError):  # run() has closed it just now
                child.channel.kill(signal.SIGKILL, True)

    def _activated(self) -> dict[str, str]:
        plan = self._plan
        if plan.environment.kind == "ssh":  # what is run here is a relay; it is activated there
            return ssh_start.environ(plan)
        try:
            return environ_for(
                plan.environment,
                plan.base,
                plan.wishes,
                timeout_s=plan.start_timeout_s,
                abandoned=lambda: self._abandoned,
            )
        except ActivationFailed as error:
            raise ActivationFailed(
                f"worker {plan.name!r} did not start: {plan.environment.prefix} cannot be "
                f"activated: {error}"
            ) from None


def _spawn(plan: Plan, environ: Mapping[str, str]) -> Child:
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        try:
            host_end, worker_end = _socket_pair(ours, theirs)
            out_read, out_write = _pipe(ours, theirs)
            err_read, err_write = _pipe(ours, theirs)
            settings = {
                "paths": plan.paths,
                "start_timeout": plan.start_timeout_s,
                "pickle": plan.pickle,
                # For `ringbridge ps`; an argument has an end, at 128 KiB.
                "name": plan.name[:_SHOWN_NAME_MAX],
                "host": os.getpid(),
            }
            python, cwd = plan.environment.python, plan.cwd
            if plan.environment.kind == "ssh":
                settings.update(paths=(), ssh=plan.environment.prefix)
                python, cwd = ssh_start.own_python(), None
            popen = subprocess.Popen(
                [python, _BOOTSTRAP, str(worker_end), json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                stdout=out_write,
                stderr=err_write,
                pass_fds=(worker_end,),
                env=as_bytes(environ),
                cwd=cwd,
                start_new_session=True,  # so that the terminal's Ctrl-C reaches only the host
            )
        except OSError as error:
            raise WorkerStartFailed(_not_run(plan, error)) from error
        ours.pop_all()  # the channel owns them from here on, also when it raises
        try:
            channel = _core.Channel(
                host_end,
                popen.pid,
                out_read,
                err_read,
                name=plan.name,
                ring_bytes=plan.limits.ring_bytes,
                arena_bytes=plan.limits.arena_bytes,
                memory=plan.limits.memory,
                pickle=plan.pickle,
            )
        except BaseException:
            popen.kill()  # polls first: a child that the channel has reaped is not signalled
            popen.wait()
            raise
        # The channel reaps the child, by its pidfd. subprocess must believe that this has happened:
        # a Popen that is dropped without a returncode warns, and is waited for by pid at the next
        # Popen, when that pid may be somebody else's.
        popen.returncode = 0
        return Child(plan, popen.pid, channel)


def _socket_pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    host_end, worker_end = (end.detach() for end in pair)
    ours.callback(os.close, host_end)
    # In a host whose own stdio is closed it may be 0, 1 or 2, which the child's stdio replaces.
    if worker_end <= 2:
        import fcntl

        low, worker_end = worker_end, fcntl.fcntl(worker_end, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(low)
    theirs.callback(os.close, worker_end)
    return host_end, worker_end


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    read_end, write_end = os.pipe()
    ours.callback(os.close, read_end)
    theirs.callback(os.close, write_end)
    return read_end, write_end


def _not_run(plan: Plan, error: OSError) -> str:
    """Why the program could not even be started."""
    python = plan.environment.python
    if plan.cwd is not None and error.filename == plan.cwd:
        reason = f"its working folder cwd={plan.cwd!r}: {error.strerror}"
    elif error.errno == errno.ENOENT and os.path.exists(python):
        reason = (
            f"{python} is there, but the program that it needs to run is not (the one that its "
            "first line names, or its loader): was the environment moved or built elsewhere?"
        )
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        reason = f"{error.strerror}: close some, or raise the limit of this process (ulimit -n)"
    elif error.errno == errno.ENOEXEC:
        reason = f"{python} is not a program that this machine can run, so it is not a Python"
    elif error.errno == errno.EACCES:
        reason = f"{python} may not be run: {error.strerror} (mode, or a file system with noexec)"
    else:
        reason = f"{python}: {error.strerror or error}"
    return f"worker {plan.name!r} did not start: {reason}"


def _failure(child: Child, error: RingbridgeError) -> RingbridgeError:
    """Ends the child; what to raise for it."""
    # One that has said why it refuses is about to end by itself; its exit code is worth a moment.
    ended = child.channel.wait_end(0.0 if isinstance(error, CallTimeout) else 0.5)
    if ended is None:
        child.kill()
    if child.plan.environment.kind == "ssh":
        return ssh_start.failure(child.plan, child.channel, error)
    return WorkerStartFailed(_diagnosed(child, error, ended))


def _diagnosed(
    child: Child, error: RingbridgeError, ended: tuple[bool, bool, int, bool] | None
) -> str:
    """Why it did not become a worker."""
    plan, channel = child.plan, child.channel
    if isinstance(error, CallTimeout):
        reason = f"no answer within {plan.start_timeout_s:g} s"
    elif isinstance(error, WorkerDied):
        reason = "the program ended before it answered"
    else:  # what its bootstrap or the handshake said
        reason = str(error)
    output = diagnosis.last_output(channel)
    said_why = isinstance(error, WorkerStartFailed)
    return "\n".join(
        [
            f"worker {plan.name!r} did not start: {reason}",
            f"  it ran {plan.environment.python} {_BOOTSTRAP}",
            f"  it {diagnosis.ending(ended)}",
            *diagnosis.quoted(output),
            *([] if said_why else diagnosis.hints(plan.environment.python, output)),
        ]
    )
