# SPDX-License-Identifier: MIT
"""What activating an environment does to the variables of this process, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringbridge import activation
from ringbridge.activation import cache
from ringbridge.environment import Environment


@dataclass(frozen=True)
class Effect:
    """`set`: the variables that get another value; `removed`: those that are taken away; `cached`:
    whether the scripts' part comes from the user's cache."""

    scripts: list[str]
    cached: bool
    set: dict[str, str]
    removed: list[str]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(vars(self))


def of(environment: Environment, base: Mapping[str, str]) -> Effect:
    """The effect on a process that has the variables `base`.

    Runs the scripts where their effect is not known. Raises ActivationFailed.
    """
    recipe = activation.recipe_of(environment)
    entry = cache.load(environment.prefix)
    known = entry is not None and (entry.by_hand or entry.fits(recipe))
    changes = cache.differences(base, activation.environ_for(environment, base))
    return Effect(
        scripts=recipe.scripts,
        cached=known,
        set={name: after for name, (_before, after) in changes.items() if after is not None},
        removed=[name for name, (_before, after) in changes.items() if after is None],
    )
