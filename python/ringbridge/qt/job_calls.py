# SPDX-License-Identifier: MIT
"""What the arguments of Job() stand for: a call in a worker. Looks at them, and calls nothing."""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any, NamedTuple

from ringbridge._core import Function
from ringbridge.qt.binding import QtCore
from ringbridge.worker import Worker


class Wanted(NamedTuple):
    """A call that a Job is to make."""

    function: Any  # remote, or an ordinary function or class
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    streams: bool  # it is a generator's, whose items are told
    where: Any  # for an ordinary one: see interpreters_of

    @property
    def is_remote(self) -> bool:
        return isinstance(self.function, Function)

    @property
    def is_load(self) -> bool:
        """Of a module, which only this process can do; it may have to wait for the worker."""
        return getattr(self.function, "__func__", None) is Worker.load


def wanted(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], where: Any) -> Wanted:
    """What the arguments of Job() stand for. TypeError: nothing that can be called in a worker."""
    while isinstance(function, functools.partial):
        args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
        function = function.func
    method = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Function) and method in ("submit", "stream"):
        return Wanted(owner, args, kwargs, method == "stream", where)
    call = Wanted(function, args, kwargs, False, where)
    if call.is_remote or call.is_load:
        return call
    if isinstance(function, type):
        if issubclass(function, QtCore.QObject):
            raise TypeError(
                f"Job() runs a class in another process, where the signals of {function.__name__}, "
                "a QObject, would reach nobody: give it a function or a plain class, and connect "
                "to the Job's signals"
            )
        run = getattr(function, "run", None)
        if not callable(run):
            raise TypeError(
                f"Job() makes an object of a class over there and calls its run(), which "
                f"{function.__qualname__} does not have"
            )
        return Wanted(function, args, kwargs, inspect.isgeneratorfunction(run), where)
    if isinstance(function, types.MethodType) and not isinstance(owner, type):
        raise TypeError(
            f"Job() cannot send {function.__qualname__} with its object to another process: give "
            "it a function, a class with run(), or a function of a loaded module"
        )
    if not callable(function):
        raise TypeError(f"Job() runs a function or a class, not {function!r}")
    return Wanted(function, args, kwargs, inspect.isgeneratorfunction(function), where)
