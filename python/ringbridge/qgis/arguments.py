# SPDX-License-Identifier: MIT
"""From what Processing was given to a function's arguments.

`prepare` runs on the main thread, where layers live, and leaves rasters as what can be opened on
another one; `vectors_of` is for the thread that runs the algorithm: what a
layer's file was loaded as on the main thread is not in the context there.
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
        if _is_vector(each.kind):
            continue
        name = each.name.upper()
        if _is_empty(each, parameters):
            made[each.name] = each.default
        elif isinstance(each.kind, kinds.Layers):
            layers = algorithm.parameterAsLayerList(parameters, name, context) or []
            rasters = [layer for layer in layers if isinstance(layer, QgsRasterLayer)]
            made[each.name] = list(map(raster_source.describe, rasters))
        else:
            reader = _READERS[type(each.kind)]
            made[each.name] = reader(algorithm, each.kind, name, parameters, context)
    return made


def vectors_of(
    algorithm: Any, declaration: Declaration, parameters: dict[str, Any], context: Any
) -> dict[str, Any]:
    """The sources of all vector parameters, by the function's names: one, a list, or None.

    Raises QgsProcessingException for layers that cannot be read.
    """
    made: dict[str, Any] = {}
    for each in declaration.parameters:
        if not _is_vector(each.kind):
            continue
        if _is_empty(each, parameters):
            made[each.name] = None
        elif isinstance(each.kind, kinds.Layers):
            made[each.name] = _vector_sources(algorithm, each, parameters, context)
        else:
            made[each.name] = _vector_source(algorithm, each, parameters, context)
    return made


def _is_vector(kind: kinds.Kind) -> bool:
    return isinstance(kind.of if isinstance(kind, kinds.Layers) else kind, kinds.VectorLayer)


def _is_empty(each: Parameter, parameters: dict[str, Any]) -> bool:
    """Left empty, as it may be. A dialog says "" of a path or a layer that nobody has given."""
    given = parameters.get(each.name.upper())
    is_nothing = given is None or (given == "" and not isinstance(each.kind, kinds.Text))
    return each.kind.optional and is_nothing


def _vector_source(algorithm: Any, each: Parameter, parameters: Any, context: Any) -> Any:
    name = each.name.upper()
    source = algorithm.parameterAsSource(parameters, name, context)
    if source is None:
        raise QgsProcessingException(algorithm.invalidSourceError(parameters, name))
    return source


def _vector_sources(algorithm: Any, each: Parameter, parameters: Any, context: Any) -> list[Any]:
    made = []
    for layer in algorithm.parameterAsLayerList(parameters, each.name.upper(), context) or []:
        definition = QgsProcessingParameterFeatureSource("LAYER")
        one = {"LAYER": layer.id()}
        source = QgsProcessingParameters.parameterAsSource(definition, one, context)
        if source is None:
            raise QgsProcessingException(f"the layer {layer.name()} cannot be read")
        made.append(source)
    return made


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
