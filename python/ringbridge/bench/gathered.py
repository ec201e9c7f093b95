# SPDX-License-Identifier: MIT
"""From what the turns said to rows of figures, and budgets. Plain arithmetic, no processes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

_PERCENTS = (0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0)
_NAMES = {0.0: "min_ns", 50.0: "p50_ns", 90.0: "p90_ns", 99.0: "p99_ns", 99.9: "p99.9_ns",
          100.0: "max_ns"}  # fmt: skip


@dataclass
class Gathered:
    """What one side said in all its turns."""

    trips: list[float] = field(default_factory=list)
    each: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peer_cpu: list[float] = field(default_factory=list)
    took_ns: list[float] = field(default_factory=list)
    started_ns: list[float] = field(default_factory=list)
    completed: list[int] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)
    wrong: int = 0
    error: str = ""

    def check(self, answer: Row) -> None:
        """Takes only whether it was right."""
        self.wrong += answer.get("wrong", 0)
        self.completed += [answer["completed"]] if "completed" in answer else []

    def add(self, answer: Row) -> None:
        self.check(answer)
        self.trips += answer.get("trips", [])
        self.each += answer.get("each", [])
        self.copied += answer.get("copied", [])
        for key, values in (
            ("cpu_ns", self.cpu),
            ("peer_cpu_ns", self.peer_cpu),
            ("took_ns", self.took_ns),
            ("started", self.started_ns),
            ("drawn", self.drawn),
        ):
            if key in answer:
                values.append(answer[key])

    def merge(self, other: Gathered) -> None:
        for name in (
            "trips",
            "each",
            "cpu",
            "peer_cpu",
            "took_ns",
            "started_ns",
            "completed",
            "drawn",
            "copied",
        ):
            getattr(self, name).extend(getattr(other, name))
        self.wrong += other.wrong
        self.error = self.error or other.error

    @property
    def trip_ns(self) -> float | None:
        return statistics.median(self.trips) if self.trips else None


def percentiles(values: Sequence[float]) -> list[tuple[float, float]]:
    """(percent, value), ascending; each is a value that occurred."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return [(percent, ordered[round(last * percent / 100)]) for percent in _PERCENTS]


def timed_row(
    name: str, kind: str, gathered: Gathered, size: int | None = None, moved: bool = True
) -> Row:
    """Of a test whose figure is the time that a call takes; moved: the bytes really went."""
    row: Row = {"name": name, "kind": kind}
    if size is not None:
        row["bytes"] = size
    trip_ns = gathered.trip_ns
    if trip_ns is not None:
        row["trip_ns"] = _short(trip_ns)
        if size and moved:
            row["bytes_per_s"] = _short(size * 1e9 / trip_ns)
    if gathered.each:
        found = percentiles(gathered.each)
        row.update({_NAMES[percent]: value for percent, value in found if percent in _NAMES})
        row["mean_ns"] = _short(statistics.fmean(gathered.each))
        row["samples"] = len(gathered.each)
        row["percentiles"] = [list(pair) for pair in found]
    return _finished(row, gathered)


def stream_row(name: str, kind: str, gathered: Gathered, calls: int) -> Row:
    """Of a test that has many calls in flight: how many came back, and how many a second."""
    row: Row = {"name": name, "kind": kind, "samples": calls}
    if gathered.completed:
        row["completed"] = min(gathered.completed)
        row["lost"] = calls - row["completed"]
    if gathered.took_ns:
        row["messages_per_s"] = _short(calls * 1e9 / statistics.median(gathered.took_ns))
    return _finished(row, gathered)


def _finished(row: Row, gathered: Gathered) -> Row:
    if gathered.cpu:
        row["cpu_ns"] = _short(statistics.median(gathered.cpu))
        row["peer_cpu_ns"] = _short(statistics.median(gathered.peer_cpu))
    row["corrupt"] = gathered.wrong
    if gathered.wrong and not gathered.error:
        gathered.error = f"{gathered.wrong} wrong results"
    if gathered.error:
        row["error"] = gathered.error
    return row


def _short(value: float) -> float:
    """Without digits that say nothing."""
    return round(value, 1) if value < 1e6 else float(round(value))


@dataclass(frozen=True)
class Budget:
    """What the project allows itself: what was measured, against what, and whether it was met."""

    what: str
    measured: str
    against: str
    ratio: float | None
    budget: str
    ok: bool | None

    @property
    def verdict(self) -> str:
        return "-" if self.ok is None else "ok" if self.ok else "MISSED"


def time_text(ns: float) -> str:
    for unit, factor in (("us", 1e3), ("ms", 1e6)):
        if ns < 1000 * factor:
            return f"{ns / factor:.{2 if ns < 100 * factor else 0}f} {unit}"
    return f"{ns / 1e9:.2f} s"


def size_text(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            return f"{size / factor:g} {unit}"
    return f"{size} B"
