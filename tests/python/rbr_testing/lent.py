# SPDX-License-Identifier: MIT
"""A module that the HTTP gateway's tests serve."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

from ringbridge.host.expose import expose

entered = threading.Event()
inside: list[int] = []
release = threading.Event()


@expose
def add(a: float, b: float = 1) -> float:
    """The sum."""
    return a + b


@expose
def echo(*values: Any, **named: Any) -> Any:
    return values[0] if len(values) == 1 else [list(values), named]


@expose
def where() -> str:
    return threading.current_thread().name


@expose(on="thread", name="where_else")
def _where_else() -> str:
    return threading.current_thread().name


@expose
def fail(text: str) -> None:
    raise ValueError(text)


@expose
def leave() -> None:
    raise SystemExit(3)


@expose
def hold() -> str:
    """Stays on the main thread until a test sets `release`."""
    inside.append(threading.get_ident())
    entered.set()
    return "held" if release.wait(40) else "never released"


@expose(on="thread")
def hold_elsewhere() -> str:
    return hold()


@expose
def count(to: int) -> Iterator[int]:
    yield from range(to)


@expose
async def later(value: Any) -> Any:
    return value


@expose
def make(expression: str) -> Any:
    """The value of an expression, numpy at hand: what JSON text cannot ask for."""
    return eval(expression, {"np": sys.modules.get("numpy")})


def hidden() -> str:
    return "nobody marked this"
