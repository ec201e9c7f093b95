# SPDX-License-Identifier: MIT
"""The machine that is measured on: its facts, its own round trip, and what disturbed the run."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

_RINGBENCH = Path(__file__).resolve().parents[1] / "bin" / "ringbench"
_FLOOR_S = 60.0
_STEAL_PERCENT_MAX = 1.0
_SWITCHES_PER_S_MAX = 60.0  # as ringbench has it

Facts = dict[str, Any]


def facts() -> Facts:
    said = _ringbench("--count", "1", "--runs", "1")  # it sees more than Python does
    return {
        "cpu": _cpu_model(),
        "cpus": os.cpu_count() or 1,
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "hypervisor": said["machine"]["hypervisor"] if said else "unknown",
        "python": platform.python_version(),
        "numpy": version_of("numpy"),
        "load_average": round(os.getloadavg()[0], 2),
    }


def version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _ringbench(*options: str) -> Facts | None:
    """What `ringbench floor` writes; None where there is no such program."""
    try:
        done = subprocess.run(
            [_RINGBENCH, "floor", "--json", "-", *options],
            capture_output=True,
            check=True,
            timeout=_FLOOR_S,
        )
        document: Facts = json.loads(done.stdout)
        return document
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def two_cpus() -> tuple[int, int]:
    """One processor for the host, another for the other side; the same one where that is all."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1 % len(usable)]


def floor_ns(cpus: Collection[int]) -> float | None:
    """A ping-pong of two cache lines, from ringbench; None where there is no such program."""
    if len(set(cpus)) < 2:
        return None
    on = ",".join(map(str, cpus))
    said = _ringbench("--duration", "50ms", "--runs", "1", "--cpus", on)
    rows = said["results"] if said else []
    return next((float(r["trip_ns"]) for r in rows if r["name"] == "own cache lines"), None)


class Watch:
    """What happened to the machine between begin and end of a run."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = self._times()

    @staticmethod
    def _times() -> tuple[int, int]:
        """Jiffies in all, and those that the hypervisor took."""
        fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
        return sum(fields), fields[7] if len(fields) > 7 else 0

    def end(self, involuntary: int, measured_s: float) -> Facts:
        """involuntary: how often ringbridge's host side was put off its processor meanwhile."""
        all_, stolen = (new - old for new, old in zip(self._times(), self._before))
        steal = 100.0 * stolen / all_ if all_ else 0.0
        noise = []
        if steal > _STEAL_PERCENT_MAX:
            noise.append(f"steal {steal:.1f} %")
        if measured_s and involuntary / measured_s > _SWITCHES_PER_S_MAX:
            noise.append(f"{involuntary / measured_s:.0f} involuntary switches a second")
        return {
            "seconds": round(time.monotonic() - self._began, 1),
            "steal_percent": round(steal, 2),
            "involuntary_switches": involuntary,
            "noisy": bool(noise),
            "noise": ", ".join(noise),
        }
