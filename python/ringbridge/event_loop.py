# SPDX-License-Identifier: MIT
"""Which asyncio loop runs on this thread. Never imports asyncio: where no one has, none runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def running_loop() -> Any:
    """The asyncio loop that runs on this thread; None: none does."""
    return _running_loop()


def _find_running_loop() -> Any:
    """The first running_loop()s, until asyncio is there: then it is asked without detours."""
    global _running_loop
    found = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    if found is None:  # also while it is being imported
        return None
    _running_loop = found
    return found()


_running_loop: Callable[[], Any] = _find_running_loop
