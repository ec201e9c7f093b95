# SPDX-License-Identifier: MIT
"""Empties the interpreter's own caches, so that what is left is what somebody holds."""

from __future__ import annotations

import gc
import sys

# The cache of attributes of types holds the names that were looked for: up to 4096 strings.
_clear_types = getattr(sys, "_clear_type_cache", None) or sys._clear_internal_caches


def clear() -> None:
    _clear_types()
    gc.collect()  # clears free lists, too
