# SPDX-License-Identifier: MIT
"""What conda's files in a prefix say about its activation.

    etc/conda/env_vars.d/*     JSON, sorted by name    variables of packages
    conda-meta/state           {"env_vars": {...}}     those of `conda env config vars set`
    etc/conda/activate.d/*.sh  sorted by name          scripts of packages

Source: conda's activate.py and rattler's activation.rs, which agree on the order. Reads files and
runs nothing.
"""

from __future__ import annotations

import contextlib
import json
import os

from ringbridge.activation.recipe import Recipe, check, stamp
from ringbridge.errors import ActivationFailed

_UNSET = "***unset***"  # conda's word for a variable that shall not be there
_RESERVED = ("PATH",)  # conda ignores it in these files


def read(prefix: str, recipe: Recipe) -> None:
    """Adds the prefix's part to a recipe. Raises ActivationFailed for a broken file."""
    env_vars = os.path.join(prefix, "etc", "conda", "env_vars.d")
    activate = os.path.join(prefix, "etc", "conda", "activate.d")
    state = os.path.join(prefix, "conda-meta", "state")
    for path in (os.path.join(prefix, "conda-meta", "history"), state, activate, env_vars):
        stamp(path, recipe)
    for path in _files_in(env_vars):
        stamp(path, recipe)
        _add(_object(path), path, recipe)
    if os.path.isfile(state):
        _add(_object(state).get("env_vars", {}), state, recipe)
    scripts = [path for path in _files_in(activate) if path.endswith(".sh")]
    for script in scripts:
        stamp(script, recipe)
    recipe.scripts += scripts


def variables_of(prefix: str) -> dict[str, str]:
    """What an environment's files set by themselves, as far as they can be read."""
    recipe = Recipe()
    with contextlib.suppress(ActivationFailed):
        read(prefix, recipe)
    return {name: value for name, value in recipe.variables.items() if value is not None}


def _files_in(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ActivationFailed(f"{folder} cannot be looked into: {error.strerror}") from None
    return [path for path in (os.path.join(folder, name) for name in names) if os.path.isfile(path)]


def _object(path: str) -> dict[str, object]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ActivationFailed(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise ActivationFailed(f"{path} must hold a JSON object, not a {type(content).__name__}")
    return content


def _add(env_vars: object, path: str, recipe: Recipe) -> None:
    if not isinstance(env_vars, dict):
        raise ActivationFailed(f"env_vars in {path} must be a JSON object")
    for name, value in env_vars.items():
        if name in _RESERVED:
            continue
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ActivationFailed(f"{name} in {path} must be a string, not {value!r}")
        check(name, value, path)
        recipe.variables[name] = None if value == _UNSET else value
