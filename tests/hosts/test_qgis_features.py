# SPDX-License-Identifier: MIT
"""Features of real QGIS layers to Vectors and back, in QGIS's Python; see the script's checks."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, QGIS_PYTHON, run

SCRIPT = HERE / "host_script_qgis_features.py"
CHECKS = re.findall(r"^def (check_\w+)", SCRIPT.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    installed: Callable[..., list[str]],
) -> dict[str, Any]:
    """Of one run of the script, which goes on after a check that failed."""
    installed(QGIS_PYTHON)
    done = subprocess.run(
        [QGIS_PYTHON, "-c", "import qgis.core, numpy"], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"{QGIS_PYTHON} has no qgis or no numpy: {done.stderr.splitlines()[-1:]}")
    folder = tmp_path_factory.mktemp("features")
    (folder / "runtime").mkdir(mode=0o700)
    (folder / "layers").mkdir()
    settings = {"copy": str(host_copy), "folder": str(folder / "layers")}
    settings["report"] = str(folder / "report.json")
    (folder / "settings.json").write_text(json.dumps(settings))
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "TZ": "Europe/Berlin",  # whose clocks skip an hour that the script writes
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(folder / "profile"),
        "XDG_RUNTIME_DIR": str(folder / "runtime"),
        "RBR_HOSTS_SETTINGS": str(folder / "settings.json"),
    }
    run([QGIS_PYTHON, str(SCRIPT)], environ, folder)
    told: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return told


@pytest.mark.parametrize("check", CHECKS)
def test_features(report: dict[str, Any], check: str) -> None:
    assert report["checks"][check] == ""


def test_a_million_features_with_five_attributes(
    report: dict[str, Any], figure: Callable[[str], None]
) -> None:
    """The script compares each value; how long it takes is told, and judged by nobody."""
    for leg, value in report["million"].items():
        each = value if isinstance(value, list) else [value]
        figure(f"a million points, five attributes: {leg}: {', '.join(f'{x:.1f}' for x in each)}")
