# SPDX-License-Identifier: MIT
"""The tests of plots: what an update costs, whatever its viewers do, and what it slows down."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import partial
from statistics import median

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
    session: Session, kind: str, sides_of: Sequence[tuple[Spec, str, str]], seconds: float
) -> list[Row]:
    """They take turns: who, the turn, and what it shows."""
    sides = []
    for spec, turn, shown in sides_of:
        key = f"{kind}, {shown}"
        prepare = {"key": key, "what": shown, "seed": session.options.seed}
        parameters = {"key": key, "seconds": seconds}
        who = session.reference(spec)
        sides.append(session.side(who, turn, parameters, ("prepare_plot", prepare)))
    return session.contest(kind, partial(_row, kind), sides, [])


def _row(kind: str, who: Participant, found: Gathered) -> Row:
    row = timed_row(who.name, kind, found)
    if any(found.drawn):
        row["drawn"] = sum(found.drawn)
    if found.copied:
        row.update(floor="copies to two places by turns with it", copy_ns=median(found.copied))
    return row


# -------------------------------------------------------------------------------------- updates


def _image(session: Session, plots: Sequence[Spec], others: Sequence[Spec]) -> None:
    kind = "plot of an image"
    floors = (catalogue.COPIES, catalogue.COPIES_IN_TURN)
    everyone = [(spec, "plot", "image") for spec in floors]
    everyone += [(spec, "plot_and_copy", "image") for spec in plots]
    rows = _rows(session, kind, everyone, _seconds(session, 2))
    for row in rows[len(floors) :]:
        if not row.get("copy_ns"):
            continue
        ratio = row["trip_ns"] / row["copy_ns"]
        row.update(ratio=round(ratio, 3), budget=IMAGE)
        against = f"a copy to two places, by turns {time_text(row['copy_ns'])}"
        session.budgets.append(
            Budget(f"{kind}, {_case(row)}", time_text(row["trip_ns"]), against, ratio,
                   f"<= {IMAGE} x", ratio <= IMAGE)
        )  # fmt: skip
    remark = "a publication writes to two places in turn: the newest frame stays meanwhile"
    if others:  # among themselves: a draw of theirs takes as long as a turn
        rows += _rows(
            session, kind, [(spec, "plot", "image") for spec in others], _seconds(session)
        )
    title = "Plotter.update of 1,000 x 1,000 float64"
    session.done(Block(title, rows, remark))


def _number(session: Session, plots: Sequence[Spec], others: Sequence[Spec]) -> None:
    kind = "plot of a number"
    everyone = [(spec, "plot", "number") for spec in (*plots, *others)]
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
    by_case: dict[Spec, list[Row]] = {}
    for spec in (*_SIMULATED, catalogue.PLOT_QUEUE):
        case = spec.title.rpartition(", ")[2]
        kind = f"simulation, {case}"
        shown = [(spec, "plot", what) for what in STEPS_SHOWN]
        rows = by_case[spec] = _rows(session, kind, shown, _seconds(session, 4))
        who = spec.title.partition(", ")[0].rpartition(".")[2]
        bare = rows[0]
        for row, what in zip(rows, STEPS_SHOWN):
            row["name"] = f"{who}, {what}"
            if row.get("trip_ns"):
                row["steps_per_s"] = round(STEPS * 1e9 / row["trip_ns"])
            if row is not bare and row.get("trip_ns") and bare.get("trip_ns"):
                row.update(floor=bare["name"], ratio=round(bare["trip_ns"] / row["trip_ns"], 3))
        title = f"steps of a simulation of 500 x 500 float64: {spec.title}"
        session.done(Block(title, rows))
    _speed(session, by_case[catalogue.PLOT], by_case[catalogue.PLOT_DRAWN])


def _speed(session: Session, without: list[Row], drawn: list[Row]) -> None:
    """With a viewer and without, each as a part of its speed where nothing is shown: two processes
    differ in where their memory lies."""
    if not all(row.get("trip_ns") for row in (*without, *drawn)):
        return
    # By the processor time, too: what else runs on a busy machine takes its part of the other.
    for key, how in (("trip_ns", ""), ("cpu_ns", ", in CPU time")):
        alone, watched = (rows[0][key] / rows[1][key] for rows in (without, drawn))
        ratio = watched / alone
        session.budgets.append(
            Budget(f"speed of a simulation, a viewer, {STEPS_SHOWN[1]}{how}",
                   f"{watched:.3f} of nothing shown", f"no viewer: {alone:.3f}", ratio,
                   f">= {SPEED} x", ratio >= SPEED)
        )  # fmt: skip
