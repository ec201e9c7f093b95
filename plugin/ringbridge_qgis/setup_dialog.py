# SPDX-License-Identifier: MIT
"""Leads a person from nothing to an environment that works. Non-modal; opened on demand only."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from .environment_panel import EnvironmentPanel
from .environments import Environment
from .help_page import show_help
from .session import folders
from .settings import Settings
from .texts import tr

_SIZE = (680, 520)


class SetupDialog(QDialog):
    """`taken` has the environment that the user has decided for; the dialog stays open."""

    taken = pyqtSignal(object)

    def __init__(self, wanted: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._has_modules = bool(folders(wanted))
        self.setWindowTitle(tr("Set up ringbridge"))
        self.setObjectName("ringbridgeSetup")
        self.resize(*_SIZE)
        self._heading = QLabel()
        self._heading.setTextFormat(Qt.TextFormat.PlainText)
        self._heading.setWordWrap(True)
        font = self._heading.font()
        font.setPointSizeF(font.pointSizeF() * 1.3)
        font.setBold(True)
        self._heading.setFont(font)
        self._advice = QLabel()
        self._advice.setTextFormat(Qt.TextFormat.PlainText)
        self._advice.setWordWrap(True)
        self.panel = EnvironmentPanel(wanted.environment, [wanted.source])
        self.panel.looked.connect(self._tell)
        self.panel.use_asked.connect(self._take)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Close | QDialogButtonBox.StandardButton.Help
        )
        buttons.rejected.connect(self.reject)
        buttons.helpRequested.connect(lambda: show_help("setup"))
        lines = QVBoxLayout(self)
        lines.addWidget(self._heading)
        lines.addWidget(self._advice)
        lines.addWidget(self.panel, 1)
        lines.addWidget(buttons)
        self._heading.setText(tr("Looking for environments…"))

    @property
    def heading(self) -> str:
        """What it says on top."""
        return str(self._heading.text())

    def _tell(self) -> None:
        found = self.panel.found or []
        in_use = next((each for each in found if each.prefix == self.panel.chosen), None)
        if not found:
            self._say(tr("No Python environment was found"), "")
        elif in_use is not None and in_use.usable:
            there = tr("Its algorithms are in the Processing toolbox, under “ringbridge”.")
            none = tr("Now name a folder with your modules in Settings > Options > ringbridge.")
            words = tr("ringbridge uses “{name}”").format(name=in_use.name)
            self._say(words, there if self._has_modules else none)
        elif any(each.usable for each in found):
            self._say(
                tr("Choose an environment"),
                tr(
                    "Algorithms will run in it, apart from QGIS. “Test” starts a worker there; "
                    "“Use it” takes it."
                ),
            )
        else:
            self._say(
                tr("No environment can be used yet"),
                tr("Select one in the list to see what is missing."),
            )

    def _say(self, heading: str, advice: str) -> None:
        self._heading.setText(heading)
        self._advice.setText(advice)
        self._advice.setVisible(bool(advice))

    def _take(self, environment: Environment) -> None:
        self.taken.emit(environment)
        self.panel.set_chosen(environment.prefix)

    def done(self, result: Any) -> None:
        """However it is closed: nothing goes on in the background."""
        self.panel.close_work()
        super().done(result)
