# SPDX-License-Identifier: MIT
"""A plugin with one Processing algorithm, which makes workers while it runs.

The least that QGIS takes for a plugin. It imports nothing of ours when it is loaded.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsProcessingAlgorithm,
    QgsProcessingOutputString,
    QgsProcessingProvider,
)

TESTS = os.environ.get("RBR_HOSTS_FOLDER", "")


def classFactory(iface: Any) -> Plugin:
    return Plugin(iface)


class Report(QgsProcessingAlgorithm):
    def name(self) -> str:
        return "report"

    def displayName(self) -> str:
        return "Report"

    def createInstance(self) -> Report:
        return Report()

    def initAlgorithm(self, config: Any = None) -> None:
        self.addOutput(QgsProcessingOutputString("REPORT", "Report"))

    def processAlgorithm(self, parameters: Any, context: Any, feedback: Any) -> dict[str, str]:
        sys.path.insert(0, TESTS)
        import host_checks
        from osgeo import gdal

        host_checks.report({"qgis": Qgis.version(), "gdal": gdal.__version__})
        return {"REPORT": host_checks.settings()["report"]}


class Provider(QgsProcessingProvider):
    def id(self) -> str:
        return "ringbridge_hosts"

    def name(self) -> str:
        return "ringbridge hosts"

    def loadAlgorithms(self) -> None:
        self.addAlgorithm(Report())


class Plugin:
    def __init__(self, iface: Any) -> None:
        self.provider: QgsProcessingProvider | None = None

    def initProcessing(self) -> None:
        self.provider = Provider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:
        self.initProcessing()

    def unload(self) -> None:
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
