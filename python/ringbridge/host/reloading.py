# SPDX-License-Identifier: MIT
"""Running modules again whose files have changed: which ones, in which order, and what is left.

Knows nothing of who serves them. Modules are run on the thread that calls.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING

from ringbridge.errors import RingbridgeError
from ringbridge.host.module_rules import defined_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Stamp = tuple[int, int]  # time in nanoseconds, size


class FileStamps:
    """How the files of modules looked when they were read."""

    def __init__(self) -> None:
        self._stamps: dict[str, Stamp] = {}
        self._since_ns = time.time_ns()

    def note(self, modules: Mapping[str, ModuleType], *, read_at_ns: int) -> None:
        """These were read at that time, or earlier. One that is known stays as it is known."""
        for name, module in modules.items():
            stamp = _stamp(module)
            if stamp is not None and stamp[0] <= read_at_ns:  # else it has changed meanwhile
                self._stamps.setdefault(name, stamp)

    def renew(self, name: str) -> None:
        """It is about to be read again."""
        module = sys.modules.get(name)
        stamp = None if module is None else _stamp(module)
        if stamp is not None:
            self._stamps[name] = stamp

    def forget(self, name: str) -> None:
        """It is not imported any more."""
        self._stamps.pop(name, None)

    def changed(self, modules: Mapping[str, ModuleType]) -> set[str]:
        """Those whose files look otherwise now. Of one that nobody noted, since it was imported
        late: whose file is younger than these stamps."""
        found = set()
        for name, module in modules.items():
            now = _stamp(module)
            known = self._stamps.get(name)
            if now is not None and (now[0] > self._since_ns if known is None else now != known):
                found.add(name)
        return found


def family(names: Iterable[str]) -> dict[str, ModuleType]:
    """Modules and their submodules, as far as `run_again` can run them."""
    prefixes = tuple(name + "." for name in names)
    return {
        name: module
        for name, module in list(sys.modules.items())
        if (name + ".").startswith(prefixes) and _can_run_again(name, module)
    }


def with_users(changed: set[str], modules: Mapping[str, ModuleType]) -> list[str]:
    """The changed modules, and those of `modules` that use them, directly or not: what is used
    comes first, as far as they do not use each other."""
    uses = {name: _used(module) & modules.keys() for name, module in modules.items()}
    affected: set[str] = set()
    more = set(changed)
    while more:
        affected |= more
        more = {name for name, used in uses.items() if used & more} - affected
    left = {name: uses[name] & affected - {name} for name in modules if name in affected}
    order: list[str] = []
    while left:
        first = next((name for name, used in left.items() if not used & left.keys()), None)
        order.append(next(iter(left)) if first is None else first)
        del left[order[-1]]
    return order


def run_again(name: str) -> dict[str, object]:
    """Reads the file of an imported module, and runs it. What it has defined before and does not
    define any more is given back: a reload leaves that in the module.

    Raises what that raised; then the module is as it was before. RingbridgeError for a module
    without a source file of its own, such as a script.
    """
    module = sys.modules.get(name)
    if module is None or not _can_run_again(name, module):
        raise RingbridgeError(
            f"module {name!r} cannot be reloaded: it was not imported from a source file"
        )
    before, defined = dict(vars(module)), defined_here(module)
    forget_bytecode(module)
    try:
        importlib.reload(module)
    except BaseException:
        _restore(vars(module), before)
        raise
    now = vars(module)
    return {each: value for each, value in defined.items() if now.get(each) is value}


def forget_bytecode(module: ModuleType) -> None:
    """Where two versions of a file have one size and one second, Python would take the old code."""
    source = _source(module)
    if source is not None:
        with contextlib.suppress(OSError, NotImplementedError):
            os.unlink(importlib.util.cache_from_source(source))


def _can_run_again(name: str, module: ModuleType) -> bool:
    return name != "__main__" and _source(module) is not None


def _restore(names: dict[str, object], before: dict[str, object]) -> None:
    for name in names.keys() - before.keys():
        del names[name]
    names.update(before)


def _used(module: ModuleType) -> set[str]:
    """Names of the modules that its names come from."""
    found = set()
    for value in list(vars(module).values()):
        try:
            name = value.__name__ if isinstance(value, ModuleType) else value.__module__
        except Exception:  # a number, say; or an attribute that is broken
            continue
        if isinstance(name, str):
            found.add(name)
    return found


def _source(module: ModuleType) -> str | None:
    try:
        file = module.__file__
    except Exception:  # it has none; or it is loaded on demand, and cannot be
        return None
    return file if isinstance(file, str) and file.endswith(".py") else None


def _stamp(module: ModuleType) -> Stamp | None:
    source = _source(module)
    try:
        state = None if source is None else os.stat(source)
    except OSError:  # it was deleted: nothing to read
        return None
    return None if state is None else (state.st_mtime_ns, state.st_size)
