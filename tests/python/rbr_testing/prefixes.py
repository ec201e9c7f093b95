# SPDX-License-Identifier: MIT
"""Folders that look as conda makes them, for tests of their activation. Nothing in them runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ringbridge import ActivationFailed
from ringbridge.activation import environ_for
from ringbridge.environment import Environment
from ringbridge.plan import Wishes


def environ(
    environment: Environment, base: dict[str, str] | None = None, **wishes: Any
) -> dict[str, str]:
    """What a worker there gets from a host that has the variables `base`."""
    return environ_for(environment, base or {}, Wishes.of(**wishes))


def failure(environment: Environment) -> str:
    """What the ActivationFailed says."""
    with pytest.raises(ActivationFailed) as caught:
        environ(environment)
    return str(caught.value)


def conda_prefix(folder: Path, state: object = None, **files: object) -> Environment:
    """A prefix; env_vars.d gets a file for each name, a str as it is, all else as JSON."""
    (folder / "conda-meta").mkdir(parents=True)
    (folder / "etc/conda/env_vars.d").mkdir(parents=True)
    (folder / "etc/conda/activate.d").mkdir()
    if state is not None:
        (folder / "conda-meta/state").write_text(as_text(state))
    for name, content in files.items():
        (folder / "etc/conda/env_vars.d" / name).write_text(as_text(content))
    return Environment(str(folder), f"{folder}/bin/python", "conda", "gis")


def as_text(content: object) -> str:
    return content if isinstance(content, str) else json.dumps(content)


def script(environment: Environment, name: str, text: str) -> Path:
    path = Path(environment.prefix, "etc/conda/activate.d", name)
    path.write_text(text)
    return path
