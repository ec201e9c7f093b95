# SPDX-License-Identifier: MIT
"""From a declaration to Processing's parameters and outputs: what dialogs, models and batches see.

A parameter is called as the function's, in capitals (`z_factor` is Z_FACTOR); the result of a
function that has one is OUTPUT.
"""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterCrs,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterDistance,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterPoint,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ringbridge.compute import Declaration, Parameter, kinds

_GEOMETRIES = {
    "any": QgsProcessing.TypeVectorAnyGeometry,
    "point": QgsProcessing.TypeVectorPoint,
    "line": QgsProcessing.TypeVectorLine,
    "polygon": QgsProcessing.TypeVectorPolygon,
    "none": QgsProcessing.TypeVector,
}
_FIELDS = {
    "any": QgsProcessingParameterField.Any,
    "number": QgsProcessingParameterField.Numeric,
    "text": QgsProcessingParameterField.String,
    "date": QgsProcessingParameterField.DateTime,
}


def add_all(algorithm: Any, declaration: Declaration) -> None:
    """All of a declaration's parameters and outputs, to a QgsProcessingAlgorithm."""
    for parameter in declaration.parameters:
        made = _MAKERS[type(parameter.kind)](
            parameter.name.upper(), label_of(parameter.kind), parameter.kind, parameter
        )
        made.setHelp(parameter.kind.help)
        if parameter.kind.advanced:
            made.setFlags(made.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        algorithm.addParameter(made)
    for output in declaration.outputs:
        made = _output(output.name.upper(), output.kind)
        if isinstance(made, QgsProcessingParameterDefinition):
            made.setHelp(output.kind.help)
            algorithm.addParameter(made)
        else:
            algorithm.addOutput(made)


def label_of(kind: kinds.Kind) -> str:
    """With the unit behind it."""
    unit = getattr(kind, "unit", "")
    return f"{kind.label} ({unit})" if unit else kind.label


def _optional(kind: kinds.Kind) -> bool:
    return kind.optional


def _raster(name: str, label: str, kind: Any, _parameter: Parameter) -> Any:
    return QgsProcessingParameterRasterLayer(name, label, optional=_optional(kind))


def _band(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    default = 1 if parameter.default is None else parameter.default
    return QgsProcessingParameterBand(name, label, default, kind.of.upper(), _optional(kind))


def _vector(name: str, label: str, kind: Any, _parameter: Parameter) -> Any:
    types = [_GEOMETRIES[kind.geometry]]
    return QgsProcessingParameterFeatureSource(name, label, types, optional=_optional(kind))


def _field(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    return QgsProcessingParameterField(
        *(name, label, parameter.default, kind.of.upper(), _FIELDS[kind.type], kind.many),
        _optional(kind),
    )


def _number(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    bounds: dict[str, Any] = {"defaultValue": parameter.default, "optional": _optional(kind)}
    bounds.update({"minValue": kind.min} if kind.min is not None else {})
    bounds.update({"maxValue": kind.max} if kind.max is not None else {})
    if kind.distance_of:
        made = QgsProcessingParameterDistance(
            name, label, parentParameterName=kind.distance_of.upper(), **bounds
        )
    else:
        number = QgsProcessingParameterNumber
        made = number(name, label, number.Integer if kind.integer else number.Double, **bounds)
    if kind.decimals is not None:
        made.setMetadata({"widget_wrapper": {"decimals": kind.decimals}})
    return made


def _choice(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    """With labels its value is an index; without it is the option itself, as one would type it."""
    default = parameter.default
    if kind.labels and default is not None:
        chosen = default if kind.many else [default]
        indexes = [kind.options.index(each) for each in chosen]
        default = indexes if kind.many else indexes[0]
    elif kind.many and default is not None:
        default = list(default)
    return QgsProcessingParameterEnum(
        *(name, label, list(kind.labels or kind.options), kind.many, default, _optional(kind)),
        usesStaticStrings=not kind.labels,
    )


def _boolean(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    return QgsProcessingParameterBoolean(name, label, bool(parameter.default), _optional(kind))


def _text(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    return QgsProcessingParameterString(
        name, label, parameter.default, kind.multiline, _optional(kind)
    )


def _file(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    file = QgsProcessingParameterFile
    behaviour = file.Folder if kind.folder else file.File
    default = None if parameter.default is None else str(parameter.default)
    return file(name, label, behaviour, kind.extension.lstrip("."), default, _optional(kind))


def _extent(name: str, label: str, kind: Any, _parameter: Parameter) -> Any:
    return QgsProcessingParameterExtent(name, label, optional=_optional(kind))


def _crs(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    return QgsProcessingParameterCrs(name, label, parameter.default, _optional(kind))


def _point(name: str, label: str, kind: Any, parameter: Parameter) -> Any:
    default = None if parameter.default is None else "{},{}".format(*parameter.default)
    return QgsProcessingParameterPoint(name, label, default, _optional(kind))


def _layers(name: str, label: str, kind: Any, _parameter: Parameter) -> Any:
    is_raster = isinstance(kind.of, kinds.RasterLayer)
    type_ = QgsProcessing.TypeRaster if is_raster else _GEOMETRIES[kind.of.geometry]
    return QgsProcessingParameterMultipleLayers(name, label, type_, optional=_optional(kind))


_MAKERS = {
    kinds.RasterLayer: _raster,
    kinds.Band: _band,
    kinds.VectorLayer: _vector,
    kinds.Field: _field,
    kinds.Number: _number,
    kinds.Choice: _choice,
    kinds.Boolean: _boolean,
    kinds.Text: _text,
    kinds.File: _file,
    kinds.Extent: _extent,
    kinds.Crs: _crs,
    kinds.Point: _point,
    kinds.Layers: _layers,
}


def _output(name: str, kind: kinds.Kind) -> Any:
    label, by_default = label_of(kind), not kind.optional
    if isinstance(kind, kinds.RasterOutput):
        return QgsProcessingParameterRasterDestination(
            name, label, optional=kind.optional, createByDefault=by_default
        )
    if isinstance(kind, (kinds.VectorOutput, kinds.TableOutput)):
        geometry = _GEOMETRIES["none" if isinstance(kind, kinds.TableOutput) else kind.geometry]
        return QgsProcessingParameterFeatureSink(
            name, label, geometry, optional=kind.optional, createByDefault=by_default
        )
    if isinstance(kind, kinds.FileOutput):
        extension = kind.extension.lstrip(".")
        pattern = f"{extension.upper()} (*.{extension})" if extension else "(*)"
        return QgsProcessingParameterFileDestination(
            *(name, label, pattern), None, kind.optional, by_default
        )
    if isinstance(kind, kinds.NumberOutput):
        return QgsProcessingOutputNumber(name, label)
    return QgsProcessingOutputString(name, label)
