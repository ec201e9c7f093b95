# SPDX-License-Identifier: MIT
"""How an exception crosses: to_wire over there, from_wire here. No process is needed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import subprocess
import sys
import textwrap
from typing import Any

import pytest

import ringbridge
from ringbridge import errors
from ringbridge.errors import from_wire, to_wire


def caught(function: Any, *args: Any) -> BaseException:
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def raised(error: BaseException) -> BaseException:
    def throw() -> None:
        raise error

    return caught(throw)


def crossed(error: BaseException) -> BaseException:
    wire = to_wire(raised(error))
    assert [type(part) for part in wire[:4]] == [int, str, str, str]
    for text in wire[1:4]:
        text.encode()  # the wire is UTF-8
    return from_wire(*wire)


# ---------------------------------------------------------------------------------- the classes


@pytest.mark.parametrize("name", [n for n in ringbridge.__all__ if n[0].isupper()])
def test_every_error_is_a_ringbridge_error(name: str) -> None:
    kind = getattr(ringbridge, name)
    if issubclass(kind, BaseException) and kind is not ringbridge.RemoteTraceback:
        assert issubclass(kind, ringbridge.RingbridgeError)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.CallTimeout, TimeoutError),
        (errors.Cancelled, concurrent.futures.CancelledError),
        (errors.ArenaFull, MemoryError),
        (errors.CannotCross, TypeError),
    ],
)
def test_an_error_is_also_what_its_users_catch_already(
    kind: type[BaseException], base: type
) -> None:
    assert issubclass(kind, base)
    assert str(kind("text")) == "text"


def test_cancelled_is_one_class_wherever_it_is_asked_for() -> None:
    assert errors.Cancelled is errors.Cancelled is ringbridge.Cancelled
    assert not issubclass(asyncio.CancelledError, errors.Cancelled)


def test_worker_died_takes_its_attributes_in_any_way() -> None:
    died = errors.WorkerDied("gone")
    assert (died.signal, died.exit_code, str(died)) == (None, None, "gone")
    assert errors.WorkerDied("gone", signal=9).signal == 9
    died.exit_code = 3
    assert pickle.loads(pickle.dumps(died)).exit_code == 3


def test_remote_error_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(errors.RemoteError("m.C", "text", "tb")))
    assert (copy.type, copy.message, copy.traceback, str(copy)) == (
        "m.C",
        "text",
        "tb",
        "m.C: text",
    )


def test_importing_the_errors_imports_nothing_heavy() -> None:
    code = """
        import sys
        before = set(sys.modules)
        import ringbridge
        ringbridge.WorkerDied
        new = sorted(set(sys.modules) - before)
        bad = {"asyncio", "logging", "typing", "concurrent", "numpy", "subprocess", "re"} & set(new)
        assert not bad, new
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=30)


