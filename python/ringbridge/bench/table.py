# SPDX-License-Identifier: MIT
"""The blocks of a run as tables for people. No measuring, no files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ringbridge.bench.gathered import Budget, Row, time_text
from ringbridge.bench.session import Block

_NAME_WIDTH = 26
_WORST = "max_ns"


def _rate(value: float) -> str:
    return f"{value:,.0f}"


def _gigabytes(value: float) -> str:
    return f"{value / 1e9:,.2f}" if value < 1e12 else "-"


def _percent(ns_per_s: float) -> str:
    return f"{ns_per_s / 1e7:.3f} %"


def _kib(value: float) -> str:
    return f"{value / 1024:+.0f} KiB"


#: figure, heading, how it is shown. A block has the columns that one of its rows has.
_COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("trip_ns", "median", time_text),
    ("p99_ns", "99 %", time_text),
    (_WORST, "latest", time_text),
    ("completed", "right", _rate),
    ("lost", "lost", _rate),
    ("messages_per_s", "calls/s", _rate),
    ("bytes_per_s", "GB/s", _gigabytes),
    ("steps_per_s", "steps/s", _rate),
    ("drawn", "drawn", _rate),
    ("cpu_ns", "CPU here", time_text),
    ("peer_cpu_ns", "CPU there", time_text),
    ("idle_cpu_ns_per_s", "CPU here", _percent),
    ("peer_idle_cpu_ns_per_s", "CPU there", _percent),
    ("switches_per_s", "switches", _rate),
    ("peer_switches_per_s", "there", _rate),
    ("rss_bytes", "RSS", _kib),
    ("fds", "fds", "{:+d}".format),
)
_WIDTH = 11


def block_text(block: Block, ours: str) -> str:
    """One test: ours first, and for the others how many times as long they take."""
    columns = [
        each
        for each in _COLUMNS
        if any(row.get(each[0]) is not None for row in block.rows)
        and (each[0] != _WORST or block.worst)
    ]
    ratios = any(_ratio(row, ours) for row in block.rows)
    heads = [heading for _, heading, _ in columns] + (["to ours"] if ratios else [])
    lines = [block.title, " " * (_NAME_WIDTH + 2) + "".join(f"{head:>{_WIDTH}}" for head in heads)]
    for row in block.rows:
        cells = [show(row[key]) if row.get(key) is not None else "" for key, _, show in columns]
        if ratios:
            cells.append(_ratio(row, ours))
        text = "".join(f"{cell:>{_WIDTH}}" for cell in cells).rstrip()
        lines.append(f"  {_shown_name(row, ours):<{_NAME_WIDTH}}{text}".rstrip())
        if row.get("error"):
            lines.append(f"  {'':<{_NAME_WIDTH}}  {row['error']}")
    if block.remark:
        lines.append(f"  ({block.remark})")
    return "\n".join(lines)


def _shown_name(row: Row, ours: str) -> str:
    kind = str(row["kind"])
    return kind.partition(", ")[2] if kind.startswith("growth, ") else str(row["name"])


def _ratio(row: Row, ours: str) -> str:
    if row.get("floor") != ours or row.get("ratio") is None:
        return ""
    ratio = row["ratio"]
    return (
        f"{ratio:,.0f} x" if ratio >= 100 else f"{ratio:.1f} x" if ratio >= 10 else f"{ratio:.2f} x"
    )


def budgets_text(budgets: Sequence[Budget]) -> str:
    heads = ("budget of", "measured", "against (same run, in turns)", "ratio", "allowed", "")
    table = [heads]
    for each in budgets:
        ratio = "-" if each.ratio is None else f"{each.ratio:.2f}"
        table.append((each.what, each.measured, each.against, ratio, each.budget, each.verdict))
    widths = [max(len(cells[column]) for cells in table) for column in range(len(heads))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths)).rstrip()
        for cells in table
    )
