# SPDX-License-Identifier: MIT
"""Threads of ours: the interpreter does not wait for them at its end, where that can be had."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def start(target: Callable[..., object], name: str, *args: Any) -> threading.Thread:
    """Starts a thread. RuntimeError: it cannot be, since the interpreter ends for example."""
    try:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    except RuntimeError:  # an isolated subinterpreter has no daemon threads
        thread = threading.Thread(target=target, args=args, name=name)
    thread.start()
    return thread
