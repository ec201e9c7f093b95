# SPDX-License-Identifier: MIT
"""What the tests serve in QGIS, from a folder of the user's."""

from __future__ import annotations

import threading
from typing import Any

import ringbridge


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def large(count: int) -> Any:
    """That many bytes, which were never anywhere but in shared memory."""
    made = ringbridge.empty(count, "uint8")
    made[:] = 7
    return made
