# SPDX-License-Identifier: MIT
"""The tests of processes: how they start, what they cost when idle, whether they grow."""

from __future__ import annotations

import os
import statistics
import time

from ringbridge.activation import Activation
from ringbridge.bench import catalogue, processes
from ringbridge.bench.gathered import Budget, Row, size_text, time_text, timed_row
from ringbridge.bench.runner import Failed, Participant
from ringbridge.bench.session import Block, Session
from ringbridge.discovery import find

IDLE_S = 3.0
FLAT_GROWTH = 1 << 20  # what RSS may grow by and still be called flat: a few arenas of malloc

_ROUNDS_MAX = 10
_BEYOND_NS = 40e6
_LOOKS_PER_S = 12.0  # one look every 100 ms, and some room
_IDLE_CPU_NS = 1e6  # a second: 0.1 %
_FLAT_ARRAY = 100_000_000


def start(session: Session) -> None:
    """Until the first right answer; of ringbridge also until the constructor has returned.

    Where the environment has activation scripts, their effect is kept by then; and once more with
    the scripts run each time.
    """
    kind = "cold start"
    bare = session.reference(catalogue.BARE_PYTHON)
    sides = [session.ours, bare]
    if Activation(find(session.options.env), os.environ).recipe.needs_shell:
        sides.append(session.reference(catalogue.FIRST_START))
    first = [session.side(who, "cold", {}) for who in sides]
    rows = session.contest(
        kind,
        lambda who, found: timed_row(who.name, kind, found),
        first,
        [session.side(peer, "cold", {}) for peer in session.peers],
        rounds=min(session.options.rounds, _ROUNDS_MAX),
    )
    started, python = first[0].gathered.started_ns, rows[1].get("trip_ns")
    if started and python:
        ours = statistics.median(started)
        rows[0].update(floor=bare.name, ratio=round(ours / python, 3), started_ns=round(ours))
        session.budgets.append(
            Budget("start of a worker", time_text(ours), f"{bare.name} {time_text(python)}",
                   ours / python, "<= 40 ms beyond", ours - python <= _BEYOND_NS)
        )  # fmt: skip
    session.done(Block("from nothing to the first answer", rows))


def idle(session: Session) -> None:
    """All at once: who sleeps does not disturb the others.

    All begun anew: an arena that was used gives its memory back some seconds later.
    """
    seconds = 1.0 if session.options.quick else IDLE_S
    rows: dict[str, Row] = {}
    for who in (session.ours, *session.peers):
        session.tell(f"idle: {who.name} starts")
        rows[who.name] = {"name": who.name, "kind": "idle"}
        try:
            who.end()
            who.begin(session.deadline())
        except Failed as failure:
            rows[who.name]["error"] = failure.line
    there = [who for who in (session.ours, *session.peers) if who.runner is not None]
    session.tell(f"idle: {seconds:g} s of nothing")
    time.sleep(seconds / 10)  # what just answered looks for a while before it sleeps
    began = time.monotonic()
    before = [_spent(who) for who in there]
    time.sleep(seconds)
    after = [_spent(who) for who in there]
    took = time.monotonic() - began
    names = ("idle_cpu_ns_per_s", "peer_idle_cpu_ns_per_s", "switches_per_s", "peer_switches_per_s")
    for who, old, new in zip(there, before, after):
        for name, x, y in zip(names, old, new):
            rows[who.name][name] = round((y - x) / took, 1)
        if who.note:
            rows[who.name]["note"] = who.note
    _idle_budget(session, rows[session.ours.name])
    session.done(Block(f"idle, {seconds:g} s, a second of it", list(rows.values())))


def _spent(who: Participant) -> tuple[int, int, int, int]:
    """CPU ns here and there, context switches here and there."""
    pid, far_pids = who.pids
    far = [each for each in processes.descendants(pid)] or far_pids
    return (
        processes.cpu_ns([pid]),
        processes.cpu_ns(far),
        sum(processes.switches([pid])),
        sum(processes.switches(far)),
    )


def _idle_budget(session: Session, row: Row) -> None:
    if "error" in row:
        return
    cpu = max(row["idle_cpu_ns_per_s"], row["peer_idle_cpu_ns_per_s"])
    looks = max(row["switches_per_s"], row["peer_switches_per_s"])
    session.budgets.append(
        Budget("idle host and worker", f"{cpu / 1e7:.3f} % CPU, {looks:.0f} switches/s", "nothing",
               None, "0.1 %, 10 looks/s", cpu <= _IDLE_CPU_NS and looks <= _LOOKS_PER_S)
    )  # fmt: skip


def flat(session: Session) -> None:
    """Memory and descriptors of both sides, before and after."""
    quick = session.options.quick
    calls, gigabytes = (100_000, 1) if quick else (1_000_000, 10)
    size = min(_FLAT_ARRAY, max(session.options.sizes))
    row: Row = {"name": session.ours.name, "kind": "growth"}
    session.tell(f"flat: {calls:,} calls, {gigabytes} GB")
    deadline = session.deadline()
    deadline.seconds = max(deadline.seconds, 300.0)  # it is much work, and ours: no peer to hang
    try:
        found = session.ours.ask(
            "flat", deadline, calls=calls, bytes_=min(gigabytes * 10**9, size * 10_000), size=size
        )
    except Failed as failure:
        row["error"] = failure.line
        session.done(Block("growth", [row]))
        return
    moved = f"{size_text(found['moved_bytes'])} through the arena"
    rows = []
    for what, key in ((f"{calls:,} calls", "calls"), (moved, "bytes")):
        grown = found[key]
        measured = f"RSS {grown['rss_bytes'] / 1024:+.0f} KiB, fds {grown['fds']:+d}"
        ok = grown["rss_bytes"] <= FLAT_GROWTH and grown["fds"] <= 0
        session.budgets.append(Budget(what, measured, "before", None, "flat (1 MiB)", ok))
        rows.append({**row, "kind": f"growth, {what}", **grown})
    session.done(Block("growth of the larger side", rows))
