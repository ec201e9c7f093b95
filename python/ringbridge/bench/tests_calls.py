# SPDX-License-Identifier: MIT
"""The tests of small calls: one at a time, many in flight, ten thousand at once, both asleep."""

from __future__ import annotations

import statistics

from ringbridge.bench import catalogue, machine
from ringbridge.bench.gathered import Budget, Gathered, Row, stream_row, time_text, timed_row
from ringbridge.bench.runner import Participant
from ringbridge.bench.session import Block, Session

WINDOW = 16
NAP_S = 0.001

_GROUPS = 3  # the floor is measured again for each, so that it is of the same minutes


def small_call(session: Session) -> None:
    """f(1) -> 2, beside the ping-pong of two cache lines."""
    kind = "small call"
    quick = session.options.quick
    parameters = {"seconds": 0.02 if quick else 0.05}
    groups = 1 if quick else min(_GROUPS, max(len(session.peers), 1))
    ours = Gathered()
    rows: list[Row] = []
    floors = []
    for number in range(groups):
        session.tell(f"{kind}: ringbench floor")
        floors.append(machine.floor_ns((session.rig.host_cpu, session.rig.far_cpu)))
        first = session.side(session.ours, "call", parameters)
        peers = [session.side(peer, "call", parameters) for peer in session.peers[number::groups]]
        rows += session.contest(
            kind, lambda who, found: timed_row(who.name, kind, found), [first], peers
        )[1:]
        ours.merge(first.gathered)
    order = [peer.name for peer in session.peers]
    rows.sort(key=lambda row: order.index(row["name"]))
    row = timed_row(session.ours.name, kind, ours)
    floor = [{"name": "own cache lines", "kind": kind, "trip_ns": each} for each in floors if each]
    session.budgets += _call_budgets(row, floor, rows)
    session.done(Block("small call, f(1) -> 2", [row, *floor[len(floor) // 2 :][:1], *rows]))


def _call_budgets(row: Row, floors: list[Row], peers: list[Row]) -> list[Budget]:
    what = "f(1) -> 2, spinning"
    ours = row.get("trip_ns")
    if ours is None:
        return []
    found = []
    if floors:
        floor = statistics.median(each["trip_ns"] for each in floors)
        ratio = ours / floor
        row.update(floor="own cache lines", ratio=round(ratio, 3), budget=max(3.5, 1000 / floor))
        text = "<= 1.0 us" if floor <= 300 else "<= 3.5 x"
        ok = ours <= 1000 if floor <= 300 else ratio <= 3.5
        against = f"own-line ping-pong {time_text(floor)}"
        found.append(Budget(what, time_text(ours), against, ratio, text, ok))
    else:
        against = "own-line ping-pong: no ringbench, or one CPU"
        found.append(Budget(what, time_text(ours), against, None, "-", None))
    for peer in peers:
        if peer["name"] == catalogue.PEERS["pipe"].title and "ratio" in peer:
            against = f"{peer['name']} {time_text(peer['trip_ns'])}"
            faster = peer["ratio"]
            text = ">= 30 x faster"
            found.append(Budget(what, time_text(ours), against, faster, text, faster >= 30))
    return found


def pipelined(session: Session) -> None:
    calls = 200 if session.options.quick else 500
    _stream(session, "pipelined calls", f"{WINDOW} calls in flight", calls, WINDOW)


def flood(session: Session) -> None:
    calls = 1_000 if session.options.quick else 10_000
    _stream(session, "flood", f"{calls:,} calls submitted at once", calls, calls, rounds=2)


def _stream(
    session: Session, kind: str, title: str, calls: int, window: int, rounds: int | None = None
) -> None:
    parameters = {"calls": calls, "window": window}

    def make_row(who: Participant, found: Gathered) -> Row:
        if found.error:  # of the turn that did not end
            found.completed.append(who.counted)
        return stream_row(who.name, kind, found, calls)

    rows = session.contest(
        kind,
        make_row,
        [session.side(session.ours, "stream", parameters)],
        [session.side(peer, "stream", parameters) for peer in session.peers],
        rounds,
    )
    rows[0]["note"] = session.ours.note
    session.done(Block(title, rows, f"ringbridge: {session.ours.note}"))


def sleeping(session: Session) -> None:
    """The way there and back, when both sides have gone to sleep meanwhile."""
    kind = "sleeping call"
    parameters = {"nap_s": NAP_S, "calls": 10}
    semaphores = session.reference(catalogue.SEMAPHORES)
    first = [session.side(who, "sleep", parameters) for who in (session.ours, semaphores)]
    rows = session.contest(kind, lambda who, found: timed_row(who.name, kind, found), first, [])
    ours, theirs = rows[0].get("trip_ns"), rows[1].get("trip_ns")
    if ours and theirs:
        ratio = ours / theirs
        rows[0].update(floor="sem_t", ratio=round(ratio, 3), budget=1.2)
        session.budgets.append(
            Budget("a call when both sides sleep", time_text(ours), f"sem_t {time_text(theirs)}",
                   ratio, "<= 1.2 x", ratio <= 1.2)
        )  # fmt: skip
    session.done(Block("a call when both sides sleep", rows))
