# SPDX-License-Identifier: MIT
"""Algorithms in QGIS's window, from the toolbox: run, cancelled, crashed; and how alive it stays.

The profile is used by qgis_process first, which describes the modules; the window finds that kept.
Pictures are left beside the copy of ringbridge, for whoever wants to look at them.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import qgis_window
from conftest import HERE, QGIS_PYTHON, Report, run

PLUGIN = HERE.parents[1] / "plugin" / "ringbridge_qgis"
WAIT_S = 60.0
START_MS_MAX = 50.0
LATE_P99_MS_MAX = 20.0
CANCEL_S_MAX = 1.0
BUSY = 5  # what a busy machine may make of a limit
LARGE = 16_384  # cells a side: 1 GiB of float32
CELLS_OF_GDALS_ESTIMATE = 1e-4  # of which GDAL's quick square root rounds to the other side

SETTINGS = """\
[ringbridge]
environment={environment}
source={source}
folders={folders}
"""

MAKE_DEMS = """
import sys
sys.path.insert(0, {hosts!r})
import numpy as np, standalone
from osgeo import gdal
from qgis.core import QgsApplication
QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False)
application.initQgis()
rows, columns = np.mgrid[0:900, 0:1200].astype("f4")
hills = 200 * np.sin(rows / 60) * np.cos(columns / 90) + 40 * np.sin(rows / 11 + columns / 7)
standalone.write_raster({dem!r}, hills.astype("f4"))
n = {large}
made = gdal.GetDriverByName("GTiff").Create({big!r}, n, n, 1, gdal.GDT_Float32)
made.SetGeoTransform(list(standalone.ORIGIN))
for row in range(0, n, 512):
    values = np.random.default_rng(row).random((512, n), "f4") * 100
    made.GetRasterBand(1).WriteArray(values, 0, row)
made = None
gdal.DEMProcessing({gdals!r}, gdal.Open({dem!r}), "hillshade")
application.exitQgis()
"""


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, host_copy: Path, installed: Callable[..., list[str]]
) -> Path:
    installed(*qgis_window.NEEDED, "qgis_process.bin", QGIS_PYTHON)
    made = tmp_path_factory.mktemp("runs-window")
    has_it = made / "has it" / "lib" / "python3" / "site-packages"
    has_it.mkdir(parents=True)
    (has_it / "ringbridge").symlink_to(host_copy / "ringbridge")
    settings = SETTINGS.format(
        environment=sys.prefix,  # which has numba
        source=made / "has it",
        folders=HERE / "far_side" / "algorithms",
    )
    profile = qgis_window.make_profile(made, "processing", more=settings)
    shutil.copytree(PLUGIN, profile / "python" / "plugins" / PLUGIN.name)
    return made


@pytest.fixture(scope="module")
def variables(folder: Path, environ: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    made = environ(folder)
    made["QGIS_CUSTOM_CONFIG_PATH"] = str(folder / "profiles")
    return made


@pytest.fixture(scope="module")
def dem(folder: Path, variables: dict[str, str]) -> Path:
    names = {"dem": folder / "dem.tif", "big": folder / "big.tif", "gdals": folder / "gdal.tif"}
    code = MAKE_DEMS.format(
        hosts=str(HERE), large=LARGE, **{name: str(path) for name, path in names.items()}
    )
    (folder / "settings.json").write_text("{}")
    run([QGIS_PYTHON, "-c", code], variables, folder)
    return names["dem"]


@pytest.fixture(scope="module")
def from_command_line(folder: Path, variables: dict[str, str], dem: Path) -> Report:
    """A run by qgis_process, which must end with 0."""
    program = "qgis_process.bin"
    run([program, "plugins", "enable", PLUGIN.name], variables, folder)
    out = folder / "from_command_line.tif"
    command = [program, "--json", "run", "ringbridge:hillshade", "--"]
    said = run([*command, f"DEM={dem}", f"OUTPUT={out}"], variables, folder)
    # The window's script loads the plugin itself, to time it.
    run([program, "plugins", "disable", PLUGIN.name], variables, folder)
    return {"output": str(out), "said": said}


@pytest.fixture(scope="module")
def report(
    folder: Path,
    variables: dict[str, str],
    dem: Path,
    from_command_line: Report,
    host_copy: Path,
) -> Report:
    settings = {
        "dem": str(dem),
        # Among QGIS's temporary files: a layer of one is named by the algorithm, not by the file.
        "shade": str(folder / "tmp" / "shade.tif"),
        "twice": str(folder / "twice.tif"),
        "large": str(folder / "big.tif"),
        "large_out": str(folder / "big_shade.tif"),
        "pictures": str(host_copy.parent),
        "report": str(folder / "report.json"),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    script = "host_script_runs_window.py"
    return qgis_window.walk(folder, script, variables, folder / "report.json")


def compare(folder: Path, one: str, other: str, variables: dict[str, str]) -> list[float]:
    """(share of cells that differ, the largest difference), by GDAL itself."""
    code = f"""
