# SPDX-License-Identifier: MIT
"""Vectors as frames and back, in a worker; counts the steps that Python's interpreter took."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from ringbridge.compute import Vector, geo_frames


def there_and_back(plain: dict[str, Any], form: str) -> tuple[int, dict[str, Any]]:
    """The instructions that it took, and the vector again."""
    vector = Vector.from_plain(plain)
    make = {"geopandas": vector.to_geopandas, "arrow": vector.to_arrow}[form]
    geo_frames.vector_of({"geopandas": vector.part(0, 1).to_geopandas, "arrow": make}[form]())
    steps, back = steps_of(lambda: geo_frames.vector_of(make()))
    return steps, back.to_plain()


def steps_of(work: Callable[[], Any]) -> tuple[int, Any]:
    """How many instructions the interpreter executed, in every function that was called."""
    steps = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        steps += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        result = work()
    finally:
        sys.settrace(None)
    return steps, result
