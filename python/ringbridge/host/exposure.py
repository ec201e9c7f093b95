# SPDX-License-Identifier: MIT
"""Exposure: which modules and functions of this process others may load and call.

What was not named is refused. No channel, no I/O but imports, and these happen on the thread that
calls: whoever wants them on the application's main thread calls from there.
"""

from __future__ import annotations

import difflib
import fnmatch
import importlib
import logging
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, Union

from ringbridge.host import reloading
from ringbridge.host.expose import THREADS
from ringbridge.host.module_rules import (
    Exposed,
    ExposedModule,
    exposed_function,
    exposed_of,
    joined,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Named = Union[str, ModuleType, Callable[..., Any]]

__all__ = ["Exposed", "ExposedModule", "Exposure"]

_log = logging.getLogger("ringbridge.host")
_KINDS = ("function", "generator", "coroutine", "class")  # indexed by the kinds of exports.py


@dataclass
class _Loaded:
    """A module that is served."""

    shown: ExposedModule
    #: Names in sys.modules that came with our import, and go when it is unloaded.
    imported: frozenset[str]


class Watcher(Protocol):
    """Somebody who keeps functions of modules that are served."""

    def module_changed(self, name: str, module: ExposedModule | None) -> None:
        """It is served like this from now on; None: no longer. On the thread that has done it."""


class Exposure:
    """What was named, and what of it is loaded. Any thread may use it; imports block only those
    who wait for them."""

    def __init__(
        self, what: Iterable[Named] = (), *, on: str = "main", label: str = "this server"
    ) -> None:
        """`what` holds names of modules ("mytools"), patterns ("mytools.*"; "*" is any module),
        modules, and functions, each served as part of its module. `on` is where functions run that
        do not say it. Modules and functions are loaded at once: they are there.

        Raises TypeError or ValueError for what cannot be served.
        """
        if on not in THREADS:
            raise ValueError(f'on="main" or on="thread", and not {on!r}')
        self._on = on
        self._label = label
        self._names: list[str] = []
        self._modules: dict[str, ModuleType] = {}
        self._functions: dict[str, dict[str, Callable[..., Any]]] = {}
        self._loaded: dict[str, _Loaded] = {}
        #: What reloads have left behind in modules although their files have it no more.
        self._gone: dict[str, dict[str, object]] = {}
        self._stamps = reloading.FileStamps()
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
        self._lock = threading.Lock()
        for each in [what] if isinstance(what, str) else what:
            self._name(each)
        for name in (*self._modules, *self._functions):
            self.load(name)

    def names(self) -> list[str]:
        """What may be loaded: names of modules, and patterns."""
        return list(dict.fromkeys((*self._names, *self._functions)))

    def loaded(self) -> list[str]:
        """The modules that are served now, in the order in which they were loaded."""
        with self._lock:
            return list(self._loaded)

    def load(self, name: str) -> ExposedModule:
        """A module as it is now; imported where that was not done yet.

        Raises PermissionError for one that was not named, and what its import raises.
        """
        self._check(name)
        before, began_ns = frozenset(sys.modules), time.time_ns()
        module = self._module(name)
        came = {each for each in set(sys.modules) - before if _is_within(each, name)}
        self._stamps.note(reloading.family([name]), read_at_ns=began_ns)
        return self._serve(name, module, came)

    def reload(self, name: str) -> ExposedModule:
        """Runs a module again, and before it those of its submodules whose files have changed.

        Raises PermissionError for one that was not named, RingbridgeError for one that has no
        source file, and what the file raises; then the module is served as it was before.
        """
        self._check(name)
        if name not in sys.modules and name not in self._modules and name not in self._functions:
            return self.load(name)
        family = reloading.family([name])
        changed = self._stamps.changed(family) - {name}
        for each in reloading.with_users(changed, family):
            if each != name:
                self._run_again(each)
        self._run_again(name)
        return self._serve(name, self._module(name), set())

    def changed(self) -> bool:
        """Whether reload_changed() would run anything. Looks at files only, on any thread."""
        return bool(self._stamps.changed(reloading.family(self.loaded())))

    def reload_changed(self) -> list[str]:
        """Runs the loaded modules again whose files have changed, with their submodules and with
        those among them that use these: the names of all that were run.

        One that raises is logged to "ringbridge.host", and is served as it was before until its
        file changes again; the first such error is raised once the others were run.
        """
        family = reloading.family(self.loaded())
        return self._run_all(self._stamps.changed(family), family)

    def reload_all(self) -> list[str]:
        """The same, whether or not their files have changed. What has none is left out."""
        loaded = self.loaded()
        family = reloading.family(loaded)
        return self._run_all(self._stamps.changed(family) | family.keys() & loaded, family)

    def unload(self, name: str) -> None:
        """Serves a module no longer. One that was imported for this leaves sys.modules, with its
        submodules that came with it and are not served: the next load reads its file again.

        Raises LookupError for a module that is not loaded.
        """
        with self._lock:
            loaded = self._loaded.pop(name, None)
            others = list(self._loaded)
        if loaded is None:
            raise LookupError(f"module {name!r} is not loaded: loaded are {_list(others)}")
        self._tell(name, None)
        for each in loaded.imported:
            if not any(_is_within(each, other) or _is_within(other, each) for other in others):
                module = sys.modules.pop(each, None)
                if module is not None:
                    reloading.forget_bytecode(module)
                self._stamps.forget(each)
                self._gone.pop(each, None)

    def watch(self, watcher: Watcher) -> None:
        """Tells it of every load, reload and unload, whoever asks for them, for as long as it
        lives."""
        with self._lock:
            self._watchers.add(watcher)

    def find(self, function_name: str) -> tuple[ExposedModule, Exposed]:
        """The function of that name, in the modules that are loaded, in their order; or the one of
        "module.function".

        Raises LookupError where there is none, PermissionError where there is one that is not
        exposed.
        """
        with self._lock:
            loaded = {name: each.shown for name, each in self._loaded.items()}
        module_name, _, own_name = function_name.rpartition(".")
        if module_name:
            if module_name not in loaded:
                self._check(module_name)
                raise LookupError(
                    f"module {module_name!r} is not loaded: loaded are {_list(loaded)}"
                )
            loaded = {module_name: loaded[module_name]}
        for module in loaded.values():
            if own_name in module.functions:
                return module, module.functions[own_name]
        raise self._not_found(own_name, loaded)

    def about(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What is loaded, for people and other languages: {module: {function: {"signature", "doc",
        "on", "kind"}}}."""
        with self._lock:
            loaded = [each.shown for each in self._loaded.values()]
        return {
            module.name: {name: _described(each) for name, each in module.functions.items()}
            for module in loaded
        }

    # -------------------------------------------------------------------------------- what is named

    def _name(self, what: Named) -> None:
        if isinstance(what, str):
            if not _is_module_name(what.replace("*", "a")):
                raise ValueError(f"{what!r} is no module's name, nor a pattern such as 'tools.*'")
            self._names.append(what)
        elif isinstance(what, ModuleType):
            self._names.append(what.__name__)
            self._modules[what.__name__] = what
        elif callable(what):
            self._name_function(what)
        else:
            raise TypeError(
                "served are modules, their names, and functions, and not "
                f"{type(what).__name__} ({what!r})"
            )

    def _name_function(self, function: Callable[..., Any]) -> None:
        name = getattr(function, "__name__", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"{function!r} has no name to call it by: define a function by `def`")
        # A console's functions may say None, which is their __name__ there.
        module_name = getattr(function, "__module__", None) or "__main__"
        functions = self._functions.setdefault(module_name, {})
        if functions.setdefault(name, function) is not function:
            raise ValueError(f"two functions are named {module_name}.{name}")

    def _check(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a module's name must be a str, and not {type(name).__name__}")
        if name in self._names or name in self._functions:
            return
        if _is_module_name(name) and any(_stands_for(each, name) for each in self._names):
            return
        served = self.names()
        near = difflib.get_close_matches(name, [each for each in served if "*" not in each], n=1)
        raise PermissionError(
            f"module {name!r} is not served by {self._label}: it serves {_list(served)}; "
            + (f"did you mean {near[0]!r}?" if near else "name it in serve(modules=[...])")
        )

    # -------------------------------------------------------------------------------- what is there

    def _module(self, name: str) -> ModuleType | None:
        """Imported where needed; None where only functions of it were named."""
        if name not in self._names and not any(_stands_for(each, name) for each in self._names):
            return None
        for known in (sys.modules, self._modules):
            if known.get(name) is not None:
                return known[name]
        return _import(name, self._label)

    def _serve(self, name: str, module: ModuleType | None, came: set[str]) -> ExposedModule:
        shown = self._shown(name, module)
        with self._lock:
            if name in self._loaded:
                came = came | self._loaded[name].imported
            self._loaded[name] = _Loaded(shown, frozenset(came))
        self._tell(name, shown)
        return shown

    def _tell(self, name: str, module: ExposedModule | None) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.module_changed(name, module)

    def _run_all(self, names: set[str], family: dict[str, ModuleType]) -> list[str]:
        done, failures = [], []
        for name in reloading.with_users(names, family):
            try:
                self._run_again(name)
                if name in self.loaded():
                    self._serve(name, self._module(name), set())
            except Exception as error:
                _log.exception("module %s was not reloaded, and is served as it was", name)
                failures.append(error)
            else:
                done.append(name)
        if failures:
            raise failures[0]
        return done

    def _run_again(self, name: str) -> None:
        module = sys.modules.get(name)
        before = {} if module is None else dict(vars(module))
        self._stamps.renew(name)  # before it runs: one that raises is not tried over and over
        self._gone[name] = reloading.run_again(name)
        functions = self._functions.get(name, {})
        for own, function in functions.items():
            now = vars(sys.modules[name]).get(own)
            if before.get(own) is function and callable(now):
                functions[own] = now

    def _shown(self, name: str, module: ModuleType | None) -> ExposedModule:
        gone = self._gone.get(name, {})
        if module is None:
            shown = ExposedModule(name, {}, {}, None)
        else:
            shown = exposed_of(module, name, on=self._on, gone=gone)
        functions = self._functions.get(name, {})
        found = [
            exposed_function(function, own, on=self._on)
            for own, function in functions.items()
            if gone.get(own) is not function
        ]
        return joined(shown, [each for each in found if each is not None])

    def _not_found(self, name: str, loaded: dict[str, ExposedModule]) -> Exception:
        for module_name in loaded:
            module = sys.modules.get(module_name)
            if module is not None and callable(vars(module).get(name)):
                return PermissionError(
                    f"function {name!r} of module {module_name!r} is not exposed: mark it with "
                    "@expose, or name it in the module's __all__"
                )
        known = [each for shown in loaded.values() for each in shown.functions]
        near = difflib.get_close_matches(name, known, n=3)
        return LookupError(
            f"no function {name!r} in {_list(loaded)}"
            + (f": did you mean {' or '.join(near)}?" if near else f": there are {_list(known)}")
        )


def _import(name: str, label: str) -> ModuleType:
    importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not _is_within(name, error.name):
            raise
        raise ModuleNotFoundError(
            f"No module named {error.name!r} where {label} runs, which is Python "
            f"{sys.version.partition(' ')[0]}: its folder must be in sys.path there",
            name=error.name,
        ) from None


def _described(function: Exposed) -> dict[str, Any]:
    doc = function.doc and function.doc.strip().partition("\n\n")[0]
    return {
        "signature": function.signature,
        "doc": doc,
        "on": function.on,
        "kind": _KINDS[function.kind],
    }


def _is_module_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _stands_for(pattern: str, name: str) -> bool:
    """What is private is not meant by a `*`."""
    private = any(part.startswith("_") for part in name.split("."))
    return not private and "*" in pattern and fnmatch.fnmatchcase(name, pattern)


def _is_within(name: str, package: str) -> bool:
    return (name + ".").startswith(package + ".")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
