# SPDX-License-Identifier: MIT
"""A declared function as a Processing algorithm: toolbox, batch, models and qgis_process see this.

prepareAlgorithm is called on the main thread, processAlgorithm on one of Processing's (in
qgis_process on the main thread). What a run needs is imported by the first run: QGIS's start reads
this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsProcessingAlgorithm

from ringbridge.compute import Declaration
from ringbridge.qgis import parameters
from ringbridge.qgis.descriptions import Module
from ringbridge.qgis.texts import tr

if TYPE_CHECKING:
    from ringbridge.qgis.bridge import Bridge


class Algorithm(QgsProcessingAlgorithm):
    """One function of one module, of one plugin's bridge."""

    def __init__(self, bridge: Bridge, module: Module, declaration: Declaration) -> None:
        super().__init__()
        self._bridge = bridge
        self._module = module
        self._declaration = declaration
        self._arguments: dict[str, Any] = {}

    def createInstance(self) -> Algorithm:
        return Algorithm(self._bridge, self._module, self._declaration)

    def name(self) -> str:
        return self._declaration.name

    def displayName(self) -> str:
        return self._declaration.label

    def group(self) -> str:
        return self._declaration.group

    def groupId(self) -> str:
        return "".join(c if c.isalnum() else "_" for c in self._declaration.group.lower())

    def tags(self) -> list[str]:
        return list(self._declaration.tags)

    def icon(self) -> Any:
        return self._bridge.icon

    def shortHelpString(self) -> str:
        """The function's own help, and what it says of each parameter."""
        import html  # when a dialog is opened, not at QGIS's start

        text = self._declaration.help
        if not text.lstrip().startswith("<"):
            text = "".join(f"<p>{html.escape(each)}</p>" for each in text.split("\n\n"))
        kinds = [each.kind for each in self._declaration.parameters]
        for kind in (*kinds, *(each.kind for each in self._declaration.outputs)):
            if kind.help:
                label = html.escape(parameters.label_of(kind))
                text += f"<p><b>{label}</b><br>{html.escape(kind.help)}</p>"
        return text

    def initAlgorithm(self, _configuration: Any = None) -> None:
        parameters.add_all(self, self._declaration)

    def canExecute(self) -> tuple[bool, str]:
        if self._bridge.environment:
            return True, ""
        return False, tr("No environment is chosen: see {where}.").format(where=self._bridge.where)

    def prepareAlgorithm(self, parameters: Any, context: Any, _feedback: Any) -> bool:
        from ringbridge.qgis import arguments

        self._arguments = arguments.prepare(self, self._declaration, parameters, context)
        return True

    def processAlgorithm(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        from ringbridge.qgis.execution import Execution

        execution = Execution(self, self._bridge, self._module, self._declaration)
        return execution.run(self._arguments, parameters, context, feedback)
