# SPDX-License-Identifier: MIT
"""The tests of plots: what an update costs, whatever its viewers do, and what it slows down."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import partial

from ringbridge.bench import catalogue
from ringbridge.bench.catalogue import Spec
from ringbridge.bench.gathered import Budget, Gathered, Row, time_text, timed_row
from ringbridge.bench.peers_plot import STEPS, STEPS_SHOWN
from ringbridge.bench.plotted import IMAGE_SHAPE
from ringbridge.bench.runner import Participant
from ringbridge.bench.session import Block, Session
from ringbridge.bench.tests_arrays import possible

IMAGE = 1.3
NUMBER_NS = 2e3
SPEED = 0.98

_DRAWING = "matplotlib"  # without it nobody looks
_IMAGE_BYTES = 8 * math.prod(IMAGE_SHAPE)
_LOOKED_AT = (
    catalogue.PLOT_DRAWN,
    catalogue.PLOT_STOPPED,
    catalogue.PLOT_KILLED,
    catalogue.PLOT_THREE,
)
_SIMULATED = (catalogue.PLOT, catalogue.PLOT_DRAWN, catalogue.PLOT_THREE)


def plot(session: Session) -> None:
    """All sides are of this interpreter."""
    if not possible(session, "plot", _IMAGE_BYTES):
        return
    drawing = importlib.util.find_spec(_DRAWING) is not None
    plots = (catalogue.PLOT, *(_LOOKED_AT if drawing else ()))
    _image(session, plots, (catalogue.PLOT_QUEUE, catalogue.PLOT_PIPE) if drawing else ())
    _number(session, plots, (catalogue.PLOT_QUEUE,) if drawing else ())
    if drawing:
        _simulation(session)
    else:
        error = f"skipped: {_DRAWING} is not installed"
        row: Row = {"name": catalogue.PLOT_DRAWN.title, "kind": "plot", "error": error}
        session.done(Block("plots that somebody looks at", [{**row, "skipped": True}]))


def _seconds(session: Session, times: int = 1) -> float:
    """Of a turn."""
    return times * (0.02 if session.options.quick else 0.05)


def _rows(
    session: Session, kind: str, sides_of: Sequence[tuple[Spec, str]], seconds: float
) -> list[Row]:
    """They take turns: who, and what it shows."""
    sides = []
    for spec, shown in sides_of:
        key = f"{kind}, {shown}"
        prepare = {"key": key, "what": shown, "seed": session.options.seed}
        parameters = {"key": key, "seconds": seconds}
        who = session.reference(spec)
        sides.append(session.side(who, "plot", parameters, ("prepare_plot", prepare)))
    return session.contest(kind, partial(_row, kind), sides, [])


def _row(kind: str, who: Participant, found: Gathered) -> Row:
    row = timed_row(who.name, kind, found)
    if any(found.drawn):
        row["drawn"] = sum(found.drawn)
    return row


# -------------------------------------------------------------------------------------- updates


def _image(session: Session, plots: Sequence[Spec], others: Sequence[Spec]) -> None:
    kind = "plot of an image"
    floors = (catalogue.COPIES, catalogue.COPIES_IN_TURN)
    everyone = [(spec, "image") for spec in (*floors, *plots)]
    rows = _rows(session, kind, everyone, _seconds(session))
    one, two, *ours = rows
    for row in ours:
        if not all(each.get("trip_ns") for each in (one, two, row)):
            continue
        ratio = row["trip_ns"] / two["trip_ns"]
        row.update(floor=two["name"], ratio=round(ratio, 3), budget=IMAGE)
        copies = [time_text(each["trip_ns"]) for each in (two, one)]
        against = f"a copy to two places {copies[0]} (to one {copies[1]})"
        session.budgets.append(
            Budget(f"{kind}, {_case(row)}", time_text(row["trip_ns"]), against, ratio,
                   f"<= {IMAGE} x", ratio <= IMAGE)
        )  # fmt: skip
    remark = "a publication writes to two places in turn: the newest frame stays meanwhile"
    if others:  # among themselves: a draw of theirs takes as long as a turn
        rows += _rows(session, kind, [(spec, "image") for spec in others], _seconds(session))
    title = "Plotter.update of 1,000 x 1,000 float64"
    session.done(Block(title, rows, remark))


def _number(session: Session, plots: Sequence[Spec], others: Sequence[Spec]) -> None:
    kind = "plot of a number"
    everyone = [(spec, "number") for spec in (*plots, *others)]
    rows = _rows(session, kind, everyone, _seconds(session))
    for row in rows[: len(plots)]:
        if row.get("trip_ns"):
            took = row["trip_ns"]
            session.budgets.append(
                Budget(f"{kind}, {_case(row)}", time_text(took), "nothing", None, "<= 2 us",
                       took <= NUMBER_NS)
            )  # fmt: skip
    session.done(Block("Plotter.update of a number", rows))


def _case(row: Row) -> str:
    return str(row["name"]).partition(", ")[2]


# ----------------------------------------------------------------------------------- simulations


def _simulation(session: Session) -> None:
    """Each beside itself without showing anything, in the same process and memory: nobody draws
    then."""
    for spec in (*_SIMULATED, catalogue.PLOT_QUEUE):
        case = spec.title.rpartition(", ")[2]
        kind = f"simulation, {case}"
        rows = _rows(session, kind, [(spec, what) for what in STEPS_SHOWN], _seconds(session, 4))
        who = spec.title.partition(", ")[0].rpartition(".")[2]
        for row, what in zip(rows, STEPS_SHOWN):
            row["name"] = f"{who}, {what}"
            if row.get("trip_ns"):
                row["steps_per_s"] = round(STEPS * 1e9 / row["trip_ns"])
        for row in rows[1:]:
            _speed(session, spec, row, rows[0])
        title = f"steps of a simulation of 500 x 500 float64: {spec.title}"
        session.done(Block(title, rows))


def _speed(session: Session, spec: Spec, row: Row, bare: Row) -> None:
    if not (bare.get("trip_ns") and row.get("trip_ns")):
        return
    ratio = bare["trip_ns"] / row["trip_ns"]
    row.update(floor=bare["name"], ratio=round(ratio, 3))
    if spec is catalogue.PLOT_DRAWN and row["name"].endswith(STEPS_SHOWN[1]):
        # By the processor time, too: what else runs on a busy machine takes its part of the other.
        cpu = bare["cpu_ns"] / row["cpu_ns"]
        what = f"speed of a {row['kind']}, {_case(row)}"
        session.budgets += [
            Budget(what, f"{row['steps_per_s']:,} steps/s",
                   f"shows nothing: {bare['steps_per_s']:,} steps/s", ratio,
                   f">= {SPEED} x", ratio >= SPEED),
            Budget(f"{what}, in CPU time", f"{time_text(row['cpu_ns'] / STEPS)} a step",
                   f"shows nothing: {time_text(bare['cpu_ns'] / STEPS)} a step", cpu,
                   f">= {SPEED} x", cpu >= SPEED),
        ]  # fmt: skip
