# SPDX-License-Identifier: MIT
"""The plugin in QGIS's own window, on a screen that nobody sees: from nothing to the first run.

Its pictures are left beside the copy of ringbridge, for whoever wants to look at them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import HERE, Report, run

ROOT = HERE.parents[1]
PLUGIN = ROOT / "plugin" / "ringbridge_qgis"
EXIT_CODE = 7  # host_script_plugin_window.py's
PNG_BYTES_MIN = 20_000  # an empty screen has about 2,000

SETTINGS = """\
[PythonPlugins]
ringbridge_qgis=true
processing=true
[qgis]
checkVersion=false
askToSaveProjectChanges=false
showTips322=false
[app]
askToSaveMemoryLayers=false
[locale]
overrideFlag=true
userLocale=en_US
"""

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
    "lacking.py": """
from sklearn_of_nobody import cluster
from ringbridge.compute import algorithm


@algorithm("Never seen")
def never_seen(x: float) -> float:
    return x
""",
}


def venv(folder: Path, *packages: Path) -> Path:
    """A real one, small; packages are linked into it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    (site,) = folder.glob("lib/python3*/site-packages")
    for package in packages:
        (site / package.name).symlink_to(package)
    return folder


def numpy_parts() -> list[Path]:
    """Folders of numpy, as pip has installed them."""
    site = Path(numpy.__file__).parents[1]
    return [
        path for path in site.glob("numpy*") if path.name.split("-")[0].split(".")[0] == "numpy"
    ]


def fake_ringbridge(folder: Path, version: str, *builds: str) -> Path:
    package = folder / "ringbridge"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    for build in builds:
        (package / build).touch()
    return package


def environments(folder: Path, copy: Path) -> dict[str, Path]:
    """One of each kind that a person may have."""
    old = fake_ringbridge(folder / "fakes" / "old", "0.0.9")
    foreign = fake_ringbridge(
        folder / "fakes" / "foreign", "99.0", "_core.cpython-38-x86_64-linux-gnu.so"
    )
    ancient = folder / "ancient"
    (ancient / "conda-meta").mkdir(parents=True)
    (ancient / "conda-meta" / "python-3.6.15-0_cpython.json").write_text("{}")
    (ancient / "bin").mkdir()
    (ancient / "bin" / "python").symlink_to(sys.executable)
    (folder / "empty" / "conda-meta").mkdir(parents=True)
    return {
        "bare": venv(folder / "bare"),
        "empty": folder / "empty",
        "ancient": ancient,
        "old": venv(folder / "old", old),
        "foreign": venv(folder / "foreign", foreign),
        "good": venv(folder / "good", copy / "ringbridge", *numpy_parts()),
    }


def new(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True)
    return folder


@pytest.fixture(scope="module")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, host_copy: Path, installed: Callable[..., list[str]]
) -> dict[str, Any]:
    installed("qgis", "xvfb-run", "xauth")
    folder = tmp_path_factory.mktemp("plugin-window")
    profile = new(folder / "profiles" / "profiles" / "default")
    new(profile / "QGIS")
    (profile / "QGIS" / "QGIS3.ini").write_text(SETTINGS)
    shutil.copytree(PLUGIN, profile / "python" / "plugins" / PLUGIN.name)
    modules = new(folder / "modules")
    for name, text in MODULES.items():
        (modules / name).write_text(text)
    found = environments(new(folder / "environments"), host_copy)
    return {
        "folder": folder,
        "settings": {
            "environments": {name: str(path) for name, path in found.items()},
            "modules": str(modules),
            "pictures": str(host_copy.parent),
            "report": str(folder / "report.json"),
        },
    }


@pytest.fixture(scope="module")
def report(prepared: dict[str, Any]) -> Report:
    folder = prepared["folder"]
    home = new(folder / "home")
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "XDG_RUNTIME_DIR": str(new(folder / "runtime")),
        "XDG_CACHE_HOME": str(new(folder / "cache")),
        "RBR_HOSTS_SETTINGS": str(folder / "settings.json"),
    }
    (folder / "settings.json").write_text(json.dumps(prepared["settings"]))
    screen = ("xvfb-run", "-a", "-s", "-screen 0 1400x900x24 -nolisten tcp")
    window = ("qgis", "--profiles-path", str(folder / "profiles"), "--profile", "default")
    script = ("--nologo", "--noversioncheck", "--code", str(HERE / "host_script_plugin_window.py"))
    said = run([*screen, *window, *script], environ, folder, EXIT_CODE)
    file = Path(prepared["settings"]["report"])
    assert file.exists(), said
    told: Report = json.loads(file.read_text())
    assert told["failure"] is None, f"{told['failure']}\n{said}"
    return told


def test_x(report: Report) -> None:
    import pprint

    pprint.pprint(report)
