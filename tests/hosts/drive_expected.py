# SPDX-License-Identifier: MIT
"""What drive_host.py must have seen of any QGIS."""

from __future__ import annotations

from typing import Any

SMALL = 10_000  # bytes in frames: what is large goes by shared memory


def check(told: dict[str, Any]) -> None:
    """Where the calls ran, what they made, and how large things came."""
    assert told["main"] is True
    raster, square, wider = told["raster"], told["square"], told["wider"]
    assert (raster["kind"], raster["size"], raster["crs"]) == ("raster", [4, 3], "EPSG:32617")
    assert raster["extent"] == [0, 0, 4, 3]
    assert (square["kind"], square["features"], square["crs"]) == ("vector", 1, "EPSG:4326")
    assert square["extent"] == [0, 0, 8, 8]
    assert wider["extent"] == [-1, -1, 9, 9]
    assert told["large"] == [True, 7, 7, 100_000_000]
    assert told["bytes_received"] < SMALL
    assert told["handle"] == "numbers"
    stopped = told["cancelled"]
    assert (stopped["began"], stopped["ended"]) == (True, "Cancelled")
    assert 0 <= stopped["fraction"] < 1
    # Cancel does not wait until the algorithm tells of its progress again.
    assert stopped["ended_after_s"] < stopped["hundredth_s"] / 2
    missing, no_extent, no_crs, no_layer, no_algorithm = told["errors"]
    assert missing.startswith("ValueError: QGIS cannot read /no/such.tif")
    assert no_extent.startswith("ValueError: an array needs extent=")
    assert no_crs.startswith("ValueError: 'moon' is no CRS")
    assert no_layer.startswith("LookupError: no layer has the id or the name 'no such layer'")
    assert "native:nothing" in no_algorithm
