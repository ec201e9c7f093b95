# SPDX-License-Identifier: MIT
"""Calls: what the gateway's wires ask of the server that it stands before.

Knows what is exposed and how it is called; neither HTTP's syntax nor any of the wires. All of it
may be used from any thread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ringbridge.errors import CallTimeout, to_wire
from ringbridge.host.http_rules import Refused
from ringbridge.host.json_values import carried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ringbridge.host.exposure import Exposed, ExposedModule, Exposure

T = TypeVar("T")


class Served(Protocol):
    """What the gateway needs of a server."""

    @property
    def exposure(self) -> Exposure: ...

    def about(self) -> dict[str, Any]:
        """At once, on any thread: never waits for the main thread."""

    def call(
        self, function: Exposed, args: list[Any], kwargs: dict[str, Any], *, timeout_s: float
    ) -> Any:
        """Runs it where it belongs; raises what it raises, and CallTimeout."""

    def on_main(self, function: Callable[[], T], *, timeout_s: float) -> T:
        """Runs a function on the main thread; raises what it raises, and CallTimeout."""

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """What a wire says: an HTTP status, a value that JSON has a form for, and what is to be done
    once it is sent."""

    status: int
    value: Any
    afterwards: Callable[[], object] | None = None


@dataclass(frozen=True)
class Failure:
    """An exception, for somebody elsewhere."""

    status: int
    type: str
    message: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        _code, kind, message, traceback, _arguments = to_wire(error)
        return cls(504 if isinstance(error, CallTimeout) else 500, kind, message, traceback)


class Calls:
    """timeout_s: for each call, the wait for the main thread included. at_once: how many may be
    under way; the others are refused, not kept waiting, so that there is always a thread for what
    can be answered at once."""

    def __init__(self, served: Served, *, timeout_s: float, at_once: int) -> None:
        self.served = served
        self.timeout_s = timeout_s
        self._places = threading.BoundedSemaphore(at_once)

    def load(self, module: str) -> ExposedModule:
        """The module, imported on the main thread where it has not been yet.

        Raises Refused for one that is not served or is not there, and what the import raised.
        """
        exposure = self.served.exposure
        try:
            if module in exposure.loaded():
                return exposure.load(module)
            return self.on_main(lambda: exposure.load(module))
        except PermissionError as error:
            raise Refused(403, str(error)) from None
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # it is there, and needs one that is not
            raise Refused(404, str(error)) from None

    def run(
        self, function: Exposed, args: list[Any], kwargs: dict[str, Any], timeout_s: float
    ) -> Any:
        """The result as JSON has it. Raises what the function raises, CannotCross, CallTimeout."""
        # Made where the function ran: there, nobody changes the result meanwhile, nor frees it.
        into_json = dataclasses.replace(function, function=_giving_json(function.function))
        with self._place():
            return self.served.call(into_json, args, kwargs, timeout_s=timeout_s)

    def on_main(self, function: Callable[[], T]) -> T:
        with self._place():
            return self.served.on_main(function, timeout_s=self.timeout_s)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Refused(503, "too many calls are under way: try again later", Retry_After="1")
        try:
            yield
        finally:
            self._places.release()


def _giving_json(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            return carried(await function(*args, **kwargs))

        return run_async

    @functools.wraps(function, updated=())
    def run(*args: Any, **kwargs: Any) -> Any:
        return carried(function(*args, **kwargs))

    return run
