# SPDX-License-Identifier: MIT
"""Placeholder until the vectors are merged."""

from typing import Any


def read(source: Any, **kw: Any) -> Any:
    raise NotImplementedError


def fields_of(v: Any) -> Any:
    raise NotImplementedError


def wkb_type_of(v: Any, w: str) -> Any:
    raise NotImplementedError


def write(v: Any, s: Any, **kw: Any) -> None:
    raise NotImplementedError
