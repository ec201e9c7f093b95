# SPDX-License-Identifier: MIT
"""The errors that a user meets, and how an exception crosses from one process to the other.

No I/O. Importing it imports nothing: the worker's start waits for this module.
`to_wire` and `from_wire` are called by the C extension when a call has failed; neither may raise,
whatever the exception at hand does. Where memory is short, `from_wire` raises MemoryError: better
than another class than the one that the caller looks out for.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; importing typing takes 10 ms
if TYPE_CHECKING:
    from concurrent.futures import CancelledError
    from types import TracebackType
    from typing import Any

    _Wire = tuple[int, str, str, str, "tuple[Any, ...] | None"]

# enum ErrorCode of csrc/schema/wire.fbs
_RAISED, _CANNOT_CROSS, _CANCELLED, _ARENA_FULL, _PROTOCOL = range(5)

_TRACEBACK_BYTES_MAX = 64 << 10
_MESSAGE_BYTES_MAX = 16 << 10
_ARGUMENT_BYTES_MAX = 1 << 20  # of a rebuilt exception; UnicodeDecodeError carries its whole input
_NAMELESS = "unknown"
_FRAMES_MAX = 2000  # beyond that only the innermost ones are looked at
_GROUP_DEPTH_MAX = 8


class RingbridgeError(Exception):
    """Base of all errors of ringbridge."""


class EnvironmentNotFound(RingbridgeError):
    """No Python was found where the environment was said to be."""


class ActivationFailed(RingbridgeError):
    """An environment's activation failed; the message carries the script's own output."""


class WorkerStartFailed(RingbridgeError):
    """The other interpreter did not become a worker; the message says why."""


class WorkerDied(RingbridgeError):
    """The other process ended while it was needed.

    `signal` is the number of the signal that ended it, `exit_code` its exit code; the one that
    does not apply, or is unknown, is None. `begun` is False where the call had surely not begun, so
    that it can be made again without harm; only a task tells.
    """

    signal: int | None = None
    exit_code: int | None = None
    begun: bool | None = None

    def __init__(
        self, message: str = "", signal: int | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(message)
        self.signal = signal
        self.exit_code = exit_code


class HostNotFound(RingbridgeError):
    """No such application is served; the message lists what is, and where it was looked for."""


class HostRefused(RingbridgeError):
    """A served application did not let us in; the message carries its reason."""


class CannotCross(RingbridgeError, TypeError):
    """A value of a kind that cannot be sent; the message names its type and its place."""


class CallTimeout(RingbridgeError, TimeoutError):
    """No answer came within the time that was allowed."""


class ArenaFull(RingbridgeError, MemoryError):
    """The shared memory's limit is reached; the message says what was wanted and what is held."""


class Busy(RingbridgeError):
    """An event loop's thread would have had to block."""


class ProtocolError(RingbridgeError):
    """The other process sent what the protocol does not allow; the channel is closed."""


class RemoteError(RingbridgeError):
    """An exception of a type that is not rebuilt here.

    `type` is the name of its class with its module, `message` its text, `traceback` the text of
    its traceback.
    """

    type: str
    message: str
    traceback: str

    def __init__(self, type: str, message: str = "", traceback: str = "") -> None:
        super().__init__(type, message, traceback)
        self.type = type
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        name = self.type[9:] if self.type.startswith("builtins.") else self.type
        return f"{name}: {self.message}" if self.message else name


class Terminated(SystemExit):
    """Raised inside a worker by SIGTERM; no error that a user meets."""


class RemoteTraceback(Exception):
    """The cause of an exception that was raised over there: its str is the traceback's text."""


if TYPE_CHECKING:

    class Cancelled(RingbridgeError, CancelledError):
        """The call was cancelled."""


def __getattr__(name: str) -> Any:
    """Makes `Cancelled` when it is first asked for.

    Its second base lives in concurrent.futures, whose import (with logging behind it) takes as
    long as all the rest of a worker's start.
    """
    if name != "Cancelled":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _cancelled_class()


def _cancelled_class() -> type[RingbridgeError]:
    known: type[RingbridgeError] = globals().get("Cancelled") or _make_cancelled_class()
    return known


