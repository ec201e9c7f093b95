# SPDX-License-Identifier: MIT
"""Declared functions as Processing algorithms, in the real QGIS: run well, badly and cancelled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, QGIS_PYTHON, Report

CANCEL_S_MAX = 1.0
SIDE = 10_000  # cells: 400 MB of float32
RATIO_MAX = 1.5
FACTOR_BUSY = 5  # what a busy machine may make of a second

EDITED = """
from typing import Annotated
from ringbridge.compute import Number, NumberOutput, algorithm

@algorithm()
def {name}(more: Annotated[float, Number()] = 0.0) -> Annotated[float, NumberOutput()]:
    return {value} + more
"""


def settings(folder: Path) -> dict[str, Any]:
    own = folder / "own"
    own.mkdir()
    (own / "edited.py").write_text(EDITED.format(name="edited", value=1))
    later = [("edited", 2), ("renamed", 3)]
    return {
        "folders": [str(HERE / "far_side" / "algorithms"), str(own)],
        "side": SIDE,
        "edited": [EDITED.format(name=name, value=value) for name, value in later],
    }


@pytest.fixture(scope="module")
def report(in_qgis: Callable[..., Report]) -> Report:
    return in_qgis("host_script_processing.py", settings)


def test_every_module_that_can_be_described_is(report: Report) -> None:
    found = {name: (label, group) for name, label, group, _help in report["algorithms"]}
    assert found["tests:every_kind"] == ("Every kind", "Tests")
    assert "tests:spin" in found and "tests:broken" not in found
    [(module, line, traceback)] = report["problems"]
    assert module == "broken"
    assert line == "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"
    assert "broken.py" in traceback
    help_text = next(each[3] for each in report["algorithms"] if each[0] == "tests:every_kind")
    assert "Tells what it was given." in help_text and "In metres." in help_text


def test_every_kind_of_parameter_arrives_as_its_function_wants_it(report: Report) -> None:
    told = report["every_kind"]
    assert "error" not in told, told
    arrived = json.loads(Path(told["TOLD"]).read_text())
    assert arrived["dem"] == [[2, 5, 7], "float32", -9.0, ["Band 1", "Band 2"]]
    assert arrived["cell"] == [30.0, 30.0] and arrived["dem_crs"] and arrived["crs"]
    xy = [[500_000.0 + number, 4_000_000.0] for number in range(4)]
    assert arrived["places"] == [4, ["name", "n"], xy]
    assert arrived["names"] == [[5, 7], [5, 7]]
    assert arrived["extent"] == [500_000.0, 3_999_900.0, 500_060.0, 3_999_970.0]
    assert arrived["point"] == [500_010.0, 3_999_990.0]
    assert arrived["file"] == ["PosixPath", "a note"]
    assert (arrived["band"], arrived["weight"], arrived["more"]) == (2, "n", ["name", "n"])
    assert (arrived["number"], arrived["count"], arrived["distance"]) == (1.5, 3, 100.0)
    assert (arrived["mode"], arrived["labelled"], arrived["several"]) == ("fancy", "b", ["x", "z"])
    assert (arrived["flag"], arrived["text"], arrived["nothing"]) == (True, "two\nlines", None)


def test_every_kind_of_result_is_written(report: Report) -> None:
    told = report["every_kind"]
    assert told["WORD"] == "said" and 0.0 < told["MEAN"] < 1.0
    assert told["grid"]["dtype"] == "Float32"
    assert told["grid"]["nodata"] == -1.0 and told["grid"]["name"] == "twice"
    assert Path(told["LOCATED"]).is_file()
    table = Path(told["TABLE"]).read_text().replace('"', "")  # QGIS puts them there
    assert table.splitlines() == ["name,n", "a,1", ",2"]


def test_a_raster_comes_back_where_it_was(report: Report) -> None:
    layers = report["layers"]
    assert layers["same"] and layers["png_same"]
    assert layers["virtual_same"], layers["virtual"]
    assert layers["back"]["geotransform"] == [500_000.0, 30.0, 0.0, 4_000_000.0, 0.0, -30.0]
    assert "UTM zone 17N" in layers["back"]["crs"]
    assert layers["twice"]["progress"][1] == 100.0
    assert "rows 700" in layers["twice"]["said"]
    assert "printed over there" in layers["twice"]["said"]
    assert "no.tif" in layers["nowhere"]["error"] or "DEM" in layers["nowhere"]["error"]


def test_strips_with_a_margin_give_what_the_whole_gives(report: Report) -> None:
    strips = report["many_strips"]
    assert strips["differ"] == report["layers"]["strips_differ"] == 0.0
    rows = [line for line in strips["said"] if line.startswith("rows ")]
    assert len(rows) > 10  # or they were no strips


def test_a_result_of_another_size_is_refused_and_leaves_no_file(report: Report) -> None:
    bad = report["many_strips"]["bad"]
    assert "gives as many as it gets" in bad["error"]
    assert not report["many_strips"]["bad_left"]


def test_an_error_over_there_has_a_readable_line_and_its_traceback(report: Report) -> None:
    wrong = report["trouble"]["wrong"]
    assert wrong["error"] == "Wrong: ValueError: the cells are too large"
    [details] = wrong["errors"]
    assert "trouble.py" in details and "and more of it" in details


def test_after_a_crash_the_next_run_works(report: Report) -> None:
    trouble = report["trouble"]
    assert trouble["crash"]["error"] == (
        "Crash: the worker has crashed (Segmentation fault). The next run starts another one."
    )
    assert "trouble.py" in trouble["crash"]["errors"][0]
    assert "error" not in trouble["after_crash"]


def test_cancel_ends_compiled_code_and_the_next_run_works(
    report: Report, figure: Callable[[str], None]
) -> None:
    cancel = report["trouble"]["cancel"]
    assert cancel["error"] == "Cancelled."
    figure(f"QGIS: Cancel ended a numba loop after {cancel['after']:.2f} s")
    assert cancel["after"] < CANCEL_S_MAX * FACTOR_BUSY
    assert "error" not in report["trouble"]["after_cancel"]


def test_algorithms_work_in_a_model_and_have_a_history(report: Report) -> None:
    model = report["model"]
    assert model["successful"] and model["same"], model
    assert model["history"].startswith("processing.run(\"tests:twice\", {'DEM':'a.tif'")


def test_a_large_raster_costs_little_more_than_reading_and_writing_it(
    report: Report, figure: Callable[[str], None]
) -> None:
    seconds = report["speed"]["seconds"]
    assert report["speed"]["differ"] == [0.0, 0.0]
    for name in ("copy", "copy_whole"):
        ratios = [ours / gdals for ours, gdals in zip(seconds[name], seconds["gdal"])]
        best, alone = min(seconds[name]), min(seconds["gdal"])
        figure(
            f"{SIDE} x {SIDE} float32, there and back, {name}: {best:.2f} s, GDAL alone "
            f"{alone:.2f} s; ratios {', '.join(f'{each:.2f}' for each in ratios)}"
        )
        assert min(ratios) < RATIO_MAX * FACTOR_BUSY


def test_a_module_that_was_edited_is_used_without_a_restart(report: Report) -> None:
    reload = report["reload"]
    assert (reload["before"]["OUTPUT"], reload["edited"]["OUTPUT"]) == (1.0, 2.0)
    assert reload["names"] == [True, False]  # the new name is in the toolbox, the old one gone
    assert reload["renamed"]["OUTPUT"] == 3.5


def test_a_raster_that_is_larger_than_the_limit_says_what_to_do(report: Report) -> None:
    assert "clip them, or raise the memory limit" in report["too_large"]["error"]
    assert "error" not in report["in_strips_it_fits"]


def test_closing_ends_the_worker_and_nothing_is_left(report: Report) -> None:
    assert set(report["states"]) == {"idle"}
    assert report["after_close"] == [0, []]
    assert report["gone"]


def test_what_was_described_once_needs_no_worker_again(report: Report) -> None:
    assert report["again"] == [len(report["algorithms"]), 0]


def test_qgis_keeps_its_own_libraries(report: Report) -> None:
    assert report["before"] == report["after"]


def test_the_environments_python_is_another_one_than_qgis() -> None:
    """Or all of the above says less than it seems to."""
    said = subprocess.run([QGIS_PYTHON, "-c", "import sys; print(sys.prefix)"], capture_output=True)
    assert said.stdout.decode().strip() != sys.prefix
