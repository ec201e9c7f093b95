# SPDX-License-Identifier: MIT
"""The interpreters of this machine that the wheel is built for and tried in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PIP = ("-m", "pip", "install", "-qq", "--disable-pip-version-check")
MINORS = [f"3.{minor}" for minor in range(9, 14)]
PROBE = """
import os, sys, sysconfig
usable = (sys.implementation.name == "cpython" and sys.version_info[3] == "final"
          and not sysconfig.get_config_var("Py_GIL_DISABLED")
          and os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h")))
print("%d.%d" % sys.version_info[:2] if usable else "")
"""


def minor_of(python: str) -> str:
    """Its minor version, where an extension can be built for it; else empty."""
    told = subprocess.run([python, "-E", "-s", "-c", PROBE], capture_output=True, text=True)
    return told.stdout.strip() if told.returncode == 0 else ""


def candidates() -> list[str]:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = [shutil.which(f"python{minor}") for minor in MINORS]
    return [sys.executable, *filter(None, named), *map(str, sorted(pyenv.glob("*/bin/python")))]


def find_pythons(given: list[str]) -> dict[str, str]:
    """Minor version -> interpreter."""
    found: dict[str, str] = {}
    for python in given or candidates():
        minor = minor_of(python)
        if minor in MINORS:
            found.setdefault(minor, python)
        elif given:
            sys.exit(
                f"no extension can be built for {python}: not a CPython of {MINORS}, or it "
                "has no Python.h"
            )
    return dict(sorted(found.items(), key=lambda item: MINORS.index(item[0])))


def make_environment(place: Path, base: str, packages: Iterable[str], wheel: Path) -> Path:
    """An environment on that interpreter, with these packages and the wheel; its interpreter."""
    environ = {**os.environ, "PYTHON": base}
    subprocess.run([Path(__file__).with_name("make_venv"), place], check=True, env=environ)
    python = place / "bin" / "python"
    subprocess.run([python, *PIP, *packages], check=True)
    subprocess.run([python, *PIP, "--no-deps", "--force-reinstall", wheel], check=True)
    return python
