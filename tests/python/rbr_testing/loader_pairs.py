# SPDX-License-Identifier: MIT
"""Run as a script with -I in an interpreter that has nothing of ours, as a plugin's host has.

    loader_pairs.py ENVIRONMENT BARE

Loads the ringbridge of that environment, then calls both: it, and an interpreter that has nothing
either. Says nothing when all is well.
"""

from __future__ import annotations

import array
import importlib.util
import platform
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
LOADER = HERE.parents[1] / "plugin" / "ringbridge_loader.py"
NOT_OURS = ("numpy", "pytest", "ringbridge")  # all of them are in the environment


def load(environment: str) -> Any:
    """Its ringbridge, by the loader."""
    spec = importlib.util.spec_from_file_location("ringbridge_loader", LOADER)
    assert spec is not None and spec.loader is not None
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    return loader.load(environment)


def importable() -> list[str]:
    return [name for name in NOT_OURS if importlib.util.find_spec(name) is not None]


def exchange(rb: Any, python: str) -> str:
    """Calls that interpreter; its version."""
    with rb.Worker(python, paths=[HERE]) as worker:
        echo = worker.load("rbr_testing.basics").echo
        for size in (0, 300, 3_000_000):
            value = bytes(range(256)) * (size // 256) + b"end"
            assert echo(value) == value, size
        numbers = array.array("d", range(100_000))
        assert memoryview(echo(numbers)) == memoryview(numbers)
        assert worker.load("math").fsum(numbers) == 4_999_950_000.0
        assert worker.stats()["late_looks"] == 0
        return str(worker.load("platform").python_version())


def main(environment: str, bare: str) -> None:
    assert not importable(), f"this interpreter has something of its own: {importable()}"
    path = list(sys.path)
    rb = load(environment)
    prefix = Path(environment).parents[1]
    assert prefix in Path(rb.__file__).parents, rb.__file__
    assert sys.path == path
    assert importable() == ["ringbridge"]
    there = [exchange(rb, environment), exchange(rb, bare)]
    assert platform.python_version() not in there


if __name__ == "__main__":
    main(*sys.argv[1:])
