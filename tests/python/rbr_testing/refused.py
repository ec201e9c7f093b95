# SPDX-License-Identifier: MIT
"""Hosts and workers to whom the system refuses one call: a program for test_refused_syscalls.py.

python -m rbr_testing.refused SEED PART CASES   so many cases of those of a part: PARTS together
                                                have all that there are, in random order

A case is a thread, a system call, an error and a number: strace lets the thread's n-th such call
fail. For each case a forked copy of this process is the host. What it calls must be answered
rightly or raise what a user can expect, in time, and nothing may be left. Prints how many system
calls were refused; ends with code 1 when a case went wrong, and says which.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ringbridge
from rbr_testing.descriptors import possessions

HERE = Path(__file__).resolve().parent.parent
PARTS = 2
LARGE = 2 << 20
CALL_S = 10.0
HANG_S = 60.0  # beyond all timeouts of a case together
PR_SET_CHILD_SUBREAPER = 36

#: The system calls of csrc/core, and how each can fail. Left out is what cannot: close and munmap
#: do their work whatever they return, signal masks and clocks fail only for who calls them wrongly,
#: and so does a futex, where the C library ends the process.
ERRORS = {
    "clone3": ["EAGAIN"],
    "eventfd2": ["EMFILE", "ENOMEM"],
    "fallocate": ["ENOSPC", "EINTR", "EIO", "ENOSYS"],
    "fcntl": ["EPERM", "EBUSY"],
    "fstatfs": ["ENOMEM"],
    "getrandom": ["ENOSYS", "EINTR"],
    "getsockopt": ["ENOBUFS"],
    "ioctl": ["ENOTTY"],
    "kill": ["EPERM"],
    "madvise": ["EINVAL"],
    "memfd_create": ["EMFILE", "ENOSYS"],
    "mmap": ["ENOMEM", "EPERM"],
    "openat": ["EMFILE", "EACCES"],
    "pidfd_open": ["ENOSYS", "EMFILE"],
    "pidfd_send_signal": ["EPERM"],
    "poll": ["EINTR", "ENOMEM"],
    "read": ["EINTR"],
    "recvmsg": ["EINTR", "ENOBUFS", "ECONNRESET"],
    "sendmsg": ["EINTR", "ENOBUFS", "EAGAIN"],
    "setsockopt": ["ENOMEM"],
    "socketpair": ["EMFILE"],
    "statfs": ["ENOSYS"],
    "unlink": ["EROFS"],
    "vfork": ["EAGAIN"],
    "waitid": ["EINTR", "EINVAL"],
    "write": ["EINTR"],
}
#: More of them, where the thread is all ours.
WATCHERS_ERRORS = {"read": ["EIO"], "fstat": ["ENOMEM"], "newfstatat": ["ENOMEM"]}
#: Those that an interpreter makes by the hundred at its start, where they are not ours.
FREQUENT = {"ioctl", "mmap", "openat", "read", "fcntl"}

#: What an interpreter says that could not start a thread, or imported half a module.
INTERPRETERS_OWN = ("start new thread", "datetime_CAPI")


@dataclass(frozen=True)
class Case:
    thread: str  # of THREADS
    memory: str
    call: str = ""  # nothing is refused
    error: str = ""
    number: int = 0


#: Which thread is watched, and from when on: the start, or when the worker has been started.
THREADS = {
    "host": "the host's main thread, from the start",
    "all": "every thread of both, from the start",
    "host's watcher": "later",
    "worker": "later",
    "worker's watcher": "later",
}

# ---------------------------------------------------------------------------------------- the host


class Wrong(Exception):
    """Neither the right answer nor an error that a user can expect."""


def attempt(step: Callable[[], object], expected: object) -> None:
    try:
        answer = step()
    except ringbridge.CallTimeout as error:  # or a hang would look like an expected error
        if expected is not ringbridge.CallTimeout:
            raise Wrong("a call timed out") from error
    except (OSError, MemoryError, ImportError, ringbridge.RingbridgeError):
        pass
    except (AttributeError, RuntimeError) as error:
        if not any(words in str(error) for words in INTERPRETERS_OWN):
            raise
    else:
        if answer != expected:
            raise Wrong(f"answered {answer!r:.100}")


def use(worker: ringbridge.Worker) -> None:
    modules: list[ringbridge.RemoteModule] = []
    attempt(lambda: modules.append(worker.load("rbr_testing.faults")), None)
    for module in modules:
        attempt(lambda: module.add(1, 2), 3)  # noqa: B023
        attempt(lambda: module.length(memoryview(bytes(LARGE))), LARGE)  # noqa: B023
        attempt(lambda: bytes(module.pattern(LARGE, 9)), b"\x09" * LARGE)  # noqa: B023
        slow = module.pause.options(timeout=0.02)
        # Where its cancel is lost, the next call waits for it.
        attempt(lambda: slow(1.0), ringbridge.CallTimeout)  # noqa: B023
        attempt(lambda: module.length(memoryview(bytes(20 << 20))), 20 << 20)  # noqa: B023
        attempt(lambda: module.add(2, 3), 5)  # noqa: B023


def thread_of(case: Case, worker: ringbridge.Worker) -> int:
    pid = os.getpid() if "host" in case.thread else worker.pid
    assert pid is not None
    if case.thread == "worker":
        return pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text() == "ringbridge\n":
            return int(task.name)
    raise LookupError(case.thread)


def be_host(case: Case, ready: Callable[[int], None]) -> None:
    """ready: says which thread is to be watched, and waits until it is."""
    before = possessions()
    workers: list[ringbridge.Worker] = []

    def start() -> None:
        options = {"limits": {"memory": case.memory}, "call_timeout": CALL_S}
        workers.append(ringbridge.Worker(sys.executable, name="own", paths=[HERE], **options))

    if THREADS[case.thread] != "later":
        ready(os.getpid())
    attempt(start, None)
    for worker in workers:
        if THREADS[case.thread] == "later":
            ready(thread_of(case, worker))
        use(worker)
        attempt(worker.close, None)
    workers.clear()
    until = time.monotonic() + 5
    while True:
        with contextlib.suppress(OSError):  # the call that is refused may be this look's
            after = possessions()
            if after == before:
                return
        if time.monotonic() > until:
            raise Wrong(f"left: {after}, was: {before}")
        time.sleep(0.01)


def host_main(case: Case, tell: int, hear: int) -> int:
    def ready(thread: int) -> None:
        os.write(tell, b"%d\n" % thread)
        os.read(hear, 1)

    try:
        be_host(case, ready)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


# --------------------------------------------------------------------------------------- the watch


def strace_of(case: Case, thread: int, report: Path) -> list[str]:
    program = shutil.which("strace")
    assert program is not None
    command = [program, "-qq", "-o", str(report), "-p", str(thread)]
    if case.thread == "all":
        command.append("-f")
    if case.call:
        fault = f"{case.call}:error={case.error}:when={case.number}"
        return [*command, "-e", f"trace={case.call}", "-e", f"inject={fault}"]
    return [
        *command,
        "-e",
        "trace=" + ",".join(f"?{name}" for name in {**ERRORS, **WATCHERS_ERRORS}),
    ]


def is_traced(thread: int) -> bool:
    status = Path(f"/proc/{thread}/status").read_text()
    return "TracerPid:\t0\n" not in status


@contextlib.contextmanager
def watched(case: Case, thread: int, report: Path) -> Iterator[None]:
    with subprocess.Popen(strace_of(case, thread, report), stderr=subprocess.PIPE) as strace:
        try:
            while not is_traced(thread):
                if strace.poll() is not None:
                    assert strace.stderr is not None
                    raise OSError(errno.EPERM, strace.stderr.read().decode())
                time.sleep(0.001)
            yield
        finally:
            strace.terminate()  # lets go of whoever is left


def wait_for(pid: int, seconds: float) -> int | None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def orphaned_memory() -> set[str]:
    """Names of shared memory whose maker has ended."""
    found = (re.match(r"ringbridge-(\d+)-", name) for name in os.listdir("/dev/shm"))
    return {each.string for each in found if each and not Path(f"/proc/{each[1]}").exists()}


def leftover_processes() -> list[str]:
    """What ran on, and is ended now."""
    until = time.monotonic() + 5
    while True:
        with contextlib.suppress(ChildProcessError):  # orphans come to us
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return []
        if time.monotonic() > until:
            break
        time.sleep(0.005)
    found = []
    for pid in map(int, children):
        found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return found


def run(case: Case, report: Path) -> str:
    """What went wrong; "" when nothing did."""
    report.write_text("")
    orphans = orphaned_memory()
    (hear, tell), (go_read, go) = os.pipe(), os.pipe()
    host = os.fork()
    if host == 0:
        os.close(hear)
        os.close(go)
        with open(report.with_suffix(".said"), "w") as said:
            os.dup2(said.fileno(), 2)
        os._exit(host_main(case, tell, go_read))
    os.close(tell)
    os.close(go_read)
    with os.fdopen(hear) as told, os.fdopen(go, "wb", 0) as gate:
        thread = told.readline()
        if thread:
            with watched(case, int(thread), report):
                gate.write(b"x")
                code = wait_for(host, HANG_S)
        else:
            code = wait_for(host, HANG_S)
    if code is None:
        os.kill(host, signal.SIGABRT)
        os.waitpid(host, 0)
    left = leftover_processes() + sorted(orphaned_memory() - orphans)
    if code == 0 and not left:
        return ""
    outcome = "hangs" if code is None else f"exit code {code}"
    said = report.with_suffix(".said").read_text()
    return f"{case}: {outcome}, left {left}\n{said}\n{report.read_text()[-2000:]}"


# ---------------------------------------------------------------------------------------- the cases


def counted(report: Path, thread: str) -> Counter[str]:
    """How often each system call was made by the thread that made it most often."""
    per_thread: Counter[tuple[str, str]] = Counter()
    for line in report.read_text().splitlines():
        found = re.match(r"(?:(\d+) +)?(\w+)\(", line)
        if found:
            per_thread[found[1] or "", found[2]] += 1
    most: Counter[str] = Counter()
    for (_, name), number in per_thread.items():
        if thread != "all" or name not in FREQUENT:
            most[name] = max(most[name], number)
    return most


def all_cases(report: Path) -> list[Case]:
    cases = []
    for thread in THREADS:
        for memory in ("shm", "memfd"):
            wrong = run(Case(thread, memory), report)
            assert not wrong, wrong
            for call, number in counted(report, thread).items():
                own = WATCHERS_ERRORS.get(call, []) if "watcher" in thread else []
                for error in ERRORS.get(call, []) + own:
                    cases += [Case(thread, memory, call, error, n + 1) for n in range(number)]
    return mixed(cases)


def mixed(cases: list[Case]) -> list[Case]:
    """One of each kind, then a second one of each, and so on."""
    random.shuffle(cases)
    seen: Counter[tuple[str, ...]] = Counter()
    turns = []
    for case in cases:
        kind = case.thread, case.memory, case.call, case.error
        turns.append((seen[kind], len(turns), case))
        seen[kind] += 1
    return [case for _, _, case in sorted(turns, key=lambda turn: turn[:2])]


def main(seed: int, part: int, most: int) -> int:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with contextlib.suppress(ImportError):
        import numpy  # noqa: F401 - or each host would do it, amid the calls that are counted
    ringbridge.Worker  # noqa: B018 - imported on first use
    random.seed(seed)
    failed = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "strace"
        cases = all_cases(report)
        for case in cases[part::PARTS][:most]:
            wrong = run(case, report)
            refused += report.read_text().count("(INJECTED)")
            if wrong:
                failed += 1
                print(wrong, file=sys.stderr, flush=True)
    print(refused, len(cases))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))
