# SPDX-License-Identifier: MIT
"""A progress widget and a progress dialog for Jobs, ready to be used."""

from __future__ import annotations

import time
import traceback
from typing import Any

from ringbridge.errors import RemoteTraceback
from ringbridge.qt.binding import QtCore, enum, module
from ringbridge.qt.jobs import Job

_Widgets: Any = module("QtWidgets")
_STEPS = 1000  # of the bar
_ESTIMATE_AFTER_S = 2.0  # what is left is guessed from when on
_TICK_MS = 1000
_CLOSE = enum(_Widgets.QDialogButtonBox, "StandardButton", "Close")
_PLAIN_TEXT = enum(QtCore.Qt, "TextFormat", "PlainText")


def _tr(text: str) -> str:
    translated: str = QtCore.QCoreApplication.translate("ringbridge", text)
    return translated


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class ProgressWidget(_Widgets.QWidget):
    """A bar with what the Job does now, how long it has taken, and a Cancel button.

    For a window's status bar or a panel. One Job after another: watch(job).
    """

    def __init__(self, job: Job | None = None, parent: Any = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._since = 0.0
        self._fraction = -1.0
        self.label = _Widgets.QLabel(self)
        self.label.setTextFormat(_PLAIN_TEXT)
        self.label.setWordWrap(True)
        self.bar = _Widgets.QProgressBar(self)
        self.bar.setRange(0, _STEPS)
        self.time = _Widgets.QLabel(self)
        self.button = _Widgets.QPushButton(_tr("Cancel"), self)
        self.button.setEnabled(False)
        self.button.clicked.connect(self.cancel)
        self._ticks = QtCore.QTimer(self)
        self._ticks.setInterval(_TICK_MS)
        self._ticks.timeout.connect(self._show_time)
        row = _Widgets.QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.button)
        layout = _Widgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label)
        layout.addLayout(row)
        layout.addWidget(self.time)
        if job is not None:
            self.watch(job)

    def watch(self, job: Job) -> None:
        """Shows this Job from now on; RuntimeError: it is over."""
        if job.is_over():
            raise RuntimeError("this Job is over: nothing can be seen of it any more")
        if self._job is not None:
            self._disconnect(self._job)
        self._job = job
        self._since = time.monotonic()
        self._fraction = -1.0
        self.bar.setRange(0, 0)
        self.label.setText(_tr("Waiting"))
        self.time.clear()
        self.button.setEnabled(True)
        self._ticks.start()
        for signal, slot in self._connections(job):
            signal.connect(slot)

    def cancel(self) -> None:
        """What its button does."""
        if self._job is not None:
            self.button.setEnabled(False)
            self.label.setText(_tr("Cancelling"))
            self._job.cancel()

    def _connections(self, job: Job) -> list[tuple[Any, Any]]:
        return [
            (job.started, self._on_started),
            (job.progress, self._on_progress),
            (job.finished, self._on_finished),
            (job.failed, self._on_failed),
            (job.cancelled, self._on_cancelled),
        ]

    def _disconnect(self, job: Job) -> None:
        for signal, slot in self._connections(job):
            signal.disconnect(slot)

    def _on_started(self) -> None:
        self._since = time.monotonic()
        if self.button.isEnabled():
            self.label.setText(_tr("Running"))

    def _on_progress(self, fraction: float, text: str) -> None:
        self._fraction = fraction
        if fraction < 0:
            self.bar.setRange(0, 0)  # which Qt shows as busy
        else:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(round(fraction * _STEPS))
        if text and self.button.isEnabled():
            self.label.setText(text)

    def _on_finished(self, _result: object) -> None:
        self._end(_tr("Finished"), full=True)

    def _on_failed(self, error: BaseException) -> None:
        self._end(_tr("Failed: {}").format(first_line(error)), full=False)

    def _on_cancelled(self) -> None:
        self._end(_tr("Cancelled"), full=False)

    def _end(self, text: str, full: bool) -> None:
        job, self._job = self._job, None
        if job is not None:
            self._disconnect(job)
        self._ticks.stop()
        self._fraction = -1.0
        self._show_time()
        stood = self.bar.value() if self.bar.maximum() else 0
        self.bar.setRange(0, _STEPS)
        self.bar.setValue(_STEPS if full else max(stood, 0))
        self.label.setText(text)
        self.button.setEnabled(False)

    def _show_time(self) -> None:
        taken = time.monotonic() - self._since
        text = _clock(taken)
        if self._fraction > 0 and taken > _ESTIMATE_AFTER_S:
            left = taken * (1 - self._fraction) / self._fraction
            text = _tr("{}, about {} left").format(text, _clock(left))
        self.time.setText(text)


class ProgressDialog(_Widgets.QDialog):
    """Shows itself when a Job takes longer, and closes at its end; an error stays to be read.

        ProgressDialog(job, "Hillshade", parent=window)

    minimum_duration  seconds until it is seen
    modal             whether the parent's window takes no input meanwhile

    Its Cancel button, Escape and closing it cancel the Job. RuntimeError: that is over. Keep it, or
    give it a parent.
    """

    def __init__(
        self,
        job: Job,
        title: str = "",
        parent: Any = None,
        *,
        minimum_duration: float = 0.5,
        modal: bool = True,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title or _tr("Working"))
        if modal:
            self.setWindowModality(enum(QtCore.Qt, "WindowModality", "WindowModal"))
        self.setMinimumWidth(420)
        self._is_over = self._is_closed = False
        self.progress = ProgressWidget(job, self)
        self.details = _Widgets.QPlainTextEdit(self)
        self.details.setReadOnly(True)
        self.details.hide()
        self.buttons = _Widgets.QDialogButtonBox(_CLOSE, self)
        self.buttons.rejected.connect(self.reject)
        self.buttons.hide()
        layout = _Widgets.QVBoxLayout(self)
        for each in (self.progress, self.details, self.buttons):
            layout.addWidget(each)
        self._delay = QtCore.QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.timeout.connect(self.show)
        self._delay.start(round(minimum_duration * 1000))
        job.finished.connect(self._on_end)
        job.cancelled.connect(self._on_end)
        job.failed.connect(self._on_failed)

    def reject(self) -> None:
        """Escape: cancels the Job; closes where that is over."""
        if self._is_over:
            super().reject()
        else:
            self.progress.cancel()

    def closeEvent(self, event: Any) -> None:
        """Qt's. It closes: who would not lets no application quit."""
        if not self._is_over:
            self._is_closed = True
            self._delay.stop()
            self.progress.cancel()
        event.accept()

    def _on_end(self, *_result: object) -> None:
        self._is_over = True
        self._delay.stop()
        self.accept()

    def _on_failed(self, error: BaseException) -> None:
        self._is_over = True
        self._delay.stop()
        self.details.setPlainText(_told(error))
        self.details.show()
        self.progress.button.hide()
        self.buttons.show()
        if not self._is_closed:
            self.show()


def _told(error: BaseException) -> str:
    """All of an exception: what was raised over there with the traceback from there."""
    if isinstance(error.__cause__, RemoteTraceback):
        return str(error.__cause__).strip()
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def first_line(error: BaseException) -> str:
    """What a person reads first of an exception."""
    text = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return f"{name}: {text}" if text else name
