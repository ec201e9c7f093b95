# SPDX-License-Identifier: MIT
"""`ringbridge ps`: the workers of this user."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from ringbridge import running
from ringbridge.cli import plain

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_HEAD = ("PID", "NAME", "HOST", "AGE", "CPU", "MEMORY", "SHARED", "STATE", "PYTHON")
_NUMBERS = (0, 3, 4, 5, 6)
_NAME_COLUMNS = 24


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "ps",
        help="list the workers of this user",
        description="Lists the workers that run on this machine for this user, whoever started "
        "them. Looks from outside: no worker is asked, none is disturbed.",
    )
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")
    parser.set_defaults(verb=ps)


def ps(options: argparse.Namespace) -> int:
    workers = running.workers()
    if options.json:
        print(json.dumps([_document(worker) for worker in workers], indent=1))
    elif not workers:
        plain.say("No worker of this user is running.")
    else:
        for line in plain.table([_HEAD, *map(_row, workers)], right=_NUMBERS):
            plain.say(line)
    return 0


def _document(worker: running.RunningWorker) -> dict[str, Any]:
    found = dataclasses.asdict(worker)
    del found["start"]  # the kernel's ticks: age_s tells the same
    return {**found, "age_s": round(worker.age_s, 2), "cpu_s": round(worker.cpu_s, 2)}


def _row(worker: running.RunningWorker) -> tuple[str, ...]:
    return (
        str(worker.pid),
        "-" if worker.name is None else plain.printable(worker.name, _NAME_COLUMNS),
        _host(worker),
        plain.duration(worker.age_s),
        plain.duration(worker.cpu_s),
        plain.size(worker.memory_bytes),
        plain.size(worker.shared_bytes),
        worker.state,
        plain.printable(worker.python),
    )


def _host(worker: running.RunningWorker) -> str:
    if worker.host_gone:
        return "gone"
    if worker.host_pid is None:
        return "-"
    return f"{worker.host_pid} {plain.printable(worker.host_name or '')}".rstrip()
