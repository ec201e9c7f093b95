# SPDX-License-Identifier: MIT
"""Which environments there are, what is in each, and whether it can be used from here.

Looks at files only: no Qt, no program started, no ringbridge needed. A worker runs in any
environment once this host has loaded ringbridge from *one* of them, or from its own folders.
"""

from __future__ import annotations

import enum
import glob
import importlib.util
import os
import platform
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import ringbridge_loader as loader

MINIMUM = "0.1.0"  # of ringbridge
OLDEST_PYTHON = (3, 9)
PACKAGES = (
    *("ringbridge", "numpy", "numba", "scipy", "scikit-learn"),
    *("rasterio", "geopandas", "pyarrow", "torch"),
)
#: Where the setup dialog's command makes one; virtualenvwrapper keeps its own there too.
VENVS = os.path.join("~", ".virtualenvs")
_ABI3_SINCE = (3, 11)


class State(enum.Enum):
    """What can be said of an environment. `NO_BUILD`: its ringbridge is made for other Pythons."""

    USABLE = "usable"
    NO_RINGBRIDGE = "no ringbridge"
    TOO_OLD = "ringbridge too old"
    NO_BUILD = "no build"
    NO_PYTHON = "no Python"
    PYTHON_TOO_OLD = "Python too old"
    NOTHING = "nothing there"


@dataclass(frozen=True)
class Environment:
    """What was seen in a prefix.

    kind      "conda", "pixi", "venv" or "plain"; "" where nothing is
    python    its interpreter's path, "" where there is none
    version   of its Python, as far as files tell: "3.12.1", "3.12" or ""
    packages  name -> version, of those in PACKAGES that are installed
    command   what to run so that it becomes usable, "" where there is no such thing
    """

    prefix: str
    name: str
    kind: str
    python: str
    version: str
    state: State
    packages: dict[str, str] = field(default_factory=dict)
    command: str = ""

    @property
    def usable(self) -> bool:
        return self.state is State.USABLE

    @property
    def has_own(self) -> bool:
        """Whether a ringbridge is installed in it."""
        return "ringbridge" in self.packages


def prefixes() -> list[str]:
    """Where environments usually are; more places are known once ringbridge is loaded."""
    found = loader.usual_prefixes()
    found += sorted(glob.glob(os.path.join(glob.escape(os.path.expanduser(VENVS)), "*", "")))
    if "ringbridge" in sys.modules:
        from ringbridge.discovery import environments

        found += [each.prefix for each in environments()]
    once = {os.path.realpath(each): each.rstrip(os.sep) or os.sep for each in reversed(found)}
    return list(once.values())[::-1]


def look(places: Iterable[str], minimum: str = MINIMUM) -> list[Environment]:
    """What is at each of these prefixes or interpreters. Some milliseconds for each."""
    wanted = list(dict.fromkeys(loader.prefix_of(place) for place in places))
    copy = _hosts_copy(wanted, minimum)
    return [_look_at(prefix, copy, minimum) for prefix in wanted]


def is_gone(place: str) -> bool:
    """Whether a path, not a name, has no Python any more. A moment's look."""
    return os.sep in place and not _python_of(loader.prefix_of(place))


def source_for(places: Iterable[str], minimum: str = MINIMUM) -> str:
    """The first prefix whose ringbridge this host can load; "": none has such a one."""
    fitting = (each for each in places if any(_serves(c, _HERE, minimum) for c in _folders(each)))
    return next(fitting, "")


def the_one(found: Iterable[Environment]) -> Environment | None:
    """The one to take without asking: the only usable one with a ringbridge of its own, or else the
    only usable one."""
    usable = [each for each in found if each.usable]
    for candidates in ([each for each in usable if each.has_own], usable):
        if candidates:
            return candidates[0] if len(candidates) == 1 else None
    return None


# ------------------------------------------------------------------------------ one environment


def _look_at(prefix: str, copy: str, minimum: str) -> Environment:
    kind = _kind(prefix)
    python = _python_of(prefix)
    version = _python_version(prefix) if python else ""
    packages = _packages(prefix)
    own = _folders(prefix)
    name = _name(prefix, python)
    if own:  # what is imported counts, not what a record says
        packages["ringbridge"] = _version(own[0]) or "?"
    if not python:
        state = State.NO_PYTHON if kind else State.NOTHING
        return Environment(prefix, name, kind, "", version, state, packages)
    state = _state(_numbers(version), own, copy, minimum)
    command = _command(prefix, python, bool(own)) if state in _MENDED_BY_PIP else ""
    return Environment(prefix, name, kind or "plain", python, version, state, packages, command)


def _name(prefix: str, python: str) -> str:
    if prefix in _SHARED_PREFIXES and python:
        return os.path.basename(os.path.realpath(python))
    name = os.path.basename(prefix)
    if name in (".venv", "venv", "env", "default"):  # many projects call theirs so
        return os.path.join(os.path.basename(os.path.dirname(prefix)), name)
    return name or prefix


