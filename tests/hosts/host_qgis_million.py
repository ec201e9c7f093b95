# SPDX-License-Identifier: MIT
"""How long a million features take from QGIS to a Vector and back, and the window meanwhile.

Imported by host_script_qgis_features.py, after ringbridge is on its path. Judges only the values.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from qgis.core import QgsCoordinateReferenceSystem, QgsProcessingUtils
from qgis.PyQt.QtCore import QEventLoop, Qt, QTimer

from ringbridge.compute import Vector
from ringbridge.qgis import features

COUNT = 1_000_000
TICK_MS = 16


def legs(sent_to: Any, context: Any, geopackage: str) -> dict[str, Any]:
    """Seconds of each leg, and how late a timer of the main thread was meanwhile."""
    wkt = QgsCoordinateReferenceSystem("EPSG:25832").toWkt(QgsCoordinateReferenceSystem.WKT2_2019)
    vector = Vector.points(
        np.random.default_rng(1).uniform(0, 1e6, (COUNT, 2)),
        wkt,
        n=np.arange(COUNT),
        x=np.linspace(0, 1, COUNT),
        text=list(map(str, range(COUNT))),
        day=np.full(COUNT, "2020-01-01", "M8[D]"),
        some=np.ma.array(np.arange(COUNT, dtype="i4"), mask=np.arange(COUNT) % 7 == 0),
    )
    told: dict[str, Any] = {}
    layers = {}
    for name, where in (("memory layer", "memory:"), ("GeoPackage", geopackage)):
        began = time.perf_counter()
        layers[name] = sent_to(where, vector)
        told[f"write to a {name}"] = time.perf_counter() - began
    for name, layer in layers.items():
        source = QgsProcessingUtils.variantToSource(layer, context)
        fields = list(vector.columns)
        began = time.perf_counter()
        read, late_ms = beside_a_timer(lambda: features.read(source, fields=fields))  # noqa: B023
        told[f"read a {name}"] = time.perf_counter() - began
        told[f"timer late, ms, {name}: 99 %, most"] = np.percentile(late_ms, [99, 100]).tolist()
        for each in fields:
            mine, theirs = vector.columns[each], read.columns[each]
            assert (mine.values == theirs.values)[
                slice(None) if mine.valid is None else mine.valid
            ].all()
        assert (read.geometry.values == vector.geometry.values).all() and read.crs == wkt
    return told


def beside_a_timer(work: Any) -> tuple[Any, list[float]]:
    """What `work` gives on a thread of its own, and how late each tick here was."""
    results: list[Any] = []
    late: list[float] = []
    loop, timer = QEventLoop(), QTimer()
    thread = threading.Thread(target=lambda: results.append(work()))
    before = time.perf_counter()

    def tick() -> None:
        nonlocal before
        now = time.perf_counter()
        late.append((now - before) * 1e3 - TICK_MS)
        before = now
        if not thread.is_alive():
            loop.quit()

    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(TICK_MS)
    thread.start()
    loop.exec()
    thread.join()
    return results[0], late
