# SPDX-License-Identifier: MIT
"""A list of folders that a person adds to and removes from, for the options page."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .texts import tr

_HEIGHT = 80


class FolderList(QWidget):
    """`title` is that of the dialog that asks for one more."""

    def __init__(self, folders: Iterable[str], title: str) -> None:
        super().__init__()
        self._title = title
        self._list = QListWidget()
        self._list.setMaximumHeight(_HEIGHT)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._list.addItems(list(folders))
        add, remove = QPushButton(tr("Add…")), QPushButton(tr("Remove"))
        add.clicked.connect(self._ask)
        remove.clicked.connect(self._remove)
        buttons = QVBoxLayout()
        buttons.addWidget(add)
        buttons.addWidget(remove)
        buttons.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._list, 1)
        row.addLayout(buttons)

    @property
    def folders(self) -> tuple[str, ...]:
        """As they are listed now."""
        return tuple(str(self._list.item(row).text()) for row in range(self._list.count()))

    def add(self, folder: str) -> None:
        """Once each."""
        if folder not in self.folders:
            self._list.addItem(folder)

    def _ask(self, *_clicked: Any) -> None:
        folder = QFileDialog.getExistingDirectory(self, self._title, os.path.expanduser("~"))
        if folder:
            self.add(folder)

    def _remove(self, *_clicked: Any) -> None:
        for item in self._list.selectedItems():
            self._list.takeItem(self._list.row(item))
