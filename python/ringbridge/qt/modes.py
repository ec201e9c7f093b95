# SPDX-License-Identifier: MIT
"""What most programs need: asyncio in a Qt program, and Qt in an asyncio one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from ringbridge.qt.loop import QiBaseEventLoop, QiLoopMode, new_event_loop


@contextlib.contextmanager
def using_asyncio_from_qt(
    *, debug: bool | None = None, loop_factory: Callable[[], QiBaseEventLoop] | None = None
) -> Iterator[QiBaseEventLoop]:
    """Within it, asyncio works in whatever Qt runs: `with using_asyncio_from_qt(): app.exec()`.

    Also inside a Qt loop that runs already, such as a plugin's host. Gives the loop. At its end the
    tasks that are left are cancelled and waited for, as asyncio.run() does: Qt does not run
    meanwhile. A SystemExit, or a KeyboardInterrupt (Ctrl-C), of a callback ends Qt's loop and is
    raised here.

    debug         of the loop; None: as the interpreter has it
    loop_factory  makes the loop; default: new_event_loop

    RuntimeError: there is no application object; a loop runs on this thread already; or it is left
    by a task of its own, which it would have to wait for.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "an asyncio loop runs on this thread already, another plugin's perhaps: use that one, "
            "with asyncslot or asyncio.get_running_loop().create_task()"
        )
    loop = (loop_factory or new_event_loop)()
    try:
        if debug is not None:
            loop.set_debug(debug)
        loop.set_mode(QiLoopMode.GUEST)
        loop.start()
    except BaseException:
        loop.close()
        raise
    try:
        yield loop
    finally:
        if asyncio.current_task(loop) is not None:
            raise RuntimeError(
                "using_asyncio_from_qt() was left by a task of its own loop, which goes on: leave "
                "it from a plain slot, by QTimer.singleShot(0, ...) for example"
            )
        try:
            loop.leave()
            loop.set_mode(QiLoopMode.NATIVE)
            _clean_up(loop)
        finally:
            loop.close()
    loop.raise_broken_off()


def _clean_up(loop: QiBaseEventLoop) -> None:
    """As asyncio.run() does at its end."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception while asyncio was left",
                    "exception": task.exception(),
                    "task": task,
                }
            )
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())


@contextlib.contextmanager
def using_qt_from_asyncio() -> Iterator[None]:
    """Within it, asyncio.run() runs Qt, too: `with using_qt_from_asyncio(): asyncio.run(main())`.

    It sets the event loop policy of the interpreter, and restores it at its end. Where several
    threads make loops, or from Python 3.12 on, rather asyncio.run(main(),
    loop_factory=new_event_loop). What closing the last window and QCoreApplication.quit() do to
    main(), QiBaseEventLoop.run_forever says.
    """
    from ringbridge.qt import policy

    with policy.in_force():
        yield
