# SPDX-License-Identifier: MIT
"""Environments as the plugin's users have them. Real venvs, whose packages may be mere names."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

HERE = "cpython-{}{}-{}-linux-gnu".format(*sys.version_info[:2], platform.machine())
OTHER = f"cpython-38-{platform.machine()}-linux-gnu"


def venv(folder: Path, *packages: Path) -> Path:
    """A small one of this Python; the packages are linked into it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    for package in packages:
        (site_of(folder) / package.name).symlink_to(package)
    return folder


def site_of(prefix: Path) -> Path:
    (site,) = prefix.glob("lib/python3*/site-packages")
    return site


def ringbridge(folder: Path, version: str, *builds: str) -> Path:
    """A folder `ringbridge` with files that are called as the extension is."""
    package = folder / "ringbridge"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    for build in builds:
        (package / f"_core.{build}.so").touch()
    return package


def conda(folder: Path, version: str = "") -> Path:
    """As conda leaves it, with a Python of that version, or without one."""
    (folder / "conda-meta").mkdir(parents=True)
    if version:
        (folder / "conda-meta" / f"python-{version}-h1_0_cpython.json").write_text("{}")
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(sys.executable)
    return folder
