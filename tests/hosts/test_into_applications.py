# SPDX-License-Identifier: MIT
"""Another interpreter calls into Blender, FreeCAD and a plain Qt application: with their windows,
of which pictures are left beside the copy of ringbridge, and without."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import application_runs
import pytest
import qgis_window
from conftest import HERE, Report
from rbr_testing import conda as conda_environments

END_S = 20
SCRIPT = str(HERE / "host_script_served.py")
SCREEN = ("xvfb-run", "-a", "-s", qgis_window.SCREEN)
BLENDER = ("--factory-startup", "--python-exit-code", "3")
GEOMETRY = ("--window-geometry", "0", "0", "1400", "900")
RECEIVED_MAX = 4096  # of a channel, with an array that lies in shared memory


@dataclass(frozen=True)
class Kind:
    """An application: how it is started, its tools, and what its objects have."""

    command: tuple[str, ...]
    module: str
    attribute: tuple[str, Any]
    method: tuple[str, ...]
    answer: Any
    within: tuple[str, ...]
    value: Any
    gone: str  # what a removed object says
    error: str = "ReferenceError"
    qt: bool = False
    picture_bytes_min: int = qgis_window.PNG_BYTES_MIN

    @property
    def has_window(self) -> bool:
        return self.command[0] == SCREEN[0]


def blender(*command: str) -> Kind:
    return Kind(
        (*command, "--python", SCRIPT),
        *("blender_tools", ("name", "Renamed"), ("select_get",), True, ("location", "z"), 1.5),
        gone="StructRNA of type Object has been removed",
    )


def freecad(*command: str) -> Kind:
    return Kind(
        (*command, SCRIPT),
        *("freecad_tools", ("Label", "Renamed"), ("isDerivedFrom", "Part::Feature"), True),
        *(("Length", "Value"), 10.0),
        gone="deleted object",
    )


KINDS = {
    "blender": blender(*SCREEN, "blender", *BLENDER, *GEOMETRY),
    "blender-b": blender("blender", "-b", *BLENDER),
    "freecad": freecad(*SCREEN, "freecad"),
    "freecadcmd": freecad("freecadcmd"),
    "qt": Kind(
        (*SCREEN, sys.executable, SCRIPT),
        *("qt_tools", ("edge", 300), ("objectName",), "Kept", ("edge",), 300),
        gone="deleted",
        error="RuntimeError",
        qt=True,
        picture_bytes_min=7_000,  # without the cube it has 5,000
    ),
}


@pytest.fixture(scope="module")
def python() -> str:
    """An interpreter of another version than the applications'."""
    if not conda_environments.available():
        pytest.skip("no conda environments: RBR_CONDA=build/conda, which `make test-hosts` makes")
    return str(conda_environments.facts().gis.python)


@pytest.fixture(scope="module", params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def kind(name: str, installed: Callable[..., list[str]]) -> Kind:
    made = KINDS[name]
    installed(*(("xauth", SCREEN[0], made.command[4]) if made.has_window else made.command[:1]))
    if made.qt:
        pytest.importorskip("ringbridge.qt.binding", exc_type=ImportError)
    return made


@pytest.fixture(scope="module")
def picture(name: str, host_copy: Path) -> Path:
    return host_copy.parent / f"into-{name}.png"


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    environ: Callable[[Path], dict[str, str]],
    python: str,
    name: str,
    kind: Kind,
    picture: Path,
) -> Report:
    folder = tmp_path_factory.mktemp(name)
    shown = {**environ(folder), "LIBGL_ALWAYS_SOFTWARE": "1", "QTWEBENGINE_DISABLE_SANDBOX": "1"}
    if kind.has_window:
        shown.pop("QT_QPA_PLATFORM")
    settings = {
        **{"copy": str(host_copy), "folders": [str(HERE / "served")], "name": name, "qt": kind.qt},
        **{"modules": ["shared_tools", kind.module], "limit_s": application_runs.LIMIT_S},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    wanted = {
        **{"name": name, "module": kind.module, "within": kind.within},
        **{"attribute": kind.attribute, "method": kind.method},
        "picture": str(picture) if kind.has_window else None,
    }
    picture.unlink(missing_ok=True)
    visit = [python, str(HERE / "visit_host.py"), json.dumps(wanted)]
    with application_runs.serving(kind.command, name, folder, shown) as process:
        said = application_runs.call(visit, folder, {**shown, "PYTHONPATH": str(host_copy)})
        process.wait(END_S)
    written: Report = json.loads(said)
    return written


def test_a_call_runs_on_the_main_thread_and_another_where_it_asks(told: Report) -> None:
    there, here = told["pythons"]
    assert there.split(".")[:2] != here.split(".")[:2]
    (runs, main), (elsewhere, also_main) = told["threads"]
    assert runs == main == also_main != elsewhere
    assert told["late_looks"] == 0, "a wake-up was lost"


def test_an_array_of_100_mb_is_not_copied(told: Report) -> None:
    array = told["array"]
    assert (array["bytes"], array["ends"]) == (100_000_000, [7, 7])
    assert array["in_place"]
    assert array["received"] < RECEIVED_MAX


def test_an_object_stays_there_and_is_used_from_here(told: Report, kind: Kind) -> None:
    kept = told["object"]
    assert kept["type"] == "RemoteObject"
    assert kept["attribute"] == kind.attribute[1]
    assert kept["method"] == kind.answer
    assert kept["within"] == kind.value


def test_an_object_is_released_there_when_nobody_holds_it_here(told: Report) -> None:
    assert told["object"]["without_us"] < told["object"]["with_us"]


def test_an_object_that_was_removed_there_says_so(told: Report, kind: Kind) -> None:
    error, text = told["object"]["gone"]
    assert (error, kind.gone in text) == (kind.error, True), text


def test_the_cube_is_in_the_window(told: Report, kind: Kind, picture: Path) -> None:
    if not kind.has_window:
        pytest.skip("it has no window")
    assert picture.stat().st_size > kind.picture_bytes_min


def test_every_call_of_a_burst_is_answered(
    told: Report, name: str, figure: Callable[[str], None]
) -> None:
    idle, burst = told["idle_ms"], told["burst_ms"]
    figure(
        f"into {name}: idle {statistics.median(idle):.3f} ms (at most {max(idle):.2f}), "
        f"in a burst {statistics.median(burst) * 1e3:.1f} us "
        f"(mean {statistics.fmean(burst) * 1e3:.1f}), "
        f"connect() {statistics.median(told['connect_ms']):.1f} ms"
    )
    assert len(told["burst_ms"]) == 200
