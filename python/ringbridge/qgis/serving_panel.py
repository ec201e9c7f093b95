# SPDX-License-Identifier: MIT
"""ServingPanel: the switch that lets other programs call into this QGIS, and what comes of it.

Shows what it is handed; looks only when it is told to. Knows no server's inside.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ringbridge.qgis.texts import tr

_EXPOSED_WIDTH, _CLIENTS_WIDTH = 500, 400  # their shares of what there is


class Serving(Protocol):
    """Who starts and ends the server. Main thread."""

    server: Any  # a ringbridge.host.Server; None: it is off
    problem: str

    @property
    def modules(self) -> tuple[str, ...]:
        """What is served, or would be."""

    def start(self) -> None:
        """Never raises: `problem` says why it does not serve."""

    def stop(self) -> None:
        """Idempotent."""


class ServingPanel(QWidget):
    """The switch, what is exposed, and who is connected. Main thread."""

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self._serving = serving
        self._shown: Any = None  # of what is exposed
        self.switch = QCheckBox(tr("Let other programs of mine call into this QGIS"))
        self.switch.clicked.connect(self._turn)
        self.state = _label()
        self.problem = _label()
        self.exposed = QTreeWidget()
        self.exposed.setHeaderLabels([tr("Served function"), tr("Runs on")])
        header = self.exposed.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)  # cut: all is in a tooltip
        self.clients = self._table()
        below = QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(self.exposed)
        below.addWidget(self.clients)
        below.setSizes([_EXPOSED_WIDTH, _CLIENTS_WIDTH])
        first = QHBoxLayout()
        first.addWidget(self.switch)
        first.addSpacing(20)
        first.addWidget(self.state, 1)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(4, 4, 4, 4)
        lines.addLayout(first)
        lines.addWidget(self.problem)
        lines.addWidget(below, 1)
        self.refresh()

    def _table(self) -> QTableWidget:
        columns = [tr("Client"), tr("PID"), tr("Connected"), tr("Calls"), tr("Threads")]
        table = QTableWidget(0, len(columns))
        table.setHorizontalHeaderLabels(columns)
        table.verticalHeader().hide()
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        return table

    def _turn(self, on: bool) -> None:
        if on:
            self._serving.start()
        else:
            self._serving.stop()
        self.refresh()

    # ------------------------------------------------------------------------------------ looking

    def refresh(self) -> None:
        """Shows how it is now. Asks no client, and does not wait."""
        server = self._serving.server
        on = server is not None and not server.closed
        self.switch.setChecked(on)
        self.state.setText(self._state(server) if on else tr("Off: nobody can call."))
        self.problem.setText(self._serving.problem)
        self.problem.setVisible(bool(self._serving.problem))
        self._show_exposed(server.exposure.about() if on else {})
        self._show_clients(server.clients() if on else [])

    def _state(self, server: Any) -> str:
        words = tr("On: {code}   process {pid}, clients: {clients}, calls: {calls}")
        clients = server.clients()
        return words.format(
            code=f'ringbridge.connect("{server.name}")',
            pid=server.pid,
            clients=len(clients),
            calls=sum(each.requests for each in clients),
        )

    def _show_exposed(self, about: dict[str, dict[str, dict[str, Any]]]) -> None:
        shown = (about, self._serving.modules)
        if shown == self._shown:
            return
        self._shown = shown
        self.exposed.clear()
        where = {"main": tr("the main thread"), "thread": tr("a thread")}
        for module in dict.fromkeys((*self._serving.modules, *about)):
            functions = about.get(module)
            top = QTreeWidgetItem([module, "" if functions is not None else tr("not loaded")])
            for name, each in (functions or {}).items():
                text = name + _readable(each["signature"] or "(…)")
                item = QTreeWidgetItem([text, where[each["on"]]])
                item.setToolTip(0, "\n\n".join(filter(None, (text, each["doc"]))))
                top.addChild(item)
            self.exposed.addTopLevelItem(top)
            top.setExpanded(True)

    def _show_clients(self, clients: list[Any]) -> None:
        lanes = {"main": tr("main"), "thread": tr("its own")}
        self.clients.setRowCount(len(clients))
        for row, each in enumerate(clients):
            texts = (
                *(each.name, str(each.pid), duration(each.since_s), str(each.requests)),
                ", ".join(lanes[lane] for lane in each.lanes),
            )
            for column, text in enumerate(texts):
                set_cell(self.clients, row, column, text)


def set_cell(table: QTableWidget, row: int, column: int, text: str) -> None:
    """Shows a text in a table; what stands there already is not drawn again."""
    item = table.item(row, column)
    if item is None:
        item = QTableWidgetItem()
        table.setItem(row, column, item)
    if item.text() != text:
        item.setText(text)


def _readable(signature: str) -> str:
    """Annotations that are texts, without their quotes: of a default these belong to it."""
    return re.sub(r"(?<=[:>] )'([^']*)'", r"\1", signature)


def _label() -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)  # else a long line would push QGIS's other docks aside
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def duration(seconds: float) -> str:
    """0:07, 12:34, 1:02:03"""
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
