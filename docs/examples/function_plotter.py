# SPDX-License-Identifier: MIT
"""A function plotter: a window over a worker, with progress, cancel, log and result.

    python function_plotter.py [ENVIRONMENT]

The window needs a Qt binding and ringbridge. The environment, where curves.py runs, needs numpy; by
default it is this one. An application of one binding imports its Qt as ever; only this example
takes the one that is there.
"""

from __future__ import annotations

import math
import sys
import threading
from pathlib import Path
from typing import Any

import ringbridge as rb
from ringbridge.qt import Job, ProgressWidget, binding

QtCore = binding.QtCore
QtGui: Any = binding.module("QtGui")
QtWidgets: Any = binding.module("QtWidgets")

HERE = Path(__file__).resolve().parent
COLUMNS = 900


class Plot(QtWidgets.QWidget):
    """Draws a curve's envelope."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setMinimumSize(480, 280)
        self.curve: Any = None
        self.range = (0.0, 1.0)

    def show_curve(self, curve: Any, start: float, stop: float) -> None:
        self.curve, self.range = curve, (start, stop)
        self.update()

    def columns(self) -> Any:
        return zip(self.curve["low"], self.curve["high"])

    def paintEvent(self, _event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), QtGui.QColor("white"))
        area = self.rect().adjusted(64, 12, -12, -28)
        painter.setPen(QtGui.QColor("#9aa3ad"))
        painter.drawRect(area)
        if self.curve is not None:
            self.draw(painter, area)
        painter.end()

    def draw(self, painter: Any, area: Any) -> None:
        bands = [pair for pair in self.columns() if not math.isnan(pair[0])]
        if not bands:
            return
        bottom, top = min(low for low, _ in bands), max(high for _, high in bands)
        if bottom == top:
            bottom, top = bottom - 1, top + 1
        scale = area.height() / (top - bottom)

        def height(value: float) -> float:
            return area.bottom() - (value - bottom) * scale

        def text(x: float, y: float, value: float) -> None:
            painter.drawText(QtCore.QPointF(x, y), f"{value:.4g}")

        if bottom < 0 < top:
            line = QtCore.QLineF(area.left(), height(0), area.right(), height(0))
            painter.drawLine(line)
        painter.setPen(QtGui.QColor("#1b6ca8"))
        step = area.width() / COLUMNS
        for column, (low, high) in enumerate(self.columns()):
            if not math.isnan(low):
                x = area.left() + (column + 0.5) * step
                painter.drawLine(QtCore.QLineF(x, height(low) + 0.5, x, height(high) - 0.5))
        painter.setPen(QtGui.QColor("#333333"))
        text(4, area.top() + 10, top)
        text(4, area.bottom(), bottom)
        text(area.left(), area.bottom() + 18, self.range[0])
        text(area.right() - 40, area.bottom() + 18, self.range[1])


class Window(QtWidgets.QMainWindow):
    """The worker starts in the background; Plot is possible as soon as it is there."""

    def __init__(self, environment: str) -> None:
        super().__init__()
        self.setWindowTitle("Function plotter")
        self.worker = rb.Worker(environment, paths=[HERE], wait=False, restart="on-crash")
        self.curves: Any = None
        self.job: Job | None = None
        self.make_widgets()
        # An environment takes its time to start, and a module to be imported.
        start = Job(self.worker.load, "curves", parent=self)
        start.finished.connect(self.on_ready)
        start.failed.connect(self.on_no_worker)

    def make_widgets(self) -> None:
        self.function = QtWidgets.QLineEdit("sin(1 / x) * exp(-x * x)")
        self.start, self.stop = self.number(-1.0), self.number(1.0)
        self.samples = QtWidgets.QSpinBox()
        self.samples.setRange(1, 10_000_000)
        self.samples.setValue(20_000)
        self.plot_button = QtWidgets.QPushButton("Plot")
        self.plot_button.setEnabled(False)
        self.plot_button.clicked.connect(self.on_plot)
        self.function.returnPressed.connect(self.plot_button.click)
        self.progress = ProgressWidget()
        self.progress.label.setText("The worker starts")
        self.plot = Plot()
        self.log = QtWidgets.QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(1000)
        form = QtWidgets.QFormLayout()
        form.addRow("f(x) =", self.function)
        row = QtWidgets.QHBoxLayout()
        for label, widget in (("x from", self.start), ("to", self.stop)):
            row.addWidget(QtWidgets.QLabel(label))
            row.addWidget(widget)
        row.addWidget(QtWidgets.QLabel("samples per column"))
        row.addWidget(self.samples, 1)
        row.addWidget(self.plot_button)
        form.addRow(row)
        layout = QtWidgets.QVBoxLayout()
        layout.addLayout(form)
        layout.addWidget(self.plot, 3)
        layout.addWidget(self.progress)
        layout.addWidget(self.log, 1)
        central = QtWidgets.QWidget()
        central.setLayout(layout)
        self.setCentralWidget(central)
        self.resize(760, 620)

    def number(self, value: float) -> Any:
        box = QtWidgets.QDoubleSpinBox()
        box.setRange(-1e6, 1e6)
        box.setDecimals(4)
        box.setValue(value)
        return box

    def on_ready(self, curves: Any) -> None:
        self.curves = curves
        self.progress.label.setText(f"Ready: {self.worker.environment.python}")
        self.plot_button.setEnabled(True)

    def on_no_worker(self, error: Exception) -> None:
        self.progress.label.setText("There is no worker")
        self.log.appendPlainText(str(error))

    def on_plot(self) -> None:
        start, stop = self.start.value(), self.stop.value()
        self.plot_button.setEnabled(False)
        self.job = job = Job(
            self.curves.envelope,
            *(self.function.text(), start, stop, COLUMNS, self.samples.value()),
            parent=self,
        )
        self.progress.watch(job)
        job.log.connect(self.log.appendPlainText)
        job.finished.connect(lambda curve: self.on_result(curve, start, stop))
        job.failed.connect(self.on_error)
        for end in (job.finished, job.failed, job.cancelled):
            end.connect(self.on_end)

    def on_result(self, curve: Any, start: float, stop: float) -> None:
        self.plot.show_curve(curve, start, stop)
        self.log.appendPlainText(f"integral {curve['integral']:.6g}, {curve['roots']} roots")

    def on_error(self, error: Exception) -> None:
        self.log.appendPlainText(f"{type(error).__name__}: {error}")

    def on_end(self, *_result: object) -> None:
        self.plot_button.setEnabled(True)

    def closeEvent(self, event: Any) -> None:
        """Nothing to wait for: the worker is ended in a thread, whatever it does."""
        threading.Thread(target=self.worker.close).start()
        super().closeEvent(event)


def main() -> int:
    application = QtWidgets.QApplication(sys.argv[:1])
    window = Window(sys.argv[1] if len(sys.argv) > 1 else sys.executable)
    window.show()
    return binding.run(application)


if __name__ == "__main__":
    sys.exit(main())
