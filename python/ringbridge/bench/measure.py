# SPDX-License-Identifier: MIT
"""A whole run: machine, tests, document. Prints through what it is handed, writes no file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ringbridge import __version__
from ringbridge.bench import (
    machine,
    tests_arrays,
    tests_calls,
    tests_into,
    tests_plot,
    tests_processes,
    tests_tasks,
)
from ringbridge.bench.catalogue import Spec
from ringbridge.bench.runner import Failed, Rig
from ringbridge.bench.session import Options, Session

Document = dict[str, Any]

_TESTS: Mapping[str, Callable[[Session], None]] = {
    "call": tests_calls.small_call,
    "submit": tests_tasks.submit,
    "pipelined": tests_calls.pipelined,
    "flood": tests_calls.flood,
    "await": tests_tasks.awaits,
    "argument": tests_arrays.argument,
    "result": tests_arrays.result,
    "in-place": tests_arrays.in_place,
    "dict": tests_arrays.exchange,
    "rhythm": tests_tasks.rhythm,
    "sleep": tests_calls.sleeping,
    "into": tests_into.into,
    "plot": tests_plot.plot,
    "start": tests_processes.start,
    "idle": tests_processes.idle,
    "flat": tests_processes.flat,
}


def rig_for(env: str) -> Rig:
    return Rig(env, *machine.two_cpus())


def run(session: Session, missing: list[Spec]) -> Document:
    """Does the tests that the options name; the document is what --json writes.

    Raises Failed when there is no worker to measure.
    """
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    watch = machine.Watch()
    facts = machine.facts()
    try:
        session.worker = session.ours.ask("versions", session.deadline())
        for name in session.options.tests:
            _TESTS[name](session)
    except BaseException:
        session.end(kill=True)
        raise
    session.tell("ending")
    session.end()
    for spec in missing:
        session.rows.append(
            {"name": spec.title, "kind": "peer", "error": f"not installed: {spec.advice}"}
        )
    return {
        "tool": "ringbridge bench",
        "format": 1,
        "version": __version__,
        "mode": "python",
        "started": started,
        "machine": facts,
        "run": watch.end(session.ours.involuntary, session.ours.wall_ns / 1e9),
        "parameters": _parameters(session.options, session.rig, session.worker),
        "results": session.rows,
        "budgets": [asdict(budget) for budget in session.budgets],
    }


def _parameters(options: Options, rig: Rig, worker: Mapping[str, str]) -> dict[str, Any]:
    return {
        "cpus": [rig.host_cpu, rig.far_cpu],
        "rounds": options.rounds,
        "deadline_s": options.deadline_s,
        "seed": options.seed,
        "sizes": list(options.sizes),
        "tests": list(options.tests),
        "peers": [spec.title for spec in options.peers],
        "quick": options.quick,
        "worker": options.env,
        "worker_python": worker["python"],
        "worker_numpy": worker["numpy"],
    }


def wrong_of_ours(document: Document, ours: str) -> list[str]:
    """What ringbridge lost or got wrong, or could not do at all: this is never allowed."""
    found = []
    for row in document["results"]:
        if row["name"].partition(",")[0] == ours and not row.get("skipped"):
            if row.get("error"):
                found.append(f"{row['kind']}: {row['error']}")
            elif row.get("lost") or row.get("corrupt"):
                lost = f"{row.get('lost', 0)} lost, {row.get('corrupt', 0)} wrong"
                found.append(f"{row['kind']}: {lost}")
    return found


__all__ = ["Failed", "rig_for", "run", "wrong_of_ours"]
