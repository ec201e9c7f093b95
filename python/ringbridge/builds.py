# SPDX-License-Identifier: MIT
"""Which builds of the extension a copy of ringbridge has, and which interpreter can load one.

Looks at names and headers of files; loads and starts nothing.
"""

from __future__ import annotations

import glob
import os
import platform
import re
import struct
from dataclasses import dataclass

from ringbridge.environment import Environment

_ABI3_SINCE = (3, 11)  # docs/decisions/0010-one-wheel.md
_MACHINES = {62: "x86_64", 183: "aarch64", 3: "i386", 40: "arm", 243: "riscv64", 22: "s390x"}
_ELF_64 = b"\x7fELF\x02"


@dataclass(frozen=True)
class Kind:
    """A kind of CPython that needs a build of its own: 3.13, and 3.13 without the GIL."""

    version: tuple[int, int]
    threaded: bool = False

    def __str__(self) -> str:
        return "cpython-{}{}{}".format(*self.version, "t" if self.threaded else "")


@dataclass(frozen=True)
class Build:
    """One file of the extension: for CPython 3.12 ("cpython-312"), or for many ("abi3")."""

    file: str
    abi: str
    machine: str

    def fits(self, python: Kind, machine: str) -> bool:
        """Whether such a CPython, for that machine, loads it."""
        if self.machine != machine:
            return False
        if self.abi == "abi3":
            return python.version >= _ABI3_SINCE and not python.threaded
        return self.abi == str(python)


@dataclass(frozen=True)
class Copy:
    """A copy of ringbridge: its folder, its version, the builds in it."""

    folder: str
    version: str
    builds: tuple[Build, ...]

    def fitting(self, python: Kind, machine: str) -> Build | None:
        """The build that such a CPython takes: the exact one before the one for many."""
        fitting = [build for build in self.builds if build.fits(python, machine)]
        return min(fitting, key=lambda build: build.abi == "abi3", default=None)


def own_copy() -> Copy:
    """The copy that this module belongs to."""
    return copy_at(os.path.dirname(os.path.abspath(__file__)))


def installed_copy(environment: Environment) -> Copy | None:
    """The copy that is installed in an environment; None: none is."""
    found = []
    prefix = glob.escape(environment.prefix)
    for packages in ("site-packages", "dist-packages"):
        for lib in ("lib", "lib64", os.path.join("local", "lib")):
            found += glob.glob(os.path.join(prefix, lib, "python3*", packages, "ringbridge"))
    for folder in found:
        if os.path.isfile(os.path.join(folder, "__init__.py")):
            return copy_at(folder)
    return None


def copy_at(folder: str) -> Copy:
    """What is in a package's folder."""
    files = sorted(glob.glob(os.path.join(glob.escape(folder), "_core*.so")))
    builds = (Build(file, _abi(file), machine_of(file) or "unknown") for file in files)
    return Copy(folder, _version(folder), tuple(build for build in builds if build.abi))


def _abi(file: str) -> str:
    parts = os.path.basename(file).split(".")
    if parts[1:-1] == ["abi3"]:
        return "abi3"
    match = re.match(r"cpython-[0-9]+t?", parts[1]) if len(parts) == 3 else None
    return match[0] if match else ""


def _version(folder: str) -> str:
    try:
        with open(os.path.join(folder, "__init__.py"), encoding="utf-8") as file:
            match = re.search(r'^__version__ = "([^"]+)"', file.read(), re.MULTILINE)
    except (OSError, ValueError):
        return "unknown"
    return match[1] if match else "unknown"


def machine_of(file: str) -> str | None:
    """For which machine a program or library was built, as platform.machine() names it; None: it
    is no such file, or none for 64 bits."""
    try:
        with open(file, "rb") as opened:
            header = opened.read(20)
    except OSError:
        return None
    if len(header) < 20 or not header.startswith(_ELF_64):
        return None
    order = ">" if header[5] == 2 else "<"
    (number,) = struct.unpack_from(f"{order}H", header, 18)
    return _MACHINES.get(number, f"machine {number}")


def this_machine() -> str:
    """The machine that this process was built for."""
    return machine_of("/proc/self/exe") or platform.machine()


def _is_threaded(environment: Environment) -> bool:
    """Whether its Python is one without the GIL, as names tell: python3.13t, or conda's record."""
    if os.path.basename(os.path.realpath(environment.python)).endswith("t"):
        return True
    records = os.path.join(glob.escape(environment.prefix), "conda-meta", "python-3*cp3*t.json")
    return bool(glob.glob(records))


def numbers(version: str) -> tuple[int, ...]:
    """A version as something to compare: "3.12.1" -> (3, 12, 1)."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", version)[:4])


def reach(environment: Environment) -> str:
    """How a worker there would get its ringbridge, in a word or two; from names alone.

    "this copy", "its own copy", "needs ringbridge", or why it cannot be at all.
    """
    known = numbers(environment.python_version or "")
    if known and known < (3, 9):
        return "too old"
    machine = machine_of(os.path.realpath(environment.python)) or this_machine()
    if machine != this_machine():
        return f"for {machine}"
    if len(known) < 2:
        return "unknown"
    python = Kind((known[0], known[1]), _is_threaded(environment))
    if own_copy().fitting(python, machine):
        return "this copy"
    installed = installed_copy(environment)
    return (
        "its own copy" if installed and installed.fitting(python, machine) else "needs ringbridge"
    )
