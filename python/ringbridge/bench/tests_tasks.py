# SPDX-License-Identifier: MIT
"""The tests of tasks: from a plain thread, awaited in a loop, and what they do to its rhythm."""

from __future__ import annotations

from ringbridge.bench import catalogue
from ringbridge.bench.contest import Side
from ringbridge.bench.gathered import Budget, Gathered, Row, size_text, time_text, timed_row
from ringbridge.bench.runner import Participant
from ringbridge.bench.session import Block, MakeRow, Session
from ringbridge.bench.tests_arrays import possible
from ringbridge.bench.tests_calls import NAP_S

RESULT_BYTES = 10_000_000
LATE_NS = 5e6  # what the 99th percentile of the ticks may be late, and the latest beyond the same

_AWAIT = 1.3
_GATHER_ROUNDS = 3


def submit(session: Session) -> None:
    """Beside those peers that have futures, too."""
    kind = "submit().result()"
    parameters = {"seconds": 0.02 if session.options.quick else 0.05}
    peers = [each for each in session.peers if session.started(each) and each.has_futures]
    rows = session.contest(
        kind,
        _timed(kind),
        [session.side(session.ours, "submit", parameters)],
        [session.side(peer, "submit", parameters) for peer in peers],
    )
    session.done(Block("f.submit(1).result(), from a plain thread", rows))


# ---------------------------------------------------------------------------------------- awaits


def awaits(session: Session) -> None:
    """One at a time, beside a wake of the loop; then all at once, beside turns of the loop."""
    seconds = 0.02 if session.options.quick else 0.05
    what = "await f.submit(1)"
    _awaited(session, "await", what, {"seconds": seconds})
    parameters = {"seconds": 2 * seconds, "nap_s": NAP_S}
    _awaited(session, "sleeping await", f"{what} when both sides sleep", parameters)
    _gathered(session)


def _awaited(session: Session, kind: str, what: str, parameters: dict[str, float]) -> None:
    wake = session.reference(catalogue.LOOP_WAKE)
    first = [session.side(who, "awaits", parameters) for who in (session.ours, wake)]
    rows = session.contest(kind, _timed(kind), first, [])
    _await_budget(session, what, rows[0], rows[1])
    session.done(Block(f"{what}, in an asyncio loop", rows))


def _await_budget(session: Session, what: str, ours: Row, wake: Row) -> None:
    if not (ours.get("trip_ns") and wake.get("trip_ns")):
        return
    ratio = ours["trip_ns"] / wake["trip_ns"]
    ours.update(floor=wake["name"], ratio=round(ratio, 3), budget=_AWAIT)
    against = f"{wake['name']} {time_text(wake['trip_ns'])}"
    session.budgets.append(
        Budget(what, time_text(ours["trip_ns"]), against, ratio,
               f"<= {_AWAIT} x", ratio <= _AWAIT)
    )  # fmt: skip


def _gathered(session: Session) -> None:
    calls = 1_000 if session.options.quick else 10_000
    kind = "awaits at once"
    turn = session.reference(catalogue.LOOP_TURN)
    first = [session.side(who, "gather", {"calls": calls}) for who in (session.ours, turn)]
    rows = session.contest(kind, _timed(kind), first, [], _GATHER_ROUNDS)
    _beside(rows[0], rows[1])
    session.done(Block(f"{calls:,} awaits gathered at once, time of each", rows))


# ---------------------------------------------------------------------------------------- rhythm


def rhythm(session: Session) -> None:
    """Ticks of a loop in the host: nothing arrives, results are awaited, callbacks take them."""
    kind = "ticks"
    total = 100_000_000 if session.options.quick else 1_000_000_000
    if not possible(session, kind, RESULT_BYTES):
        return

    def side(load: str) -> Side:
        key = f"rhythm {load}"
        prepare = {
            "key": key, "kind": "result", "size": RESULT_BYTES, "seed": session.options.seed
        }  # fmt: skip
        parameters = {
            "key": key,
            "load": load,
            "seconds": 0.5 if session.options.quick else 2.0,
            "least": total // RESULT_BYTES,
        }
        return session.side(session.ours, "rhythm", parameters, ("prepare", prepare))

    loads = ("awaited", "callbacks", "")
    rows = session.contest(kind, _timed(kind), [side(load) for load in loads], [])
    for row, load in zip(rows, loads):
        row["name"] = f"{row['name']}, {load}" if load else "nothing arrives"
    for row in rows[:2]:
        _beside(row, rows[2])
        _rhythm_budgets(session, row, rows[2], size_text(total))
    title = f"lateness of 60 ticks a second, {size_text(total)} of results and more in each turn"
    session.done(Block(title, rows, worst=True))


def _rhythm_budgets(session: Session, row: Row, without: Row, total: str) -> None:
    if "p99_ns" not in row or "p99_ns" not in without:
        return
    what = f"ticks while {total} arrives, {row['name'].partition(', ')[2]}"
    late, latest = row["p99_ns"], row["max_ns"]
    session.budgets += [
        Budget(f"{what}: 99 %", time_text(late), f"without {time_text(without['p99_ns'])}", None,
               "<= 5 ms", late <= LATE_NS),
        Budget(f"{what}: latest", time_text(latest), f"without {time_text(without['max_ns'])}",
               None, "<= 5 ms beyond", latest - without["max_ns"] <= LATE_NS),
    ]  # fmt: skip


def _beside(row: Row, floor: Row) -> None:
    """Of the medians; no budget."""
    if row.get("trip_ns") and floor.get("trip_ns"):
        row.update(floor=floor["name"], ratio=round(row["trip_ns"] / floor["trip_ns"], 3))


def _timed(kind: str) -> MakeRow:
    def make_row(who: Participant, found: Gathered) -> Row:
        row = timed_row(who.name, kind, found)
        if kind == "ticks" and found.took_ns:
            row["bytes_per_s"] = round(RESULT_BYTES * 1e9 * len(found.took_ns) / sum(found.took_ns))
        return row

    return make_row
