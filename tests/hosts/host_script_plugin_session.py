# SPDX-License-Identifier: MIT
"""Runs by QGIS's own Python, without a window: the plugin's settings, and what comes of them."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import Any

from qgis.core import QgsApplication, QgsSettings

with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as file:
    wanted = json.load(file)
sys.path.insert(0, wanted["plugins"])
QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False, wanted["profile"])
application.initQgis()

from ringbridge_qgis import settings  # noqa: E402 (it is found only now)
from ringbridge_qgis.plugin import Plugin  # noqa: E402

told: dict[str, Any] = {}


def provider() -> bool:
    return QgsApplication.processingRegistry().providerById("ringbridge") is not None


def run(change: settings.Settings) -> dict[str, Any]:
    """A start as qgis_process does it, with these settings, and its end."""
    settings.write(change)
    plugin = Plugin(None)
    plugin.initProcessing()
    session = plugin._session
    seen = {"provider": provider(), "problem": session.problem, "settings": repr(session.settings)}
    if session.bridge is not None:
        first = session.bridge
        session.apply(dataclasses.replace(session.settings, folders=(wanted["modules"],)))
        seen["folders"] = session.bridge.folders
        seen["same_after_folders"] = session.bridge is first
        session.apply(dataclasses.replace(session.settings, threads=3))
        seen["same_after_limits"] = session.bridge is first
        seen["threads"] = session.bridge.threads
    plugin.unload()
    return {**seen, "provider_after": provider()}


told["default"] = run(settings.Settings())
told["is_default"] = settings.read() == settings.Settings()
everything = settings.Settings("/e", "/s", ("/a", "/b"), 1, 2, 3, 4, False, ("m", "t.*"), ("/c",))
settings.write(everything)
told["kept"] = settings.read() == everything
settings.write(dataclasses.replace(everything, folders=("/one",)))
told["one_folder"] = list(settings.read().folders)
QgsSettings().setValue("ringbridge/threads", "many")
told["by_hand"] = settings.read().threads
for name in ("gone", "bare", "old"):
    told[name] = run(settings.Settings(wanted["environments"][name]))
told["loaded"] = "ringbridge" in sys.modules
good = wanted["environments"]["good"]
told["good"] = run(settings.Settings(good, folders=("/gone",)))
told["served"] = run(settings.Settings(wanted["environments"]["bare"], good))
with open(wanted["report"], "w", encoding="utf-8") as file:
    json.dump(told, file)
application.exitQgis()