def _make_cancelled_class() -> type[RingbridgeError]:
    from concurrent.futures import CancelledError

    body = {"__module__": __name__, "__doc__": "The call was cancelled."}
    made = type("Cancelled", (RingbridgeError, CancelledError), body)
    # setdefault: two threads may get here at once, and there must be one such class.
    return globals().setdefault("Cancelled", made)  # type: ignore[no-any-return]


def cancelled_by_host() -> RingbridgeError:
    """What ends a call in the worker when the host has cancelled it."""
    return _cancelled_class()("the host cancelled this call")


# ------------------------------------------------------------------------- over there: to the wire


def to_wire(exception: BaseException) -> _Wire:
    """An exception as (code, type name, message, traceback text, arguments to build it from)."""
    try:
        code, name, message, arguments = _flat(exception, 0)
        return code, name, message, _traceback_text(exception), arguments
    except MemoryError:
        return _RAISED, "builtins.MemoryError", "no memory to describe an exception", "", None
    except BaseException:  # also a SystemExit that a hostile __str__ raises: nothing may escape
        return _RAISED, _NAMELESS, "an exception that cannot be described", "", None


def _flat(exception: BaseException, depth: int) -> tuple[int, str, str, tuple[Any, ...] | None]:
    if type(exception) is RemoteError:  # of a callback, or from a third process: what it was there
        name = _clean(exception.type, 1024)
        return _RAISED, name, _clean(exception.message, _MESSAGE_BYTES_MAX), None
    kind = type(exception)
    name = _clean(f"{_module_of(kind)}.{kind.__qualname__}", 1024)
    return _code_of(exception), name, _message(exception), _arguments(exception, depth)


def _code_of(exception: BaseException) -> int:
    cancelled = globals().get("Cancelled")  # the class is made on demand; never made: not one
    if cancelled is not None and isinstance(exception, cancelled):
        return _CANCELLED
    if isinstance(exception, CannotCross):
        return _CANNOT_CROSS
    if isinstance(exception, ArenaFull):
        return _ARENA_FULL
    return _RAISED


def _message(exception: BaseException) -> str:
    try:
        if isinstance(exception, Terminated):
            return "the worker was told to end (SIGTERM)"
        if isinstance(exception, SystemExit):
            code = exception.code
            said = "" if code is None else _clean(repr(code), 1024)
            return f"the code over there called sys.exit({said}); the worker goes on"
        if isinstance(exception, (KeyboardInterrupt, GeneratorExit)):
            name = type(exception).__name__
            return f"the code over there raised {name}; the worker goes on"
        return _clean(str(exception), _MESSAGE_BYTES_MAX)
    except BaseException:
        return "<its __str__ failed>"


def _arguments(exception: BaseException, depth: int) -> tuple[Any, ...] | None:
    """What its type, a builtin one, takes to build it again; None when that is not plain."""
    if not _is_rebuilt(type(exception)):
        return None
    # A module of its own, so that the worker pays for it only when something has failed.
    from ringbridge.values import is_plain

    if _is_group(type(exception)):
        arguments: Any = _group_arguments(exception, depth)
    else:
        # Not .args: an OSError keeps its file name elsewhere, and hands it out only here.
        arguments = exception.__reduce__()[1]
    if type(arguments) is tuple and is_plain(arguments, bytes_max=_ARGUMENT_BYTES_MAX):
        return arguments
    return None


def _group_arguments(exception: Any, depth: int) -> tuple[Any, ...] | None:
    if depth >= _GROUP_DEPTH_MAX:
        return None
    return exception.message, tuple(_flat(child, depth + 1) for child in exception.exceptions)


def _traceback_text(exception: BaseException) -> str:
    try:
        import traceback

        start = _without_our_frames(exception.__traceback__)
        limit = -_FRAMES_MAX if _is_longer(start, _FRAMES_MAX) else None
        try:
            lines = traceback.format_exception(type(exception), exception, start, limit)
        except BaseException:  # an endless chain of contexts overflows older formatters
            lines = traceback.format_exception(type(exception), exception, start, limit, False)
        return _clean("".join(lines), _TRACEBACK_BYTES_MAX)
    except BaseException:
        return ""


