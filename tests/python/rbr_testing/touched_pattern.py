# SPDX-License-Identifier: MIT
"""The window of the example, used as a person would: by the mouse, through Qt; and the screen."""

from __future__ import annotations

import os
from typing import Any

from matplotlib.backends.qt_compat import QtCore, QtWidgets
from pattern_view import Pattern

from ringbridge.plot import emit

LEFT = QtCore.Qt.MouseButton.LeftButton


class Touched(Pattern):
    """After some draws: clicks into the pattern, drags the slider; then looks at the screen."""

    def __init__(self) -> None:
        super().__init__()
        self._draws = 0

    def draw(self, *values: Any, **named: Any) -> None:
        super().draw(*values, **named)
        self._draws += 1
        if self._draws == 5:
            QtCore.QTimer.singleShot(0, self._touch)
        if self._draws == 12:
            QtCore.QTimer.singleShot(0, self._look)

    def _touch(self) -> None:
        x, y = self.picture.transData.transform((20, 30))
        self._press(x, y)
        self._mouse("MouseButtonRelease", x, y)
        x, y = self.feed.ax.transData.transform((self.feed.val, 0.5))
        right, _ = self.feed.ax.transData.transform((0.06, 0.5))
        self._press(x, y)
        self._mouse("MouseMove", right, y)
        self._mouse("MouseButtonRelease", right, y)

    def _press(self, x: float, y: float) -> None:
        self._mouse("MouseMove", x, y)
        self._mouse("MouseButtonPress", x, y)

    def _mouse(self, kind: str, x: float, y: float) -> None:
        """x, y: matplotlib's, from the bottom left."""
        from matplotlib.backends.qt_compat import QtGui

        canvas = self.figure.canvas
        place = QtCore.QPointF(x, self.figure.bbox.height - y)
        there = canvas.mapToGlobal(place.toPoint())
        no_button = QtCore.Qt.MouseButton.NoButton
        held = LEFT if kind == "MouseButtonPress" else no_button
        event = QtGui.QMouseEvent(
            getattr(QtCore.QEvent.Type, kind),
            place,
            QtCore.QPointF(there),
            no_button if kind == "MouseMove" else LEFT,
            held,
            QtCore.Qt.KeyboardModifier.NoModifier,
        )
        QtWidgets.QApplication.sendEvent(canvas, event)

    def _look(self) -> None:
        canvas = self.figure.canvas
        corner = canvas.mapToGlobal(QtCore.QPoint(0, 0))
        seen = QtWidgets.QApplication.primaryScreen().grabWindow(0)
        seen.save(os.environ["RBR_TESTS_SCREEN_PNG"])
        emit("seen", corner.x(), corner.y(), canvas.width(), canvas.height())
