# SPDX-License-Identifier: MIT
"""How a result is drawn when it is loaded, as its declaration says.

Runs on the main thread, after Processing has made the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsClassificationQuantile,
    QgsColorRampShader,
    QgsContrastEnhancement,
    QgsGraduatedSymbolRenderer,
    QgsPalettedRasterRenderer,
    QgsProcessingLayerPostProcessorInterface,
    QgsRasterBandStats,
    QgsRendererCategory,
    QgsSingleBandGrayRenderer,
    QgsSingleBandPseudoColorRenderer,
    QgsSingleSymbolRenderer,
    QgsStyle,
    QgsSymbol,
)
from qgis.PyQt.QtGui import QColor

from ringbridge.compute import kinds

_SAMPLE = 250_000  # cells looked at for the range of a band
_CATEGORIES_MAX = 200


class _Styler(QgsProcessingLayerPostProcessorInterface):
    """Processing keeps only a pointer to it, so the list below keeps it alive until it has run."""

    def __init__(self, style: kinds.Style) -> None:
        super().__init__()
        self._style = style

    def postProcessLayer(self, layer: Any, _context: Any, _feedback: Any) -> None:
        if self in _waiting:
            _waiting.remove(self)
        apply(layer, self._style)


_waiting: list[_Styler] = []


def after_loading(context: Any, destination: str, style: kinds.Style | None) -> None:
    """Asks for this style where the result will be loaded."""
    if style is not None and context.willLoadLayerOnCompletion(destination):
        styler = _Styler(style)
        _waiting.append(styler)
        context.layerToLoadOnCompletionDetails(destination).setPostProcessor(styler)


def apply(layer: Any, style: kinds.Style) -> None:
    """Draws a layer in this style; where its field is missing, the layer stays as it is."""
    renderer = _MAKERS[type(style)](layer, style)
    if renderer is not None:
        layer.setRenderer(renderer)
        layer.triggerRepaint()
        layer.emitStyleChanged()  # its legend is drawn already


def _range(layer: Any, style: Any) -> tuple[float, float]:
    wanted = QgsRasterBandStats.Min | QgsRasterBandStats.Max
    stats = layer.dataProvider().bandStatistics(1, wanted, layer.extent(), _SAMPLE)
    low = stats.minimumValue if style.min is None else style.min
    high = stats.maximumValue if style.max is None else style.max
    return low, high


def _grey(layer: Any, style: kinds.Grey) -> Any:
    renderer = QgsSingleBandGrayRenderer(layer.dataProvider(), 1)
    low, high = _range(layer, style)
    contrast = QgsContrastEnhancement(layer.dataProvider().dataType(1))
    contrast.setMinimumValue(low)
    contrast.setMaximumValue(high)
    contrast.setContrastEnhancementAlgorithm(QgsContrastEnhancement.StretchToMinimumMaximum)
    renderer.setContrastEnhancement(contrast)
    return renderer


def _ramp_named(name: str) -> Any:
    ramps = QgsStyle.defaultStyle()
    return ramps.colorRamp(name) or ramps.colorRamp("Viridis")


def _ramp(layer: Any, style: kinds.Ramp) -> Any:
    low, high = _range(layer, style)
    renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1)
    renderer.setClassificationMin(low)
    renderer.setClassificationMax(high)
    mode = QgsColorRampShader.Continuous
    renderer.createShader(_ramp_named(style.ramp), QgsColorRampShader.Interpolated, mode, 0)
    return renderer


def _classes(layer: Any, style: kinds.Classes) -> Any:
    provider = layer.dataProvider()
    item = QgsPalettedRasterRenderer.Class
    classes = [item(value, QColor(colour), label) for value, label, colour in style.classes]
    if not classes:
        ramp = _ramp_named("Spectral")
        classes = QgsPalettedRasterRenderer.classDataFromRaster(provider, 1, ramp)
    return QgsPalettedRasterRenderer(provider, 1, classes)


def _categories(layer: Any, style: kinds.Categories) -> Any:
    index = layer.fields().lookupField(style.field)
    if index < 0:
        return None
    found = layer.uniqueValues(index, _CATEGORIES_MAX)
    values = sorted(found, key=lambda value: (str(type(value)), value))
    made = []
    for value in values:
        symbol = QgsSymbol.defaultSymbol(layer.geometryType())
        made.append(QgsRendererCategory(value, symbol, str(value)))
    renderer = QgsCategorizedSymbolRenderer(style.field, made)
    renderer.updateColorRamp(_ramp_named(style.ramp))
    return renderer


def _graduated(layer: Any, style: kinds.Graduated) -> Any:
    if layer.fields().lookupField(style.field) < 0:
        return None
    renderer = QgsGraduatedSymbolRenderer(style.field)
    renderer.setSourceSymbol(QgsSymbol.defaultSymbol(layer.geometryType()))
    renderer.setClassificationMethod(QgsClassificationQuantile())
    renderer.updateClasses(layer, style.classes)
    renderer.updateColorRamp(_ramp_named(style.ramp))
    return renderer


def _single(layer: Any, style: kinds.Single) -> Any:
    symbol = QgsSymbol.defaultSymbol(layer.geometryType())
    symbol.setColor(QColor(style.colour))
    for set_size in (getattr(symbol, name, None) for name in ("setSize", "setWidth")):
        if set_size is not None and style.size is not None:
            set_size(style.size)
    return QgsSingleSymbolRenderer(symbol)


_MAKERS: dict[type, Callable[[Any, Any], Any]] = {
    kinds.Grey: _grey,
    kinds.Ramp: _ramp,
    kinds.Classes: _classes,
    kinds.Categories: _categories,
    kinds.Graduated: _graduated,
    kinds.Single: _single,
}
