# SPDX-License-Identifier: MIT
"""Which versions are in this interpreter. Loaded in a worker by `ringbridge env show`.

Imports what it asks for: GDAL and PROJ are libraries, and only who has loaded them knows which.
"""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from ringbridge import __file__ as _package_file
from ringbridge import __version__

PACKAGES = ("numpy", "numba", "scipy", "rasterio", "geopandas", "pyarrow", "torch")


def told() -> dict[str, str]:
    """Name -> version, of what is there; and ringbridge_folder, whose copy this one is."""
    return dict(_told())


def _told() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    yield "ringbridge", __version__
    yield "ringbridge_folder", os.path.dirname(str(_package_file))
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    yield from _first("GDAL", ("osgeo.gdal", "__version__"), ("rasterio", "__gdal_version__"))
    yield from _first("PROJ", ("pyproj", "proj_version_str"), ("rasterio", "__proj_version__"))


def _first(name: str, *places: tuple[str, str]) -> Iterator[tuple[str, str]]:
    for module, attribute in places:
        version = _attribute(module, attribute)
        if version is not None:
            yield name, str(version)
            return


def _attribute(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name, None)
    except Exception:  # it is not there, or is broken in one of many ways
        return None
