# SPDX-License-Identifier: MIT
"""Between and within turns: interleaved code, Qt loops in callbacks, what ends a run, times."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import QtCore
from mode_runs import BOTH, in_guest_mode, in_owner_mode, qt_runs

import ringbridge
from ringbridge.qt import QiBaseEventLoop, QiLoopMode, binding, new_event_loop
from ringbridge.qt import using_asyncio_from_qt as from_qt

MONTHS_S = 90 * 24 * 3600


# ---------------------------------------------------------------------------- interleaved code


def test_interleaved_code_wakes_the_loop() -> None:
    """Each of these is all that happens while Qt waits."""
    with from_qt() as loop:
        for how in ("call_soon", "call_later", "create_task", "run_task"):
            qt_runs(ms=5)  # the loop waits
            future: asyncio.Future[Any] = loop.create_future()
            if how == "call_soon":
                loop.call_soon(future.set_result, how)
            elif how == "call_later":
                loop.call_later(0.001, future.set_result, how)
            elif how == "create_task":
                future = loop.create_task(asyncio.sleep(0, how))
            else:
                future = loop.run_task(asyncio.sleep(0, how))
            qt_runs(future)
            assert future.result() == how


def test_stop_in_interleaved_code_ends_a_guest_that_can_start_again() -> None:
    loop = new_event_loop()
    loop.set_mode(QiLoopMode.GUEST)
    try:
        for _ in range(2):
            loop.start()
            qt_runs(ms=5)
            loop.stop()
            assert loop.is_running()
            qt_runs(ms=5)
            assert not loop.is_running()
            assert asyncio._get_running_loop() is None
    finally:
        loop.close()


def test_the_mode_stays_while_a_stop_is_pending() -> None:
    loop = new_event_loop()
    try:
        loop.stop()
        with pytest.raises(RuntimeError, match="pending"):
            loop.set_mode(QiLoopMode.NATIVE)
        loop.run_forever()
        loop.set_mode(QiLoopMode.NATIVE)
    finally:
        loop.close()


def test_a_guest_that_runs_cannot_be_closed_nor_started_again() -> None:
    with from_qt() as loop:
        with pytest.raises(RuntimeError, match="running"):
            loop.close()
        with pytest.raises(RuntimeError, match="running"):
            loop.start()
        task = loop.create_task(asyncio.sleep(0.001, "goes on"))
        qt_runs(task)
        assert task.result() == "goes on"


def test_a_loop_within_another_loops_callback_is_refused_and_both_go_on() -> None:
    inner = new_event_loop()

    async def main() -> str:
        with pytest.raises(RuntimeError, match="running"):
            inner.run_forever()
        return await asyncio.sleep(0.001, "goes on")

    try:
        assert in_owner_mode(main) == "goes on"
        assert inner.run_until_complete(main_of_another()) == "so does this"
    finally:
        inner.close()


async def main_of_another() -> str:
    return await asyncio.sleep(0.001, "so does this")


def test_leave_is_refused_in_a_callback() -> None:
    async def main() -> str:
        loop: Any = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match=r"stop\(\)"):
            loop.leave()
        return await asyncio.sleep(0.001, "goes on")

    assert in_guest_mode(main) == "goes on"


# ---------------------------------------------------------------------------- Qt loops in callbacks


@pytest.mark.parametrize("mode", sorted(BOTH))
def test_a_qt_loop_in_a_callback_halts_asyncio_and_spins_not(mode: str) -> None:
    """The descriptor is readable all the while: Qt would call again and again."""
    seen = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        soon = loop.call_later(0.001, seen.append, "too early")
        loop.call_soon_threadsafe(seen.append, "soon")
        begun = time.process_time()
        qt_runs(ms=200)
        took = time.process_time() - begun
        assert seen == []
        while len(seen) < 2:
            await asyncio.sleep(0.001)
        assert not soon.cancelled()
        return took

    assert BOTH[mode](main) < 0.1
    assert seen == ["soon", "too early"]


def test_a_qt_loop_in_the_first_step_of_a_slot_lets_the_others_go_on() -> None:
    with from_qt() as loop:
        other = loop.create_task(asyncio.sleep(0.005, "other"))

        async def slot() -> str:
            me = asyncio.current_task()
            qt_runs(other)
            assert asyncio.current_task() is me
            return other.result()

        slot_task = loop.run_task(slot())
        assert slot_task.result() == "other"


# ---------------------------------------------------------------------------- what ends a run


def leave_by_exit() -> None:
    sys.exit(3)


async def leave_by_exit_in_a_task() -> None:
    leave_by_exit()


@pytest.mark.parametrize("where", ["callback", "task", "first step", "modal"])
@pytest.mark.parametrize("mode", ["owner", "guest"])
def test_system_exit_is_raised_where_the_run_began(app: Any, mode: str, where: str) -> None:
    def begin(loop: QiBaseEventLoop) -> None:
        if where == "callback":
            loop.call_soon(leave_by_exit)
        elif where == "task":
            tasks.append(loop.create_task(leave_by_exit_in_a_task()))
        elif where == "modal":
            loop.exec_modal(leave_by_exit)
        else:  # of a slot
            QtCore.QTimer.singleShot(
                0, lambda: tasks.append(loop.run_task(leave_by_exit_in_a_task()))
            )

    tasks: list[asyncio.Task[Any]] = []
    with pytest.raises(SystemExit) as ended:
        if mode == "owner":
            with contextlib.closing(new_event_loop()) as loop:
                begin(loop)
                loop.run_forever()
        else:
            with from_qt() as loop:
                begin(loop)
                assert binding.run(app) == 3
    assert ended.value.code == 3
    for task in tasks:
        assert isinstance(task.exception(), SystemExit)


@pytest.mark.parametrize("mode", sorted(BOTH))
def test_ctrl_c_while_a_callback_runs_is_raised_where_the_run_began(mode: str) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        BOTH[mode](main)


def test_leaving_cancels_what_is_in_flight(tmp_path: Path) -> None:
    """Tasks; and through them the calls that they await."""
    (tmp_path / "sleepy.py").write_text("import time\n\n\ndef sleep():\n    time.sleep(60)\n")
    seen = []

    with ringbridge.Worker(sys.executable, paths=[tmp_path]) as worker:
        sleepy = worker.load("sleepy")

        async def work() -> None:
            seen.append(sleepy.sleep.submit())
            try:
                await seen[0]
            finally:
                await asyncio.sleep(0)
                seen.append("cleaned up")

        with from_qt() as loop:
            task = loop.create_task(work())
            qt_runs(ms=20)
            assert len(seen) == 1
        assert task.cancelled()
        assert seen[1:] == ["cleaned up"]
        with pytest.raises(ringbridge.Cancelled):
            seen[0].result(30)


# ---------------------------------------------------------------------------- times


@pytest.mark.parametrize("mode", sorted(BOTH))
def test_a_time_in_months_is_waited_for_and_others_meanwhile(mode: str) -> None:
    """A QTimer's ends after 24 days."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        far = loop.call_later(MONTHS_S, leave_by_exit)
        # While this is awaited, there is no nearer time.
        await loop.run_in_executor(None, time.sleep, 0.01)
        result = await asyncio.sleep(0.001, "meanwhile")
        far.cancel()
        return result

    assert BOTH[mode](main) == "meanwhile"


def test_times_come_in_their_order_and_not_too_early() -> None:
    """Of a time that was set and cancelled the timer is left: it must not hide what comes next."""
    wanted = [0.03, 0.002, 0.01, 0.02, 0.001]

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        came: list[float] = []
        done = loop.create_future()
        begun = loop.time()

        def arrived(after: float) -> None:
            assert loop.time() - begun >= after - time.get_clock_info("monotonic").resolution
            came.append(after)
            if len(came) == len(wanted):
                done.set_result(came)

        for after in wanted:
            loop.call_later(after / 2, leave_by_exit).cancel()
            loop.call_later(after, arrived, after)
        return await done

    assert in_guest_mode(main) == sorted(wanted)
