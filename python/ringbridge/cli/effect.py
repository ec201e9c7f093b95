# SPDX-License-Identifier: MIT
"""What activating an environment does to the variables of this process, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringbridge.activation import Activation, cache


@dataclass(frozen=True)
class Effect:
    """`set`: the variables that get another value; `removed`: those that are taken away; `source`:
    where the scripts' part of it came from; `unkept`: why that could not be kept."""

    scripts: list[str]
    source: str
    set: dict[str, str]
    removed: list[str]
    unkept: str

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(vars(self))


def of(activation: Activation, base: Mapping[str, str]) -> Effect:
    """The effect on a process that has the variables `base`, for which the activation was made.

    Runs the scripts where their effect is not known. Raises ActivationFailed.
    """
    changes = cache.differences(base, activation.environ())
    return Effect(
        scripts=activation.recipe.scripts,
        source=activation.source,
        set={name: after for name, (_before, after) in changes.items() if after is not None},
        removed=[name for name, (_before, after) in changes.items() if after is None],
        unkept=activation.unkept,
    )