def _without_our_frames(start: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's first frame on.

    Ours stand at the top where the worker calls through Python (load, async functions), with the
    frames of importlib and asyncio below them.
    """
    here = start
    if here is None or _package_of(here) != "ringbridge":
        return start
    while here is not None and _package_of(here) in _OURS:
        here = here.tb_next
    return here


_OURS = ("ringbridge", "importlib", "_frozen_importlib", "_frozen_importlib_external", "asyncio")


def _package_of(entry: TracebackType) -> str:
    return str(entry.tb_frame.f_globals.get("__name__")).partition(".")[0]


def _is_longer(entry: TracebackType | None, count: int) -> bool:
    while entry is not None and count >= 0:
        entry = entry.tb_next
        count -= 1
    return entry is not None


def _clean(text: str, bytes_max: int) -> str:
    """The text as something that UTF-8 can carry, its middle left out where it is too long."""
    # Unbound: __str__ may return a str subclass with an encode of its own.
    raw = str.encode(text, "utf-8", "backslashreplace")
    if len(raw) <= bytes_max:
        return raw.decode()
    cut = f"\n[... {len(raw) - bytes_max} bytes left out ...]\n"
    head = bytes_max // 4
    tail = bytes_max - head - len(cut) - 8  # 8: the digits may differ
    return raw[:head].decode(errors="ignore") + cut + raw[-tail:].decode(errors="ignore")


# ---------------------------------------------------------------------------- here: from the wire


def from_wire(
    code: int, type_name: str, message: str, traceback: str, args: tuple[Any, ...] | None
) -> BaseException:
    """The exception to raise here for one that was raised over there."""
    try:
        error = _built(code, type_name, message, traceback, args)
    except MemoryError:
        raise
    except BaseException:
        error = RemoteError(type_name, message, traceback)
    if traceback:
        error.__cause__ = RemoteTraceback(traceback)
    return error


def _built(
    code: int, type_name: str, message: str, traceback: str, args: tuple[Any, ...] | None
) -> BaseException:
    if code == _CANNOT_CROSS:
        return CannotCross(message)
    if code == _CANCELLED:
        return _cancelled_class()(message)
    if code == _ARENA_FULL:
        return ArenaFull(message)
    if code == _PROTOCOL:
        return ProtocolError(message)
    if type_name == f"{__name__}.{Terminated.__name__}":
        return WorkerDied(message, signal=15)
    return _rebuilt(type_name, message, args) or RemoteError(type_name, message, traceback)


def _rebuilt(type_name: str, message: str, args: tuple[Any, ...] | None) -> BaseException | None:
    """The same builtin exception, or None where that cannot be had."""
    import builtins

    module, _, name = type_name.partition(".")
    kind = getattr(builtins, name, None) if module == "builtins" else None
    if not isinstance(kind, type) or not _is_rebuilt(kind):
        return None
    for arguments in (args, (message,) if message else ()):
        if arguments is None:
            continue
        try:
            if _is_group(kind):
                arguments = (arguments[0], [_built(*_child(child)) for child in arguments[1]])
            error = kind(*arguments)
        except MemoryError:
            raise
        except BaseException:  # wrong arguments for an odd constructor: try the next
            continue
        if isinstance(error, BaseException):
            return error
    return None


def _child(wire: tuple[Any, ...]) -> tuple[Any, Any, Any, str, Any]:
    code, type_name, message, args = wire
    return code, type_name, message, "", args


def _module_of(kind: type) -> object:
    try:
        return kind.__module__
    except BaseException:  # a metaclass can do anything
        return None


def _is_rebuilt(kind: type) -> bool:
    """A builtin subclass of Exception, other than the two that steer iteration."""
    return (
        _module_of(kind) == "builtins"
        and issubclass(kind, Exception)
        and not issubclass(kind, (StopIteration, StopAsyncIteration))
    )


def _is_group(kind: type) -> bool:
    return kind.__name__ == "ExceptionGroup"  # a builtin from 3.11 on
