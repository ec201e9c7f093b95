# SPDX-License-Identifier: MIT
"""What the tests serve in every application."""

from __future__ import annotations

import threading
from typing import Any

import ringbridge as rb


def threads() -> list[int | None]:
    """The one that this runs on, and the main one."""
    return [threading.get_ident(), threading.main_thread().ident]


def filled(size: int, value: int) -> Any:
    """So many bytes of that value, in shared memory; Blender and FreeCAD may have no numpy."""
    array = rb.empty((size,), "uint8")
    memoryview(array).cast("B")[:] = bytes([value]) * size
    return array


def end() -> None:
    """Ends what waits in server.run(), when this has been answered."""
    from ringbridge import host

    for server in host.serving():
        threading.Timer(0.2, server.stop).start()
