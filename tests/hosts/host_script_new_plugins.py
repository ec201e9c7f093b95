# SPDX-License-Identifier: MIT
"""Runs in QGIS's Python: two generated plugins in one process, each with its own environment, then
with one that they share. Judges nothing; the settings are standalone.py's, and `plugins`: the
folder that both lie in.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

sys.path.insert(0, os.environ["RBR_HOSTS_FOLDER"])

import numpy as np
import standalone
from qgis.core import QgsApplication, QgsSettings

FIRST, SECOND = "first_plugin", "second_plugin"
VALUES = np.arange(12, dtype="float32").reshape(3, 4)


def algorithms(name: str) -> list[str] | None:
    provider = QgsApplication.processingRegistry().providerById(name)
    return None if provider is None else sorted(each.id() for each in provider.algorithms())


def start(name: str, environment: str) -> Any:
    QgsSettings().setValue(f"{name}/environment", environment)
    plugin = importlib.import_module(name).classFactory(None)
    plugin.initProcessing()
    return plugin


def where(name: str) -> str:
    """What the plugin's algorithm says about the Python that it runs in."""
    return str(standalone.run(f"{name}:where").get("OUTPUT"))


def mean(name: str, raster: str, work: str) -> Any:
    output = os.path.join(work, f"{name}.tif")
    told = standalone.run(f"{name}:focal_mean", RASTER=raster, OUTPUT=output)
    return told.get("error") or standalone.read_raster(output)["values"].tolist()


def workers() -> list[list[Any]]:
    from ringbridge.qgis.workers import workers

    return [[each.pid, each.state, list(each.plugins)] for each in workers().states()]


def side_by_side(one: str, other: str, work: str) -> dict[str, Any]:
    first, second = start(FIRST, one), start(SECOND, other)
    raster = standalone.write_raster(os.path.join(work, "raster.tif"), VALUES)
    told: dict[str, Any] = {
        "algorithms": [algorithms(FIRST), algorithms(SECOND)],
        "where": [where(FIRST), where(SECOND)],
        "means": [mean(FIRST, raster, work), mean(SECOND, raster, work)],
        "workers": workers(),
    }
    first.unload()
    told["after"] = {
        "algorithms": [algorithms(FIRST), algorithms(SECOND)],
        "where": where(SECOND),
        "workers": workers(),
    }
    second.unload()
    told["in_the_end"] = {
        "algorithms": [algorithms(FIRST), algorithms(SECOND)],
        "workers": workers(),
    }
    return told


def edited(environment: str, plugins: str) -> list[str]:
    """What an algorithm says before and after its code has been changed, in one QGIS."""
    plugin = start(FIRST, environment)
    said = [where(FIRST)]
    path = os.path.join(plugins, FIRST, "compute", "place.py")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace('return f"', 'return f"edited: '))
    said.append(where(FIRST))
    plugin.unload()
    return said


def too_old() -> list[Any]:
    """The third plugin wants a ringbridge newer than the one that both have loaded."""
    plugin = importlib.import_module(SECOND + ".plugin")
    plugin.RINGBRIDGE_MINIMUM = "99.0"
    said: list[str] = []
    QgsApplication.messageLog().messageReceived.connect(lambda text, *_: said.append(text))
    wanting = plugin.Plugin(None)
    wanting.initProcessing()
    there = wanting.bridge is not None
    wanting.unload()
    return [there, algorithms(SECOND), "\n".join(said)]


with standalone.qgis():
    wanted = standalone.settings()
    sys.path.insert(0, wanted["plugins"])
    one, other = wanted["environments"]
    report: dict[str, Any] = {
        "different": side_by_side(one, other, wanted["work"]),
        "same": side_by_side(other, other, wanted["work"]),
        "edited": edited(one, wanted["plugins"]),
        "too_old": too_old(),
    }
    standalone.report(report)
