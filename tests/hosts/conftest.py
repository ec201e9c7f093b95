# SPDX-License-Identifier: MIT
"""Fixtures for tests in real applications: what they are given, and how they are run.

RBR_HOST_COPY names a folder that holds a ringbridge for several Pythons and nothing else, RBR_CONDA
what .ci/make_conda made. `make test-hosts` makes both. An application that is not installed skips
its tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import poison
import pytest
from rbr_testing import conda as conda_environments

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 90
QGIS_PYTHON = "/usr/bin/python3"  # the first python3 on PATH may be another one
#: Each alone reaches the environment's Python, and the tests say what comes of it.
ALONE = (
    *("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "PROJ_DATA", "PROJ_*"),
    *("GDAL_DATA", "QT_PLUGIN_PATH", "CONDA_*"),
)

Report = dict[str, Any]
_figures: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures")
        for line in _figures:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figure() -> Callable[[str], None]:
    """Keeps a line for the end of the run."""
    return _figures.append


@pytest.fixture(scope="session")
def conda() -> conda_environments.Facts:
    if not conda_environments.available():
        pytest.skip("no conda environments: RBR_CONDA=build/conda, which `make test-hosts` makes")
    facts = conda_environments.facts()
    if facts.gis.minor == facts.other.minor:
        pytest.skip("this machine has only one Python besides the host's")
    return facts


@pytest.fixture(scope="session")
def host_copy() -> Path:
    folder = os.environ.get("RBR_HOST_COPY")
    if not folder:
        pytest.skip("no ringbridge for a host: RBR_HOST_COPY, which `make test-hosts` sets")
    assert [each.name for each in Path(folder).iterdir()] == ["ringbridge"]
    return Path(folder)


@pytest.fixture(scope="session")
def installed() -> Callable[..., list[str]]:
    """The paths of programs; skips where one of them is not installed."""

    def paths(*programs: str) -> list[str]:
        found = {program: shutil.which(program) for program in programs}
        missing = [program for program, path in found.items() if path is None]
        if missing:
            pytest.skip(f"not installed here: {', '.join(missing)}")
        return [path for path in found.values() if path]

    return paths


@pytest.fixture(scope="session")
def environ() -> Callable[[Path], dict[str, str]]:
    """The variables of a run of QGIS in a folder of its own, which has its settings.json."""

    def made(folder: Path) -> dict[str, str]:
        for name in ("home", "runtime", "cache", "profile"):
            _new(folder / name)
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "LC_ALL": "C.UTF-8",
            "QT_QPA_PLATFORM": "offscreen",
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "QGIS_CUSTOM_CONFIG_PATH": str(folder / "profile"),
            "RBR_HOSTS_FOLDER": str(HERE),
            "RBR_HOSTS_SETTINGS": str(folder / "settings.json"),
        }

    return made


@pytest.fixture(scope="session")
def in_qgis(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    installed: Callable[..., list[str]],
    environ: Callable[[Path], dict[str, str]],
) -> Callable[..., Report]:
    """Runs a script of this folder in QGIS's Python, without a window; what it has written down.

    Beside the settings that standalone.py wants it has those that are made in its own folder. Its
    environment is that of these tests, which has numba, scipy and geopandas.
    """

    def told(script: str, more: Callable[[Path], dict[str, Any]]) -> Report:
        installed("qgis", QGIS_PYTHON)
        folder = tmp_path_factory.mktemp(Path(script).stem)
        report = folder / "report.json"
        settings = {
            **{"copy": str(host_copy), "environment": sys.prefix},
            **{"work": str(folder), "report": str(report), **more(folder)},
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        run([QGIS_PYTHON, str(HERE / script)], environ(folder), folder)
        written: Report = json.loads(report.read_text())
        return written

    return told


@pytest.fixture(scope="session")
def walked(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    environ: Callable[[Path], dict[str, str]],
) -> Callable[..., Report]:
    """Runs an application in which a script walks, as host_pumps.py does; what it has written down.

    `screen`: it has one. `picture` is where it leaves what is on it; `more` are settings.
    """

    def told(
        *command: str, screen: bool = False, picture: Path | None = None, **more: Any
    ) -> Report:
        folder = tmp_path_factory.mktemp("walk")
        report = folder / "report.json"
        settings = {"copy": str(host_copy), "report": str(report), "picture": None, **more}
        shown = {**environ(folder), "LIBGL_ALWAYS_SOFTWARE": "1"}
        if picture:
            picture.unlink(missing_ok=True)
            settings["picture"] = str(picture)
        if screen:
            shown.pop("QT_QPA_PLATFORM")
        shown["QTWEBENGINE_DISABLE_SANDBOX"] = "1"  # FreeCAD's start page, where root runs it
        (folder / "settings.json").write_text(json.dumps(settings))
        said = run(command, shown, folder)
        assert report.exists(), said
        written: Report = json.loads(report.read_text())
        assert written["failure"] is None, f"{written['failure']}\n{said}"
        return written

    return told


class Host:
    """One application's run, in folders of its own and with only the variables that it is given."""

    def __init__(self, folder: Path, copy: Path, conda: conda_environments.Facts) -> None:
        self.folder = folder
        self.conda = conda
        self.poison = poison.make(_new(folder / "poison"), conda)
        self.home = _new(folder / "home")
        self.report_file = folder / "report.json"
        self.exit_code = 0  # the one of success
        self.settings: dict[str, Any] = {
            "copy": str(copy),
            "paths": [str(HERE / "far_side")],
            "name": "gis",
            "inside": self.poison.inside,
            "alone": [[name] for name in ALONE],
            "report": str(self.report_file),
        }
        self.environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(_new(folder / "runtime")),
            "XDG_CACHE_HOME": str(_new(folder / "cache")),
            "RBR_HOSTS_FOLDER": str(HERE),
            "RBR_HOSTS_SETTINGS": str(folder / "settings.json"),
        }

    def list_in_home(self) -> None:
        """The environment's name is found as conda leaves it for every user."""
        listed = _new(self.home / ".conda") / "environments.txt"
        listed.write_text(f"{self.conda.gis.prefix}\n")

    def run(self, *command: str, **environ: str) -> str:
        """What it prints; fails when it fails, and ends it with all its children when it hangs."""
        Path(self.environ["RBR_HOSTS_SETTINGS"]).write_text(json.dumps(self.settings))
        return run(command, {**self.environ, **environ}, self.folder, self.exit_code)

    def report(self, *command: str, **environ: str) -> Report:
        """Of a run with the poison, as far as the host itself survives it."""
        said = self.run(*command, **{**self.poison.outside, **environ})
        assert self.report_file.exists(), said
        told: Report = json.loads(self.report_file.read_text())
        return told


@pytest.fixture(scope="session")
def host(
    tmp_path_factory: pytest.TempPathFactory, host_copy: Path, conda: conda_environments.Facts
) -> Callable[[str], Host]:
    """Makes a host's folders, by a name."""
    return lambda name: Host(tmp_path_factory.mktemp(name), host_copy, conda)


def run(command: Sequence[str], environ: dict[str, str], folder: Path, exit_code: int = 0) -> str:
    # A host that is killed leaves its temporary files: here they go with the folder.
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    with subprocess.Popen(
        command,
        env={**environ, "TMPDIR": str(temporary)},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=TIMEOUT_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # Xvfb and others that it has started, too
            raise
    # xvfb-run says 5 where its server still wrote as it removed its folder.
    tidied = "problem while cleaning up temporary directory" not in said
    expected = exit_code if tidied else 5
    assert process.returncode == expected, f"{command} ended with {process.returncode}:\n{said}"
    return said


def _new(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True)
    return folder
