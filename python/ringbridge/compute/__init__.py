# SPDX-License-Identifier: MIT
"""Compute modules: ordinary functions that declare what they take and give.

    from typing import Annotated
    from ringbridge.compute import Number, Raster, algorithm

    @algorithm("Hillshade", group="Terrain", margin=1)
    def hillshade(dem: Raster, azimuth: Annotated[float, Number(unit="°")] = 315.0) -> Raster:
        '''Shaded relief of an elevation model.'''
        return dem.like(shade(dem.values, dem.cell_size, azimuth))

A host such as QGIS makes a dialog of that, and calls the function in a worker. A notebook calls it
with plain arrays. Importable in any interpreter; needs nothing, and numpy when there are arrays.
"""

from ringbridge.compute.column import Column
from ringbridge.compute.declaration import (
    Declaration,
    Output,
    Parameter,
    algorithm,
    algorithms_of,
    declaration_of,
)
from ringbridge.compute.kinds import (
    Band,
    Boolean,
    Categories,
    Choice,
    Classes,
    Crs,
    Extent,
    Field,
    File,
    FileOutput,
    Graduated,
    Grey,
    Kind,
    Layers,
    Number,
    NumberOutput,
    Point,
    Ramp,
    RasterLayer,
    RasterOutput,
    Single,
    Style,
    TableOutput,
    Text,
    TextOutput,
    VectorLayer,
    VectorOutput,
)
from ringbridge.compute.raster import Raster
from ringbridge.compute.vector import Vector

__all__ = [
    "Band",
    "Boolean",
    "Categories",
    "Choice",
    "Classes",
    "Column",
    "Crs",
    "Declaration",
    "Extent",
    "Field",
    "File",
    "FileOutput",
    "Graduated",
    "Grey",
    "Kind",
    "Layers",
    "Number",
    "NumberOutput",
    "Output",
    "Parameter",
    "Point",
    "Ramp",
    "Raster",
    "RasterLayer",
    "RasterOutput",
    "Single",
    "Style",
    "TableOutput",
    "Text",
    "TextOutput",
    "Vector",
    "VectorLayer",
    "VectorOutput",
    "algorithm",
    "algorithms_of",
    "declaration_of",
]
