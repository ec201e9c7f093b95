# SPDX-License-Identifier: MIT
"""The tests of calls into applications that run already: small ones, connect(), an array."""

from __future__ import annotations

import importlib.util
import statistics
from functools import partial

from ringbridge.bench import catalogue
from ringbridge.bench.gathered import Budget, Gathered, Row, size_text, time_text, timed_row
from ringbridge.bench.runner import Participant
from ringbridge.bench.session import Block, Session
from ringbridge.bench.tests_arrays import possible

SCRIPT_NS = 5e3
SIGNALS = 2.0
CONNECT_NS = 20e6

_IN_PLACE = 1.2
_ARRAY_BYTES = 100_000_000
_CONNECT_ROUNDS_MAX = 10


def into(session: Session) -> None:
    """Both sides of each comparison are of this interpreter."""
    seconds = 0.02 if session.options.quick else 0.05
    _script(session, seconds)
    _qt(session, seconds)
    _connect(session)
    _array(session, seconds)


def _script(session: Session, seconds: float) -> None:
    kind = "call into a script"
    sides = [session.reference(each) for each in (catalogue.INTO_SCRIPT, catalogue.OWN_WORKER)]
    first = [session.side(who, "call", {"seconds": seconds}) for who in sides]
    rows = session.contest(kind, partial(_row, kind), first, [])
    ours, worker = (row.get("trip_ns") for row in rows)
    if ours and worker:
        rows[0].update(floor=rows[1]["name"], ratio=round(ours / worker, 3))
        session.budgets.append(
            Budget(f"{kind}, spinning", time_text(ours), f"a worker {time_text(worker)}",
                   ours / worker, "<= 5 us", ours <= SCRIPT_NS)
        )  # fmt: skip
    session.done(Block("f(1) -> 2, into the main thread of a script that serves", rows))


def _qt(session: Session, seconds: float) -> None:
    kind = "call into a Qt application"
    title = "f(1) -> 2, into the main thread of a Qt application"
    if not any(map(importlib.util.find_spec, catalogue.QT_BINDINGS)):
        error = f"skipped: none of {', '.join(catalogue.QT_BINDINGS)} is installed"
        row: Row = {"name": catalogue.INTO_QT.title, "kind": kind, "error": error}
        session.done(Block(title, [{**row, "skipped": True}]))
        return
    turns = ((catalogue.INTO_QT, "call"), (catalogue.QUEUED_SIGNAL, "reported"))
    first = [
        session.side(session.reference(spec), turn, {"seconds": seconds}) for spec, turn in turns
    ]
    rows = session.contest(kind, partial(_row, kind), first, [])
    ours, signal = (row.get("trip_ns") for row in rows)
    if ours and signal:
        ratio = ours / signal
        rows[0].update(floor=rows[1]["name"], ratio=round(ratio, 3), budget=SIGNALS)
        session.budgets.append(
            Budget(kind, time_text(ours), f"{rows[1]['name']} {time_text(signal)}", ratio,
                   f"<= {SIGNALS:g} x", ratio <= SIGNALS)
        )  # fmt: skip
    session.done(Block(title, rows))


def _connect(session: Session) -> None:
    kind = "connect()"
    side = session.side(session.reference(catalogue.INTO_SCRIPT), "cold", {})
    rounds = min(session.options.rounds, _CONNECT_ROUNDS_MAX)
    rows = session.contest(kind, partial(_row, kind), [side], [], rounds)
    if side.gathered.started_ns:
        took = statistics.median(side.gathered.started_ns)
        rows[0]["started_ns"] = round(took)
        session.budgets.append(
            Budget(f"{kind}, alone", time_text(took), "nothing", None, "<= 20 ms",
                   took <= CONNECT_NS)
        )  # fmt: skip
    session.done(Block("connect(), load() and the first answer", rows))


def _array(session: Session, seconds: float) -> None:
    kind = "array in place, out of a script"
    smallest = min(session.options.sizes)
    size = max(min(_ARRAY_BYTES, max(session.options.sizes)), smallest)
    if not possible(session, kind, size):
        return
    script = session.reference(catalogue.INTO_SCRIPT)

    def rows_of(wanted: int) -> Row:
        key = f"{kind} {wanted}"
        prepare = {"key": key, "kind": "in-place result", "size": wanted,
                   "seed": session.options.seed}  # fmt: skip
        parameters = {"key": key, "seconds": seconds}
        side = session.side(script, "array", parameters, ("prepare", prepare))
        return session.contest(kind, partial(_row, kind, size=wanted), [side], [])[0]

    rows = [rows_of(size), rows_of(smallest)]
    large, small = (row.get("trip_ns") for row in rows)
    if large and small:
        ratio = large / small
        rows[0].update(floor=f"the same with {size_text(smallest)}", ratio=round(ratio, 3),
                       budget=_IN_PLACE)  # fmt: skip
        session.budgets.append(
            Budget(f"{size_text(size)} {kind}", time_text(large),
                   f"{size_text(smallest)} of the same {time_text(small)}", ratio,
                   f"<= {_IN_PLACE} x", ratio <= _IN_PLACE)
        )  # fmt: skip
    session.done(Block("an array that was made there with rb.empty", rows))


def _row(kind: str, who: Participant, found: Gathered, size: int | None = None) -> Row:
    name = who.name if size is None else f"{who.name}, {size_text(size)}"
    return timed_row(name, kind, found, size, moved=False)
