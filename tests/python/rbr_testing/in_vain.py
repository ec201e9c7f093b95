# SPDX-License-Identifier: MIT
"""Sends an object that stays here once more, in what is refused in the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any


def result(kept: Any) -> list[Any]:
    return [kept, threading.Lock()]


def items(kept: Any) -> Iterator[list[Any]]:
    yield [kept, threading.Lock()]


def argument(kept: Any, function: Callable[[Any], Any]) -> None:
    with contextlib.suppress(TypeError):
        function([kept, threading.Lock()])
