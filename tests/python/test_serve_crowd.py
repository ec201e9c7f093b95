# SPDX-License-Identifier: MIT
"""Many clients of one application, some of which are killed, stopped, or read nothing."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from rbr_testing.eventually import until
from rbr_testing.served import DUTIES, Application, application, client, said

CLIENTS = 20
SECONDS = float(os.environ.get("RBR_CROWD_S", "6"))
MEMORY_MIB_MAX = 300


@pytest.fixture(autouse=True)
def meeting(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("run")
    folder.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))


class Caller:
    """A place in the crowd: a client that calls count(), killed and replaced now and then."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.answered = self.kills = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        chance = random.Random(self.thread.name)
        while not self.over.is_set():
            with client("count", self.app) as process:
                until_s = time.monotonic() + chance.uniform(0.5, 3.0)
                while time.monotonic() < until_s and said(process) == "100":
                    self.answered += 100
                assert process.poll() is None, "a client has ended by itself"
                process.kill()
                self.answered += 100 * said_after(process).count("100")
                self.kills += 1


def said_after(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.read().split()  # not communicate(): it misses what was read ahead


@pytest.mark.seconds(int(SECONDS) + 120)
def test_a_crowd_with_kills_among_it_counts_exactly() -> None:
    with application(name="crowd") as app:
        callers = [Caller(app) for _ in range(CLIENTS)]
        time.sleep(SECONDS)
        for caller in callers:
            caller.over.set()
        for caller in callers:
            caller.thread.join(60)
        answered = sum(caller.answered for caller in callers)
        kills = sum(caller.kills for caller in callers)
        with app.connect() as there:
            counted = there.load(DUTIES).counted()
            # Of each client that was killed up to 99 answers were not told of, and one call ran.
            assert answered <= counted <= answered + 100 * kills, (answered, counted, kills)
            assert kills >= CLIENTS and answered > 0
            until(lambda: there.about()["clients"] == 1, "the others' end")
            assert there.stats()["late_looks"] == 0
        print(f"{counted} calls, {kills} kills in {SECONDS} s")
        assert '"threads": []' in app.stop()


def test_each_call_runs_exactly_once() -> None:
    with application(name="exact") as app, contextlib.ExitStack() as stack:
        counts = [stack.enter_context(app.connect()).load(DUTIES).count for _ in range(8)]
        seen: list[int] = []

        def call(place: int) -> None:
            seen.extend([counts[place]() for _ in range(500)])

        threads = [threading.Thread(target=call, args=(place,)) for place in range(len(counts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(seen) == list(range(1, 8 * 500 + 1))


def memory_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def test_a_client_that_reads_nothing_harms_nobody() -> None:
    with application(name="flooded") as app, client("flood", app) as flooding:
        assert said(flooding) == "stopped"
        with app.connect(call_timeout=20) as there:
            duties = there.load(DUTIES)
            assert [duties.add(value, 0) for value in range(200)] == list(range(200))
            busy = cpu_s(app.pid)
            time.sleep(0.5)
            assert cpu_s(app.pid) - busy < 0.25, (
                "the application spins for a client that is stopped"
            )
            assert memory_mib(app.pid) < MEMORY_MIB_MAX
        flooding.send_signal(signal.SIGCONT)
        assert said(flooding) == "all"
        assert '"threads": []' in app.stop()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_client_that_answers_no_callback_keeps_nobody() -> None:
    with application(name="mute", callback_timeout=3.0) as app, client("mute", app) as mute:
        assert said(mute) == "stopped"
        with app.connect(call_timeout=20) as there:
            duties = there.load(DUTIES)
            assert duties.on_main() is True  # on top of the call that waits
            assert duties.add(1) == 2
            until(lambda: there.about()["busy"] is None, "the end of the call that waited")
            assert duties.on_main() is True
