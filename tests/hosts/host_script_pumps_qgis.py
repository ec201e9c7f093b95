# SPDX-License-Identifier: MIT
"""A script in QGIS's Python, with the real application and its loop, offscreen: a layer, made on
the main thread."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from qgis.core import QgsApplication, QgsProject, QgsVectorLayer
from qgis.PyQt.QtCore import QTimer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import host_pumps

LATER_MS = 500


def make() -> dict[str, Any]:
    project = QgsProject.instance()
    project.addMapLayer(QgsVectorLayer("Point?crs=EPSG:4326", "Posted", "memory"))
    file = f"{settings['report']}.qgz"
    assert project.write(file)
    return {"file": file, "objects": [each.name() for each in project.mapLayers().values()]}


def later(function: Callable[[], None]) -> None:
    QTimer.singleShot(LATER_MS, function)


with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as settings_file:
    settings = json.load(settings_file)
QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], False)
app.initQgis()
walk = host_pumps.Walk(make, later, app.quit)
app.exec_()
QgsProject.instance().clear()
app.exitQgis()