# ------------------------------------------------------------------------- what comes back as what


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        ValueError(),
        ValueError(1, "two", None),
        KeyError("key"),
        KeyError(("a", 1)),
        IndexError("i"),
        ZeroDivisionError("z"),
        UnicodeDecodeError("utf-8", b"\xff\x00", 0, 1, "invalid start byte"),
        UnicodeEncodeError("ascii", "\xe4", 0, 1, "ordinal not in range"),
        OSError(5, "Input/output error"),
        FileNotFoundError(2, "No such file or directory", "/x"),
        OSError(18, "Invalid cross-device link", "/a", None, "/b"),
        SyntaxError("bad", ("f.py", 1, 2, "x y")),
        ImportError("no"),
        ModuleNotFoundError("No module named 'x'"),
        UserWarning("careful"),
        MemoryError("much"),
        TimeoutError("late"),
        Exception("plain"),
        NotImplementedError(),
    ],
    ids=repr,
)
def test_a_builtin_exception_comes_back_as_itself(error: Exception) -> None:
    back = crossed(error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert str(back) == str(error)
    for attribute in ("errno", "filename", "filename2", "object", "start", "lineno"):
        assert getattr(back, attribute, 0) == getattr(error, attribute, 0)


def test_the_cause_is_the_remote_traceback() -> None:
    back = crossed(ValueError("bad"))
    assert type(back.__cause__) is errors.RemoteTraceback
    text = str(back.__cause__)
    assert text.startswith("Traceback (most recent call last):\n")
    assert "in throw" in text
    assert text.endswith("ValueError: bad\n")


class OwnError(ValueError):
    pass


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OwnError("mine"), f"{__name__}.OwnError: mine"),
        (concurrent.futures.BrokenExecutor("b"), "concurrent.futures._base.BrokenExecutor: b"),
        (StopIteration(1), "StopIteration: 1"),
        (StopAsyncIteration(), "StopAsyncIteration"),
        (SystemExit(3), "SystemExit: the code over there called sys.exit(3); the worker goes on"),
        (SystemExit(), "SystemExit: the code over there called sys.exit(); the worker goes on"),
        (
            KeyboardInterrupt(),
            "KeyboardInterrupt: the code over there raised KeyboardInterrupt; the worker goes on",
        ),
        (
            GeneratorExit(),
            "GeneratorExit: the code over there raised GeneratorExit; the worker goes on",
        ),
        (errors.WorkerDied("another's"), "ringbridge.errors.WorkerDied: another's"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_rebuilt_comes_back_as_remote_error(error: BaseException, text: str) -> None:
    back = crossed(error)
    assert type(back) is errors.RemoteError
    assert str(back) == text
    assert isinstance(back.__cause__, errors.RemoteTraceback)
    assert isinstance(back, errors.RemoteError)
    assert back.traceback == str(back.__cause__)


def test_a_remote_error_that_crosses_again_is_still_what_it_was() -> None:
    """Of a callback's own class, through the worker: it became a RemoteError of a RemoteError."""
    once = crossed(OwnError("mine"))
    twice = crossed(once)
    assert isinstance(once, errors.RemoteError) and isinstance(twice, errors.RemoteError)
    assert (twice.type, twice.message) == (once.type, once.message) == (twice.type, "mine")
    assert twice.type.endswith("OwnError") and once.traceback.strip() in twice.traceback


def test_our_own_errors_come_back_by_their_code() -> None:
    for error in (errors.CannotCross("c"), errors.ArenaFull("a"), errors.Cancelled("x")):
        back = crossed(error)
        assert type(back) is type(error)
        assert str(back) == str(error)
    assert type(from_wire(4, "x", "bad frame", "", None)) is errors.ProtocolError


def test_arguments_that_are_not_plain_are_dropped_and_the_message_is_used() -> None:
    back = crossed(ValueError(object))
    assert type(back) is ValueError
    assert str(back) == "<class 'object'>"
    assert to_wire(raised(ValueError(OwnError)))[4] is None


def test_an_odd_constructor_without_its_arguments_gives_a_remote_error() -> None:
    back = from_wire(0, "builtins.UnicodeDecodeError", "'utf-8' codec", "", None)
    assert type(back) is errors.RemoteError
    assert str(back) == "UnicodeDecodeError: 'utf-8' codec"


@pytest.mark.parametrize(
    "name", ["builtins.print", "builtins.nope", "builtins.BaseException", "os.error", "", "x"]
)
def test_from_wire_makes_only_exceptions_of_what_a_peer_names(name: str) -> None:
    assert type(from_wire(0, name, "m", "", ("rm -rf",))) is errors.RemoteError


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are of 3.11")
def test_an_exception_group_comes_back_with_its_members() -> None:
    inner = ExceptionGroup("inner", [KeyError("k")])  # noqa: F821
    back: Any = crossed(ExceptionGroup("outer", [ValueError("v"), OwnError("o"), inner]))  # noqa: F821
    assert type(back).__name__ == "ExceptionGroup"
    assert back.message == "outer"
    assert [type(child) for child in back.exceptions] == [
        ValueError,
        errors.RemoteError,
        type(inner),
    ]
    assert back.exceptions[2].exceptions[0].args == ("k",)
    assert "ExceptionGroup: outer (3 sub-exceptions)" in str(back.__cause__)


# ------------------------------------------------------------------------------- nothing may raise


class Hostile(Exception):
    def __str__(self) -> str:
        raise SystemExit("from __str__")

    __repr__ = __str__


class NotText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class DeepText(Exception):
    def __str__(self) -> str:
        return str(self)


class EvilText(str):
    def encode(self, *_args: Any) -> bytes:
        raise RuntimeError("gotcha")


class HasEvilText(Exception):
    def __str__(self) -> str:
        return EvilText("evil")


class EvilMeta(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no module")


class EvilClass(Exception, metaclass=EvilMeta):
    pass


@pytest.mark.parametrize("kind", [Hostile, NotText, DeepText, HasEvilText, EvilClass])
def test_to_wire_never_raises_whatever_the_exception_does(kind: type[Exception]) -> None:
    assert isinstance(crossed(kind()), errors.RemoteError)


def test_surrogates_cross_as_backslashes() -> None:
    back = crossed(ValueError("a\udc80b"))
    assert str(back) == "a\\udc80b"


def test_a_long_message_and_a_long_traceback_are_cut() -> None:
    _code, _name, message, traceback, _args = to_wire(raised(ValueError("\xe4" * (1 << 20))))
    assert len(message.encode()) <= 16 << 10
    assert len(traceback.encode()) <= 64 << 10
    assert "bytes left out" in message
    assert traceback.startswith("Traceback (most recent call last):")


def test_endless_recursion_is_described() -> None:
    def recurse() -> None:
        recurse()

    def ping() -> None:
        pong()

    def pong() -> None:
        ping()

    for function in (recurse, ping):
        back = from_wire(*to_wire(caught(function)))
        assert type(back) is RecursionError
        assert len(str(back.__cause__).encode()) <= 64 << 10
        assert str(back.__cause__).rstrip().splitlines()[-1].startswith("RecursionError: maximum")


def test_a_very_long_chain_of_contexts_is_described() -> None:
    error: BaseException = ValueError("first")
    for number in range(20_000):
        following = ValueError(number)
        following.__context__ = error
        error = following
    back = crossed(error)
    assert type(back) is ValueError
    assert "ValueError: 19999" in str(back.__cause__)


def test_a_cycle_of_causes_is_described() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert "one" in str(crossed(one).__cause__)


def test_causes_and_notes_stand_in_the_text() -> None:
    error = RuntimeError("outer")
    error.__cause__ = raised(KeyError("inner"))
    if sys.version_info >= (3, 11):
        error.add_note("a note")
    text = str(crossed(error).__cause__)
    assert "KeyError: 'inner'" in text
    assert "direct cause" in text
    assert ("a note" in text) == (sys.version_info >= (3, 11))


def test_frames_of_ours_are_trimmed_from_the_top() -> None:
    from ringbridge.exports import ExportTable

    error = caught(ExportTable().load, "rbr_testing.broken_import", False)
    assert error.__traceback__ is not None
    # without the frame of `caught`: over there, the first frame is load's
    text = to_wire(error.with_traceback(error.__traceback__.tb_next))[3]
    assert "exports.py" not in text
    assert "importlib" not in text
    assert "broken_import.py" in text
