# SPDX-License-Identifier: MIT
"""A plugin's place in the Processing toolbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsProcessingProvider

from ringbridge.qgis.algorithm import Algorithm

if TYPE_CHECKING:
    from ringbridge.qgis.bridge import Bridge


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
        names: set[str] = set()
        for module in self._bridge.modules:
            for declaration in module.algorithms:
                if declaration.name not in names:  # two modules may have one of the same name
                    names.add(declaration.name)
                    self.addAlgorithm(Algorithm(self._bridge, module, declaration))
