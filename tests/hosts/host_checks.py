# SPDX-License-Identifier: MIT
"""Runs inside the host: makes workers by name, and writes down what happened.

Judges nothing; the tests read the report. RBR_HOSTS_SETTINGS names a file of JSON:

    copy      the folder that holds a ringbridge, and nothing else; or
    loader    the file that plugins ship, and has_it, an environment that has ringbridge
    paths     folders for the worker's sys.path
    name      of the environment
    inside    variables to set in here, since the host itself would not start with them
    alone     for each of these lists of names: a worker that keeps the host's variables of them
    report    where the report goes

Needs nothing of the host but its Python, and its numpy.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append([record.name, record.levelname, record.getMessage()])


def settings() -> dict[str, Any]:
    with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as file:
        return json.load(file)  # type: ignore[no-any-return]


def reach(wanted: dict[str, Any]) -> None:
    """Makes `import ringbridge` work in here."""
    if "loader" not in wanted:
        sys.path.insert(0, wanted["copy"])
        return
    spec = importlib.util.spec_from_file_location("ringbridge_loader", wanted["loader"])
    assert spec is not None and spec.loader is not None
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    loader.load(wanted["has_it"])


def report(host: dict[str, Any]) -> None:
    """Does everything, and writes the report; `host` is what the host says about itself."""
    wanted = settings()
    reach(wanted)
    # Before the poison is in this process: from here on it is only for those that we start.
    import numpy

    began = time.perf_counter()
    import ringbridge

    imported = time.perf_counter()
    ringbridge.Worker  # noqa: B018 (nothing of it is imported before it is asked for)
    import_ms = [(imported - began) * 1e3, (time.perf_counter() - imported) * 1e3]
    os.environ.update(wanted["inside"])
    told = {
        "host": {
            **host,
            "python": list(sys.version_info[:3]),
            "numpy": numpy.__version__,
            "copy": ringbridge.__file__,
            "import_ms": import_ms,
            "environ": dict(os.environ),
        },
        "worker": _whole(wanted),
        "alone": {" ".join(names): _tried(wanted, names) for names in wanted["alone"]},
        "unscrubbed": _unscrubbed(wanted),
    }
    with open(wanted["report"], "w", encoding="utf-8") as file:
        json.dump(told, file, default=str)


def worker(wanted: dict[str, Any], **options: Any) -> Any:
    import ringbridge

    return ringbridge.Worker(wanted["name"], paths=wanted["paths"], **options)


def _whole(wanted: dict[str, Any]) -> dict[str, Any]:
    """All that a worker is asked for."""
    import numpy

    heard = _Lines()
    logger = logging.getLogger("ringbridge.worker")
    logger.addHandler(heard)
    logger.setLevel(logging.INFO)
    array = numpy.arange(3 << 20, dtype="float32").reshape(3, -1)
    began = time.perf_counter()
    try:
        with worker(wanted) as gis:
            start_ms = (time.perf_counter() - began) * 1e3
            work = gis.load("gis_work")
            shared = gis.empty(array.shape, array.dtype)
            shared[:] = array
            back = [work.doubled(each) for each in (array, shared)]
            told = {
                "start_ms": start_ms,
                "environment": [gis.environment.name, gis.environment.prefix],
                "versions": work.versions(),
                "geodata": work.geodata(),
                "variables": work.variables(),
                "mapped_files": work.mapped_files(),
                "arrays_are_doubled": [bool((each == array * 2).all()) for each in back],
                "arrays_are": [type(each).__module__ for each in back],
            }
    finally:
        logger.removeHandler(heard)
    return {**told, "logged": heard.lines}


def _tried(wanted: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """What happens when the host's variables of these names reach the environment's Python."""
    return _outcome(wanted, lambda: worker(wanted, keep_environ=names))


def _unscrubbed(wanted: dict[str, Any]) -> dict[str, Any]:
    """The same with everything that the host has: what a plain subprocess would inherit."""
    from ringbridge.activation import variables

    scrubbed = variables.SCRUBBED
    variables.SCRUBBED = ()
    try:
        return _outcome(wanted, lambda: worker(wanted))
    finally:
        variables.SCRUBBED = scrubbed


def _outcome(wanted: dict[str, Any], start: Callable[[], Any]) -> dict[str, Any]:
    """{"raised": ...} when it does not start; else what of it works, each by itself."""
    try:
        started = start()
    except Exception as error:
        return {"raised": [type(error).__name__, str(error)]}
    told: dict[str, Any] = {}
    with started as gis:
        work = gis.load("gis_work")
        for name in ("variables", "versions", "geodata"):
            try:
                told[name] = getattr(work, name)()
            except Exception as error:
                told[name] = {"raised": [type(error).__name__, str(error)]}
    return told
