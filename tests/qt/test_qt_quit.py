# SPDX-License-Identifier: MIT
"""Owner mode, when somebody ends Qt: QCoreApplication.quit() and exit(), the last window closed.

With a bare QEventLoop in place of the application's exec(), lastWindowClosed was not emitted, Qt 6
did nothing upon quit(), and after an exit() no QEventLoop ran again.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import QtCore, QtWidgets

from ringbridge.qt import QiLoopMode, binding, new_event_loop
from ringbridge.qt import using_qt_from_asyncio as from_asyncio


@pytest.fixture
def window(app: Any) -> Iterator[Any]:
    """One that is shown, and whose close ends the application, as is Qt's default."""
    app.setQuitOnLastWindowClosed(True)
    window = QtWidgets.QWidget()
    window.show()
    yield window
    app.setQuitOnLastWindowClosed(False)
    window.close()


def run(main: Any) -> Any:
    with from_asyncio():
        return asyncio.run(main)


@pytest.mark.parametrize(("end", "code"), [("quit", 0), ("exit", 5)])
def test_ending_the_application_ends_asyncio_run_by_system_exit(
    app: Any, end: str, code: int
) -> None:
    seen = []

    async def main() -> None:
        QtCore.QTimer.singleShot(1, app.quit if end == "quit" else lambda: app.exit(code))
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)  # what cleans up has Qt and asyncio
            seen.append("cleaned up")

    with pytest.raises(SystemExit) as ended:
        run(main())
    assert ended.value.code == code
    assert seen == ["cleaned up"]


def test_closing_the_last_window_cancels_main_and_exits_with_0(window: Any) -> None:
    seen = []

    async def main() -> None:
        QtCore.QTimer.singleShot(1, window.close)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(SystemExit) as ended:
        run(main())
    assert ended.value.code == 0
    assert seen == ["cancelled"]


def test_last_window_closed_is_emitted(app: Any, window: Any) -> None:
    app.setQuitOnLastWindowClosed(False)

    async def main() -> str:
        closed = asyncio.Event()
        app.lastWindowClosed.connect(closed.set)
        try:
            QtCore.QTimer.singleShot(1, window.close)
            await closed.wait()
            return "closed"
        finally:
            app.lastWindowClosed.disconnect(closed.set)

    assert run(main()) == "closed"


def test_a_main_that_closes_its_window_and_returns_has_its_result(window: Any) -> None:
    """The quit that Qt has posted by then would end what cleans up, and lose the result."""
    seen = []

    async def cleaned_up() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.001)
            seen.append("cleaned up")

    generator = cleaned_up()

    async def main() -> int:
        await generator.__anext__()
        window.close()
        return 7

    assert run(main()) == 7
    assert seen == ["cleaned up"]


def test_a_second_quit_does_not_end_what_cleans_up(app: Any, window: Any) -> None:
    seen = []

    async def main() -> None:
        QtCore.QTimer.singleShot(1, lambda: app.exit(3))
        try:
            await asyncio.Event().wait()
        finally:
            window.close()
            app.exit(4)
            future = asyncio.get_running_loop().create_future()
            QtCore.QTimer.singleShot(1, lambda: future.set_result(None))
            await future  # of Qt, which runs
            seen.append("cleaned up")

    with pytest.raises(SystemExit) as ended:
        run(main())
    assert ended.value.code == 3
    assert seen == ["cleaned up"]


def test_a_main_that_takes_no_notice_of_a_quit_has_its_result(app: Any) -> None:
    async def main() -> str:
        QtCore.QTimer.singleShot(1, app.quit)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "result"
        return ""

    assert run(main()) == "result"


@pytest.mark.parametrize("how", ["Ctrl-C", "sys.exit"])
def test_a_window_closed_in_what_cleans_up(window: Any, how: str) -> None:
    """That quit ended the cleaning up, and hid why it had begun."""
    seen = []

    async def main() -> None:
        if how == "Ctrl-C":
            QtCore.QTimer.singleShot(1, lambda: signal.raise_signal(signal.SIGINT))
        else:
            asyncio.get_running_loop().call_later(0.001, sys.exit, 3)
        try:
            await asyncio.Event().wait()
        finally:
            window.close()
            await asyncio.sleep(0.01)
            seen.append("cleaned up")

    with pytest.raises((KeyboardInterrupt, SystemExit)) as ended:
        run(main())
    assert ended.type is KeyboardInterrupt if how == "Ctrl-C" else ended.value.code == 3
    assert seen == ["cleaned up"]


def test_a_loop_within_a_qt_loop_that_is_told_to_end_cleans_up_without_qt(app: Any) -> None:
    """exec() is refused to it by then: it would have returned at once, again and again."""
    seen = []

    async def main() -> None:
        QtCore.QTimer.singleShot(1, lambda: app.exit(6))
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            seen.append("cleaned up")

    def within() -> None:
        try:
            run(main())
        except SystemExit as error:
            seen.append(error.code)

    QtCore.QTimer.singleShot(0, within)
    assert binding.run(app) == 6
    assert seen == ["cleaned up", 6]


def test_the_application_can_run_after_its_loop_was_ended(app: Any) -> None:
    loop = new_event_loop()
    try:
        loop.call_soon(app.quit)
        with pytest.raises(SystemExit):
            loop.run_forever()
        assert loop.run_until_complete(asyncio.sleep(0.001, "again")) == "again"
        loop.set_mode(QiLoopMode.NATIVE)
        assert loop.run_until_complete(asyncio.sleep(0.001, "without Qt")) == "without Qt"
    finally:
        loop.close()
    QtCore.QTimer.singleShot(1, app.quit)
    assert binding.run(app) == 0


@pytest.mark.parametrize("how", ["run_forever", "asyncio.run"])
def test_quit_of_a_thread_ends_its_loop_and_not_the_program(how: str) -> None:
    """A SystemExit in QThread.run() made the binding end the process, from that thread."""
    seen: list[Any] = []

    async def main() -> None:
        QtCore.QTimer.singleShot(1, lambda: thread.quit())  # on this thread
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            seen.append("cleaned up")

    class Thread(QtCore.QThread):  # type: ignore[misc]
        def run(self) -> None:
            loop = new_event_loop()
            try:
                if how == "run_forever":
                    loop.call_later(0.001, self.quit)
                    seen.append(loop.run_forever())
                else:
                    loop.run_until_complete(main())
            except BaseException as error:
                seen.append(type(error))
            finally:
                loop.close()

    thread = Thread()
    thread.start()
    assert thread.wait(10_000)
    assert seen == ([None] if how == "run_forever" else ["cleaned up", asyncio.CancelledError])


def test_a_run_ends_although_a_dialog_is_open() -> None:
    """It waited until somebody closed it."""
    dialog = QtWidgets.QDialog()

    async def main() -> str:
        opened = asyncio.Event()
        QtCore.QTimer.singleShot(20, opened.set)
        loop = asyncio.get_running_loop()
        loop.exec_modal(lambda: binding.run(dialog))  # type: ignore[attr-defined]
        await opened.wait()
        assert dialog.isVisible()
        return "over"

    assert run(main()) == "over"
