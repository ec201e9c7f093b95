# SPDX-License-Identifier: MIT
"""Standalone QGIS: declared functions as Processing algorithms, run well, badly and cancelled."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import numpy as np
import standalone
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QEventLoop

THREAD_END_S = 10.0
ROUNDS = 3
WORK = standalone.settings()["work"]


def path(name: str) -> str:
    return os.path.join(WORK, name)


def libraries() -> dict[str, Any]:
    """What of QGIS's own must be the same before and after."""
    from osgeo import osr

    wkt = osr.SpatialReference()
    wkt.ImportFromEPSG(32633)
    return {
        "numpy": [np.__version__, np.__file__],
        "gdal": [gdal.__version__, gdal.__file__, gdal.GetConfigOption("GDAL_DATA")],
        "proj": [osr.GetPROJVersionMajor(), osr.GetPROJVersionMinor(), osr.GetPROJSearchPaths()],
        "crs": wkt.ExportToWkt()[:60],
        "path": [each for each in sys.path if each != standalone.settings()["copy"]],
        "environ": {
            k: v for k, v in os.environ.items() if k.startswith(("GDAL", "PROJ", "PYTHON"))
        },
    }


def points_layer() -> str:
    layer = QgsVectorLayer(
        "Point?crs=EPSG:32617&field=name:string&field=n:integer", "pts", "memory"
    )
    features = []
    for number in range(4):
        feature = QgsFeature(layer.fields())
        feature.setAttributes([f"p{number}" if number else None, number])
        feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(500_000 + number, 4_000_000)))
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(layer)
    return str(layer.id())


def virtual_layer() -> str:
    """One that GDAL does not read: the virtual raster provider's."""
    source = f"dem:provider=gdal&dem:uri={path('dem.tif')}"
    place = "crs=EPSG:32617&extent=500000,3979000,515000,4000000&width=500&height=700"
    uri = f"?{place}&formula=%22dem@1%22%20%2B%201&{source}"
    layer = QgsRasterLayer(uri, "virtual", "virtualraster")
    QgsProject.instance().addMapLayer(layer)
    return str(layer.id())


def every_kind() -> dict[str, Any]:
    generator = np.random.default_rng(5)
    dem = standalone.write_raster(path("two.tif"), generator.random((2, 5, 7), "f4"), nodata=-9.0)
    with open(path("note.txt"), "w", encoding="utf-8") as file:
        file.write("a note")
    told = standalone.run(
        "tests:every_kind",
        DEM=dem,
        BAND=2,
        PLACES=points_layer(),
        WEIGHT="n",
        MORE=["name", "n"],
        LAYERS=[dem, dem],
        EXTENT="500000,500060,3999900,3999970 [EPSG:32617]",
        CRS="EPSG:4326",
        POINT="500010,3999990 [EPSG:32617]",
        FILE=path("note.txt"),
        GRID=path("grid.tif"),
        LOCATED=path("located.gpkg"),
        TABLE=path("table.csv"),
        TOLD=path("told.json"),
    )
    told["grid"] = standalone.read_raster(path("grid.tif")) if "error" not in told else {}
    told["grid"].pop("values", None)
    return told


def layers() -> dict[str, Any]:
    """Blocks, formats, providers: the same numbers."""
    generator = np.random.default_rng(6)
    values = generator.random((700, 500), "f4")
    dem = standalone.write_raster(path("dem.tif"), values)
    bytes_ = standalone.write_raster(path("bytes.tif"), (values * 100).astype("u1"), nodata=0)
    made = {
        "twice": standalone.run("tests:twice", DEM=dem, OUTPUT=path("twice.tif")),
        "png": standalone.run("tests:twice", DEM=bytes_, OUTPUT=path("twice.png")),
        "mean": standalone.run("tests:box_mean", DEM=dem, RADIUS=3, OUTPUT=path("mean.tif")),
        "whole": standalone.run("tests:box_mean_whole", DEM=dem, RADIUS=3, OUTPUT=path("all.tif")),
        "nowhere": standalone.run("tests:twice", DEM=path("no.tif"), OUTPUT=path("no-out.tif")),
    }
    made["virtual"] = standalone.run("tests:twice", DEM=virtual_layer(), OUTPUT=path("v.tif"))
    sums = standalone.read_raster(path("v.tif"))["values"]
    made["virtual_same"] = bool(np.allclose(sums, 2.0 * (values.astype("f8") + 1.0)))
    back = standalone.read_raster(path("twice.tif"))
    made["same"] = bool(np.array_equal(back.pop("values"), values * np.float32(2)))
    made["back"] = back
    png = gdal.Open(path("twice.png")).ReadAsArray()
    made["png_same"] = bool(np.array_equal(png, (values * 100).astype("u1") * np.uint8(2)))
    made["strips_differ"] = standalone.difference(path("mean.tif"), path("all.tif"))
    return made


