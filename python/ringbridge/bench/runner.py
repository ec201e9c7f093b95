# SPDX-License-Identifier: MIT
"""Runner: the main process's handle on the process in which a peer lives. Never waits for ever.

    a Participant has  no runner --ask()--> a runner --failure or deadline--> no runner

The main process only ever waits on a pipe, with a deadline: what a peer's library does, or does not
do, happens in the runner, which is killed with all below it.
"""

from __future__ import annotations

import contextlib
import glob
import json
import mmap
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

from ringbridge.bench import processes
from ringbridge.bench.catalogue import Spec
from ringbridge.bench.turns import Counter

_CLOSE_S = 10.0


class Failed(Exception):
    """A turn did not end as it should; the text says how. `never`: it cannot, by its nature."""

    def __init__(self, text: str, never: bool = False, hung: bool = False) -> None:
        super().__init__(text)
        self.never, self.hung = never, hung

    @property
    def line(self) -> str:
        """The text's first line, and not too much of it: for a row."""
        return str(self).partition("\n")[0][:200]


@dataclass
class Deadline:
    """The time that a peer has for one test. Only its own turns count."""

    seconds: float
    used_s: float = 0.0

    @property
    def left_s(self) -> float:
        return max(self.seconds - self.used_s, 0.0)


@dataclass(frozen=True)
class Rig:
    """Where everything runs: the worker's environment, and a processor for each side."""

    env: str
    host_cpu: int
    far_cpu: int


class Runner:
    """One process with one peer in it."""

    def __init__(self, spec: Spec, rig: Rig) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this)
        counter = os.memfd_create("rbbench-counter")
        os.ftruncate(counter, mmap.PAGESIZE)
        self.counter = Counter(memoryview(mmap.mmap(counter, mmap.PAGESIZE)))
        self.token = f"rbbench-{os.getpid()}-{spec.key}-"
        options = {
            "home": spec.home,
            "env": rig.env,
            "token": self.token,
            "cpus": [rig.host_cpu, rig.far_cpu],
            "counter_fd": counter,
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ringbridge.bench.runner_child", json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=[counter],
                start_new_session=True,  # Ctrl-C is ours; we end it then
                bufsize=0,
            )
        finally:
            os.close(counter)
        self._unread = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, turn: str, deadline: Deadline, **parameters: Any) -> Any:
        """What the turn answers; Failed when it does not, or not in time."""
        assert self._process.stdin is not None
        began = time.monotonic()
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps([turn, parameters]).encode() + b"\n")
            line = self._line(began + deadline.left_s, deadline.seconds)
        finally:
            deadline.used_s += time.monotonic() - began
        answer, problem, never = json.loads(line)
        if problem:
            raise Failed(problem, never=never)
        return answer

    def _line(self, until: float, seconds: float) -> bytes:
        assert self._process.stdout is not None
        parts = [self._unread]
        while b"\n" not in parts[-1]:
            left_s = until - time.monotonic()
            if left_s <= 0 or not select.select([self._process.stdout], [], [], left_s)[0]:
                raise Failed(f"no answer within {seconds:g} s", hung=True)
            part = os.read(self._process.stdout.fileno(), 1 << 20)
            if not part:
                raise Failed(self._death(), hung=True)
            parts.append(part)
        line, _, self._unread = b"".join(parts).partition(b"\n")
        return line

    def _death(self) -> str:
        code = self._process.wait(_CLOSE_S)
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f"its process ended with exit code {code}" + (f": {said[-1][:200]}" if said else "")

    def close(self) -> None:
        """In order where that works."""
        with contextlib.suppress(Failed):
            self.ask("close", Deadline(_CLOSE_S))
        self.kill()

    def kill(self) -> None:
        """At once, with all that it started and left behind."""
        processes.kill_tree(self.pid)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._errors.close()
        folder = glob.escape(tempfile.gettempdir())
        left = glob.glob(f"/dev/shm/*{self.token}*") + glob.glob(f"{folder}/{self.token}*")
        for path in left:
            with contextlib.suppress(OSError):
                if os.path.isdir(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)


@dataclass
class Participant:
    """A peer in a run: starts its runner when it is asked for a turn, and again after a failure."""

    spec: Spec
    rig: Rig
    runner: Runner | None = None
    far_pids: list[int] = field(default_factory=list)
    shares_memory: bool = False
    has_futures: bool = False
    note: str = ""
    #: Right answers of the last stream, also when it did not end.
    counted: int = 0
    #: Figures of the whole run, over all turns.
    involuntary: int = 0
    wall_ns: int = 0

    @property
    def name(self) -> str:
        return self.spec.title

    def begin(self, deadline: Deadline, start: bool = True) -> Runner:
        """The runner, with its peer started."""
        if self.runner is None:
            self.runner = Runner(self.spec, self.rig)
            if start:
                self._started(self.runner, deadline)
        return self.runner

    def _started(self, runner: Runner, deadline: Deadline) -> None:
        try:
            about = runner.ask("start", deadline)
        except Failed:
            self.end(kill=True)
            raise
        self.far_pids = about["far_pids"]
        self.shares_memory, self.has_futures = about["shares_memory"], about["has_futures"]
        self.note = about["note"]

    def ask(self, turn: str, deadline: Deadline, **parameters: Any) -> Any:
        self.counted = 0
        runner = self.begin(deadline)
        try:
            answer = runner.ask(turn, deadline, **parameters)
        except Failed as failure:
            self.counted = runner.counter.get()
            if not failure.never:
                self.end(kill=True)  # it may be in any state
            raise
        except BaseException:
            self.end(kill=True)
            raise
        self.counted = runner.counter.get()
        self.involuntary += answer.get("involuntary", 0)
        self.wall_ns += answer.get("wall_ns", 0)
        return answer

    @property
    def pids(self) -> tuple[int, list[int]]:
        """Of the runner and of its far side."""
        return (self.runner.pid if self.runner else 0), self.far_pids

    def end(self, kill: bool = False) -> None:
        runner, self.runner = self.runner, None
        if runner is not None:
            if kill:
                runner.kill()
            else:
                runner.close()
