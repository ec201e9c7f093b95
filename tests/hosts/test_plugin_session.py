# SPDX-License-Identifier: MIT
"""The plugin in QGIS's Python without a window, as qgis_process starts it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import HERE, QGIS_PYTHON, Report, run
from rbr_testing import user_environments as made

PLUGINS = HERE.parents[1] / "plugin"

MODULE = """
from typing import Annotated

from ringbridge.compute import Number, NumberOutput, algorithm


@algorithm("Twice", group="Tests")
def twice(x: Annotated[float, Number()] = 1.0) -> Annotated[float, NumberOutput()]:
    return 2 * x
"""


@dataclass(frozen=True)
class Place:
    """Folders of one QGIS."""

    folder: Path
    environments: dict[str, str]

    def run(self, *command: str, **environ: str) -> str:
        """What it prints; fails when it fails."""
        fixed = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "LC_ALL": "C.UTF-8",
            "QT_QPA_PLATFORM": "offscreen",
            "XDG_RUNTIME_DIR": str(self.folder / "runtime"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return run(command, {**fixed, **environ}, self.folder)


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, host_copy: Path, installed: Callable[..., list[str]]
) -> Place:
    installed("qgis")
    folder = tmp_path_factory.mktemp("plugin-session")
    for name in ("home", "runtime", "modules"):
        (folder / name).mkdir(mode=0o700)
    (folder / "modules" / "twice.py").write_text(MODULE)
    environments = {
        "gone": folder / "gone",
        "bare": made.venv(folder / "bare"),
        "old": made.venv(folder / "old", made.ringbridge(folder / "fakes", "0.0.9")),
        "good": made.venv(folder / "good", host_copy / "ringbridge"),
    }
    return Place(folder, {name: str(path) for name, path in environments.items()})


@pytest.fixture(scope="module")
def report(place: Place) -> Report:
    file = place.folder / "report.json"
    settings = {
        "plugins": str(PLUGINS),
        "profile": str(place.folder / "profile"),
        "environments": place.environments,
        "modules": str(place.folder / "modules"),
        "report": str(file),
    }
    (place.folder / "settings.json").write_text(json.dumps(settings))
    script = str(HERE / "host_script_plugin_session.py")
    said = place.run(QGIS_PYTHON, script, RBR_HOSTS_SETTINGS=str(place.folder / "settings.json"))
    assert file.exists(), said
    told: Report = json.loads(file.read_text())
    return told


def test_settings_come_back_as_they_were_written(report: Report) -> None:
    assert report["is_default"]
    assert report["kept"]
    assert report["one_folder"] == ["/one"]  # one alone comes back as a str from QGIS
    assert report["by_hand"] == 0  # nonsense in the file is the default


def test_with_nothing_set_up_nothing_happens(report: Report) -> None:
    default = report["default"]
    assert (default["provider"], default["problem"], default["provider_after"]) == (
        False,
        "",
        False,
    )


@pytest.mark.parametrize(
    ("name", "word"),
    [("gone", "nothing there"), ("bare", "no ringbridge"), ("old", "ringbridge too old")],
)
def test_what_cannot_be_used_is_told_in_a_line_and_raises_nothing(
    report: Report, name: str, word: str
) -> None:
    told = report[name]
    first = told["problem"].splitlines()[0]
    assert first == f"The environment “{name}” cannot be used: {word}."
    assert told["provider"] is False
    assert report["loaded"] is False


def test_a_good_one_has_its_provider_until_it_is_unloaded(report: Report) -> None:
    good = report["good"]
    assert (good["provider"], good["problem"], good["provider_after"]) == (True, "", False)


def test_only_limits_need_another_bridge(report: Report) -> None:
    good = report["good"]
    assert good["folders"][-1].endswith("/modules")
    assert "/gone" not in good["folders"]
    assert (good["same_after_folders"], good["same_after_limits"]) == (True, False)
    assert good["threads"] == 3


def test_a_ringbridge_elsewhere_serves_an_environment_without_one(report: Report) -> None:
    assert (report["served"]["provider"], report["served"]["problem"]) == (True, "")


def test_qgis_process_runs_a_module_of_the_users(place: Place) -> None:
    # Debian's wrapper qgis_process may pass an option that the program does not know.
    program = shutil.which("qgis_process.bin") or "qgis_process"
    profile = place.folder / "process"
    (profile / "profiles" / "default" / "QGIS").mkdir(parents=True)
    settings = {"environment": place.environments["good"], "folders": place.folder / "modules"}
    lines = ["[ringbridge]", *(f"{name}={value}" for name, value in settings.items())]
    (profile / "profiles" / "default" / "QGIS" / "QGIS3.ini").write_text("\n".join(lines) + "\n")
    found = {"QGIS_PLUGINPATH": str(PLUGINS), "QGIS_CUSTOM_CONFIG_PATH": str(profile)}
    for name in ("processing", "ringbridge_qgis"):
        place.run(program, "plugins", "enable", name, **found)
    said = place.run(program, "--json", "run", "ringbridge:twice", "--", "X=21", **found)
    results = json.loads(said[said.index("{") :])["results"]
    assert 42.0 in results.values()
