# SPDX-License-Identifier: MIT
"""The tests of arrays: copied there, copied back, in place, and twenty of them in a dict."""

from __future__ import annotations

import sys
from typing import Any

from ringbridge.bench import catalogue, machine, processes
from ringbridge.bench.contest import Side
from ringbridge.bench.gathered import Budget, Gathered, Row, size_text, time_text, timed_row
from ringbridge.bench.runner import Participant
from ringbridge.bench.session import Block, MakeRow, Session

DICT_ARRAYS, DICT_BYTES = 20, 400_000

_BUDGET_SIZE = 100_000_000  # smaller ones lie in caches, where a memcpy is not one of memory
_COPIES = 8  # that both sides of a pair may hold at once, their libraries' included
_TURN_S = 0.02


def argument(session: Session) -> None:
    _copied(session, "argument", "array as argument")


def result(session: Session) -> None:
    _copied(session, "result", "array as result")


def in_place(session: Session) -> None:
    """Arrays in shared memory; beside ours of each size, ours of the smallest one."""
    _in_place(session, "in-place argument", "array in place, as argument")
    _in_place(session, "in-place result", "array in place, as result")


def _copied(session: Session, turn: str, kind: str) -> None:
    for size in session.options.sizes:
        if not possible(session, kind, size):
            continue
        peers, rows = session.willing(kind, size)
        memcpy = session.reference(catalogue.MEMCPY)
        found = session.contest(
            kind,
            _row_of(kind, size),
            [_side(session, who, turn, size) for who in (session.ours, memcpy)],
            [_side(session, who, turn, size) for who in peers],
        )
        _copy_budget(session, found[0], found[1], kind, size)
        session.done(Block(f"{kind}, copied, {size_text(size)}", [*found, *rows]))


def _copy_budget(session: Session, ours: Row, copy: Row, kind: str, size: int) -> None:
    if not (ours.get("trip_ns") and copy.get("trip_ns")):
        return
    ratio = ours["trip_ns"] / copy["trip_ns"]
    ours.update(floor=copy["name"], ratio=round(ratio, 3))
    if size == _BUDGET_SIZE:
        ours["budget"] = 1.15
        session.budgets.append(
            Budget(f"{size_text(size)} ordinary {kind}", time_text(ours["trip_ns"]),
                   f"warm memcpy {time_text(copy['trip_ns'])}", ratio, "<= 1.15 x", ratio <= 1.15)
        )  # fmt: skip


def _in_place(session: Session, turn: str, kind: str) -> None:
    smallest = min(session.options.sizes)
    for size in session.options.sizes:
        if not possible(session, kind, size):
            continue
        willing, rows = session.willing(kind, size)
        peers = [peer for peer in willing if session.started(peer) and peer.shares_memory]
        small = _side(session, session.ours, turn, smallest, "smallest ")
        found = session.contest(
            kind,
            _row_of(kind, size, moved=False),
            [_side(session, session.ours, turn, size), small],
            [_side(session, who, turn, size) for who in peers],
        )
        reference = found.pop(1)
        if size != smallest:
            _flat_budget(session, found[0], reference, kind, size, smallest)
        session.done(Block(f"{kind}, {size_text(size)}", [*found, *rows]))


def _flat_budget(
    session: Session, large: Row, small: Row, kind: str, size: int, smallest: int
) -> None:
    if not (large.get("trip_ns") and small.get("trip_ns")):
        return
    ratio = large["trip_ns"] / small["trip_ns"]
    large.update(floor=f"the same with {size_text(smallest)}", ratio=round(ratio, 3), budget=1.2)
    session.budgets.append(
        Budget(f"{size_text(size)} {kind}", time_text(large["trip_ns"]),
               f"{size_text(smallest)} of the same {time_text(small['trip_ns'])}", ratio,
               "+- 20 %", 0.8 <= ratio <= 1.2)
    )  # fmt: skip


def exchange(session: Session) -> None:
    """Twenty ordinary arrays there, twenty others back, with their names."""
    kind = "dict of 20 arrays, there and back"
    size = DICT_ARRAYS * DICT_BYTES
    parameters = {"key": "dict", "seconds": _TURN_S}
    prepare = {
        "key": "dict",
        "count": DICT_ARRAYS,
        "size": DICT_BYTES,
        "seed": session.options.seed,
    }

    def side(who: Participant) -> Side:
        return session.side(who, "exchange", parameters, ("prepare_dict", prepare))

    if possible(session, kind, size):
        found = session.contest(
            kind, _row_of(kind, size), [side(session.ours)], [side(each) for each in session.peers]
        )
        session.done(Block(f"{kind}, {size_text(size)} each way", found))


# ------------------------------------------------------------------------------------- in common


def _side(session: Session, who: Participant, turn: str, size: int, key: str = "") -> Side:
    key += f"{turn} {size}"
    prepare = {"key": key, "kind": turn, "size": size, "seed": session.options.seed + size % 1000}
    return session.side(who, "array", {"key": key, "seconds": _TURN_S}, ("prepare", prepare))


def _row_of(kind: str, size: int, moved: bool = True) -> MakeRow:
    def make_row(who: Participant, found: Gathered) -> Row:
        return timed_row(who.name, kind, found, size, moved)

    return make_row


def possible(session: Session, kind: str, size: int) -> bool:
    """Whether there is numpy and memory enough; if not, a row says so."""
    row: dict[str, Any] = {"name": session.ours.name, "kind": kind, "bytes": size}
    available, needed = processes.available_bytes(), _COPIES * size
    if not machine.version_of("numpy"):
        row["error"] = f"skipped: no numpy for {sys.executable}: install it there"
    elif not session.worker.get("numpy"):
        row["error"] = f"skipped: no numpy in {session.options.env}: install it there"
    elif available < needed:
        row["error"] = (
            f"skipped: it takes {size_text(needed)} of memory, "
            f"and {size_text(available // 10**6 * 10**6)} are available"
        )
    else:
        return True
    row["skipped"] = True
    session.done(Block(f"{kind}, {size_text(size)}", [row]))
    return False
