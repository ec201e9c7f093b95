# SPDX-License-Identifier: MIT
"""What the tests serve in a plain Qt application, with whatever binding it has."""

from __future__ import annotations

import sys
from typing import Any

from ringbridge.qt import binding

QtCore, QtGui, QtWidgets = (binding.module(name) for name in ("QtCore", "QtGui", "QtWidgets"))

_window = QtWidgets.QWidget()
_window.setStyleSheet("background: #303030")
_window.setGeometry(0, 0, 1400, 900)
_window.show()


class _Cube(QtWidgets.QWidget):  # type: ignore[misc]
    """Three of its faces."""

    def __init__(self) -> None:
        super().__init__(_window)
        self.edge = 240
        self.setGeometry(400, 150, 600, 600)
        self.show()

    def paintEvent(self, _event: Any) -> None:
        x, y = 0.87 * self.edge, 0.5 * self.edge  # of an edge that runs away from us
        faces = {
            "#e8b04a": [(0, 0), (x, -y), (0, -2 * y), (-x, -y)],
            "#c07a2c": [(0, 0), (-x, -y), (-x, y), (0, 2 * y)],
            "#8a5420": [(0, 0), (x, -y), (x, y), (0, 2 * y)],
        }
        painter = QtGui.QPainter(self)
        painter.translate(300, 300)
        for color, corners in faces.items():
            painter.setBrush(QtGui.QColor(color))
            points = [QtCore.QPointF(*corner) for corner in corners]
            painter.drawPolygon(QtGui.QPolygonF(points))
        painter.end()


_made: dict[str, _Cube] = {}


def cube(name: str) -> Any:
    _made[name] = _Cube()
    _made[name].setObjectName(name)
    return _made[name]


def references(name: str) -> int:
    """How many hold the object."""
    return sys.getrefcount(_made[name])


def remove(name: str) -> None:
    """Of it Python has no more than the name, then."""
    removed = _made.pop(name)
    removed.deleteLater()
    kind = binding.enum(QtCore.QEvent, "Type", "DeferredDelete")
    QtCore.QCoreApplication.sendPostedEvents(removed, getattr(kind, "value", kind))


def picture(file: str) -> None:
    """Of the screen."""
    app = QtWidgets.QApplication.instance()
    app.processEvents()
    app.primaryScreen().grabWindow(0).save(file)


def leave() -> None:
    """Ends the application, when this has been answered."""
    QtCore.QTimer.singleShot(200, QtWidgets.QApplication.instance().quit)
