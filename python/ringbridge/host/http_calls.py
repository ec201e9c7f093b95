# SPDX-License-Identifier: MIT
"""Calls: what the gateway's wires ask of the server that it stands before.

Knows what is exposed and how it is called; neither HTTP's syntax nor any of the wires. All of it
may be used from any thread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ringbridge import coroutines
from ringbridge.errors import CallTimeout, to_wire
from ringbridge.host.http_rules import Refused
from ringbridge.host.json_values import carried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ringbridge.host.exposure import Exposed, Exposure

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

    def find(self, module: str, name: str) -> Exposed:
        """A module's function; it is loaded where it has not been yet. Raises Refused, and what
        `load` raises."""
        self.load(module)
        return self.find_loaded(f"{module}.{name}")

    def find_loaded(self, name: str) -> Exposed:
        """By its own name, or with its module's before it. Raises Refused."""
        try:
            return self.served.exposure.find(name)[1]
        except PermissionError as error:
            raise Refused(403, str(error)) from None
        except LookupError as error:
            raise Refused(404, str(error)) from None

    def load(self, module: str) -> None:
        """Imports it, on the main thread, where it has not been yet.

        Raises Refused for one that is not served or is not there, and what the import raised.
        """
        exposure = self.served.exposure
        if module in exposure.loaded():
            return
        try:
            self.on_main(lambda: exposure.load(module))
        except PermissionError as error:
            raise Refused(403, str(error)) from None
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # it is there, and needs one that is not
            raise Refused(404, str(error)) from None

    def run(
        self, function: Exposed, args: list[Any], kwargs: dict[str, Any], timeout_s: float
    ) -> Any:
        """The result as JSON has it, or a Failure. Raises Refused, CallTimeout and what else keeps
        the call from running."""
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
    """The function, with a result that JSON has a form for, or a Failure.

    Both are made where the function runs: there, nobody changes its result meanwhile, nor frees
    it; and no sys.exit() of it ends the application.
    """
    called = coroutines.run_to_end(function) if coroutines.is_async(function) else function

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return carried(called(*args, **kwargs))
        except (Exception, SystemExit) as error:
            return Failure.of(error)

    return run
