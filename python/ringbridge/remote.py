# SPDX-License-Identifier: MIT
"""RemoteModule: what a module that is loaded in a worker looks like in the host.

Knows neither processes nor channels' inner life: it is handed a `fetch` that gives the module's
contents, and the contents are functions of the C extension and plain values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from ringbridge._core import Channel, Function, Target

#: What Channel.load gives: generation, functions, plain values, doc.
Loaded = tuple[int, "list[tuple[int, str, str | None, str | None, int]]", "dict[str, Any]", Any]


class Targets:
    """What the functions of one worker are bound to, by module and name.

    A name keeps its Target for good, whatever is loaded again and wherever: functions that somebody
    holds follow it. owner: what a Target asks for a live channel, see Target in _core.
    """

    def __init__(self, owner: object = None) -> None:
        self._owner = owner
        self._known: dict[str, dict[str, Target]] = {}
        self._newest: dict[str, tuple[Channel, int]] = {}
        self._lock = threading.Lock()

    def bind(self, channel: Channel, module: str, loaded: Loaded) -> Mapping[str, Target]:
        """Binds the module's functions as an answer of Channel.load says; those that it does not
        know any more are gone."""
        generation, described, *_rest = loaded
        numbers = {name: number for number, name, *_details in described}
        with self._lock:
            known = self._known.setdefault(module, {})
            before, newest = self._newest.get(module, (None, 0))
            if before is not channel or generation > newest:  # or else a later load was faster
                self._newest[module] = channel, generation
                for name, target in known.items():
                    target.rebind(channel, numbers.get(name))
            for name, number in numbers.items():
                if name not in known:
                    known[name] = Target(channel, number, f"{module}.{name}", self._owner)
            return dict(known)


class Contents(NamedTuple):
    """What a worker said about one of its modules."""

    functions: Mapping[str, Function]
    values: Mapping[str, Any]
    doc: str | None

    @classmethod
    def of(cls, targets: Mapping[str, Target], loaded: Loaded, timeout: float | None) -> Contents:
        """From the answer of Channel.load; timeout is what each call may take."""
        _generation, described, values, doc = loaded
        functions = {
            name: Function(targets[name], doc=text, signature=signature, timeout=timeout)
            for _number, name, signature, text, _kind in described
        }
        return cls(functions, values, doc)


class RemoteModule(ModuleType):
    """A module of a worker. Its functions are called there; its plain values were read at load.

    A module, so that help() and editors take it for one; it is never in sys.modules. What the
    worker's module calls `refresh` hides the method of that name: load it again instead.
    """

    __slots__ = ("_RemoteModule__fetch", "_RemoteModule__owner")

    def __init__(
        self,
        name: str,
        owner: str,
        fetch: Callable[[str, bool], Contents],
        reload: bool = False,
    ) -> None:
        super().__init__(name)
        object.__setattr__(self, "_RemoteModule__fetch", fetch)
        object.__setattr__(self, "_RemoteModule__owner", owner)
        _fill(self, fetch(name, reload))

    def refresh(self) -> None:
        """Reads the functions and the plain values again, without running the module again."""
        _fill(self, self.__fetch(self.__name__, False))

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is missing: functions and values are in the instance's __dict__.
        import difflib

        message = f"remote module {self.__name__!r} has no function or plain value {name!r}"
        close = difflib.get_close_matches(name, _names(self)) if name[:2] != "__" else []
        if close:
            message += f"; it has {', '.join(close)}"
        else:
            message += " (arrays, objects, and values over 64 KiB are what a function returns)"
        raise AttributeError(message)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"cannot set {name!r}: what remote module {self.__name__!r} shows here are copies; "
            "call a function that sets it over there, then refresh()"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r} of remote module {self.__name__!r}")

    def __dir__(self) -> list[str]:
        return sorted({"__doc__", "__name__", "refresh", *_names(self)})

    def __repr__(self) -> str:
        return f"<remote module {self.__name__!r} of {self.__owner}>"


# What ModuleType itself puts into a module, and what _fill adds.
_NOT_REMOTE = frozenset(vars(ModuleType("m"))) | {"__all__"}


def _names(module: RemoteModule) -> list[str]:
    return [name for name in vars(module) if name not in _NOT_REMOTE]


def _fill(module: RemoteModule, contents: Contents) -> None:
    new = {**contents.values, **contents.functions}
    kept = vars(module)
    for name in set(_names(module)) - set(new):
        del kept[name]
    kept.update(new)
    kept["__doc__"] = contents.doc
    kept["__all__"] = sorted(new)  # without it, help() leaves out functions of other modules
