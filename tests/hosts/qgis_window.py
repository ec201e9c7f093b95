# SPDX-License-Identifier: MIT
"""QGIS's window on a screen that nobody sees, in a profile of its own, for a script to walk in."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import HERE, Report, run

NEEDED = ("qgis", "xvfb-run", "xauth")
EXIT_CODE = 7  # window_steps'
PNG_BYTES_MIN = 20_000  # an empty screen has about 2,000
SCREEN = "-screen 0 1400x900x24 -nolisten tcp"
_SETTINGS = """\
[PythonPlugins]
{plugins}
[qgis]
checkVersion=false
askToSaveProjectChanges=false
showTips322=false
[app]
askToSaveMemoryLayers=false
[locale]
overrideFlag=true
userLocale={locale}
{more}"""


def make_profile(folder: Path, *plugins: str, locale: str = "en_US", more: str = "") -> Path:
    """The profile's folder, where these plugins are enabled; `more` are lines of its settings."""
    profile = folder / "profiles" / "profiles" / "default"
    (profile / "QGIS").mkdir(parents=True)
    enabled = "\n".join(f"{name}=true" for name in plugins)
    text = _SETTINGS.format(plugins=enabled, locale=locale, more=more)
    (profile / "QGIS" / "QGIS3.ini").write_text(text)
    return profile


def command(folder: Path, script: str) -> list[str]:
    """Runs a script of this folder in the window, with the profile that was made there."""
    return [
        *("xvfb-run", "-a", "-s", SCREEN),
        *("qgis", "--profiles-path", str(folder / "profiles"), "--profile", "default"),
        *("--nologo", "--noversioncheck", "--code", str(HERE / script)),
    ]


def walk(folder: Path, script: str, environ: dict[str, str], report: Path) -> Report:
    """What the script has written down, once QGIS has ended as the script ends it."""
    shown = {**environ, "LIBGL_ALWAYS_SOFTWARE": "1"}
    for offscreen in ("QT_QPA_PLATFORM", "QGIS_CUSTOM_CONFIG_PATH"):
        shown.pop(offscreen, None)
    said = run(command(folder, script), shown, folder, EXIT_CODE)
    assert report.exists(), said
    told: Report = json.loads(report.read_text())
    assert told["failure"] is None, f"{told['failure']}\n{said}"
    assert told["pictures"]
    assert all(Path(each).stat().st_size > PNG_BYTES_MIN for each in told["pictures"])
    return told