def many_strips() -> dict[str, Any]:
    """A raster of several strips, by strips that are forced to be small."""
    from ringbridge.qgis import strips

    before, strips.BYTES_PER_STRIP = strips.BYTES_PER_STRIP, 40_000
    try:
        told = standalone.run(
            "tests:box_mean", DEM=path("dem.tif"), RADIUS=3, OUTPUT=path("strips.tif")
        )
        said = standalone.run("tests:twice", DEM=path("dem.tif"), OUTPUT=path("strips2.tif"))
        bad = standalone.run("tests:another_size", DEM=path("dem.tif"), OUTPUT=path("bad.tif"))
    finally:
        strips.BYTES_PER_STRIP = before
    return {
        "told": told,
        "said": said["said"],
        "bad": bad,
        "bad_left": os.path.exists(path("bad.tif")),
        "differ": standalone.difference(path("strips.tif"), path("all.tif")),
    }


def trouble() -> dict[str, Any]:
    dem = path("dem.tif")
    made = {
        "wrong": standalone.run("tests:wrong", DEM=dem, OUTPUT=path("w.tif")),
        "crash": standalone.run("tests:crash", DEM=dem, OUTPUT=path("c.tif")),
        "after_crash": standalone.run("tests:twice", DEM=dem, OUTPUT=path("ac.tif")),
    }
    feedback = standalone.Feedback()
    cancelled: list[float] = []

    def cancel(text: str) -> None:
        cancelled.append(time.perf_counter())
        feedback.cancel()

    # It says "spinning" when its compiled code is about to run for good.
    feedback.setProgressText = lambda text: threading.Timer(0.2, cancel, [text]).start()  # type: ignore[method-assign]
    told = standalone.run("tests:spin", feedback, DEM=dem, OUTPUT=path("s.tif"))
    made["cancel"] = {**told, "after": time.perf_counter() - cancelled[0]}
    made["after_cancel"] = standalone.run("tests:twice", DEM=dem, OUTPUT=path("as.tif"))
    return made


def model() -> dict[str, Any]:
    """Two of them in a model, one after the other, as its designer would save it."""
    twice = QgsApplication.processingRegistry().algorithmById("tests:twice")
    made = QgsProcessingModelAlgorithm("Four times", "Tests")
    made.addModelParameter(
        QgsProcessingParameterRasterLayer("dem", "DEM"), QgsProcessingModelParameter("dem")
    )
    source = QgsProcessingModelChildParameterSource
    given = source.fromModelParameter("dem")
    for name in ("first", "second"):
        child = QgsProcessingModelChildAlgorithm(twice.id())
        child.setChildId(name)
        child.addParameterSources("DEM", [given])
        made.addChildAlgorithm(child)
        given = source.fromChildOutput("first", "OUTPUT")
    context, feedback = standalone.context(), standalone.Feedback()
    last = QgsProcessingModelOutput("four", "Four")
    last.setChildId("second")
    last.setChildOutputName("OUTPUT")
    child = made.childAlgorithm("second")
    child.setModelOutputs({"four": last})
    made.setChildAlgorithm(child)
    made.initAlgorithm()
    name = next(iter(each.name() for each in made.destinationParameterDefinitions()))
    wanted = {"dem": path("dem.tif"), name: path("four.tif")}
    _, successful = made.run(wanted, context, feedback)
    values = [standalone.read_raster(path(each))["values"] for each in ("dem.tif", "four.tif")]
    code = twice.asPythonCommand({"DEM": "a.tif", "OUTPUT": "b.tif"}, context)
    same = bool(np.array_equal(values[0] * np.float32(4), values[1]))
    return {"successful": successful, "same": same, "history": code, "errors": feedback.errors}


