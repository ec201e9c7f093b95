# SPDX-License-Identifier: MIT
"""`ringbridge ps`: the workers of this user, the applications that are served, and the plots."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from ringbridge import running, running_hosts
from ringbridge.cli import plain, plot
from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    from ringbridge.plot.running_plots import RunningPlot

    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_HEAD = ("PID", "NAME", "HOST", "AGE", "CPU", "MEMORY", "SHARED", "STATE", "PYTHON")
_NUMBERS = (0, 3, 4, 5, 6)
_HOSTS_HEAD = ("PID", "NAME", "APPLICATION", "SINCE", "CLIENTS", "MODULES", "DOCUMENT", "STATE")
_HOSTS_NUMBERS = (0, 3, 4)
_NAME_COLUMNS = 24
_MODULES_COLUMNS = 32
_DOCUMENT_COLUMNS = 48


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "ps",
        help="list the workers, the served applications and the plots of this user",
        description="Lists the workers that run on this machine for this user, whoever started "
        "them, the applications that are served, and the plots of computations. Workers are looked "
        "at from outside: none is asked, none is disturbed. Applications and plots are asked, but "
        "their main threads are not.",
    )
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")
    parser.set_defaults(verb=ps)


def ps(options: argparse.Namespace) -> int:
    from ringbridge.plot.running_plots import plots

    workers, hosts, drawn, problem = running.workers(), [], [], None
    try:
        hosts, drawn = running_hosts.hosts(), plots()
    except RingbridgeError as error:  # the workers are told all the same
        problem = error
    if options.json:
        documents = [*map(_document, workers), *map(_host_document, hosts)]
        documents += map(plot.document, drawn)
        print(json.dumps(documents, indent=1))
    else:
        _tell(workers, hosts, drawn)
    if problem is not None:
        raise problem
    return 0


def _tell(
    workers: list[running.RunningWorker],
    hosts: list[running_hosts.RunningHost],
    drawn: list[RunningPlot],
) -> None:
    lines = plain.table([_HEAD, *map(_row, workers)], right=_NUMBERS) if workers else []
    if hosts:
        rows = [_HOSTS_HEAD, *map(_host_row, hosts)]
        lines += [""] * bool(lines) + plain.table(rows, right=_HOSTS_NUMBERS)
    if drawn:
        rows = [plot.HEAD, *map(plot.row, drawn)]
        lines += [""] * bool(lines) + plain.table(rows, right=plot.NUMBERS)
    for line in lines or ["No worker of this user is running, and no application is served."]:
        plain.say(line)


def _document(worker: running.RunningWorker) -> dict[str, Any]:
    found = dataclasses.asdict(worker)
    del found["start"]  # the kernel's ticks: age_s tells the same
    age_s, cpu_s = round(worker.age_s, 2), round(worker.cpu_s, 2)
    return {"what": "worker", **found, "age_s": age_s, "cpu_s": cpu_s}


def _host_document(host: running_hosts.RunningHost) -> dict[str, Any]:
    since_s = None if host.since_s is None else round(host.since_s, 2)
    return {"what": "application", **dataclasses.asdict(host), "since_s": since_s}


def _host_row(host: running_hosts.RunningHost) -> tuple[str, ...]:
    return (
        str(host.pid),
        host.name,
        plain.printable(host.application, _NAME_COLUMNS),
        "-" if host.since_s is None else plain.duration(host.since_s),
        str(host.clients),
        plain.printable(", ".join(host.modules), _MODULES_COLUMNS) or "-",
        "-" if host.document is None else plain.printable(host.document, _DOCUMENT_COLUMNS),
        "idle" if host.busy is None else plain.printable(host.busy),
    )


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
