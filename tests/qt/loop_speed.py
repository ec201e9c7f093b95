# SPDX-License-Identifier: MIT
"""What asyncio on Qt costs, beside plain asyncio in the same run: taken in turns, medians.

loop_speed.py BINDING [ROUNDS]

The exit code is 0 whatever the figures are; test_qt_speed.py holds them to (generous) bounds.
"""

from __future__ import annotations

import asyncio
import importlib
import platform
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable

if __name__ == "__main__":  # which binding: before it is chosen
    importlib.import_module(f"{sys.argv[1]}.QtCore")

from ringbridge.qt import asyncslot, binding, new_event_loop, using_asyncio_from_qt


async def sleep_0(count: int = 5000) -> float:
    """A task that gives way."""
    begun = time.perf_counter()
    for _ in range(count):
        await asyncio.sleep(0)
    return (time.perf_counter() - begun) / count


async def ping_pong(count: int = 600) -> float:
    """A line to a server in the same loop, and back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    begun = time.perf_counter()
    for _ in range(count):
        writer.write(b"x\n")
        await reader.readline()
    took = (time.perf_counter() - begun) / count
    writer.close()
    await writer.wait_closed()
    server.close()
    return took


async def _nop() -> None:
    pass


async def round_trip(count: int = 400) -> float:
    """run_coroutine_threadsafe(nop).result() in another thread."""
    loop = asyncio.get_running_loop()

    def calls() -> float:
        times = []
        for _ in range(count):
            begun = time.perf_counter()
            asyncio.run_coroutine_threadsafe(_nop(), loop).result()
            times.append(time.perf_counter() - begun)
        return statistics.median(times)

    return await _in_thread(calls)


async def one_way(count: int = 400) -> float:
    """From call_soon_threadsafe() in another thread to the call, while the loop waits."""
    loop = asyncio.get_running_loop()

    def calls() -> float:
        times: list[float] = []
        called = threading.Event()
        for _ in range(count):
            begun = time.perf_counter()

            def arrived(begun: float = begun) -> None:
                times.append(time.perf_counter() - begun)
                called.set()

            loop.call_soon_threadsafe(arrived)
            called.wait()
            called.clear()
            time.sleep(0.0001)  # the loop shall wait, and not be on its way there
        return statistics.median(times)

    return await _in_thread(calls)


async def _in_thread(function: Callable[[], float]) -> float:
    """Not by an executor, whose way back would be among what is measured."""
    future = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def run() -> None:
        loop.call_soon_threadsafe(future.set_result, function())

    threading.Thread(target=run).start()
    return await future  # type: ignore[no-any-return]


#: What is compared, and the ratio that must not be passed.
COMPARED: dict[str, tuple[Callable[[], Awaitable[float]], float]] = {
    "asyncio.sleep(0)": (sleep_0, 1.6),
    "stream ping-pong": (ping_pong, 1.2),
    "thread-safe round trip": (round_trip, 1.2),
    "thread-safe one way": (one_way, 1.2),
}
SLOT_MOST_S = 20e-6


def in_loop(loop: asyncio.AbstractEventLoop, measure: Callable[[], Awaitable[float]]) -> float:
    """One figure of one loop."""
    try:
        return loop.run_until_complete(measure())  # type: ignore[arg-type]
    finally:
        loop.close()


def compare(
    measure: Callable[[], Awaitable[float]], rounds: int, best: bool = False
) -> tuple[float, float]:
    """Plain asyncio's, and on Qt: the medians, or the best."""
    plain, ours = [], []
    for _ in range(rounds):
        plain.append(in_loop(asyncio.SelectorEventLoop(), measure))
        ours.append(in_loop(new_event_loop(), measure))
    of = min if best else statistics.median
    return of(plain), of(ours)


def slot_cost(count: int = 2000) -> float:
    """asyncslot(nop)(), from code that Qt runs."""
    slot = asyncslot(_nop)
    with using_asyncio_from_qt():
        begun = time.perf_counter()
        for _ in range(count):
            slot()
        return (time.perf_counter() - begun) / count


def idle_cpu(mode: str, seconds: float = 1.0) -> float:
    """Processor time in a second of waiting."""
    if mode == "owner":

        async def wait() -> float:
            await asyncio.sleep(0.05)  # what beginning costs is over
            begun = time.process_time()
            await asyncio.sleep(seconds)
            return time.process_time() - begun

        return in_loop(new_event_loop(), wait)
    with using_asyncio_from_qt():
        around = binding.QtCore.QEventLoop()
        binding.QtCore.QTimer.singleShot(50, around.quit)
        binding.run(around)
        begun = time.process_time()
        binding.QtCore.QTimer.singleShot(int(seconds * 1000), around.quit)
        binding.run(around)
        return time.process_time() - begun


def main() -> None:
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    application = binding.QtCore.QCoreApplication([])
    qt, python = binding.QtCore.qVersion(), platform.python_version()
    print(f"{binding.NAME} on Qt {qt}, Python {python}, {rounds} rounds")
    print(f"{'':24}{'plain us':>10}{'on Qt us':>10}{'ratio':>8}{'at most':>9}")
    for label, (measure, most) in COMPARED.items():
        plain, ours = compare(measure, rounds)
        print(f"{label:24}{plain * 1e6:10.2f}{ours * 1e6:10.2f}{ours / plain:8.2f}{most:9.1f}")
    slot = statistics.median(slot_cost() for _ in range(rounds))
    print(f"{'asyncslot(nop)()':24}{'':10}{slot * 1e6:10.2f}{'':8}{SLOT_MOST_S * 1e6:9.0f}")
    for mode in ("owner", "guest"):
        print(f"{f'CPU of an idle s, {mode}':24}{'':10}{idle_cpu(mode) * 1e6:10.0f}")
    del application


if __name__ == "__main__":
    main()
