# SPDX-License-Identifier: MIT
"""Dock: the workers of this process and what they do, modules with problems, the end of the log;
on a tab of its own, whether other programs are served.

    self.dock = Dock(bridge, iface.mainWindow())
    iface.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self.dock)

It looks at the workers by a timer, only while it is seen. Workers are restarted and stopped on a
thread of its own, since that may take a second.
"""

from __future__ import annotations

import os
import re
import shlex
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qgis.core import Qgis, QgsApplication, QgsMessageLog
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtGui import QFontDatabase, QGuiApplication
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QDockWidget,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableWidget,
    QTabWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ringbridge.qgis.serving_panel import ServingPanel, duration, set_cell
from ringbridge.qgis.texts import tr
from ringbridge.qgis.workers import WorkerState, workers

if TYPE_CHECKING:
    from ringbridge.qgis.bridge import Bridge
    from ringbridge.qgis.serving_panel import Serving

_LOOK_MS = 500
_LOG_LINES_MAX = 200
_MIB = 1 << 20
_PROBLEMS_WIDTH, _LOG_WIDTH = 500, 400  # their shares of what there is
_TASK_COLUMN = 4
#: Where a module is called otherwise than what pip installs for it.
_PIP_NAMES = {"sklearn": "scikit-learn", "osgeo": "gdal", "cv2": "opencv-python", "PIL": "pillow"}


class Dock(QDockWidget):
    """Shows all workers of the process, and the modules and the log of one bridge. Main thread.

    `states` is what is shown of the workers. With `serving` it has a second tab, `serving_panel`.
    """

    def __init__(
        self, bridge: Bridge, parent: QWidget | None = None, serving: Serving | None = None
    ) -> None:
        super().__init__(tr("{name}: workers").format(name=bridge.name), parent)
        self.setObjectName(f"{bridge.id}Dock")
        self._bridge = bridge
        self.serving_panel = None if serving is None else ServingPanel(serving)
        self.states: list[WorkerState] = []
        self._build()
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._look)
        self.visibilityChanged.connect(self._seen)
        bridge.changed.connect(self._show_problems)
        QgsApplication.messageLog().messageReceived.connect(self._heard)
        self._show_problems()
        for name, line, traceback in bridge.problems:  # logged before this log was there
            self._append(f"{name}: {line}\n{traceback}")
        self.refresh()

    # ------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        self._nothing = QLabel(
            tr(
                "No worker is running. One starts with the first algorithm that is run, and ends "
                "by itself when it has had nothing to do for a while."
            )
        )
        self._nothing.setWordWrap(True)
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._table = self._make_table()
        self._pages = QStackedWidget()
        self._pages.addWidget(self._nothing)
        self._pages.addWidget(self._table)
        self._problems = QTreeWidget()
        self._problems.setHeaderLabels([tr("Module"), tr("Problem")])
        self._problems.setRootIsDecorated(False)
        header = self._problems.header()  # long lines are scrolled, not cut
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._problems.itemSelectionChanged.connect(self._show_buttons)
        self._log = QPlainTextEdit()
        self._log.setReadOnly(True)
        self._log.setMaximumBlockCount(_LOG_LINES_MAX)
        self._log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._log.setPlaceholderText(tr("The log of this plugin appears here."))
        below = QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(self._problems)
        below.addWidget(self._log)
        below.setSizes([_PROBLEMS_WIDTH, _LOG_WIDTH])
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.addWidget(self._pages)
        parts.addWidget(below)
        inside = QWidget()
        lines = QVBoxLayout(inside)
        lines.setContentsMargins(4, 4, 4, 4)
        lines.addWidget(parts, 1)
        lines.addLayout(self._buttons())
        self.setWidget(inside if self.serving_panel is None else self._in_tabs(inside))

    def _in_tabs(self, inside: QWidget) -> QTabWidget:
        self._tabs = QTabWidget()
        self._tabs.setDocumentMode(True)
        self._tabs.addTab(inside, tr("Workers"))
        self._tabs.addTab(self.serving_panel, tr("Serving"))
        self._tabs.currentChanged.connect(lambda _index: self._look())
        return self._tabs

    def show_serving(self) -> None:
        """Brings that tab to the front."""
        self._tabs.setCurrentWidget(self.serving_panel)

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, len(_columns()))
        table.setHorizontalHeaderLabels(_columns())
        table.verticalHeader().hide()
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_TASK_COLUMN, QHeaderView.ResizeMode.Stretch)
        table.itemSelectionChanged.connect(self._show_buttons)
        return table

    def _buttons(self) -> QHBoxLayout:
        self.restart_button = QPushButton(tr("Restart"))
        self.restart_button.setToolTip(tr("Ends what the worker does, and starts it anew"))
        self.restart_button.clicked.connect(lambda: self._do(workers().restart))
        self.stop_button = QPushButton(tr("Stop"))
        self.stop_button.setToolTip(tr("Ends the worker; the next run starts another one"))
        self.stop_button.clicked.connect(lambda: self._do(workers().stop))
        self.reload_button = QPushButton(tr("Reload modules"))
        self.reload_button.clicked.connect(lambda: self._bridge.refresh())
        self.copy_button = QPushButton(tr("Copy command"))
        self.copy_button.clicked.connect(self._copy_command)
        row = QHBoxLayout()
        for button in (self.restart_button, self.stop_button):
            row.addWidget(button)
        row.addStretch(1)
        for button in (self.copy_button, self.reload_button):
            row.addWidget(button)
        return row

    # ------------------------------------------------------------------------------------ workers

    def rows(self) -> list[list[str]]:
        """The table's texts."""
        columns = range(self._table.columnCount())
        return [
            [str(self._table.item(row, column).text()) for column in columns]
            for row in range(self._table.rowCount())
        ]

    def _seen(self, seen: bool) -> None:
        if seen:
            self._look()
            self._timer.start()
        else:
            self._timer.stop()

    def _look(self) -> None:
        self.refresh()
        if self.serving_panel is not None and self.serving_panel.isVisible():
            self.serving_panel.refresh()

    def refresh(self) -> None:
        """Shows how the workers are now. Asks none of them."""
        self.states = workers().states()
        self._pages.setCurrentWidget(self._table if self.states else self._nothing)
        self._table.setRowCount(len(self.states))
        for row, state in enumerate(self.states):
            for column, text in enumerate(_cells(state)):
                set_cell(self._table, row, column, text)
            self._table.item(row, 0).setToolTip(state.environment)
        self._show_buttons()

    def _selected(self) -> WorkerState | None:
        """The only one needs no click."""
        row = 0 if len(self.states) == 1 else self._table.currentRow()
        return self.states[row] if 0 <= row < len(self.states) else None

    def _show_buttons(self) -> None:
        found = self._selected()
        self.restart_button.setEnabled(found is not None and found.state != "starting")
        self.stop_button.setEnabled(found is not None)
        self.copy_button.setVisible(self._problems.topLevelItemCount() > 0)
        self.copy_button.setEnabled(bool(self._command()))

    def _do(self, act: Callable[[int], None]) -> None:
        state = self._selected()
        if state is not None:
            number, name = state.number, self._bridge.name
            thread = threading.Thread(target=_told, args=(act, number, name), daemon=True)
            thread.start()

    # ----------------------------------------------------------------------------------- problems

    def _show_problems(self) -> None:
        self._problems.clear()
        for name, line, traceback in self._bridge.problems:
            command = install_command(self._bridge.environment, line)
            item = QTreeWidgetItem([name, line])
            item.setToolTip(1, traceback)
            item.setData(0, Qt.ItemDataRole.UserRole, command)
            self._problems.addTopLevelItem(item)
            if command:
                advice = QTreeWidgetItem(["", command])
                advice.setToolTip(1, command)
                advice.setData(0, Qt.ItemDataRole.UserRole, command)
                item.addChild(advice)
        self._problems.expandAll()
        self._problems.setVisible(self._problems.topLevelItemCount() > 0)
        self._show_buttons()

    def commands(self) -> list[str]:
        """What would install what is missing, for each module with a problem; or ""."""
        items = map(self._problems.topLevelItem, range(self._problems.topLevelItemCount()))
        return [str(each.data(0, Qt.ItemDataRole.UserRole) or "") for each in items]

    def _command(self) -> str:
        item = self._problems.currentItem() or self._problems.topLevelItem(0)
        return str(item.data(0, Qt.ItemDataRole.UserRole) or "") if item is not None else ""

    def _copy_command(self) -> None:
        QGuiApplication.clipboard().setText(self._command())

    # ---------------------------------------------------------------------------------------- log

    def _heard(self, text: str, tag: str, *_level: Any) -> None:
        if tag == self._bridge.name:
            self._append(f"{time.strftime('%H:%M:%S')}  {text}")

    def _append(self, text: str) -> None:
        self._log.appendPlainText(text.rstrip())


