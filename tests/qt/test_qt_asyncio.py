# SPDX-License-Identifier: MIT
"""What asyncio's loops do works on Qt's, in owner and in guest mode."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import QtCore
from mode_runs import BOTH

from ringbridge.qt import QiSelectorEventLoop, using_qt_from_asyncio

Run = Callable[..., Any]


@pytest.fixture(params=sorted(BOTH))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine function in the mode that is the test's."""
    return BOTH[request.param]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
    writer.close()


async def said_to(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


def test_streams(run: Run) -> None:
    async def main() -> bytes:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        try:
            address = server.sockets[0].getsockname()
            return await said_to(*await asyncio.open_connection(*address))
        finally:
            server.close()

    assert run(main) == b"HELLO\n"


def test_unix_sockets(run: Run, tmp_path: Path) -> None:
    async def main() -> bytes:
        path = str(tmp_path / "socket")
        server = await asyncio.start_unix_server(echo, path)
        try:
            return await said_to(*await asyncio.open_unix_connection(path))
        finally:
            server.close()

    assert run(main) == b"HELLO\n"


def test_datagrams(run: Run) -> None:
    class Receiver(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, _address: Any) -> None:
            self.received.set_result(data)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        there, receiver = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
        here, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=there.get_extra_info("sockname")
        )
        try:
            here.sendto(b"datagram")
            return await receiver.received
        finally:
            here.close()
            there.close()

    assert run(main) == b"datagram"


def test_subprocesses(run: Run) -> None:
    async def main() -> tuple[bytes, int | None]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import sys; print(input()); sys.exit(3)",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate(b"said\n")
        return output, process.returncode

    assert run(main) == (b"said\n", 3)


def test_signal_handlers(run: Run) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, came.set)
        # By another thread: the loop waits in Qt's C code by then, or is on its way there.
        thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))
        thread.start()
        await came.wait()
        thread.join()
        assert loop.remove_signal_handler(signal.SIGUSR1)
        return "came"

    assert run(main) == "came"


def test_readers_and_writers(run: Run) -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        with here, there:
            future = loop.create_future()

            def write() -> None:
                loop.remove_writer(here)
                here.send(b"bytes")

            def read() -> None:
                loop.remove_reader(there)
                future.set_result(there.recv(100))

            loop.add_reader(there, read)
            loop.add_writer(here, write)
            return await future

    assert run(main) == b"bytes"


def test_executors(run: Run) -> None:
    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(None, threading.get_ident)

    assert run(main) != threading.get_ident()


def test_async_generators_are_shut_down(run: Run) -> None:
    seen = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    kept = numbers()

    async def main() -> None:
        async for _number in kept:
            break
        await asyncio.get_running_loop().shutdown_asyncgens()

    run(main)
    assert seen == ["closed"]


def test_a_timeout_of_something_that_does_not_end(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of Python 3.11")
def test_asyncio_timeout(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")
def test_eager_tasks(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        seen = []

        async def work(name: str) -> None:
            seen.append(f"{name} began")
            await asyncio.sleep(0)
            seen.append(f"{name} ended")

        task = loop.create_task(work("eager"))
        seen.append("made")
        other = loop.run_task(work("run"))  # type: ignore[attr-defined]
        await asyncio.gather(task, other)
        return seen

    expected = ["eager began", "made", "run began", "eager ended", "run ended"]
    assert run(main) == expected


def test_debug_mode_tells_of_slow_callbacks(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
        loop.call_soon(sum, [])
        await asyncio.sleep(0.001)

    run(main)
    assert "Executing <Handle" in caplog.text


@pytest.mark.parametrize("kind", [selectors.SelectSelector, selectors.PollSelector])
def test_a_selector_of_the_users_own(run: Run, kind: type[selectors.BaseSelector]) -> None:
    async def main() -> tuple[bytes, int]:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        try:
            address = server.sockets[0].getsockname()
            answer = await said_to(*await asyncio.open_connection(*address))
        finally:
            server.close()
        return answer, await loop.run_in_executor(None, os.getpid)

    assert run(main, lambda: QiSelectorEventLoop(kind())) == (b"HELLO\n", os.getpid())


def test_no_policy_is_left_behind(run: Run) -> None:
    before = asyncio.events._event_loop_policy  # type: ignore[attr-defined]

    async def main() -> None:
        await asyncio.sleep(0)

    run(main)
    assert asyncio.events._event_loop_policy is before  # type: ignore[attr-defined]


def test_using_qt_from_asyncio_leaves_no_policy_behind() -> None:
    def policy_here() -> Any:
        return asyncio.events._event_loop_policy  # type: ignore[attr-defined]

    with using_qt_from_asyncio():
        ours = policy_here()
        asyncio.run(asyncio.sleep(0))
        with pytest.raises(ZeroDivisionError), using_qt_from_asyncio():
            raise ZeroDivisionError
        assert policy_here() is ours
    assert not isinstance(policy_here(), type(ours))


def test_two_loops_on_two_threads_talk_to_each_other(run: Run) -> None:
    """A thread that Qt did not begin had no event dispatcher, and its loop waited for ever."""
    results = []

    async def main() -> None:
        here = asyncio.get_running_loop()
        done = here.create_future()

        async def there() -> None:
            for _ in range(10):
                inner = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.0001, 1), here)
                results.append(await asyncio.wrap_future(inner))

        def thread() -> None:
            run(there)
            here.call_soon_threadsafe(done.set_result, None)

        other = threading.Thread(target=thread)
        other.start()
        await done
        other.join()

    run(main)
    assert results == [1] * 10


def test_a_thread_of_qts_own(run: Run) -> None:
    results = []

    async def main() -> str:
        return await asyncio.sleep(0.001, "there")

    class Thread(QtCore.QThread):  # type: ignore[misc]
        def run(self) -> None:
            results.append(run(main))

    thread = Thread()
    thread.start()
    assert thread.wait(30_000)
    assert results == ["there"]
