# SPDX-License-Identifier: MIT
"""The worker's side: sets a process up, meets the host, and runs its calls until it has gone.

The loop itself is C (`_core.serve`). Imported at every worker's start, which is why it imports so
little; knows nothing of the host's handles.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys

from ringbridge import _core, coroutines, current
from ringbridge.errors import Terminated
from ringbridge.exports import ExportTable

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_START_TIMEOUT_S = 30.0


def main(fd: int, settings: dict[str, Any]) -> None:
    """Serves the host at the other end of the socket `fd`; returns when it is done with us.

    `settings` is what launch.py wrote: paths (already on sys.path), start_timeout, pickle. The
    others are for who looks at us from outside (running.py).
    """
    faulthandler.enable(2)  # a segfault's lines are the end of what WorkerDied tells
    _own_the_output()
    channel = _core.Channel.join(fd, settings.get("pickle") is True)
    _Signals(channel).install()
    channel.handshake(float(settings.get("start_timeout", _START_TIMEOUT_S)))
    current.enter(channel)
    os.register_at_fork(after_in_child=_leave)
    _show_tqdm()
    _core.serve(channel, ExportTable())


def _own_the_output() -> None:
    """A line is sent when it is complete, and what cannot be encoded is no error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a sitecustomize may have replaced it
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _show_tqdm() -> None:
    from ringbridge import tqdm_bars  # now, when the host waits for us no more

    tqdm_bars.watch_imports()


def _leave() -> None:
    """In a forked child: it is no worker, and dies of signals as any process does."""
    current.enter(None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _Signals:
    """SIGINT cancels the call that is meant; SIGTERM ends the process.

    SIGTERM between two calls raises a SystemExit out of the loop. During a call it raises it in
    the user's code, so that its `finally` runs; the loop would report that and go on, so the
    signal is sent once more when that call has ended. A second one during a call kills.
    """

    def __init__(self, channel: _core.Channel) -> None:
        self._channel = channel
        self._terminating = False

    def install(self) -> None:
        # What a host's thread had blocked when it started us would stay blocked.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.signal(signal.SIGINT, self.interrupt)
        signal.signal(signal.SIGTERM, self.terminate)

    def interrupt(self, _signum: int, frame: FrameType | None) -> None:
        _core.interrupt_heard()
        call = _core.current_call()
        # Any other SIGINT is too late for its call, or not ours: nothing else must be hit.
        if call and _core.cancelled(self._channel, call):
            error = coroutines.interrupt(call, frame)
            if error is not None:
                raise error

    def terminate(self, signum: int, _frame: FrameType | None) -> None:
        call = _core.current_call()
        if call and self._terminating:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        elif call:
            self._terminating = True
            self._again_after(call)
        raise Terminated(128 + signum)

    def _again_after(self, call: int) -> None:
        import threading
        import time

        def wait() -> None:
            while _core.current_call() == call:
                time.sleep(0.005)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, daemon=True).start()
