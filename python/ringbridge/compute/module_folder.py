# SPDX-License-Identifier: MIT
"""A folder of compute modules as a package of its own, in the worker.

Plugins share workers, and two of them may have a module `terrain`. So no folder goes on sys.path:
each becomes a package `ringbridge_modules.<name>_<number>`, in which `from . import helpers` works.
What is loaded is loaded anew when one of its files has changed.

numba keeps compiled functions together with their module's name, so that those of a notebook, where
the module is `terrain`, cannot be loaded here, nor ours there: ours are kept in a folder of ours.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
import zlib
from types import ModuleType

_PARENT = "ringbridge_modules"
_NUMBA_CACHE = "compiled-modules"
#: package -> {file: (when it was changed, its size)} as they were when they were loaded.
_stamps: dict[str, dict[str, tuple[int, int]]] = {}


def module_names(folder: str) -> list[str]:
    """The files in it that declare algorithms, as far as their text tells.

    Hidden ones are no modules: editors leave some there, as links that lead nowhere.
    """
    return [
        name[:-3]
        for name in sorted(os.listdir(folder))
        if name.endswith(".py") and name[0] not in "_." and _declares(os.path.join(folder, name))
    ]


def _declares(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return re.search(r"^\s*@\s*[\w.]*algorithm\b", file.read(), re.MULTILINE) is not None
    except OSError:
        return True  # why it cannot be read is told when it is imported


def load(folder: str, name: str) -> ModuleType:
    """The module of this name in the folder; raises what its import raises."""
    folder = os.path.realpath(folder)
    _keep_compiled_apart()
    if _changed(_name(folder)):
        _forget(_name(folder))
    package = _package(folder)
    try:
        if f"{package}.{name}" not in sys.modules:
            importlib.invalidate_caches()  # a file may have been written a moment ago
        return importlib.import_module(f"{package}.{name}")
    finally:
        _remember(package)  # also what a module has imported that then failed


def forget(folder: str) -> None:
    """All of its modules are loaded anew when they are next asked for."""
    _forget(_name(os.path.realpath(folder)))


def _keep_compiled_apart() -> None:
    """numba's cache=True in a folder for this environment and these modules' names."""
    given = os.environ.get("NUMBA_CACHE_DIR", "")
    if _NUMBA_CACHE in given:
        return
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    here = f"{_NUMBA_CACHE}-{zlib.crc32(os.fsencode(sys.prefix)):08x}"
    os.environ["NUMBA_CACHE_DIR"] = os.path.join(given or home, "ringbridge", here)
    if "numba" in sys.modules:
        sys.modules["numba.core.config"].reload_config()


def _name(folder: str) -> str:
    word = re.sub(r"\W", "_", os.path.basename(folder)) or "folder"
    return f"{_PARENT}.{word}_{zlib.crc32(os.fsencode(folder)):08x}"


def _package(folder: str) -> str:
    """Puts the package into sys.modules, where it is not yet."""
    parent = sys.modules.setdefault(_PARENT, ModuleType(_PARENT))
    parent.__path__ = []  # a package, in which nothing is found by looking
    name = _name(folder)
    if name in sys.modules:
        return name
    file = os.path.join(folder, "__init__.py")
    if os.path.isfile(file):
        spec = importlib.util.spec_from_file_location(
            name, file, submodule_search_locations=[folder]
        )
    else:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [folder]
    assert spec is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    if spec.loader is not None and os.path.isfile(file):
        try:
            spec.loader.exec_module(module)
        except BaseException:
            _forget(name)  # else the next one would find half of it
            raise
    return name


def _loaded(package: str) -> list[str]:
    return [each for each in sys.modules if each == package or each.startswith(f"{package}.")]


def _remember(package: str) -> None:
    files = [getattr(sys.modules[each], "__file__", None) for each in _loaded(package)]
    _stamps[package] = {file: _stamp(file) for file in files if file}


def _changed(package: str) -> bool:
    return any(_stamp(file) != stamp for file, stamp in _stamps.get(package, {}).items())


def _forget(package: str) -> None:
    for file, stamp in _stamps.pop(package, {}).items():
        if _stamp(file) != stamp:
            _drop_compiled(file)
    for each in _loaded(package):
        del sys.modules[each]


def _drop_compiled(file: str) -> None:
    """Python takes it for fresh where the file was changed within a second and kept its size."""
    with contextlib.suppress(OSError, NotImplementedError):
        os.unlink(importlib.util.cache_from_source(file))


def _stamp(file: str) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
