# SPDX-License-Identifier: MIT
"""Loaded in a worker by the Test button: is there a numpy that can be imported, and how long does a
call take."""

from __future__ import annotations

import platform
from typing import Any


def told() -> dict[str, str]:
    """`python`, `numpy`: versions; `numpy_error` is one line where it cannot be imported."""
    said = {"python": platform.python_version(), "numpy": "", "numpy_error": ""}
    try:
        import numpy
    except Exception as error:  # it is not there, or broken in one of many ways
        said["numpy_error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    else:
        said["numpy"] = numpy.__version__
    return said


def echo(value: Any) -> Any:
    """The value itself."""
    return value
