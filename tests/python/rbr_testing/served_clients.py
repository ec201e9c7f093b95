# SPDX-License-Identifier: MIT
"""Clients of served applications, in processes of their own.

python -m rbr_testing.served_clients WHAT NAME
    count    calls count() until it is killed; a line for each hundred that were answered
    flood    submits more than it ever reads, then stops itself
    mute     is called back, and then stops itself
    arrays   sends and gets arrays until it is killed
"""

from __future__ import annotations

import os
import signal
import sys

import ringbridge

DUTIES = "rbr_testing.served_duties"


def call_on_main(name: str, pid: int) -> bool:
    with ringbridge.connect(name, pid=pid) as app:
        on_main: bool = app.load(DUTIES).on_main()
        return on_main


def _count(name: str) -> None:
    with ringbridge.connect(name) as app:
        count = app.load(DUTIES).count
        before = 0
        while True:
            for _ in range(100):
                number = count()
                assert number > before, (number, before)
                before = number
            print("100", flush=True)


def _flood(name: str) -> None:
    app = ringbridge.connect(name, limits={"ring_bytes": 1 << 16})
    text = app.load(DUTIES).text
    tasks = [text.submit(10_000) for _ in range(2_000)]
    print("stopped", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    assert [len(task.result(60)) for task in tasks] == [10_000] * len(tasks)
    print("all", flush=True)


def _mute(name: str) -> None:
    app = ringbridge.connect(name)

    def stop(value: int) -> int:
        print("stopped", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        return value

    app.load(DUTIES).each(stop, 1)


def _arrays(name: str) -> None:
    app = ringbridge.connect(name)
    duties = app.load(DUTIES)
    held = [duties.filled(1_000_000, 1)]
    print("begun", flush=True)
    while True:
        held = [*held[-3:], duties.filled(3_000_000, 2)]
        ours = app.empty((2_000_000,), "uint8")
        ours[:] = 1
        assert duties.total(ours) == 2_000_000


if __name__ == "__main__":
    {"count": _count, "flood": _flood, "mute": _mute, "arrays": _arrays}[sys.argv[1]](sys.argv[2])
