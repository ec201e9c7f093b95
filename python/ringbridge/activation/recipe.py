# SPDX-License-Identifier: MIT
"""A recipe for an activation: variables to set and scripts to source, as files tell them.

Who reads which files is conda.py's and pixi.py's; who follows the recipe, activation's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ringbridge.errors import ActivationFailed
from ringbridge.plan import is_variable


class Recipe:
    """What to do, in this order.

    variables  are set as they are; None: unset
    scripts    are sourced by a shell
    exports    are set by that shell: name -> (value, the file that says so); `$NAME` in a value
               stands for another variable
    stamp      (path, mtime in ns, size) of every file behind this: it changes when they do
    """

    def __init__(
        self,
        scripts: Sequence[str] = (),
        exports: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.variables: dict[str, str | None] = {}
        self.scripts = list(scripts)
        self.exports = dict(exports or {})
        self.stamp: list[tuple[str, int, int]] = []

    @property
    def needs_shell(self) -> bool:
        return bool(self.scripts or self.exports)


def stamp(path: str, recipe: Recipe) -> None:
    """Makes the recipe change when this file or folder does."""
    try:
        status = os.stat(path)
    except OSError:
        recipe.stamp.append((path, 0, 0))
    else:
        recipe.stamp.append((path, status.st_mtime_ns, status.st_size))


def check(name: str, value: str, path: str) -> None:
    """Raises ActivationFailed for what no process can have in its environment."""
    if not is_variable(name, value):
        raise ActivationFailed(f"{name!r} in {path} is no variable that a process can have")
