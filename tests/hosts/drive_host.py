# SPDX-License-Identifier: MIT
"""A program that drives a served QGIS: PID, and "window" or "script". PYTHONPATH has ringbridge.

Prints a line of JSON of what it has seen; after a line of input, one of how the next call ends.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import numpy as np

import ringbridge
from ringbridge import _core

LARGE = 100_000_000
SQUARE = {
    "type": "Feature",
    "properties": {},
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]]},
}
CALLS = 200
POINTS = 2_000_000
LIMIT_S = 30


def is_shared(array: Any) -> bool:
    """Whether its memory is the channel's."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    base = array.base.obj if isinstance(array.base, memoryview) else array.base
    return isinstance(base, _core.Array)


def everywhere(application: Any, qgis: Any, tools: Any) -> dict[str, Any]:
    """What QGIS can do with and without a window."""
    began = time.perf_counter()
    for _ in range(CALLS):
        tools.is_main_thread()
    call_us = (time.perf_counter() - began) / CALLS * 1e6
    values = np.arange(12, dtype="int16").reshape(3, 4)
    raster = qgis.add_raster(values, "numbers", extent=(0, 0, 4, 3), crs="EPSG:32617", nodata=5)
    square = qgis.add_vector(SQUARE, "square")
    wanted = {"INPUT": square, "DISTANCE": 1.0, "OUTPUT": "TEMPORARY_OUTPUT"}
    wider = qgis.run_algorithm("native:buffer", wanted)["OUTPUT"]
    told = {each["id"]: each for each in qgis.layers()}
    before = application.stats()["bytes_received"]
    began = time.perf_counter()
    large = tools.large(LARGE)
    return {
        "large_ms": (time.perf_counter() - began) * 1e3,
        "call_us": call_us,
        "main": tools.is_main_thread(),
        "raster": told[raster],
        "square": told[square],
        "wider": told[wider],
        "large": [is_shared(large), int(large[0]), int(large[-1]), len(large)],
        "bytes_received": application.stats()["bytes_received"] - before,
        "handle": qgis.layer(raster).name(),
        "cancelled": cancelled(qgis),
        "errors": errors(qgis, values),
    }


def cancelled(qgis: Any) -> dict[str, Any]:
    """An algorithm that would run for very long: how far it says it is, and how it ends.

    It tells of its progress once in a hundredth of its work: the time until the first of these, and
    that until it has ended, in seconds.
    """
    wanted = {
        **{"EXTENT": "0,1000,0,1000 [EPSG:32617]", "TARGET_CRS": "EPSG:32617"},
        **{"POINTS_NUMBER": POINTS, "OUTPUT": "TEMPORARY_OUTPUT"},
    }
    task = qgis.run_algorithm.submit("native:randompointsinextent", wanted)
    heard = threading.Event()
    task.on_progress(lambda _progress: heard.set())
    submitted = time.perf_counter()
    began = heard.wait(LIMIT_S)
    asked = time.perf_counter()
    fraction = task.progress and task.progress.fraction
    task.cancel()
    try:
        ended = f"nothing: {task.result(LIMIT_S)}"
    except ringbridge.Cancelled:
        ended = "Cancelled"
    return {
        "began": began,
        "fraction": fraction,
        "ended": ended,
        "hundredth_s": asked - submitted,
        "ended_after_s": time.perf_counter() - asked,
    }


def errors(qgis: Any, values: Any) -> list[str]:
    """What is told of wrong arguments."""
    told = []
    for act in (
        lambda: qgis.add_raster("/no/such.tif"),
        lambda: qgis.add_raster(values, "nowhere"),
        lambda: qgis.add_raster(values, extent=(0, 0, 1, 1), crs="moon"),
        lambda: qgis.remove_layer("no such layer"),
        lambda: qgis.run_algorithm("native:nothing", {}),
    ):
        try:
            told.append(f"nothing: {act()}")
        except Exception as error:
            told.append(f"{type(error).__name__}: {error}")
    return told


def in_a_window(qgis: Any) -> dict[str, Any]:
    qgis.zoom_to("square")
    image = qgis.canvas_image()
    return {
        "active": qgis.active_layer().name(),
        "image": [list(image.shape), str(image.dtype), is_shared(image)],
        "colours": len(np.unique(image.reshape(-1, 4), axis=0)),
        "opaque": bool((image[..., 3] == 255).all()),
    }


def without_a_window(qgis: Any) -> dict[str, Any]:
    try:
        qgis.zoom_to()
    except RuntimeError as error:
        return {"zoom": str(error)}
    return {"zoom": "it did"}


def main() -> None:
    pid, kind = sys.argv[1:]
    application = ringbridge.connect("qgis", pid=int(pid))
    qgis, tools = application.load("qgis_tools"), application.load("window_tools")
    told = everywhere(application, qgis, tools)
    told.update(in_a_window(qgis) if kind == "window" else without_a_window(qgis))
    print(json.dumps(told), flush=True)
    sys.stdin.readline()
    try:
        ended = f"nothing: {tools.is_main_thread()}"
    except ringbridge.RingbridgeError as error:
        ended = f"{type(error).__name__}: {error}"
    print(json.dumps({"ended": ended, "online": application.is_online}), flush=True)
    sys.stdin.readline()


main()
