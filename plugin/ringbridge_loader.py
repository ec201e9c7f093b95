# SPDX-License-Identifier: MIT
"""Loads ringbridge from an environment that has it, into a host that has nothing of it.

Copy this one file into a plugin. It needs Python's own library only:

    from . import ringbridge_loader

    def hillshade(dem, env="/home/me/miniforge3/envs/gis"):
        ringbridge = ringbridge_loader.load(env)  # when it is needed, not when the plugin is loaded
        with ringbridge.Worker(env) as worker: ...

It looks at folders and imports that one package, of which a process has one copy: the first loaded.
It starts no program and fetches nothing, and nothing else of the environment becomes importable.
"""

from __future__ import annotations

import contextlib
import glob
import importlib.machinery
import importlib.util
import os
import platform
import re
import shlex
import sys
import threading
from types import ModuleType

_ROOTS = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "micromamba", ".local/share/mamba")
_HOST = "this host"
_VERSION = ".".join(platform.python_version_tuple()[:2])
_PYTHON = f"{platform.python_implementation()} {_VERSION} {platform.machine()}"
_lock = threading.RLock()


def load(
    *environments: str | os.PathLike[str], minimum: str = "0.1.0", core: bool = True
) -> ModuleType:
    """The module `ringbridge`: the one loaded already, else the host's own, else the newest found.

    `environments` are prefixes (conda, venv, pixi, plain), interpreters, or names of conda's or
    mamba's: a word without a slash. Without any it looks in $RINGBRIDGE_ENV, ~/.virtualenvs,
    ~/.conda/environments.txt and where conda and mamba keep theirs. core=False leaves the compiled
    part for its first use: for a host's start. Raises ImportError, which says what was looked at
    and what to do.
    """
    with _lock:
        if sys.modules.get("ringbridge"):
            return _checked(importlib.import_module("ringbridge"), minimum)
        fits = sys.platform.startswith("linux") and sys.maxsize > 1 << 32
        if not fits or sys.implementation.name != "cpython" or sys.version_info < (3, 9):
            needed = "CPython 3.9 or newer on 64-bit Linux"
            raise ImportError(f"ringbridge needs {needed}, and this is {_PYTHON} on {sys.platform}")
        prefixes = [found for each in environments if os.fspath(each) for found in _meant(each)]
        prefixes = prefixes or ([] if any(environments) else usual_prefixes())
        spec = importlib.util.find_spec("ringbridge")
        found = {_HOST: [spec.origin] if spec and spec.origin else []}
        found.update({repr(prefix): copies(prefix) for prefix in prefixes})
        usable: list[tuple[bool, list[int], str, str]] = []
        wanted = " or ".join(map(repr, environments)) or "any environment"
        report = [] if prefixes else [f"{wanted}: not in the usual places"]
        for place, files in found.items():
            report += [] if files else [f"{place}: no ringbridge there"]
            for file in files:
                try:
                    usable.append((place == _HOST, _version_of(file, minimum), place, file))
                except (ImportError, OSError) as error:
                    report.append(f"{place}: {error}")
        for _, _, place, file in sorted(usable, key=lambda each: each[:2], reverse=True):
            try:
                module = _import(os.path.dirname(file), core)
            except Exception as error:
                report.append(f"{place}: cannot be loaded: {' '.join(str(error).split())}")
            else:
                return _checked(module, minimum)
        lines = [f"no ringbridge {minimum} or newer for {_PYTHON}. Looked at:", *report]
        advice = f"Add it to an environment:\n  {_command(*prefixes)}"
        raise ImportError("\n  ".join(lines) + f"\n{advice}")


class _Finder:
    """Finds `ringbridge` in `folder` while that is set, and nothing else ever.

    Through the import system, so that threads wait for each other. It stays on sys.meta_path, where
    taking it off could make another thread's import miss a finder.
    """

    folder = ""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name != "ringbridge" or not self.folder:
            return None
        file = os.path.join(self.folder, "__init__.py")
        spec = importlib.util.spec_from_file_location
        return spec(name, file, submodule_search_locations=[self.folder])


_finder = _Finder()


def _import(folder: str, core: bool) -> ModuleType:
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.folder = folder
    try:
        module = importlib.import_module("ringbridge")
        if core:
            importlib.import_module("ringbridge._core")  # its name fits; now whether it does
    except BaseException:
        for name in [each for each in list(sys.modules) if each.split(".")[0] == "ringbridge"]:
            sys.modules.pop(name, None)
        raise
    finally:
        _finder.folder = ""
    return module


