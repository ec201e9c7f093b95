# SPDX-License-Identifier: MIT
"""The plugin in QGIS's own window, on a screen that nobody sees: from nothing to the first run.

Its pictures are left beside the copy of ringbridge, for whoever wants to look at them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest
import qgis_window
from conftest import HERE, Report
from rbr_testing import user_environments as made

ROOT = HERE.parents[1]
PLUGIN = ROOT / "plugin" / "ringbridge_qgis"
LRELEASE = Path(sys.executable).with_name("pyside6-lrelease")

MODULES = {
    "waiting.py": """
import time
from typing import Annotated

from ringbridge.compute import Number, NumberOutput, algorithm


@algorithm("Wait a moment", group="Tests")
def wait_a_moment(seconds: Annotated[float, Number()] = 1.0) -> Annotated[float, NumberOutput()]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
    return seconds
""",
    "failing.py": """
from ringbridge.compute import algorithm

raise ValueError("not today")


@algorithm("Never seen either")
def never_seen_either(x: float) -> float:
    return x
""",
    "lacking.py": """
from nobody_has_it import cluster
from ringbridge.compute import algorithm


@algorithm("Never seen")
def never_seen(x: float) -> float:
    return x
""",
}


@dataclass
class Story:
    """One run of QGIS's window, in folders of its own."""

    folder: Path
    settings: dict[str, Any]
    language: str = "en_US"

    def told(self) -> Report:
        """What the script has written down; fails where it did not come to its end."""
        plugins = (PLUGIN.name, "processing")
        profile = qgis_window.make_profile(self.folder, *plugins, locale=self.language)
        placed = profile / "python" / "plugins" / PLUGIN.name
        shutil.copytree(PLUGIN, placed)
        self._translate(placed / "i18n")
        file = self.folder / "report.json"
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps({**self.settings, "report": str(file)}))
        environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(_new(self.folder / "runtime")),
            "XDG_CACHE_HOME": str(_new(self.folder / "cache")),
            "RBR_HOSTS_FOLDER": str(HERE),
            "RBR_HOSTS_SETTINGS": str(settings),
        }
        script = "host_script_plugin_window.py"
        return qgis_window.walk(self.folder, script, environ, file)

    @staticmethod
    def _translate(folder: Path) -> None:
        for file in folder.glob("*.ts") if LRELEASE.exists() else ():
            command = [LRELEASE, file, "-qm", file.with_suffix(".qm")]
            subprocess.run(command, check=True, capture_output=True, timeout=60)


def _new(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _numpy_parts() -> list[Path]:
    """Folders of numpy, as pip has installed them."""
    site = Path(numpy.__file__).parents[1]
    return [each for each in site.glob("numpy*") if re.fullmatch(r"numpy(\.libs|-.*)?", each.name)]


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory, host_copy: Path) -> dict[str, str]:
    """One of each kind that a person may have; only `good` has a real ringbridge."""
    folder = tmp_path_factory.mktemp("environments")
    old = made.ringbridge(folder / "fakes" / "old", "0.0.9")
    foreign = made.ringbridge(folder / "fakes" / "foreign", "99.0", made.OTHER)
    pip = _new(folder / "fakes" / "pip")
    found = {
        "bare": made.venv(folder / "bare", pip),
        "empty": made.conda(folder / "empty"),
        "ancient": made.conda(folder / "ancient", "3.6.15"),
        "old": made.venv(folder / "old", pip, old),
        "foreign": made.venv(folder / "foreign", pip, foreign),
        "good": made.venv(folder / "good", host_copy / "ringbridge", *_numpy_parts()),
    }
    # They look like environments, and their Pythons are none.
    for name, script in (("broken", "echo wrong-python here >&2; exit 3"), ("hanging", "sleep 99")):
        found[name] = made.venv(folder / name)
        python = found[name] / "bin" / "python"
        python.unlink()
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    return {name: str(path) for name, path in found.items()}


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory,
    environments: dict[str, str],
    host_copy: Path,
    installed: Callable[..., list[str]],
) -> Callable[[str], Story]:
    """Makes one, by its name; skips where this machine has environments of its own for all."""
    installed(*qgis_window.NEEDED)
    if list(Path("/opt").glob("*/conda-meta")):
        pytest.skip("a conda in /opt would be found, too")

    def by_name(name: str) -> Story:
        folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
        _new(folder / "home")
        modules = _new(folder / "modules")
        for file, text in MODULES.items():
            (modules / file).write_text(text)
        settings = {"story": name, "environments": environments, "modules": str(modules)}
        return Story(folder, {**settings, "pictures": str(host_copy.parent)})

    return by_name


