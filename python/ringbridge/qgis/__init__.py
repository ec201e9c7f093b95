# SPDX-License-Identifier: MIT
"""For plugins of QGIS: compute modules in another environment become Processing algorithms.

    from ringbridge.qgis import Bridge, Dock

Pure Python, to be imported inside of QGIS. Importing it loads neither the compiled extension nor
numpy's rest: QGIS starts as before. Names are fetched when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringbridge.qgis.bridge import Bridge
    from ringbridge.qgis.dock import Dock

__all__ = ["Bridge", "Dock"]
_HOMES = {"Bridge": "bridge", "Dock": "dock"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