def _checked(module: ModuleType, minimum: str) -> ModuleType:
    version = getattr(module, "__version__", "0")
    if _numbers(version) >= _numbers(minimum):
        return module
    file = os.path.abspath(getattr(module, "__file__", None) or "")
    raise ImportError(
        f"ringbridge {version} is loaded already, from {os.path.dirname(file)!r}, and {minimum} or "
        "newer is needed. A process has one copy, the first loaded. Update that one, then start "
        f"this application again:\n  {_command(os.path.abspath(file + '/..' * 5))}"
    )


def usual_prefixes() -> list[str]:
    """$RINGBRIDGE_ENV, what conda and mamba know of, and ~/.virtualenvs."""
    home, found = os.path.expanduser("~"), []
    with contextlib.suppress(OSError):
        listed = os.path.join(home, ".conda", "environments.txt")
        with open(listed, encoding="utf-8", errors="surrogateescape") as file:
            found += file.read().split("\n")
    roots = [os.path.join(base, name) for base in (home, "/opt") for name in _ROOTS]
    for root in filter(None, [os.environ.get("MAMBA_ROOT_PREFIX"), *roots]):
        found += [root, *sorted(glob.glob(os.path.join(glob.escape(root), "envs", "*")))]
    found += sorted(glob.glob(os.path.join(glob.escape(home), ".virtualenvs", "*")))
    wanted = os.environ.get("RINGBRIDGE_ENV")
    found = [place for place in found if os.path.isdir(place)]  # some are gone, and still listed
    return [prefix_of(place) for place in ([wanted] if wanted else []) + found]


def _meant(place: str | os.PathLike[str]) -> list[str]:
    if isinstance(place, str) and os.sep not in place:
        return [each for each in usual_prefixes() if os.path.basename(each) == place]
    return [prefix_of(place)]


def prefix_of(place: str | os.PathLike[str]) -> str:
    """Of a prefix itself, or of the environment that an interpreter belongs to."""
    path = os.path.abspath(os.path.expanduser(place))
    if not os.path.isfile(path):
        return path
    here, there = (os.path.dirname(os.path.dirname(p)) for p in (path, os.path.realpath(path)))
    own = any(os.path.exists(os.path.join(here, mark)) for mark in ("pyvenv.cfg", "conda-meta"))
    return here if own else there  # elsewhere a link means what it points to


def copies(prefix: str) -> list[str]:
    """The __init__.py of each ringbridge there; Debian's pip puts it below `local`."""
    below = os.path.join("lib*", "python3*", "*-packages", "ringbridge", "__init__.py")
    tops = [glob.escape(os.path.join(prefix, part)) for part in ("", "local")]
    files = [file for top in tops for file in sorted(glob.glob(os.path.join(top, below)))]
    once = {os.path.realpath(file): file for file in reversed(files)}  # lib64 may be a link to lib
    return list(once.values())[::-1]


def _version_of(file: str, minimum: str) -> list[int]:
    """Of a copy that this interpreter can use; the ImportError of another says why it cannot."""
    with open(file, encoding="utf-8", errors="replace") as source:
        said = re.search(r'^__version__ = "([^"]+)"', source.read(), re.MULTILINE)
    version = said[1] if said else "no version"
    if _numbers(version) < _numbers(minimum):
        raise ImportError(f"too old: {version}")
    names = sorted(os.listdir(os.path.dirname(file)))
    if not any(f"_core{suffix}" in names for suffix in importlib.machinery.EXTENSION_SUFFIXES):
        builds = [re.match(r"_core\.cpython-3(\d+\w*)-(\w+?)-linux", name) for name in names]
        has = ", ".join(f"3.{build[1]} {build[2]}" for build in builds if build)
        raise ImportError(f"no _core for {_PYTHON}: has {has or 'none'}")
    return _numbers(version)


def _numbers(version: str) -> list[int]:
    """To compare by; 0.2.0rc1 counts as 0.2.0."""
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def _command(*prefixes: str) -> str:
    """What to run for a copy in the first of them that has a Python."""
    pythons = [os.path.join(prefix, "bin", "python") for prefix in prefixes]
    python = next(filter(os.path.isfile, pythons), "/path/to/environment/bin/python")
    again = "--force-reinstall " if copies(os.path.dirname(os.path.dirname(python))) else ""
    return f"{shlex.quote(python)} -m pip install {again}ringbridge"