@pytest.fixture(scope="module")
def report(story: Callable[[str], Story]) -> Report:
    return story("by hand").told()


def test_the_first_start_is_fast_and_starts_nothing(
    report: Report, figure: Callable[[str], None]
) -> None:
    start, second = report["start"], report["second_start"]
    assert (start["ringbridge_loaded"], start["children"], second["children"]) == (False, [], [])
    figure(f"QGIS's plugin starts in {start['seconds']}, set up in {second['seconds']}")


def test_the_message_bar_offers_to_set_it_up_and_no_window_comes_by_itself(report: Report) -> None:
    text = "Its algorithms need a Python environment to run in."
    assert report["first"] == {"text": text, "dialog": False}


def test_the_dialog_leads_through_every_state(report: Report, environments: dict[str, str]) -> None:
    headings = report["headings"]
    assert headings == [
        "No Python environment was found",
        "No environment can be used yet",
        "No environment can be used yet",
        "Choose an environment",
        "ringbridge uses “good”",
    ]
    again = "-m pip install --force-reinstall ringbridge"
    assert report["states"] == {
        "bare": ["NO_RINGBRIDGE", f"{environments['bare']}/bin/python -m pip install ringbridge"],
        "empty": ["NO_PYTHON", ""],
        "ancient": ["PYTHON_TOO_OLD", ""],
        "old": ["TOO_OLD", f"{environments['old']}/bin/python {again}"],
        "foreign": ["NO_BUILD", f"{environments['foreign']}/bin/python {again}"],
    }
    assert report["copied"] == report["states"]["foreign"][1]


def test_the_test_button_starts_a_worker_and_tells_what_it_says(report: Report) -> None:
    at_once, then = report["test"]
    assert at_once == "Starting a worker… (30 seconds at most)"
    python = "{}.{}.{}".format(*sys.version_info[:3])
    assert then.startswith(f"It works: Python {python}, numpy {numpy.__version__}.")


def test_a_worker_that_does_not_start_is_told_readably(report: Report) -> None:
    assert report["broken_test"].startswith("It does not work:\n")
    assert "wrong-python" in report["broken_test"]


def test_what_is_used_is_kept(report: Report, environments: dict[str, str]) -> None:
    assert report["taken"] == {"environment": environments["good"], "messages": False}


def test_options_add_a_folder_whose_algorithms_appear(report: Report) -> None:
    options = report["options"]
    assert "wait_a_moment" in options["algorithms"]
    assert "threads=2, arena_mib=512, workers_max=1, idle_minutes=10" in options["settings"]
    assert options["message"].startswith("Modules that cannot be used: ")
    assert "lacking" in options["message"]


def test_the_dock_shows_what_a_worker_does_and_stops_it(
    report: Report, environments: dict[str, str]
) -> None:
    dock = report["dock"]
    ((environment, pid, state, memory, task, _since, plugins, restarts),) = dock["rows"]
    assert (environment, state, task) == ("good", "busy", "Wait a moment")
    assert int(pid) > 0
    assert memory.endswith(" MiB")
    assert (plugins, restarts) == ("ringbridge", "0")
    assert f"{environments['good']}/bin/python -m pip install nobody_has_it" in dock["commands"]
    assert dock["run_was_successful"] is False


def test_nothing_is_left_of_it_after_unloading(report: Report) -> None:
    there = report["before_unload"]
    assert all(there[name] for name in ("docks", "menu", "toolbar", "actions", "provider"))
    assert _left(report["after_unload"]) == {}
    assert report["page_after_unload"] is False


def test_loaded_again_it_has_its_algorithms_without_a_worker(report: Report) -> None:
    assert report["second_start"]["algorithms"] == report["options"]["algorithms"]
    assert _left(report["after_second_unload"]) == {}


def test_the_only_environment_is_taken_and_the_message_bar_says_so(
    story: Callable[[str], Story], environments: dict[str, str]
) -> None:
    single = story("by itself")
    single.language = "de"
    listed = _new(single.folder / "home" / ".conda") / "environments.txt"
    listed.write_text("{hanging}\n{good}\n".format(**environments))
    told = single.told()
    assert told["taken"] == environments["good"]
    assert told["core_loaded"] is False
    assert told["message_after"] is False  # its button has been pressed
    # The test of a Python that never answers has ended with the window, not with its time limit.
    assert told["left_for_s"] < 20
    if LRELEASE.exists():
        assert told["text"].startswith("Algorithmen laufen in der Umgebung „good“")
        assert told["heading"] == "ringbridge verwendet „good“"
    assert _left(told["after_unload"]) == {}


def _left(traces: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in traces.items() if value}