import numpy as np
from osgeo import gdal
a, b = (gdal.Open(each).ReadAsArray().astype(float) for each in ({one!r}, {other!r}))
print((a != b).mean(), abs(a - b).max())
"""
    done = subprocess.run(
        [QGIS_PYTHON, "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return [float(word) for word in done.stdout.split()]


@pytest.mark.parametrize("which", ["from_command_line.tif", "tmp/shade.tif"])
def test_hillshade_is_gdals(
    report: Report, folder: Path, variables: dict[str, str], which: str
) -> None:
    """Bytes: where GDAL's estimate of a square root rounds to the other side, by one."""
    differ, largest = compare(folder, str(folder / which), str(folder / "gdal.tif"), variables)
    assert differ < CELLS_OF_GDALS_ESTIMATE and largest <= 1


def test_qgis_process_writes_the_output(from_command_line: Report) -> None:
    assert Path(from_command_line["output"]).stat().st_size > 900 * 1200
    assert '"OUTPUT"' in from_command_line["said"]


def test_ctrl_c_ends_qgis_process_and_its_worker(
    folder: Path, variables: dict[str, str], dem: Path, from_command_line: Report
) -> None:
    """It reached Python's handler or qgis_process's, as luck had it, and the run went on."""
    spinning = folder / "spinning"
    program, out = ["qgis_process.bin"], folder / "spin.tif"
    run([*program, "plugins", "enable", PLUGIN.name], variables, folder)
    with subprocess.Popen(
        [*program, "run", "ringbridge:spin", "--", f"DEM={dem}", f"OUTPUT={out}"],
        env={**variables, "RBR_HOSTS_SPINNING": str(spinning)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            until = time.monotonic() + WAIT_S
            while not spinning.exists():
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    run([*program, "plugins", "disable", PLUGIN.name], variables, folder)
    assert process.returncode == 1 and "Cancelled." in said
    assert not out.exists()


def test_starting_costs_qgis_little(report: Report, figure: Callable[[str], None]) -> None:
    start = report["start"]
    total = start["load_ms"] + start["start_ms"]
    figure(
        f"QGIS's window: the plugin loads in {start['load_ms']:.0f} ms and starts in "
        f"{start['start_ms']:.0f} ms"
    )
    assert {"hillshade", "slope", "viewshed", "spin"} <= set(start["algorithms"])
    assert not start["core"]  # compiled code comes with the first worker
    assert total < START_MS_MAX * BUSY


def test_a_run_from_the_toolbox_loads_a_styled_layer(report: Report) -> None:
    assert report["in_toolbox"]
    assert report["run"]["layers"] == ["Hillshade"]
    assert report["run"]["renderer"] == "singlebandgray"


def test_cancel_in_the_dialog_ends_compiled_code(
    report: Report, figure: Callable[[str], None]
) -> None:
    seconds = report["cancel"]["seconds"]
    figure(f"QGIS's window: Cancel ended a numba loop after {seconds:.2f} s")
    assert seconds < CANCEL_S_MAX * BUSY


def test_a_crash_is_told_in_the_dialog_and_the_next_run_works(report: Report) -> None:
    assert "the worker has crashed (Segmentation fault)" in report["crash"]
    assert "finished" in report["after_crash"]


def test_the_window_stays_alive(report: Report, figure: Callable[[str], None]) -> None:
    p99 = {}
    for name, late in report["lateness"].items():
        ordered = sorted(late)
        p99[name] = ordered[int(len(ordered) * 0.99)]
        figure(
            f"QGIS's window, a timer of 16 ms, {name}: {len(late)} ticks, late by "
            f"{ordered[len(ordered) // 2]:.1f} ms in the middle, p99 {p99[name]:.1f}, "
            f"latest {ordered[-1]:.1f}"
        )
    assert report["large_run"]["successful"]
    figure(f"a hillshade of 1 GiB took {report['large_run']['seconds']:.1f} s")
    assert p99["run"] < max(LATE_P99_MS_MAX, p99["idle"]) * BUSY


def test_every_picture_was_taken_and_the_plugin_unloaded(report: Report) -> None:
    assert len(report["pictures"]) == 7
    assert report["unloaded"]
