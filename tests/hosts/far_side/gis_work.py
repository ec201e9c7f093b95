# SPDX-License-Identifier: MIT
"""What the hosts call in the environment. This folder is on the worker's sys.path, and nothing else
of the tests is.
"""

from __future__ import annotations

import os
import sys
from typing import Any

UTM33 = 32633


def versions() -> dict[str, Any]:
    import numpy

    return {
        "python": list(sys.version_info[:3]),
        "prefix": sys.prefix,
        "path": sys.path,
        "numpy": numpy.__version__,
        "numpy_file": numpy.__file__,
    }


def geodata() -> dict[str, Any]:
    """Where the data of GDAL and PROJ are found, and what is computed with them."""
    import pyproj
    import rasterio
    from rasterio._env import get_gdal_config
    from rasterio.crs import CRS
    from rasterio.warp import transform

    with rasterio.Env():
        gdal_data = get_gdal_config("GDAL_DATA")
        wkt = CRS.from_epsg(UTM33).to_wkt()
        warped = transform(CRS.from_epsg(4326), CRS.from_epsg(UTM33), [15.0], [52.0])
    to_poland = pyproj.Transformer.from_crs(4326, 2180, always_xy=True)
    return {
        "rasterio": rasterio.__version__,
        "pyproj": pyproj.__version__,
        "gdal_data": gdal_data,
        "proj_data": pyproj.datadir.get_data_dir(),
        "wkt": wkt,
        "warped": [warped[0][0], warped[1][0]],
        "transformed": list(to_poland.transform(21.0, 52.2)),
    }


def variables() -> dict[str, str]:
    return dict(os.environ)


def mapped_files() -> list[str]:
    """Every file that is in this process's memory: what it has loaded, from wherever."""
    with open("/proc/self/maps") as maps:
        fields = [line.split(None, 5) for line in maps]
    return sorted({each[5].strip() for each in fields if len(each) == 6 and each[5][0] == "/"})


def doubled(array: Any) -> Any:
    print(f"doubling {array.shape} of {array.dtype}")
    return array * 2
