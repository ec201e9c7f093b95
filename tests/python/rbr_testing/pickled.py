# SPDX-License-Identifier: MIT
"""What test_values_pickle.py pickles: a class that both sides know, and pickles that mean harm."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ringbridge import _core, current


@dataclass
class Box:
    """Of a type that no table or array is; its parts may be large."""

    content: Any


class Once:
    """Pickled once, it makes a folder when it is read."""

    def __init__(self, how: Callable[..., Any], *arguments: Any) -> None:
        self.how = how
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.how, self.arguments


class Cunning(Once):
    """The same with a state that does it: BUILD, not REDUCE."""

    def __reduce__(self) -> Any:
        return dict, (), None, None, iter([(Once(self.how, *self.arguments), 1)])


def malicious(folder: str, number: int) -> Any:
    """One of many values whose pickle makes the folder `folder`/`number` when it is read."""
    path = os.path.join(folder, str(number))
    callables: list[Any] = [
        Once(os.mkdir, path),
        Once(os.makedirs, path),
        Once(eval, f"__import__('os').mkdir({path!r})"),
        Once(exec, f"import os; os.mkdir({path!r})"),
        Once(os.system, f"mkdir {path}"),
        Cunning(os.mkdir, path),
    ]
    harm = callables[number % len(callables)]
    places = [harm, [harm], (1, {"k": harm}), {"a": [1, (harm,)]}, Box(harm), [0] * 8 + [harm]]
    return places[number // len(callables) % len(places)]


def echo(value: Any = None, **named: Any) -> Any:
    return named.get("value", value)


def content(box: Box) -> Any:
    return box.content


def fill(box: Box, number: float) -> None:
    box.content[...] = number


def give(folder: str, number: int) -> Any:
    return malicious(folder, number)


def lie() -> None:
    """From now on this worker pickles, whatever was agreed."""
    assert current._channel is not None
    agree_alone(current._channel)


def agree_alone(channel: _core.Channel) -> None:
    """Sets the flag in our own ChannelObject (ext.h), as a hostile peer's code would."""
    flag_at = id(channel) + object.__basicsize__ + 2 * 8 + 4 + 1
    flags = (ctypes.c_bool * 2).from_address(flag_at - 1)
    assert list(flags) == [False, False], "closing, pickle: the layout has changed"
    flags[1] = True


def unreadable() -> Any:
    """Pickled without complaint, and read nowhere."""
    return Once(int, "not a number")


def unreadable_before(*after: Any) -> list[Any]:
    return [unreadable(), *after]


class Interrupting:
    """What reads it is interrupted so often, then gets how often it has tried."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _interrupted, (self.times,)


#: How often one of them was read in this process, since somebody set it to 0.
tries = 0


def _interrupted(times: int) -> int:
    global tries
    tries += 1
    if tries <= times:
        raise KeyboardInterrupt
    return tries


def interrupting(times: int, *before: Any) -> list[Any]:
    return [*before, Interrupting(times)]


def interrupting_items(times: int) -> Iterator[Any]:
    yield Interrupting(times)
    yield "the next one"
