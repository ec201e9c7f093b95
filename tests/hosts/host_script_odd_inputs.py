# SPDX-License-Identifier: MIT
"""Standalone QGIS: inputs and ways to run an algorithm that are seldom met."""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import numpy as np
import standalone
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsPointXY,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QEventLoop, QTimer

sys.path.insert(0, standalone.settings()["copy"])
from ringbridge.qgis import Bridge

WAIT_MS = 60_000
WORK = standalone.settings()["work"]
EMPTY = ("DEM", "PLACES", "LAYERS", "EXTENT", "CRS", "POINT", "FILE")


def path(name: str) -> str:
    return os.path.join(WORK, name)


def in_background(algorithm: str, **parameters: Any) -> Any:
    """As a toolbox dialog runs it: the results, or what went wrong."""
    feedback, context = standalone.Feedback(), QgsProcessingContext()
    context.setProject(QgsProject.instance())
    made = QgsApplication.processingRegistry().createAlgorithmById(algorithm)
    task = QgsProcessingAlgRunnerTask(made, parameters, context, feedback)
    ended, loop = [], QEventLoop()
    task.executed.connect(lambda fine, results: (ended.append((fine, results)), loop.quit()))
    QgsApplication.taskManager().addTask(task)
    loop.exec()
    [(fine, results)] = ended
    return results if fine else feedback.errors


def lists_of_layers() -> dict[str, Any]:
    file, project = path("places.geojson"), QgsProject.instance()
    point = {"type": "Point", "coordinates": [9.0, 48.0]}
    feature = {"type": "Feature", "geometry": point, "properties": {"n": 1}}
    with open(file, "w", encoding="utf-8") as places:
        json.dump({"type": "FeatureCollection", "features": [feature] * 4}, places)
    layer = QgsVectorLayer(file, "places")
    project.addMapLayer(layer)
    dem = standalone.write_raster(path("dem.tif"), np.ones((5, 7), "float32"))
    output = path("cut.tif")
    cut = {"DEM": dem, "RASTERS": [dem], "VECTORS": [file], "OUTPUT": output}
    return {
        "from files": in_background("tests:count_features", LAYERS=[file, file]),
        "both": in_background("tests:count_features", LAYERS=[layer.id(), file]),
        "here": standalone.run("tests:count_features", LAYERS=[file, layer.id()])["OUTPUT"],
        "cut": in_background("tests:cut_with_lists", **cut),
        "values": np.unique(standalone.read_raster(output)["values"]).tolist(),
    }


def without_a_place() -> dict[str, Any]:
    """What QGIS sees of a file without a geotransform, and of what is made of it."""
    source, made = path("unplaced.tif"), path("copied.tif")
    data = gdal.GetDriverByName("GTiff").Create(source, 7, 5, 1, gdal.GDT_Float32)
    data.GetRasterBand(1).WriteArray(np.arange(35.0).reshape(5, 7))
    del data
    standalone.run("tests:one_band", DEM=source, BAND=1, OUTPUT=made)
    seen = [QgsRasterLayer(each) for each in (source, made)]
    place = QgsPointXY(0.5, seen[0].extent().yMaximum() - 0.5)
    return {
        "extents": [layer.extent().toString() for layer in seen],
        "values": [layer.dataProvider().sample(place, 1)[0] for layer in seen],
    }


def on_a_full_disk() -> dict[str, Any]:
    """What is said, and what is left, where a file may not grow beyond some bytes."""
    from ringbridge.qgis.raster_sink import RasterSink
    from ringbridge.qgis.raster_source import Grid

    values = np.random.default_rng(1).integers(0, 255, (300, 400)).astype("uint8")
    grid = Grid(300, 400, standalone.ORIGIN, "")
    told: dict[str, Any] = {}
    for name in ("full.tif", "full.png", "full.img", "full.gpkg"):
        told[name] = []
        for size in (1000, 60_000, 100_000):
            error = ""
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            try:
                with RasterSink(path(name), "Output") as sink:
                    sink.begin(grid, values, None, ())
                    sink.write(0, values)
            except QgsProcessingException as problem:
                error = str(problem)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            told[name].append([error, os.path.exists(path(name))])
    return told


def second_of_its_id(wanted: dict[str, Any]) -> list[str]:
    """What a Bridge says where another one has its id; it is closed as always."""
    second = Bridge("tests", "Second", environment=wanted["environment"], folders=[])
    failures: list[str] = []
    second.failed.connect(failures.append)
    second.register()
    second.set_folders(wanted["folders"])
    second.close()
    return failures


def changed_meanwhile(bridge: Bridge) -> dict[str, Any]:
    """The toolbox after other folders were chosen while the old ones were read."""
    folder, timer = path("twice"), QTimer()
    os.mkdir(folder)
    for module, names in (("first", "only both"), ("second", "both")):
        with open(os.path.join(folder, f"{module}.py"), "w", encoding="utf-8") as file:
            file.write("from ringbridge.compute import *\n")
            file.writelines(f"@algorithm()\ndef {n}() -> int: return 1\n" for n in names.split())
    said: list[str] = []
    log = QgsApplication.messageLog()
    log.messageReceived.connect(lambda text, tag, _level: said.append(text))
    loop = QEventLoop()
    timer.timeout.connect(loop.quit)  # what never comes fails the test
    bridge.changed.connect(lambda: loop.quit() if bridge.modules else None)
    bridge.refresh()
    bridge.set_folders([folder])
    timer.start(WAIT_MS)
    loop.exec()
    provider = QgsApplication.processingRegistry().providerById("tests")
    return {
        "modules": [each.name for each in bridge.modules],
        "algorithms": sorted(each.name() for each in provider.algorithms()),
        "said": [text for text in said if "left out" in text],
    }


def closed_in_a_run(wanted: dict[str, Any]) -> list[Any]:
    """What is told by runs whose Bridge is closed at one moment or another."""
    given = {"DEM": path("tall.tif"), "RASTERS": [path("dem.tif")], "OUTPUT": "TEMPORARY_OUTPUT"}
    standalone.write_raster(given["DEM"], np.ones((4000, 3000), "float32"))
    told = []
    for after_ms in (0, 10, 30, 60, 90, 130, 180, 250, 350):
        bridge = Bridge(
            "closed", "Closed", environment=wanted["environment"], folders=wanted["folders"]
        )
        bridge.register()
        QTimer.singleShot(after_ms, bridge.close)
        vectors = [path("places.geojson")]
        told.append(in_background("closed:cut_with_lists", VECTORS=vectors, **given))
        bridge.close()
    return told


def main() -> None:
    with standalone.qgis():
        wanted = standalone.settings()
        bridge = Bridge(
            "tests", "Tests", environment=wanted["environment"], folders=wanted["folders"]
        )
        bridge.register()
        told: dict[str, Any] = {"lists": lists_of_layers()}
        told["empty"] = [standalone.run("tests:left_empty", **{name: ""}) for name in EMPTY]
        given = {"DEM": path("dem.tif"), "OUTPUT": path("band.tif")}
        told["no_band"] = standalone.run("tests:one_band", BAND=9, **given)
        told["without_a_place"] = without_a_place()
        told["full"] = on_a_full_disk()
        told["closed"] = closed_in_a_run(wanted)
        told["second"] = second_of_its_id(wanted)
        told["changed"] = changed_meanwhile(bridge)
        bridge.close()
    standalone.report(told)


main()
