# SPDX-License-Identifier: MIT
"""The functions that a client may call, under the numbers by which it calls them.

A client has one table for each of its lanes, with the same numbers in both, so that it can choose
where a function runs. Knows what is exposed, and no channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringbridge import coroutines, exports

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge.host.exposure import Exposed, ExposedModule, Exposure

#: In a described function's kind: it runs on the client's own thread unless the client says where.
#: (connection.py reads it.)
ON_THREAD = 0x10

LANES = ("main", "thread")


class ClientTable:
    """What one client knows. All of it is used under the GIL, by the threads of both lanes."""

    def __init__(self, exposure: Exposure, services: list[Callable[..., Any]]) -> None:
        """services: functions of the server's own; their numbers are their places in the list."""
        self._exposure = exposure
        self._numbers: dict[tuple[str, str], int] = {}
        self._generation = 0
        self.names = [f"server.{service.__name__}" for service in services]
        self.lanes = {on: LaneTable(self, on, list(services)) for on in LANES}
        exposure.watch(self)

    def load(self, name: str, reload: bool) -> exports.Loaded:
        """A module as the client sees it; on the thread that imports it."""
        module = self._exposure.reload(name) if reload else self._exposure.load(name)
        described = [self._enter(module, each) for each in module.functions.values()]
        self._generation += 1
        return self._generation, described, module.values, module.doc

    def module_changed(self, name: str, module: ExposedModule | None) -> None:
        """Whoever had it reloaded or unloaded: the numbers that this client knows stand for what is
        served now."""
        for (owner, own_name), number in list(self._numbers.items()):
            if owner != name:
                continue
            exposed = None if module is None else module.functions.get(own_name)
            for on, lane in self.lanes.items():
                lane.functions[number] = (
                    exports.gone(name, own_name) if exposed is None else _runnable(exposed, on)
                )

    def _enter(self, module: ExposedModule, exposed: Exposed) -> exports.Described:
        key = module.name, exposed.name
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.names)
            self.names.append(f"{module.name}.{exposed.name}")
            for on, lane in self.lanes.items():
                lane.functions.append(_runnable(exposed, on))
        kind = exposed.kind | (ON_THREAD if exposed.on == "thread" else 0)
        return number, exposed.name, exposed.signature, exposed.doc, kind


class LaneTable(exports.ExportTable):
    """The same for one lane: what the extension calls while it serves that."""

    def __init__(self, client: ClientTable, on: str, functions: list[Callable[..., Any]]) -> None:
        super().__init__()
        self._client = client
        self._on = on
        self.functions = functions

    def load(self, module_name: str, reload: bool) -> exports.Loaded:
        """Imports on the main thread only: that is what modules of an application expect."""
        if self._on != "main":
            raise ValueError("modules are loaded by the lane of the main thread")
        return self._client.load(module_name, reload)


def _runnable(exposed: Exposed, on: str) -> Callable[..., Any]:
    if exposed.pinned and exposed.on != on:
        return _elsewhere(exposed)
    if exposed.kind == exports.COROUTINE:
        return coroutines.run_to_end(exposed.function)
    return exposed.function


def _elsewhere(exposed: Exposed) -> Callable[..., Any]:
    where = "the application's main thread" if exposed.on == "main" else "a thread of the server's"

    def refused(*_args: Any, **_kwargs: Any) -> Any:
        raise PermissionError(f"{exposed.name}() runs on {where} only: its author has said so")

    return refused
