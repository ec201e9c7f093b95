# SPDX-License-Identifier: MIT
"""The thread that calls functions later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ringbridge import timers

LONG_S = 20.0


@pytest.fixture
def own_timers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., timers.Timer]:
    """after() of timers whose thread has not been started."""
    monkeypatch.setattr(timers, "_timers", timers._Timers())
    return timers.after


def fires(after: Callable[..., timers.Timer]) -> bool:
    fired = threading.Event()
    after(0.0, fired.set)
    return fired.wait(LONG_S)


def test_a_timer_of_forever_holds_no_other_one_back(
    own_timers: Callable[..., timers.Timer],
) -> None:
    """Its wait was longer than a lock's may be: that raised, and ended the thread for good."""
    looked = threading.Event()
    forever = own_timers(float("inf"), looked.set)
    assert fires(own_timers)
    assert fires(own_timers)  # the thread has looked how long it may wait since the first one
    assert not looked.is_set()
    forever.cancel()


def test_a_thread_that_could_not_be_started_is_tried_again(
    own_timers: Callable[..., timers.Timer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for started, and no timer of this process fired any more."""

    def none(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none)
        with pytest.raises(RuntimeError):
            own_timers(0.0, list)
    assert fires(own_timers)


def test_an_interpreter_without_daemon_threads_has_timers_too(
    own_timers: Callable[..., timers.Timer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an isolated subinterpreter."""

    class Thread(threading.Thread):
        def __init__(self, *args: Any, **options: Any) -> None:
            if options.get("daemon"):
                raise RuntimeError("daemon threads are disabled in this interpreter")
            super().__init__(*args, **options)

    monkeypatch.setattr(threading, "Thread", Thread)
    assert fires(own_timers)
