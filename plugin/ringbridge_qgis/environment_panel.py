# SPDX-License-Identifier: MIT
"""The environments that were found, what is in each, and whether a worker starts there.

The same widget in Settings > Options and in the setup dialog. It changes no setting: it says which
environment was chosen.

    looking --> a list --"Use it"--> chosen        (nothing found: how to make one)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from qgis.core import Qgis, QgsMessageLog
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QStyle,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from . import ringbridge_loader as loader
from . import verdicts
from .background import START_TIMEOUT_S, Background, Trial, Tried, survey
from .environments import Environment, State
from .guide import CommandRow, Guide
from .texts import tr

_ERROR_LINES_MAX = 8  # all of them are in the log
_LIST_HEIGHT_MIN = 110


class EnvironmentPanel(QWidget):
    """`chosen` is the prefix in use; `found` what was seen last, None as long as it looks."""

    looked = pyqtSignal()  # `found` is new
    use_asked = pyqtSignal(object)  # an Environment
    selected = pyqtSignal()

    def __init__(self, chosen: str, sources: Sequence[str], parent: QWidget | None = None) -> None:
        """`sources`: prefixes whose ringbridge a test may load, besides those that are found."""
        super().__init__(parent)
        self.chosen = chosen
        self.found: list[Environment] | None = None
        self._sources = list(filter(None, sources))
        self._added: list[str] = []
        self._look: Background | None = None
        self._trial: Background | None = None
        self._build()
        self.look_again()

    def close_work(self) -> None:
        """Ends what runs in the background; for the end of the window. Idempotent."""
        for work in (self._look, self._trial):
            if work is not None:
                work.close()

    # ------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        self._list = self._make_list()
        self._title = _label(selectable=True)
        self._packages = _label(selectable=True)
        self._sentence = _label()
        self.command = CommandRow()
        self._result = _label(selectable=True)
        self._result.hide()
        self._buttons()
        details = QWidget()
        lines = QVBoxLayout(details)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(self._list, 1)
        for each in (self._title, self._packages, self._sentence, self.command):
            lines.addWidget(each)
        self._looking = _label()
        self._looking.setText(tr("Looking for environments…"))
        self._pages = QStackedWidget()
        for page in (self._looking, Guide(), details):
            self._pages.addWidget(page)
        row = QHBoxLayout()
        for button in (self._browse, self._again):
            row.addWidget(button)
        row.addStretch(1)
        for button in (self.test_button, self.use_button):
            row.addWidget(button)
        all_of_it = QVBoxLayout(self)
        all_of_it.setContentsMargins(0, 0, 0, 0)
        all_of_it.addWidget(self._pages, 1)
        all_of_it.addLayout(row)
        all_of_it.addWidget(self._result)

    def _make_list(self) -> QTreeWidget:
        made = QTreeWidget()
        made.setRootIsDecorated(False)
        made.setMinimumHeight(_LIST_HEIGHT_MIN)
        # The height that it would like to have is more than the options page has.
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        made.setHeaderLabels(
            [
                tr("Environment"),
                tr("Kind"),
                tr("Python"),
                "ringbridge",
                tr("State"),
            ]
        )
        header = made.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        made.currentItemChanged.connect(self._show_current)
        return made

    def _buttons(self) -> None:
        self._browse = QPushButton(tr("Browse…"))
        self._browse.setToolTip(tr("Show the folder of an environment"))
        self._browse.clicked.connect(self._ask_for_folder)
        self._again = QPushButton(tr("Look again"))
        self._again.clicked.connect(self.look_again)
        self.test_button = QPushButton(tr("Test"))
        self.test_button.setToolTip(tr("Starts a worker in this environment and asks what it has"))
        self.test_button.clicked.connect(self.test)
        self.use_button = QPushButton(tr("Use it"))
        self.use_button.clicked.connect(self._use)

    # ------------------------------------------------------------------------------------ looking

    def look_again(self, *_clicked: Any) -> None:
        """In the background; `looked` comes when there is something new to see."""
        if self._look is not None and self._look.running:
            return
        self._again.setEnabled(False)
        if not self.found:
            self._pages.setCurrentIndex(0)
        places = [self.chosen, *self._added, *self._sources]
        self._look = Background(lambda: survey(places), self)
        self._look.done.connect(self._show)
        self._look.failed.connect(lambda error: self._show([]))
        self._enable()

    def add(self, prefix: str) -> None:
        """Looks at this folder too, and selects it."""
        self._added.insert(0, loader.prefix_of(prefix))
        self.look_again()

    def _ask_for_folder(self, *_clicked: Any) -> None:
        title = tr("The folder of a Python environment")
        folder = QFileDialog.getExistingDirectory(self, title, os.path.expanduser("~"))
        if folder:
            self.add(folder)

    def _show(self, found: list[Environment]) -> None:
        wanted = [*self._added[:1], self._prefix_of_current(), self.chosen]
        # What is of no use is listed only where somebody has named it.
        named = {self.chosen, *self._added}
        self.found = [
            each for each in found if each.state is not State.NOTHING or each.prefix in named
        ]
        self._again.setEnabled(True)
        self._list.clear()
        for each in self.found:
            self._list.addTopLevelItem(self._item(each))
        self._pages.setCurrentIndex(2 if self.found else 1)
        index = next((self._index(prefix) for prefix in wanted if self._index(prefix) >= 0), -1)
        if index < 0:
            index = next((i for i, each in enumerate(self.found) if each.usable), 0)
        self._list.setCurrentItem(self._list.topLevelItem(index))
        self._show_current()
        self.looked.emit()

    def _item(self, environment: Environment) -> QTreeWidgetItem:
        in_use = bool(self.chosen) and environment.prefix == self.chosen
        state = verdicts.word(environment)
        if in_use:
            state = tr("{state}, in use").format(state=state)
        own = environment.packages.get("ringbridge", "-")
        version = environment.version or "-"
        item = QTreeWidgetItem([environment.name, environment.kind, version, own, state])
        item.setToolTip(0, environment.prefix)
        shown = "SP_DialogApplyButton" if environment.usable else "SP_MessageBoxWarning"
        item.setIcon(0, self.style().standardIcon(getattr(QStyle.StandardPixmap, shown)))
        font = item.font(0)
        font.setBold(in_use)
        for column in range(self._list.columnCount()):
            item.setFont(column, font)
        return item

    # ----------------------------------------------------------------------------------- selection

    @property
    def current(self) -> Environment | None:
        """The one that is selected in the list."""
        index = self._list.indexOfTopLevelItem(self._list.currentItem())
        return self.found[index] if self.found and 0 <= index < len(self.found) else None

    def select(self, prefix: str) -> None:
        """Does nothing where it is not listed."""
        if self._index(prefix) >= 0:
            self._list.setCurrentItem(self._list.topLevelItem(self._index(prefix)))

    def set_chosen(self, prefix: str) -> None:
        """Marks the one in use."""
        self.chosen = prefix
        self._show(self.found or [])

    def _index(self, prefix: str) -> int:
        listed = [each.prefix for each in self.found or []]
        return listed.index(prefix) if prefix in listed else -1

    def _prefix_of_current(self) -> str:
        item = self._list.currentItem()
        return str(item.toolTip(0)) if item is not None else ""

    def _show_current(self, *_items: Any) -> None:
        environment = self.current
        self._say("")
        self._enable()
        if environment is None:
            return
        self._title.setText(environment.prefix)
        has = tr("Has {packages}").format(packages=verdicts.packages(environment))
        self._packages.setText(has)
        self._packages.setVisible(bool(environment.python))
        self._sentence.setText(verdicts.sentence(environment))
        self.command.set_command(environment.command)
        self.command.setVisible(bool(environment.command))
        self.selected.emit()

    def _enable(self) -> None:
        usable = self.current is not None and self.current.usable
        testing = self._trial is not None and self._trial.running
        self.test_button.setEnabled(usable and not testing)
        self.use_button.setEnabled(usable)

    def _use(self, *_clicked: Any) -> None:
        if self.current is not None:
            self.use_asked.emit(self.current)

    # ---------------------------------------------------------------------------------------- test

    def test(self, *_clicked: Any) -> None:
        """Starts a worker in the selected environment, and shows what it says."""
        environment = self.current
        if environment is None or (self._trial is not None and self._trial.running):
            return
        own = [each.prefix for each in self.found or [] if each.has_own]
        trial = Trial(environment.prefix, [*self._sources, *own])
        self._trial = Background(trial.run, self, trial.stop)
        self._trial.done.connect(self._show_tried)
        self._trial.failed.connect(self._show_failure)
        self.destroyed.connect(trial.stop)
        words = tr("Starting a worker… ({seconds} seconds at most)")
        self._say(words.format(seconds=int(START_TIMEOUT_S)))
        self._enable()

    @property
    def result(self) -> str:
        """What the last test has said; "" where there was none of this environment."""
        return str(self._result.text())

    def _say(self, words: str) -> None:
        self._result.setText(words)
        self._result.setVisible(bool(words))

    def _show_tried(self, tried: Tried) -> None:
        self._enable()
        numpy = f"numpy {tried.numpy}" if tried.numpy_ok else tried.numpy
        words = tr(
            "It works: Python {python}, {numpy}. The worker was ready after {start} s; a call "
            "takes {call} µs.",
        )
        self._say(
            words.format(
                python=tried.python,
                numpy=numpy,
                start=f"{tried.start_s:.1f}",
                call=f"{tried.call_us:.1f}",
            )
        )

    def _show_failure(self, error: Exception) -> None:
        self._enable()
        text = str(error) or type(error).__name__
        QgsMessageLog.logMessage(text, "ringbridge", Qgis.MessageLevel.Warning)
        lines = text.splitlines()
        if len(lines) > _ERROR_LINES_MAX:
            more = tr("… more in the log messages, under “ringbridge”")
            lines = [*lines[:_ERROR_LINES_MAX], more]
        words = tr("It does not work:")
        self._say("\n".join([words, *lines]))


def _label(selectable: bool = False) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    if selectable:
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