_SHARED_PREFIXES = ("/", "/usr", "/usr/local")
_MENDED_BY_PIP = (State.NO_RINGBRIDGE, State.TOO_OLD, State.NO_BUILD)


def _state(python: tuple[int, ...], own: list[str], copy: str, minimum: str) -> State:
    """`copy` is the folder of the one that this host would load."""
    there = python[:2]
    if there and there < OLDEST_PYTHON:
        return State.PYTHON_TOO_OLD
    if copy and (len(there) < 2 or _fits(copy, there)):
        return State.USABLE  # a worker there takes the host's copy
    if copy and any(_serves(each, there, minimum) for each in own):
        return State.USABLE
    if not own:
        return State.NO_RINGBRIDGE
    old = all(_numbers(_version(each)) < _numbers(minimum) for each in own)
    return State.TOO_OLD if old else State.NO_BUILD


def _python_of(prefix: str) -> str:
    names = (os.path.join(prefix, "bin", name) for name in ("python", "python3"))
    return next((name for name in names if os.access(name, os.X_OK)), "")


def _kind(prefix: str) -> str:
    if os.path.isdir(os.path.join(prefix, "conda-meta")):
        return "pixi" if f"{os.sep}.pixi{os.sep}" in prefix else "conda"
    return "venv" if os.path.isfile(os.path.join(prefix, "pyvenv.cfg")) else ""


def _python_version(prefix: str) -> str:
    for path in glob.glob(os.path.join(glob.escape(prefix), "conda-meta", "python-[0-9]*.json")):
        record = re.fullmatch(r"python-([0-9][0-9a-z.]*)-[^-]*\.json", os.path.basename(path))
        if record:
            return record[1]
    said = re.search(
        r"^version(?:_info)?\s*=\s*([0-9]+(?:\.[0-9]+)*)",
        _text(os.path.join(prefix, "pyvenv.cfg")),
        re.MULTILINE,
    )
    if said:
        return said[1]
    for name in ("python3", "python"):  # the second one may be a Python 2
        real = os.path.basename(os.path.realpath(os.path.join(prefix, "bin", name)))
        named = re.fullmatch(r"python([0-9]+\.[0-9]+)t?", real)
        if named:
            return named[1]
    return ""


def _packages(prefix: str) -> dict[str, str]:
    """By the names of the folders that pip and conda leave beside what they install."""
    found: dict[str, str] = {}
    below = os.path.join("lib*", "python[0-9]*", "*-packages", "*.*-info")
    debian = os.path.join("lib", "python3", "dist-packages", "*.*-info")
    patterns = (below, debian, os.path.join("local", below))
    paths = [
        path for each in patterns for path in glob.glob(os.path.join(glob.escape(prefix), each))
    ]
    for path in paths:
        named = re.match(r"([^-]+)-([^-]+).*\.(?:dist|egg)-info$", os.path.basename(path))
        if named:
            name = named[1].lower().replace("_", "-")
            if name in PACKAGES:
                found[name] = named[2]
    return {name: found[name] for name in PACKAGES if name in found}


def _command(prefix: str, python: str, again: bool) -> str:
    """For a shell; with pip before it where there is none, as uv leaves it, or conda without it."""
    run, forced = f"{shlex.quote(python)} -m", "--force-reinstall " if again else ""
    pips = os.path.join(glob.escape(prefix), "lib*", "python3*", "*-packages", "pip", "")
    first = "" if glob.glob(pips) else f"{run} ensurepip && "
    return f"{first}{run} pip install {forced}ringbridge"


# ------------------------------------------------------------------------- copies of ringbridge

_HERE = sys.version_info[:2]


def _hosts_copy(prefixes: Iterable[str], minimum: str) -> str:
    """The folder of the one that the loader would take here; "": there is none."""
    own = _own_copy(minimum)
    usable = [
        folder
        for prefix in prefixes
        for folder in _folders(prefix)
        if _serves(folder, _HERE, minimum)
    ]
    return own or max(usable, key=lambda folder: _numbers(_version(folder)), default="")


def _own_copy(minimum: str) -> str:
    """What is imported already, or lies on this host's own path."""
    spec = importlib.util.find_spec("ringbridge")
    folder = os.path.dirname(spec.origin) if spec and spec.origin else ""
    return folder if folder and _serves(folder, _HERE, minimum) else ""


def _folders(prefix: str) -> list[str]:
    return [os.path.dirname(file) for file in loader.copies(prefix)]


def _serves(folder: str, python: tuple[int, ...], minimum: str) -> bool:
    return _numbers(_version(folder)) >= _numbers(minimum) and _fits(folder, python)


def _fits(folder: str, python: tuple[int, ...]) -> bool:
    """Whether it has a build for such a CPython on this machine, as names tell."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    exact = "_core.cpython-{}{}-{}-".format(*python, platform.machine())
    if any(name.startswith(exact) for name in names):
        return True
    return python >= _ABI3_SINCE and "_core.abi3.so" in names


def _version(folder: str) -> str:
    text = _text(os.path.join(folder, "__init__.py"))
    said = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return said[1] if said else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version)[:3])


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except OSError:
        return ""
