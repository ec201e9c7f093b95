# SPDX-License-Identifier: MIT
"""What the settings say, made true: ringbridge loaded, one Bridge in the toolbox, or none.

    empty --start(), apply()--> running          (a Bridge; `problem` is "")
      ^                            |
      +----- close(), apply() -----+             (without one, `problem` says why)

Only while it runs other programs can be served, where the user has switched that on.

Main thread only. Importing it loads nothing of ringbridge.
"""

from __future__ import annotations

import os
from typing import Any

from qgis.core import Qgis, QgsMessageLog
from qgis.PyQt.QtCore import QObject, pyqtSignal

from . import environments, settings, verdicts
from . import ringbridge_loader as loader
from .serving import Serving
from .settings import MIB, Settings
from .texts import tr

ID = "ringbridge"
NAME = "ringbridge"
HERE = os.path.dirname(os.path.abspath(__file__))
ICON = os.path.join(HERE, "icons", "ringbridge.svg")


class Session(QObject):
    """`bridge` is None where nothing is set up, or `problem` says what is wrong."""

    changed = pyqtSignal()  # another bridge, or none; or other modules
    failed = pyqtSignal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.settings = settings.read()
        self.bridge: Any = None
        self.serving = Serving(self.settings.serve_modules, self.settings.serve_folders)
        self.problem = ""

    def start(self) -> None:
        """Never raises, and starts no worker: `problem` says what is wrong."""
        self.problem = ""
        if not self.settings.environment:
            return
        try:
            self._start()
        except Exception as error:  # QGIS must start, whatever a foreign ringbridge does
            self._fail(self._reason(error))
        self.changed.emit()

    def _reason(self, error: Exception) -> str:
        """A line that people understand, and the details."""
        wanted, details = self.settings, str(error) or type(error).__name__
        seen = environments.look(filter(None, (wanted.environment, wanted.source)))[0]
        if seen.usable:
            return details
        words = tr("The environment “{name}” cannot be used: {state}.")
        return words.format(name=seen.name, state=verdicts.word(seen)) + f"\n{details}"

    def _start(self) -> None:
        wanted = self.settings
        places = list(filter(None, (wanted.environment, wanted.source)))
        if environments.is_gone(wanted.environment):
            raise FileNotFoundError(wanted.environment)
        loader.load(*places, minimum=environments.MINIMUM, core=False)
        from ringbridge.qgis import Bridge

        self.bridge = Bridge(
            ID,
            NAME,
            environment=wanted.environment,
            folders=folders(wanted),
            icon=ICON,
            where=tr("Settings > Options > ringbridge"),
            threads=wanted.threads or None,
            arena_bytes=wanted.arena_mib * MIB or None,
            workers_max=wanted.workers_max,
            idle_s=wanted.idle_minutes * 60.0,
        )
        self.bridge.changed.connect(self.changed)
        self.bridge.failed.connect(self.failed)
        self.bridge.register()

    def apply(self, wanted: Settings) -> None:
        """Keeps these settings, and works by them from now on. Never raises."""
        before, self.settings = self.settings, wanted
        settings.write(wanted)
        if self.bridge is None or not wanted.environment or before.limits != wanted.limits:
            self._close_bridge()
            self.start()
        else:
            self.bridge.set_environment(wanted.environment)
            self.bridge.set_folders(folders(wanted))
        self.serving.use(wanted.serve_modules, wanted.serve_folders)
        if self.bridge is None:  # and so no switch is there
            self.serving.stop()

    def close(self) -> None:
        """Takes the bridge away, with what only it has used, and serves nobody any more.
        Idempotent; never raises."""
        self.serving.stop()
        self._close_bridge()

    def _close_bridge(self) -> None:
        bridge, self.bridge = self.bridge, None
        if bridge is not None:
            try:
                bridge.close()
            except Exception as error:
                self._fail(str(error))
            bridge.deleteLater()

    def _fail(self, problem: str) -> None:
        self.problem = problem
        QgsMessageLog.logMessage(problem, NAME, Qgis.MessageLevel.Warning, notifyUser=False)


def folders(wanted: Settings) -> list[str]:
    """Of compute modules: ours, and the user's that are there."""
    ours = os.path.join(HERE, "compute")
    return [each for each in (ours, *wanted.folders) if os.path.isdir(each)]
