# SPDX-License-Identifier: MIT
"""ringbridge in QGIS: your own Python functions, run in a conda environment, as algorithms.

QGIS calls classFactory. Nothing is imported before that: these modules are also read by tests that
know no QGIS.
"""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:
    """What QGIS asks a plugin for; `iface` is None in qgis_process."""
    from .plugin import Plugin

    return Plugin(iface)