def install_command(environment: str, problem: str) -> str:
    """What installs the module that is missing; "" where the problem is another one."""
    missing = re.match(r"ModuleNotFoundError: No module named '([\w.]+)'", problem)
    if missing is None:
        return ""
    from ringbridge.discovery import find
    from ringbridge.errors import EnvironmentNotFound

    try:
        python = find(environment).python
    except EnvironmentNotFound:
        return ""
    name = missing[1].partition(".")[0]
    return f"{shlex.quote(python)} -m pip install {_PIP_NAMES.get(name, name)}"


def _columns() -> list[str]:
    return [
        tr("Environment"),
        tr("PID"),
        tr("State"),
        tr("Memory"),
        tr("Task"),
        tr("Since"),
        tr("Plugins"),
        tr("Restarts"),
    ]


def _cells(state: WorkerState) -> list[str]:
    words = {
        "starting": tr("starting"),
        "idle": tr("idle"),
        "busy": tr("busy"),
        "dead": tr("dead"),
    }
    return [
        os.path.basename(state.environment.rstrip(os.sep)) or state.environment,
        str(state.pid or ""),
        words.get(state.state, state.state),
        f"{state.memory_bytes / _MIB:.0f} MiB" if state.memory_bytes else "",
        state.task,
        duration(time.monotonic() - state.since),
        ", ".join(state.plugins),
        str(state.restarts),
    ]


def _told(act: Callable[[int], None], number: int, name: str) -> None:
    """On a thread of its own; the log may be written from any."""
    try:
        act(number)
    except Exception as error:  # nobody else hears of it
        QgsMessageLog.logMessage(str(error), name, Qgis.MessageLevel.Warning)
