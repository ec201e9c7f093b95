# SPDX-License-Identifier: MIT
"""Views with windows of Qt's, for test_qt_viewers. A frame is the name of what a view is to do."""

from __future__ import annotations

import importlib
import os
from typing import Any

from ringbridge.plot import emit, frame_number

BINDING = {name.lower(): name for name in ("PyQt5", "PyQt6", "PySide2", "PySide6")}[
    os.environ["QT_API"].lower()
]
QtCore: Any = importlib.import_module(f"{BINDING}.QtCore")
QtWidgets: Any = importlib.import_module(f"{BINDING}.QtWidgets")
QtTest: Any = importlib.import_module(f"{BINDING}.QtTest").QTest
PAINT = QtCore.QEvent.Type.Paint
TICK_MS = 5


class Actor:
    """`target` is the widget that things happen to."""

    target: Any

    def draw(self, what: str, *args: Any) -> None:
        getattr(self, what)(*args)

    def click(self, x: int, y: int) -> None:
        at = QtCore.QPoint(x, y)
        shift = QtCore.Qt.KeyboardModifier.ShiftModifier
        QtTest.mouseClick(self.target, QtCore.Qt.MouseButton.LeftButton, shift, at)

    def type(self, key: str) -> None:
        QtTest.keyClick(self.target, key, QtCore.Qt.KeyboardModifier.ControlModifier)

    def close_it(self) -> None:
        self.target.window().close()

    def title(self) -> None:
        emit("title", self.target.window().windowTitle(), self.target.isVisible())

    def raise_in_a_slot(self) -> None:
        def slot() -> None:
            emit("raising")
            raise ValueError("in a slot")

        QtCore.QTimer.singleShot(0, slot)

    def turn(self) -> None:
        QtWidgets.QApplication.processEvents()
        emit("turned", frame_number())

    def quit(self) -> None:
        QtWidgets.QApplication.quit()

    def close_when_the_computation_has_ended(self) -> None:
        self.timer = QtCore.QTimer()
        self.timer.timeout.connect(self._look)
        self.timer.start(TICK_MS)

    def _look(self) -> None:
        if "ended" in self.target.window().windowTitle():
            self.timer.stop()
            self.title()
            self.target.window().close()


class Painted(QtCore.QObject):
    """Tells when a widget has been painted, once for each frame."""

    def __init__(self, widget: Any) -> None:
        super().__init__()
        self.told = -1
        widget.installEventFilter(self)

    def eventFilter(self, _widget: Any, event: Any) -> bool:
        if event.type() == PAINT and self.told != frame_number():
            self.told = frame_number()
            emit("painted", self.told)
        return False


class Figure(Actor):
    def __init__(self) -> None:
        from matplotlib import pyplot

        self.figure, (self.left, self.right) = pyplot.subplots(1, 2, figsize=(6, 4))
        self.left.set_position((0, 0, 0.5, 1))
        self.right.set_position((0.5, 0, 0.5, 1))
        self.target = self.figure.canvas
        self.painted = Painted(self.target)

    def colour(self, red: float, green: float, blue: float) -> None:
        self.left.set_facecolor((red, green, blue))
        self.left.set_axis_on()


class TwoFigures(Actor):
    def __init__(self) -> None:
        from matplotlib import pyplot

        self.first, self.second = pyplot.figure("one"), pyplot.figure("two")
        self.target = self.first.canvas

    def next_one(self) -> None:
        self.target = self.second.canvas


class Embedded(Actor):
    """Canvases of matplotlib's in a window of the view's own."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        self.figure = [Figure(figsize=(3, 2)), Figure(figsize=(4, 2))]
        canvases = [FigureCanvasQTAgg(each) for each in self.figure]
        self.target = canvases[1]
        self.widget = QtWidgets.QWidget()
        box = QtWidgets.QHBoxLayout(self.widget)
        for canvas in canvases:
            box.addWidget(canvas)
        self.figure[1].add_axes((0, 0, 1, 1))
        self.painted = Painted(self.target)

    def text(self, text: str) -> None:
        for figure in self.figure:
            figure.suptitle(text)


class Graph(Actor):
    """pyqtgraph."""

    def __init__(self) -> None:
        import pyqtgraph

        self.widget = pyqtgraph.GraphicsLayoutWidget()
        self.widget.resize(600, 300)
        self.widget.setBackground((0, 0, 0))
        plots = [self.widget.addPlot(), self.widget.addPlot()]
        for plot in plots:
            plot.setRange(xRange=(0, 10), yRange=(0, 1), padding=0)
        self.curve = plots[0].plot(pen=(255, 255, 0))
        self.target = self.widget.viewport()

    def curve_of(self, y: Any) -> None:
        self.curve.setData(y)


class Panel(Actor):
    """A widget with a slider; its first close is refused."""

    def __init__(self) -> None:
        panel = self

        class Window(QtWidgets.QWidget):
            def closeEvent(self, event: Any) -> None:
                emit("asked")
                event.setAccepted(panel.closes)
                panel.closes = True

        self.closes = False
        self.widget = Window()
        self.widget.resize(200, 100)
        self.slider = QtWidgets.QSlider(self.widget)
        self.slider.move(20, 10)
        self.slider.valueChanged.connect(lambda value: emit("slider", value))
        self.target = self.slider

    def slide(self, value: int) -> None:
        self.slider.setValue(value)
