# SPDX-License-Identifier: MIT
"""A standalone script in QGIS's Python: the real application without its window, and Processing."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import host_checks
from osgeo import gdal
from qgis.core import Qgis, QgsApplication

QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False, os.environ["QGIS_CUSTOM_CONFIG_PATH"])
application.initQgis()
sys.path.append("/usr/share/qgis/python/plugins")
from processing.core.Processing import Processing  # noqa: E402

Processing.initialize()
algorithms = len(QgsApplication.processingRegistry().algorithms())
host_checks.report({"qgis": Qgis.version(), "gdal": gdal.__version__, "algorithms": algorithms})
application.exitQgis()
