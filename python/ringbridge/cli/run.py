# SPDX-License-Identifier: MIT
"""`ringbridge run ENV module:function [ARGS...]`: one call, from the shell."""

from __future__ import annotations

import argparse
import contextlib
import decimal
import importlib.util
import json
import logging
import os
import sys
import threading
import uuid
from typing import TYPE_CHECKING, Any

import ringbridge
from ringbridge.cli import plain

if TYPE_CHECKING:
    from typing import TextIO

    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]
    _Handler = logging.StreamHandler[TextIO]
else:
    _Handler = logging.StreamHandler

_FAILED, _NOT_STARTED = 1, 2


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "run",
        help="call a function in an environment, and print its result",
        description="Calls a function in a worker and prints its result as JSON; numpy arrays and "
        "scalars become lists and numbers, NaN stays NaN. What the function prints goes to stderr. "
        "Exit code 1: it raised, did not end in time, is not there, or its result is nothing that "
        "JSON has; 2: there is no worker to call it in.",
    )
    parser.add_argument("env", metavar="ENV", help="a name, a prefix, or an interpreter's path")
    parser.add_argument("target", metavar="module:function", type=_target)
    parser.add_argument(
        "arguments",
        metavar="ARG",
        nargs="*",
        default=[],
        help='JSON (3, 2.5, null, [1, 2], {"a": true}), anything else is a str; put -- before the '
        "first that begins with -",
    )
    parser.add_argument(
        "--keyword",
        metavar="NAME=ARG",
        action="append",
        default=[],
        type=_keyword,
        help="a keyword argument, may be repeated",
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="JSON from a file, or from stdin (-): a list of arguments, which come before those "
        "of the command line, or an object of keywords, which those of the command line replace",
    )
    parser.add_argument(
        "--path",
        metavar="DIR",
        action="append",
        help="folder for the worker's sys.path, may be repeated (default: the current one)",
    )
    parser.add_argument("--timeout", metavar="S", type=float, help="seconds that the call may take")
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="whether a bar on stderr shows the progress that the function tells (without either: "
        "where stderr is a terminal and tqdm is installed)",
    )
    parser.set_defaults(verb=run)


def _target(text: str) -> tuple[str, str]:
    module, colon, function = text.partition(":")
    if not (module and colon and function):
        raise argparse.ArgumentTypeError(f"{text!r} is not module:function")
    return module, function


def _keyword(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=ARG")
    return name, _value(value)


def run(options: argparse.Namespace) -> int:
    _show_output()
    module, function = options.target
    arguments = [_value(text) for text in options.arguments]
    keywords = dict(options.keyword)
    try:
        _add_input(options.input, arguments, keywords)
        with_bar = _wants_bar(options.progress)
        worker = ringbridge.Worker(
            options.env, paths=options.path or [_here()], call_timeout=options.timeout
        )
    except (ringbridge.RingbridgeError, ValueError, OSError, ImportError) as error:
        return _complain(str(error), _NOT_STARTED)
    with worker:
        return _call(worker, module, function, arguments, keywords, with_bar)


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise ValueError("the working folder has been removed: say --path DIR") from None


def _add_input(file: str | None, arguments: list[Any], keywords: dict[str, Any]) -> None:
    if file is None:
        return
    try:
        if file == "-":
            content = json.load(sys.stdin)
        else:
            with open(file, encoding="utf-8") as opened:
                content = json.load(opened)
    except ValueError as error:
        raise ValueError(f"--input {file} is no JSON: {error}") from None
    if isinstance(content, list):
        arguments[:0] = content
    elif isinstance(content, dict):
        for name, value in content.items():
            keywords.setdefault(name, value)  # what the command line says comes first
    else:
        raise ValueError(f"{file} must hold a list of arguments or an object of keywords")


def _call(
    worker: ringbridge.Worker,
    module: str,
    function: str,
    arguments: list[Any],
    keywords: dict[str, Any],
    with_bar: bool,
) -> int:
    try:
        target = getattr(worker.load(module), function)
        if not callable(target):
            return _complain(f"{module}:{function} is a value, not a function", _FAILED)
        escaped = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
        if with_bar:
            result = watched(target.submit(*arguments, **keywords))
        else:
            result = target(*arguments, **keywords)
        text = json.dumps(result, default=_as_json, ensure_ascii=escaped)
    except Exception as error:
        if isinstance(error.__cause__, ringbridge.RemoteTraceback):
            print(str(error.__cause__).rstrip("\n"), file=sys.stderr)
            return _FAILED
        return _complain(f"{type(error).__name__}: {error}", _FAILED)
    plain.say(text)
    return 0


def _wants_bar(asked: bool | None) -> bool:
    found = importlib.util.find_spec("tqdm") is not None
    if asked and not found:
        raise ImportError('--progress needs tqdm: pip install "ringbridge[progress]"')
    return found and sys.stderr.isatty() if asked is None else asked


def watched(task: Any) -> Any:
    """The task's result; its progress is shown on stderr from the first that it tells on."""
    bars: list[ringbridge.bars.ProgressBar] = []
    lock = threading.Lock()  # on_progress tells the first word here, who reads tells the next

    def show(progress: Any) -> None:
        with lock:
            if not bars:
                bars.append(ringbridge.progress_bar(task, file=sys.stderr))
                bars[0].show(progress)

    task.on_progress(show)
    try:
        return task.result()
    finally:
        for bar in bars:  # what is printed next stands below it
            bar.close()


def _as_json(value: Any) -> Any:
    """What JSON has for it: a list of an array, a number of a scalar, text of a date."""
    for method in ("tolist", "isoformat"):
        convert = getattr(value, method, None)
        if convert is not None:
            return convert()
    if isinstance(value, (set, frozenset, range)):
        return list(value)
    if isinstance(value, (os.PathLike, decimal.Decimal, uuid.UUID)):
        return str(value)
    shown = repr(value) if isinstance(value, ringbridge.RemoteObject) else type(value).__name__
    raise TypeError(f"the result has a {shown} in it, which JSON does not have")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _show_output() -> None:
    handler = _Lines(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("ringbridge.worker")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


class _Lines(_Handler):
    """Lines on stderr, above a bar that is there."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = sys.modules.get("tqdm")
        with tqdm.tqdm.external_write_mode(self.stream) if tqdm else contextlib.nullcontext():
            super().emit(record)


def _complain(text: str, code: int) -> int:
    print(f"ringbridge run: {text}", file=sys.stderr)
    return code