def speed() -> dict[str, Any]:
    """A raster there and back without a computation, in turns with GDAL alone."""
    side = standalone.settings()["side"]
    source, rounds = path("large.tif"), {"gdal": [], "copy": [], "copy_whole": []}
    made = gdal.GetDriverByName("GTiff").Create(source, side, side, 1, gdal.GDT_Float32)
    made.SetGeoTransform(list(standalone.ORIGIN))
    for row in range(0, side, 500):
        values = np.random.default_rng(row).random((min(500, side - row), side), "f4")
        made.GetRasterBand(1).WriteArray(values, 0, row)
    made = None
    for _ in range(ROUNDS):
        began = time.perf_counter()
        gdal_alone(source, path("alone.tif"))
        rounds["gdal"].append(time.perf_counter() - began)
        for name in ("copy", "copy_whole"):
            told = standalone.run(f"tests:{name}", DEM=source, OUTPUT=path(f"{name}.tif"))
            rounds[name].append(told["seconds"])
    same = [standalone.difference(source, path(f"{name}.tif")) for name in ("copy", "copy_whole")]
    for name in ("alone", "copy", "copy_whole"):  # 400 MB each
        os.unlink(path(f"{name}.tif"))
    return {"seconds": rounds, "differ": same}


def reload(bridge: Any) -> dict[str, Any]:
    """A module is edited, then gets a function of another name."""
    file, (edited, renamed) = path("own/edited.py"), standalone.settings()["edited"]
    made: dict[str, Any] = {"before": standalone.run("tests:edited")}
    with open(file, "w", encoding="utf-8") as written:
        written.write(edited)
    made["edited"] = standalone.run("tests:edited")
    with open(file, "w", encoding="utf-8") as written:
        written.write(renamed)
    changed = QEventLoop()
    bridge.changed.connect(changed.quit)
    bridge.failed.connect(changed.quit)
    bridge.refresh()
    changed.exec()
    registry = QgsApplication.processingRegistry()
    names = ("tests:renamed", "tests:edited")
    made["names"] = [registry.algorithmById(name) is not None for name in names]
    made["renamed"] = standalone.run("tests:renamed", MORE=0.5)
    return made


def gdal_alone(source: str, target: str) -> None:
    """Read and written by rows, as fast as GDAL does it from Python."""
    data = gdal.Open(source)
    columns, rows = data.RasterXSize, data.RasterYSize
    driver = gdal.GetDriverByName("GTiff")
    made = driver.Create(target, columns, rows, 1, gdal.GDT_Float32, options=["BIGTIFF=IF_SAFER"])
    for row in range(0, rows, 1000):
        values = data.GetRasterBand(1).ReadAsArray(0, row, columns, min(1000, rows - row))
        made.GetRasterBand(1).WriteArray(values, 0, row)
    made.FlushCache()


def main() -> None:
    wanted = standalone.settings()
    with standalone.qgis():
        told: dict[str, Any] = {"before": libraries()}
        from ringbridge.qgis import Bridge
        from ringbridge.qgis.workers import workers

        bridge = Bridge(
            "tests", "Tests", environment=wanted["environment"], folders=wanted["folders"]
        )
        began = time.perf_counter()
        bridge.register()
        told["register_s"] = time.perf_counter() - began
        provider = QgsApplication.processingRegistry().providerById("tests")
        told["algorithms"] = [
            [a.id(), a.displayName(), a.group(), a.shortHelpString()] for a in provider.algorithms()
        ]
        told["problems"] = bridge.problems
        told["every_kind"] = every_kind()
        told["layers"] = layers()
        told["many_strips"] = many_strips()
        told["trouble"] = trouble()
        told["model"] = model()
        told["speed"] = speed()
        told["reload"] = reload(bridge)
        bridge.arena_bytes = 128 << 20  # less than the raster has
        large, out = path("large.tif"), path("limited.tif")
        told["too_large"] = standalone.run("tests:copy_whole", DEM=large, OUTPUT=out)
        told["in_strips_it_fits"] = standalone.run("tests:copy", DEM=large, OUTPUT=out)
        told["states"] = [state.state for state in workers().states()]
        # Again: what was described is kept, and no worker is needed for it.
        bridge.close()
        others = [each for each in threading.enumerate() if each is not threading.main_thread()]
        for each in others:
            each.join(THREAD_END_S)  # they end a moment after their last call
        told["after_close"] = [len(workers().states()), [e.name for e in others if e.is_alive()]]
        again = Bridge(
            "tests", "Tests", environment=wanted["environment"], folders=wanted["folders"]
        )
        again.register()
        provider = QgsApplication.processingRegistry().providerById("tests")
        told["again"] = [len(provider.algorithms()), len(workers().states())]
        again.close()
        told["gone"] = QgsApplication.processingRegistry().providerById("tests") is None
        told["after"] = libraries()
    standalone.report(told)


main()
