# SPDX-License-Identifier: MIT
"""From what Processing was given to a function's arguments.

`prepare` runs on the main thread, where layers live, and leaves layers as what can be opened on
another one; `sources` and the rest are for the thread that runs the algorithm.
"""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingException,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameters,
    QgsRasterLayer,
)

from ringbridge.compute import Declaration, Parameter, kinds
from ringbridge.qgis import raster_source


def prepare(
    algorithm: Any, declaration: Declaration, parameters: dict[str, Any], context: Any
) -> dict[str, Any]:
    """Arguments by the function's names; rasters as raster_source.Described, vectors not yet.

    Raises QgsProcessingException for layers that cannot be read.
    """
    made = {}
    for each in declaration.parameters:
        if isinstance(each.kind, kinds.VectorLayer):
            continue
        name = each.name.upper()
        is_empty = parameters.get(name) is None
        if is_empty and each.kind.optional:
            made[each.name] = each.default
        elif isinstance(each.kind, kinds.Layers):
            made[each.name] = _layers(algorithm, each, parameters, context)
        else:
            reader = _READERS[type(each.kind)]
            made[each.name] = reader(algorithm, each.kind, name, parameters, context)
    return made


def vector_source(algorithm: Any, each: Parameter, parameters: Any, context: Any) -> Any:
    """The QgsProcessingFeatureSource of a parameter, or None where it was left empty."""
    name = each.name.upper()
    source = algorithm.parameterAsSource(parameters, name, context)
    if source is None and not (each.kind.optional and parameters.get(name) is None):
        raise QgsProcessingException(algorithm.invalidSourceError(parameters, name))
    return source


def source_of_layer(layer_id: str, context: Any) -> Any:
    """The same for one of several layers."""
    definition = QgsProcessingParameterFeatureSource("LAYER")
    source = QgsProcessingParameters.parameterAsSource(definition, {"LAYER": layer_id}, context)
    if source is None:
        raise QgsProcessingException(f"the layer {layer_id} cannot be read")
    return source


def _layers(algorithm: Any, each: Parameter, parameters: Any, context: Any) -> list[Any]:
    kind: Any = each.kind
    layers = algorithm.parameterAsLayerList(parameters, each.name.upper(), context) or []
    if isinstance(kind.of, kinds.RasterLayer):
        return [raster_source.describe(layer) for layer in layers if _is_raster(layer)]
    return [layer.id() for layer in layers]


def _is_raster(layer: Any) -> bool:
    return isinstance(layer, QgsRasterLayer)


def _raster(algorithm: Any, _kind: Any, name: str, parameters: Any, context: Any) -> Any:
    layer = algorithm.parameterAsRasterLayer(parameters, name, context)
    if layer is None:
        raise QgsProcessingException(algorithm.invalidRasterError(parameters, name))
    return raster_source.describe(layer)


def _band(algorithm: Any, _kind: Any, name: str, parameters: Any, context: Any) -> Any:
    return max(algorithm.parameterAsInt(parameters, name, context), 1)


def _number(algorithm: Any, kind: Any, name: str, parameters: Any, context: Any) -> Any:
    if kind.integer:
        return algorithm.parameterAsInt(parameters, name, context)
    return algorithm.parameterAsDouble(parameters, name, context)


def _choice(algorithm: Any, kind: Any, name: str, parameters: Any, context: Any) -> Any:
    if not kind.labels:
        if kind.many:
            return list(algorithm.parameterAsEnumStrings(parameters, name, context))
        return algorithm.parameterAsEnumString(parameters, name, context)
    if kind.many:
        return [kind.options[i] for i in algorithm.parameterAsEnums(parameters, name, context)]
    return kind.options[algorithm.parameterAsEnum(parameters, name, context)]


def _field(algorithm: Any, kind: Any, name: str, parameters: Any, context: Any) -> Any:
    names = list(algorithm.parameterAsFields(parameters, name, context))
    return names if kind.many else names[0] if names else None


def _crs(algorithm: Any, _kind: Any, name: str, parameters: Any, context: Any) -> Any:
    return _wkt(algorithm.parameterAsCrs(parameters, name, context))


def _extent(algorithm: Any, kind: Any, name: str, parameters: Any, context: Any) -> Any:
    crs = _crs_of(algorithm, kind.of, parameters, context)
    box = algorithm.parameterAsExtent(parameters, name, context, crs)
    return box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()


def _point(algorithm: Any, kind: Any, name: str, parameters: Any, context: Any) -> Any:
    crs = _crs_of(algorithm, kind.of, parameters, context)
    place = algorithm.parameterAsPoint(parameters, name, context, crs)
    return place.x(), place.y()


def _crs_of(algorithm: Any, of: str, parameters: Any, context: Any) -> Any:
    """The CRS of a layer parameter; an invalid one where there is none, and nothing is changed."""
    if not of:
        return QgsCoordinateReferenceSystem()
    layer = algorithm.parameterAsLayer(parameters, of.upper(), context)
    if layer is not None:
        return layer.crs()
    source = algorithm.parameterAsSource(parameters, of.upper(), context)
    return QgsCoordinateReferenceSystem() if source is None else source.sourceCrs()


def _wkt(crs: Any) -> str:
    text: str = crs.toWkt(QgsCoordinateReferenceSystem.WKT2_2019) if crs.isValid() else ""
    return text


_READERS: dict[type, Any] = {
    kinds.RasterLayer: _raster,
    kinds.Band: _band,
    kinds.Number: _number,
    kinds.Choice: _choice,
    kinds.Field: _field,
    kinds.Crs: _crs,
    kinds.Extent: _extent,
    kinds.Point: _point,
    kinds.Boolean: lambda a, _k, n, p, c: a.parameterAsBoolean(p, n, c),
    kinds.Text: lambda a, _k, n, p, c: a.parameterAsString(p, n, c),
    kinds.File: lambda a, _k, n, p, c: a.parameterAsFile(p, n, c),
}
