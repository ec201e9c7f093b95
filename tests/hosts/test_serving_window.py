# SPDX-License-Identifier: MIT
"""QGIS's own window, driven by programs of other interpreters through the plugin's switch. The
pictures stay beside the copy of ringbridge."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import drive_expected
import pytest
import qgis_window
from conftest import HERE, Report
from rbr_testing import user_environments as made

ROOT = HERE.parents[1]
PLUGIN = ROOT / "plugin" / "ringbridge_qgis"


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    installed: Callable[..., list[str]],
    environ: Callable[[Path], dict[str, str]],
) -> Report:
    installed(*qgis_window.NEEDED)
    folder = tmp_path_factory.mktemp("serving-window")
    environment = made.venv(folder / "gis", host_copy / "ringbridge")
    plugins = (PLUGIN.name, "processing")
    profile = qgis_window.make_profile(
        folder, *plugins, more=f"[ringbridge]\nenvironment={environment}\n"
    )
    shutil.copytree(PLUGIN, profile / "python" / "plugins" / PLUGIN.name)
    settings = {
        **{"pictures": str(host_copy.parent), "report": str(folder / "report.json")},
        **{"python": sys.executable, "copy": str(host_copy), "work": str(folder)},
        **{"example": str(ROOT / "docs" / "examples" / "drive_qgis.py")},
        **{"driver": str(HERE / "drive_host.py"), "served": str(HERE / "served")},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    script = "host_script_serving_window.py"
    return qgis_window.walk(folder, script, environ(folder), folder / "report.json")


def test_it_is_off_until_somebody_switches_it_on(report: Report) -> None:
    assert report["before"]["sockets"] == report["before"]["modules"] == []
    off = report["off"]
    assert (off["switch"], off["state"]) == (False, "Off: nobody can call.")
    assert off["modules"] == {"qgis_tools": []}
    assert [name.partition(".")[0] for name in report["sockets"]] == ["qgis"]


def test_the_panel_shows_what_is_exposed(report: Report) -> None:
    on = report["on"]
    assert (on["switch"], on["problem"], on["clients"]) == (True, "", [])
    assert on["state"].startswith('On: ringbridge.connect("qgis")')
    assert (
        "add_vector(source: str | Mapping[str, Any], name: str = '') -> str"
        in (on["modules"]["qgis_tools"])
    )


def test_options_add_modules_and_folders_while_it_serves(report: Report) -> None:
    more = report["more"]
    assert more["switch"] is True
    served = ["is_main_thread() -> bool", "large(count: int) -> Any"]
    assert more["modules"]["window_tools"] == served
    assert more["modules"]["nobody_has_it"] == []
    assert more["problem"].startswith("nobody_has_it: ModuleNotFoundError: No module named")
    # The label once was as wide as its text, and pushed the docks beside it away.
    assert report["canvas_width"] == report["canvas_width_before"]


def test_the_example_of_the_guide_drives_it(report: Report) -> None:
    lines = [
        *("vector Buffered EPSG:4326", "vector summits EPSG:4326", "raster hills EPSG:4326"),
    ]
    told = report["example"]
    assert (told["code"], told["lines"][:-1]) == (0, lines), told
    assert int(told["lines"][-1].split()[3]) > 20  # the hills are on the map
    assert sorted(report["layers"]) == ["Buffered", "hills", "summits"]


def test_another_interpreter_drives_it_on_its_main_thread(
    report: Report, figure: Callable[[str], None]
) -> None:
    told = json.loads(report["driven"][0])
    drive_expected.check(told)
    median, worst = report["late_ms"]
    figure(
        f"QGIS driven: a call {told['call_us']:.0f} us, 100 MB in {told['large_ms']:.1f} ms; "
        f"a timer of the window was late by {median:.1f} ms, at most {worst:.0f}"
    )


def test_the_map_comes_as_an_array_that_was_not_copied(report: Report) -> None:
    told = json.loads(report["driven"][0])
    shape, dtype, shared = told["image"]
    assert (shape[2], dtype, shared, told["opaque"]) == (4, "uint8", True, True)
    assert min(shape[:2]) > 100
    assert told["colours"] > 1
    assert told["active"] == "Buffered"  # a handle on the layer


def test_the_panel_shows_who_is_connected(report: Report) -> None:
    ((_name, pid, _since, calls, _threads),) = report["connected"]["clients"]
    assert int(pid) > 0
    assert int(calls) > 200
    assert "clients: 1" in report["connected"]["state"]
    assert report["looks_while_hidden"] is False


def test_switched_off_it_tells_its_client_and_forgets_what_it_served(report: Report) -> None:
    last = json.loads(report["driven"][1])
    assert last["ended"].startswith("WorkerDied: ")
    assert last["online"] is False
    off = report["switched_off"]
    assert (off["switch"], off["clients"], off["sockets"], off["modules_left"]) == (
        *(False, []),
        *([], []),
    )


def test_unloading_the_plugin_leaves_nothing_of_it(report: Report) -> None:
    assert report["on_again"]["switch"] is True
    assert len(report["on_again"]["sockets"]) == 1
    assert report["unloaded_under_a_client"]["ended"].startswith("WorkerDied: ")
    after = report["after"]
    assert (after["sockets"], after["modules"], after["folders"]) == ([], [], [])
    left = {name: value for name, value in after["traces"].items() if value}
    assert left == {}
