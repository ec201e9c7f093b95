# SPDX-License-Identifier: MIT
"""Commands for a terminal, each with a button that copies it."""

from __future__ import annotations

import os
from typing import Any

from qgis.PyQt.QtGui import QFontDatabase, QGuiApplication, QTextOption
from qgis.PyQt.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .environments import VENVS
from .texts import tr

_LINES = 2  # of a command that are seen; a longer one is scrolled
_SLACK = 4  # pixels: no scroll bar for a fraction of one
_INSTALL = "python -m pip install ringbridge"


class CommandRow(QWidget):
    """One command, to be read and copied."""

    def __init__(self, command: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._text.setWordWrapMode(QTextOption.WrapMode.WrapAnywhere)
        margins = 2 * (self._text.frameWidth() + int(self._text.document().documentMargin()))
        lines = _LINES * self._text.fontMetrics().lineSpacing()
        self._text.setFixedHeight(lines + margins + _SLACK)
        self._copy = QPushButton(tr("Copy"))
        self._copy.clicked.connect(self.copy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._text, 1)
        row.addWidget(self._copy)
        self.set_command(command)

    @property
    def command(self) -> str:
        return str(self._text.toPlainText())

    def set_command(self, command: str) -> None:
        """Replaces it."""
        self._text.setPlainText(command)

    def copy(self, *_clicked: Any) -> None:
        """Puts it into the clipboard."""
        QGuiApplication.clipboard().setText(self.command)


class Guide(QWidget):
    """Shown where no environment was found: how to make one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(
            _text(
                tr(
                    "Algorithms run in a Python environment of their own, apart from QGIS. Make "
                    "one by running one of these commands in a terminal, then press “Look "
                    "again”. If you have an environment already, show its folder with "
                    "“Browse…”."
                )
            )
        )
        for title, command in commands():
            lines.addSpacing(6)
            lines.addWidget(_text(title))
            lines.addWidget(CommandRow(command))
        lines.addStretch(1)


def commands() -> list[tuple[str, str]]:
    """(what it is for, the command); what each makes is found by “Look again”."""
    venv = os.path.join(VENVS, "gis")
    return [
        (
            tr("With {tool}:").format(tool=tool),
            f"{tool} create -y -n gis python=3.12 pip numpy scipy && {tool} run -n gis {_INSTALL}",
        )
        for tool in ("conda", "mamba")
    ] + [
        (
            tr("With Python alone:"),
            f"python3 -m venv {venv} && {venv}/bin/{_INSTALL} numpy scipy",
        )
    ]


def _text(words: str) -> QLabel:
    label = QLabel(words)
    label.setWordWrap(True)
    return label
