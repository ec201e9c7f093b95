# SPDX-License-Identifier: MIT
"""A compute module for the tests of remote objects."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from rbr_testing.duties import call, number, pass_on

__all__ = ["Model", "Plain", "call", "child_of", "kept_count", "make", "many", "name_of"]
__all__ += ["make_late", "make_when_interrupted", "names_in", "number", "same", "take_gone"]

#: Names of objects that are no more.
gone: list[str] = []


def take_gone() -> list[str]:
    taken = gone[:]
    gone.clear()
    return taken


class Model:
    """A model that stays here."""

    kind = "linear"

    def __init__(self, name: str, weight: float = 1.0) -> None:
        self.name = name
        self.weight = weight
        self.child: Model | None = None

    def predict(self, value: float, *, scale: float = 1.0) -> float:
        """value times weight."""
        return value * self.weight * scale

    def __call__(self, value: float) -> float:
        return value + self.weight

    def items(self, count: int) -> Iterator[float]:
        for each in range(count):
            yield each * self.weight

    async def later(self, value: float) -> float:
        return value * self.weight

    def grow(self, name: str) -> None:
        self.child = Model(name)

    def fail(self) -> None:
        raise ValueError(self.name)

    @property
    def double(self) -> float:
        return 2 * self.weight

    @property
    def broken(self) -> float:
        raise RuntimeError("no such luck")

    def __del__(self) -> None:
        gone.append(self.name)


class Plain:
    pass


def name_of(model: Model) -> str:
    return model.name


def same(left: Any, right: Any) -> bool:
    return left is right


def names_in(models: Any) -> list[str]:
    return [model.name for model in (models.values() if isinstance(models, dict) else models)]


def child_of(model: Model) -> Any:
    return model.child


def make(name: str) -> Model:
    return Model(name)


def make_late(started: str, release: str, name: str) -> Model:
    pass_on(started, release)
    return Model(name)


def make_when_interrupted(name: str) -> Model:
    try:
        time.sleep(3600)
    except BaseException:
        return Model(name)
    raise AssertionError("nobody has interrupted it")


def many(count: int) -> Iterator[Model]:
    for each in range(count):
        yield Model(str(each))


def kept_count() -> int:
    """Objects of ours that are alive here."""
    import gc

    gc.collect()
    return sum(isinstance(each, Model) for each in gc.get_objects())
