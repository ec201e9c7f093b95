# SPDX-License-Identifier: MIT
"""Settings > Options > ringbridge: the environment, more folders of modules, limits, what is
served."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from qgis.gui import QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import (
    QFormLayout,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from . import environments
from .environment_panel import EnvironmentPanel
from .environments import Environment
from .folder_list import FolderList
from .help_page import show_help
from .settings import Settings
from .texts import tr

PAGE_NAME = "ringbridgeOptions"
_THREADS_MAX, _ARENA_MIB_MAX, _WORKERS_MAX, _MINUTES_MAX = 1024, 1 << 20, 64, 24 * 60


class OptionsFactory(QgsOptionsWidgetFactory):
    """Makes the page each time the dialog is opened."""

    def __init__(
        self, icon: QIcon, current: Callable[[], Settings], apply: Callable[[Settings], None]
    ) -> None:
        super().__init__("ringbridge", icon)
        self._current = current
        self._apply = apply

    def createWidget(self, parent: QWidget | None = None) -> OptionsPage:
        """QGIS's hook."""
        return OptionsPage(self._current(), self._apply, parent)


class OptionsPage(QgsOptionsPageWidget):
    """What it shows is taken by apply(), which QGIS calls for OK."""

    def __init__(
        self,
        now: Settings,
        use: Callable[[Settings], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(PAGE_NAME)
        self._now = now
        self._use = use
        self.panel = EnvironmentPanel(now.environment, [now.source])
        self.panel.use_asked.connect(self._choose)
        self.destroyed.connect(self.panel.close_work)
        inside = QWidget()
        lines = QVBoxLayout(inside)
        lines.addWidget(_group(tr("Environment that workers run in"), self.panel), 1)
        self._folders = FolderList(now.folders, tr("A folder with modules of algorithms"))
        lines.addWidget(_group(tr("More folders with modules of algorithms"), self._folders))
        lines.addWidget(self._limits_group())
        lines.addWidget(self._serving_group())
        help_button = QPushButton(tr("Help"))
        help_button.clicked.connect(lambda: show_help("settings"))
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(help_button)
        lines.addLayout(row)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(inside)
        outside = QVBoxLayout(self)
        outside.setContentsMargins(0, 0, 0, 0)
        outside.addWidget(area)

    # ------------------------------------------------------------------------ folders and serving

    def add_folder(self, folder: str) -> None:
        """With modules of algorithms; once each."""
        self._folders.add(folder)

    @property
    def folders(self) -> tuple[str, ...]:
        """With modules of algorithms, as they are listed now."""
        return self._folders.folders

    def _serving_group(self) -> QGroupBox:
        self.serve_modules = QLineEdit(" ".join(self._now.serve_modules))
        self.serve_modules.setToolTip(
            tr("Names of Python modules, with spaces between; tools.* means all modules in tools")
        )
        title = tr("A folder with modules to be served")
        self.serve_folders = FolderList(self._now.serve_folders, title)
        inside = QWidget()
        form = QFormLayout(inside)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(tr("Modules:"), self.serve_modules)
        form.addRow(tr("Folders that they are in:"), self.serve_folders)
        return _group(tr("What other programs of yours may call, where it is switched on"), inside)

    # ------------------------------------------------------------------------------------ limits

    def _limits_group(self) -> QGroupBox:
        automatic = tr("automatic")
        self.threads = _number(self._now.threads, 0, _THREADS_MAX, "", automatic)
        self.arena_mib = _number(self._now.arena_mib, 0, _ARENA_MIB_MAX, " MiB", automatic)
        self.arena_mib.setSingleStep(256)
        self.workers_max = _number(self._now.workers_max, 1, _WORKERS_MAX)
        self.idle_minutes = _number(self._now.idle_minutes, 1, _MINUTES_MAX, tr(" min"))
        inside = QWidget()
        form = QFormLayout(inside)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(tr("Threads of one worker:"), self.threads)
        form.addRow(tr("Shared memory, each side of a worker:"), self.arena_mib)
        form.addRow(tr("Workers at once:"), self.workers_max)
        form.addRow(tr("An idle worker ends after:"), self.idle_minutes)
        return _group(tr("Limits"), inside)

    # --------------------------------------------------------------------------------------- use

    def _choose(self, environment: Environment) -> None:
        self.panel.set_chosen(environment.prefix)

    def apply(self) -> None:
        """QGIS's hook, for OK: keeps what is shown."""
        found = self.panel.found
        source = self._now.source
        if found is not None:
            source = environments.source_for([self.panel.chosen, *(e.prefix for e in found)])
        self._use(
            dataclasses.replace(
                self._now,
                environment=self.panel.chosen,
                source=source,
                folders=self.folders,
                serve_modules=tuple(self.serve_modules.text().replace(",", " ").split()),
                serve_folders=self.serve_folders.folders,
                threads=self.threads.value(),
                arena_mib=self.arena_mib.value(),
                workers_max=self.workers_max.value(),
                idle_minutes=self.idle_minutes.value(),
            )
        )


def _group(title: str, inside: QWidget) -> QGroupBox:
    group = QGroupBox(title)
    QVBoxLayout(group).addWidget(inside)
    return group


def _number(value: int, least: int, most: int, suffix: str = "", zero: str = "") -> QSpinBox:
    """`zero`: what is shown in place of the least."""
    box = QSpinBox()
    box.setRange(least, most)
    box.setValue(value)
    box.setSuffix(suffix)
    box.setSpecialValueText(zero)
    return box
