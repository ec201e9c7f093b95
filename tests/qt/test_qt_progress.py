# SPDX-License-Identifier: MIT
"""The progress widget and the dialog: what a person sees and can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import QtCore, Told

from ringbridge.qt import Job, ProgressDialog, ProgressWidget, binding

QTest: Any = binding.module("QtTest").QTest
LEFT = QtCore.Qt.MouseButton.LeftButton
ESCAPE = QtCore.Qt.Key.Key_Escape


def test_a_widget_shows_one_job_after_another(work: Any, spin: Callable[..., None]) -> None:
    widget = ProgressWidget()
    for _ in range(2):
        job = Job(work.steps, 30, 0.01)
        widget.watch(job)
        assert widget.label.text() == "Waiting"
        assert (widget.bar.minimum(), widget.bar.maximum()) == (0, 0)  # busy
        spin(lambda: widget.label.text().startswith("step"))
        assert widget.bar.maximum() > 0
        spin(job.is_over)
        assert widget.label.text() == "Finished"
        assert widget.bar.value() == widget.bar.maximum()
        assert not widget.button.isEnabled()


def test_its_button_cancels(work: Any, spin: Callable[..., None]) -> None:
    job = Job(work.steps, 100_000, 0.01)
    seen = Told(job)
    widget = ProgressWidget(job)
    spin(lambda: seen.all("progress"))
    QTest.mouseClick(widget.button, LEFT)
    assert widget.label.text() == "Cancelling"
    spin(lambda: seen.end)
    assert seen.end == ("cancelled",)
    assert widget.label.text() == "Cancelled"
    assert widget.bar.value() < widget.bar.maximum()


def test_a_widget_that_is_deleted_does_not_end_its_job(
    work: Any, spin: Callable[..., None]
) -> None:
    job = Job(work.steps, 20, 0.01)
    seen = Told(job)
    widget = ProgressWidget(job)
    widget.deleteLater()
    spin(lambda: seen.end)
    assert not binding.is_alive(widget)
    assert seen.end == ("finished", 20)


def test_what_is_over_cannot_be_watched(work: Any, told: Callable[[Any], Told]) -> None:
    job = Job(work.add, 1)
    told(job)
    with pytest.raises(RuntimeError, match="over"):
        ProgressWidget(job)


def test_a_dialog_comes_late_and_goes_with_its_job(work: Any, spin: Callable[..., None]) -> None:
    job = Job(work.steps, 60, 0.01)
    dialog = ProgressDialog(job, "Steps", minimum_duration=0.05)
    assert not dialog.isVisible()
    spin(dialog.isVisible)
    assert dialog.windowTitle() == "Steps"
    spin(job.is_over)
    assert not dialog.isVisible()


def test_a_dialog_of_a_quick_job_is_never_seen(work: Any, spin: Callable[..., None]) -> None:
    shown = []

    class Dialog(ProgressDialog):
        def showEvent(self, event: Any) -> None:
            shown.append(event)
            super().showEvent(event)

    job = Job(work.add, 1)
    dialog = Dialog(job, minimum_duration=3600)
    spin(job.is_over)
    assert not shown
    assert not dialog.isVisible()


@pytest.mark.parametrize("how", ["escape", "button"])
def test_cancelling_in_a_dialog_waits_for_the_end(
    work: Any, spin: Callable[..., None], how: str
) -> None:
    job = Job(work.steps, 100_000, 0.01)
    seen = Told(job)
    dialog = ProgressDialog(job, minimum_duration=0)
    spin(lambda: dialog.isVisible() and seen.all("progress"))
    if how == "escape":
        QTest.keyClick(dialog, ESCAPE)
    else:
        QTest.mouseClick(dialog.progress.button, LEFT)
    assert dialog.isVisible()
    assert dialog.progress.label.text() == "Cancelling"
    spin(lambda: seen.end)
    assert seen.end == ("cancelled",)
    assert not dialog.isVisible()


def test_closing_a_dialog_cancels_and_lets_the_application_quit(
    work: Any, spin: Callable[..., None], app: Any
) -> None:
    # It used to stay until the end, and Qt 6 asks each window before it quits.
    job = Job(work.steps, 100_000, 0.01)
    seen = Told(job)
    dialog = ProgressDialog(job, minimum_duration=0, modal=False)
    spin(lambda: dialog.isVisible() and seen.all("progress"))
    QtCore.QTimer.singleShot(0, app.quit)
    binding.run(app)  # ends
    dialog.close()  # Qt 5 quits without
    spin(lambda: seen.end)

    job = Job(work.steps, 100_000, 0.01)
    seen = Told(job)
    dialog = ProgressDialog(job, minimum_duration=0)
    spin(lambda: dialog.isVisible() and seen.all("progress"))
    dialog.close()
    assert not dialog.isVisible()
    spin(lambda: seen.end)
    assert seen.end == ("cancelled",)


def test_an_error_stays_to_be_read(work: Any, spin: Callable[..., None]) -> None:
    job = Job(work.raises, "no such band\nand more")
    dialog = ProgressDialog(job, minimum_duration=3600)
    spin(dialog.isVisible)
    assert dialog.progress.label.text() == "Failed: ValueError: no such band"
    assert "in raises" in dialog.details.toPlainText()  # the remote traceback
    QTest.keyClick(dialog, ESCAPE)
    assert not dialog.isVisible()
