# SPDX-License-Identifier: MIT
"""A plugin's place in the Processing toolbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import Qgis, QgsProcessingProvider

from ringbridge.qgis.algorithm import Algorithm
from ringbridge.qgis.texts import tr

if TYPE_CHECKING:
    from ringbridge.qgis.bridge import Bridge
    from ringbridge.qgis.descriptions import Module


class Provider(QgsProcessingProvider):
    """The algorithms of one bridge, as they were described last."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def id(self) -> str:
        return self._bridge.id

    def name(self) -> str:
        return self._bridge.name

    def icon(self) -> Any:
        return self._bridge.icon

    def loadAlgorithms(self) -> None:
        homes: dict[str, Module] = {}
        for module in self._bridge.modules:
            for declaration in module.algorithms:
                name = declaration.name
                if homes.setdefault(name, module) is module:
                    self.addAlgorithm(Algorithm(self._bridge, module, declaration))
                    continue
                words = tr("{module}: {name} is left out, since {other} has one of this name.")
                told = words.format(module=module.name, name=name, other=homes[name].name)
                self._bridge.log(told, Qgis.Warning)
