# SPDX-License-Identifier: MIT
"""`ringbridge run ENV module:function [ARGS...]`: one call, from the shell."""

from __future__ import annotations

import argparse
import ast
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import ringbridge

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_FAILED, _NOT_STARTED = 1, 2


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "run",
        help="call a function in an environment, and print its result",
        description="Calls a function in a worker and prints the repr of its result. What the "
        "function prints goes to stderr. Exit code 1: it raised, did not end in time, or "
        "is not there; 2: there is no worker to call it in.",
    )
    parser.add_argument("env", metavar="ENV", help="an interpreter's path, or a prefix")
    parser.add_argument("target", metavar="module:function", type=_target)
    parser.add_argument(
        "arguments",
        metavar="ARG",
        nargs="*",
        help="a Python literal (3, 2.5, None, [1, 2]), anything else is a str; put -- before the "
        "first that begins with -",
    )
    parser.add_argument(
        "--path",
        metavar="DIR",
        action="append",
        help="folder for the worker's sys.path, may be repeated (default: the current one)",
    )
    parser.add_argument("--timeout", metavar="S", type=float, help="seconds that the call may take")
    parser.set_defaults(verb=run)


def _target(text: str) -> tuple[str, str]:
    module, colon, function = text.partition(":")
    if not (module and colon and function):
        raise argparse.ArgumentTypeError(f"{text!r} is not module:function")
    return module, function


def run(options: argparse.Namespace) -> int:
    _show_output()
    module, function = options.target
    arguments = [_value(text) for text in options.arguments]
    try:
        with ringbridge.Worker(
            options.env, paths=options.path or [os.getcwd()], call_timeout=options.timeout
        ) as worker:
            return _call(worker, module, function, arguments)
    except (ringbridge.RingbridgeError, ValueError) as error:
        return _complain(str(error), _NOT_STARTED)


def _call(worker: ringbridge.Worker, module: str, function: str, arguments: list[Any]) -> int:
    try:
        target = getattr(worker.load(module), function)
        if not callable(target):
            return _complain(f"{module}:{function} is a value, not a function", _NOT_STARTED)
        print(repr(target(*arguments)))
    except Exception as error:
        if isinstance(error.__cause__, ringbridge.RemoteTraceback):
            print(str(error.__cause__).rstrip("\n"), file=sys.stderr)
            return _FAILED
        return _complain(f"{type(error).__name__}: {error}", _FAILED)
    return 0


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _show_output() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("ringbridge.worker")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _complain(text: str, code: int) -> int:
    print(f"ringbridge run: {text}", file=sys.stderr)
    return code
