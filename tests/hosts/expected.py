# SPDX-License-Identifier: MIT
"""What has to stand in a host's report, whichever application it is."""

from __future__ import annotations

import math
from typing import Any

from poison import Poison
from rbr_testing.conda import Facts

Report = dict[str, Any]

EASTING_NORTHING = (500000.0, 5761038.2126)  # 15 E 52 N, on the middle meridian of UTM zone 33
POLAND_1992 = (636640.4670, 483432.2008)  # 21 E 52.2 N


def of_another_version(report: Report, conda: Facts) -> None:
    """The environment's own Python, of another version than the host's, and its own numpy."""
    host, there = report["host"], report["worker"]["versions"]
    prefix = str(conda.gis.prefix)
    assert report["worker"]["environment"] == ["gis", prefix]
    assert there["prefix"] == prefix
    assert ".".join(map(str, there["python"])) == conda.gis.versions["python"]
    assert there["python"][:2] != host["python"][:2]
    assert there["numpy"] == conda.gis.versions["numpy"] != host["numpy"]
    assert there["numpy_file"].startswith(f"{prefix}/")


def its_own_data(report: Report, conda: Facts) -> None:
    """GDAL and PROJ find the environment's, and compute what everybody else does."""
    geodata_of(report["worker"]["geodata"], conda)


def geodata_of(there: dict[str, Any], conda: Facts) -> None:
    assert there["gdal_data"] == f"{conda.gis.prefix}/share/gdal"
    assert there["proj_data"] == f"{conda.gis.prefix}/share/proj"
    assert (there["rasterio"], there["pyproj"]) == (
        conda.gis.versions["rasterio"],
        conda.gis.versions["pyproj"],
    )
    assert there["wkt"].startswith('PROJCS["WGS 84 / UTM zone 33N"')
    assert near(there["warped"], EASTING_NORTHING)
    assert near(there["transformed"], POLAND_1992)


def near(told: list[float], expected: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, abs_tol=0.001) for a, b in zip(told, expected))


def nothing_of_the_host(report: Report, poison: Poison, conda: Facts) -> None:
    """None of the poison is there, in no variable's value, on no path and in no loaded file."""
    environ = report["host"]["environ"]
    assert {name: environ.get(name) for name in poison.names} == poison.all  # or this shows nothing
    there = report["worker"]
    said = {**there["variables"], "sys.path": there["versions"]["path"]}
    traces = (str(poison.folder), str(conda.other.prefix), "dist-packages")
    assert {name: text for name, text in said.items() if any(t in str(text) for t in traces)} == {}
    assert not {"PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "PROJ_LIB"} & said.keys()
    loaded = [file for file in there["mapped_files"] if ".so" in file]
    own = (f"{conda.gis.prefix}/", report["host"]["copy"].rpartition("/")[0])
    assert any("libgdal" in file for file in loaded) and any("libproj" in file for file in loaded)
    assert [f for f in loaded if "site-packages" in f and not f.startswith(own)] == []
    geo = ("libgdal", "libproj", "libpython", "numpy", "Qt5", "libqgis")
    assert [f for f in loaded if any(g in f for g in geo) and not f.startswith(own)] == []


def its_own_variables(report: Report, conda: Facts) -> None:
    """Those of its packages' scripts and files, and of `conda env config vars set`."""
    variables, prefix = report["worker"]["variables"], str(conda.gis.prefix)
    assert variables["CONDA_PREFIX"] == prefix
    assert (variables["CONDA_SHLVL"], variables["CONDA_DEFAULT_ENV"]) == ("1", "gis")
    assert variables["RBR_TEST_ORDER"] == "first second"
    assert variables["RBR_TEST_BACKED_UP"] == f"{prefix}/share/ringbridge-test"
    assert variables["RBR_TEST_STATE_ONLY"] == "of state"
    assert variables["RBR_TEST_D_BOTH"] == "of 20-more"
    assert "RBR_TEST_STATE_UNSETS" not in variables
    assert f"{prefix}/bin" in variables["PATH"].split(":")[:2]


def arrays_and_prints(report: Report) -> None:
    """An array goes there and back, copied or in shared memory; what is printed is logged here."""
    there = report["worker"]
    assert there["arrays_are_doubled"] == [True, True]
    assert there["arrays_are"] == ["numpy", "numpy"]
    line = ["ringbridge.worker.gis", "INFO", "doubling (3, 1048576) of float32"]
    assert there["logged"].count(line) == 2


def poison_that_kills(report: Report, conda: Facts) -> None:
    """Each alone, where it is not kept from the environment's Python; then all of it."""
    alone = report["alone"]
    text = _failed_start(alone["PYTHONHOME"])
    assert "No module named 'encodings'" in text and "is PYTHONHOME set by environ= or" in text
    assert alone["PYTHONPATH"]["versions"]["raised"][0] == "ImportError"
    assert "numpy" in alone["PYTHONPATH"]["versions"]["raised"][1]
    # The loader's own words for a libpython that is none; where Python has it built in, numpy
    # is the first to need a library from there.
    linked = alone["LD_LIBRARY_PATH"]
    kind, text = linked["raised"] if "raised" in linked else linked["versions"]["raised"]
    assert kind in ("WorkerStartFailed", "ImportError")
    assert f"libpython{conda.gis.minor}" in text or "libstdc++" in text
    for names in ("PROJ_DATA", "PROJ_*"):
        assert alone[names]["versions"]["numpy"] == conda.gis.versions["numpy"]
        kind, text = alone[names]["geodata"]["raised"]
        assert kind == "RemoteError" and text.startswith("rasterio.errors.CRSError: ")
        assert "DATABASE.LAYOUT.VERSION.MINOR = 0" in text
    _failed_start(report["unscrubbed"])


def poison_that_misleads(report: Report, poison: Poison, conda: Facts) -> None:
    """These start, and differ in nothing but where they look."""
    alone = report["alone"]
    assert alone["GDAL_DATA"]["geodata"]["gdal_data"] == poison.all["GDAL_DATA"]
    assert alone["QT_PLUGIN_PATH"]["variables"]["QT_PLUGIN_PATH"] == poison.all["QT_PLUGIN_PATH"]
    # Which environment a worker is in cannot be the host's to say.
    assert alone["CONDA_*"]["variables"]["CONDA_PREFIX"] == str(conda.gis.prefix)
    assert alone["CONDA_*"]["variables"]["CONDA_PREFIX_1"] == poison.all["CONDA_PREFIX_1"]


def _failed_start(outcome: Report) -> str:
    kind, text = outcome["raised"]
    assert kind == "WorkerStartFailed"
    return str(text)
