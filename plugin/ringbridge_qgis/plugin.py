# SPDX-License-Identifier: MIT
"""What QGIS calls: the plugin's start and end, its menu, and what happens at the first start.

Starting takes some milliseconds and never fails. What takes longer (looking for environments) comes
after it, in the background; windows are imported when they are opened.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QLocale, Qt, QTimer, QTranslator
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QMenu

from . import environments, settings
from .environments import Environment
from .messages import Messages
from .session import HERE, ICON, NAME, Session
from .texts import tr

_FIRST_LOOK_MS = 500  # after the start


class Plugin:
    """In qgis_process `iface` is None, and only initProcessing() and unload() are called."""

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self._translator = QTranslator()
        self._session = Session()
        self._menu: Any = None
        self._dock_action: Any = None
        self._messages: Any = None
        self._factory: Any = None
        self._dialog: Any = None
        self._dock: Any = None
        self._look: Any = None
        self._timer: Any = None
        self._told_problems: list[tuple[str, str, str]] = []

    # ----------------------------------------------------------------------------- start and end

    def initProcessing(self) -> None:
        """The algorithms, and nothing else: all that qgis_process asks for."""
        if self._translator.load(QLocale(QgsApplication.locale()), "ringbridge_qgis", "_", _I18N):
            QgsApplication.installTranslator(self._translator)
        self._session.start()

    def initGui(self) -> None:
        """The same in QGIS's window, with all that is seen of it."""
        self.initProcessing()
        self._messages = Messages(self._iface)
        self._session.changed.connect(self._on_changed)
        self._session.failed.connect(self._tell_failure)
        self._add_actions()
        self._add_options()
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._after_start)
        self._timer.start(_FIRST_LOOK_MS)

    def unload(self) -> None:
        """Leaves nothing: no dock, menu, button, page, timer, thread or process."""
        if self._iface is not None:
            self._unload_gui()
        self._session.close()
        self._session.deleteLater()
        QgsApplication.removeTranslator(self._translator)

    def _unload_gui(self) -> None:
        self._timer.stop()
        if self._look is not None:
            self._look.close()
        if self._dialog is not None:
            self._dialog.close()
            self._dialog.deleteLater()
        self._close_dock()
        self._messages.close()
        self._iface.removeToolBarIcon(self._dock_action)
        self._iface.pluginMenu().removeAction(self._menu.menuAction())
        self._menu.deleteLater()  # with its actions
        self._iface.unregisterOptionsWidgetFactory(self._factory)
        self._menu = self._factory = self._dialog = self._look = None

    # -------------------------------------------------------------------------------------- menu

    def _add_actions(self) -> None:
        # Our own, since iface.removePluginMenu() leaves an empty one behind.
        self._menu = QMenu(NAME, self._iface.mainWindow())
        self._menu.setIcon(QIcon(ICON))
        self._iface.pluginMenu().addMenu(self._menu)
        self._dock_action = self._add_action(tr("Workers"), self._toggle_dock)
        self._dock_action.setIcon(QIcon(ICON))
        self._dock_action.setCheckable(True)
        self._dock_action.setToolTip(tr("ringbridge: workers, and what they do"))
        self._iface.addToolBarIcon(self._dock_action)
        self._add_action(tr("Serve other programs…"), self.open_serving)
        self._add_action(tr("Set up…"), self.open_setup)
        self._add_action(tr("Settings…"), self.open_settings)
        self._add_action(tr("Reload modules"), self.reload_modules)
        self._add_action(tr("Help"), self._show_help)

    def _add_action(self, words: str, act: Callable[[], None]) -> Any:
        action = self._menu.addAction(words)
        action.triggered.connect(lambda _checked=False: act())
        return action

    def _add_options(self) -> None:
        from .options_page import OptionsFactory

        self._factory = OptionsFactory(QIcon(ICON), lambda: self._session.settings, self._apply)
        self._iface.registerOptionsWidgetFactory(self._factory)

    def open_settings(self) -> None:
        """Settings > Options, at our page."""
        from .options_page import PAGE_NAME

        self._iface.showOptionsDialog(self._iface.mainWindow(), PAGE_NAME)

    def open_setup(self) -> None:
        """The dialog that leads to an environment; non-modal, one at a time."""
        from .setup_dialog import SetupDialog

        if self._dialog is not None:
            self._dialog.close()
            self._dialog.deleteLater()
        self._dialog = SetupDialog(self._session.settings, self._iface.mainWindow())
        self._dialog.taken.connect(self._take)
        self._dialog.show()

    def reload_modules(self) -> None:
        """Reads what the modules declare once more, in the background."""
        if self._session.bridge is None:
            self._tell_state()
        else:
            self._session.bridge.refresh()

    def _show_help(self) -> None:
        from .help_page import show_help

        show_help()

    # --------------------------------------------------------------------------------- first start

    def _after_start(self) -> None:
        if self._session.problem:
            self._tell_state()
        elif not self._session.settings.environment:
            from .background import Background, survey

            self._look = Background(lambda: survey([]))
            self._look.done.connect(self._first_found)

    def _first_found(self, found: list[Environment]) -> None:
        if self._session.settings.environment:
            return  # chosen meanwhile
        only = environments.the_one(found)
        if only is not None:
            self._take(only, found)
            if not self._session.problem:
                words = tr("Algorithms will run in the environment “{name}”.")
                button = (tr("Change…"), self.open_setup)
                self._messages.info(words.format(name=only.name), button)
        elif self._session.settings.ask:
            self._tell_state()

    def _take(self, taken: Environment, found: list[Environment] | None = None) -> None:
        if found is None:
            found = (self._dialog.panel.found if self._dialog is not None else None) or []
        places = [taken.prefix, *(each.prefix for each in found)]
        self._apply(
            dataclasses.replace(
                self._session.settings,
                environment=taken.prefix,
                source=environments.source_for(places),
            )
        )

    def _apply(self, wanted: settings.Settings) -> None:
        had_dock = self._dock is not None and self._dock.isVisible()
        before = self._session.bridge
        self._session.apply(wanted)
        if self._session.bridge is not before:
            self._close_dock()
            if had_dock and self._session.bridge is not None:
                self._open_dock()
        if self._session.problem:
            self._tell_state()
        else:
            self._messages.close()  # what they ask for is done

    # ------------------------------------------------------------------------------------ messages

    def _tell_state(self) -> None:
        """Why there are no algorithms, with a way out."""
        set_up = (tr("Set up…"), self.open_setup)
        if self._session.problem:
            self._messages.warning(self._session.problem, set_up)
        else:
            words = tr("Its algorithms need a Python environment to run in.")
            self._messages.info(words, set_up, (tr("Do not ask again"), self._ask_no_more))

    def _ask_no_more(self) -> None:
        self._session.settings = dataclasses.replace(self._session.settings, ask=False)
        settings.write(self._session.settings)

    def _tell_failure(self, problem: str) -> None:
        self._messages.warning(problem, (tr("Set up…"), self.open_setup))

    def _on_changed(self) -> None:
        bridge = self._session.bridge
        problems = [] if bridge is None else bridge.problems
        if problems and problems != self._told_problems:
            words = "{}: {}".format(*problems[0])
            if len(problems) > 1:
                names = ", ".join(name for name, _, _ in problems)
                words = tr("Modules that cannot be used: {names}").format(names=names)
            self._messages.warning(words, (tr("Details"), self._open_dock))
        self._told_problems = problems

    # ---------------------------------------------------------------------------------------- dock

    def _toggle_dock(self) -> None:
        if self._dock is not None and self._dock.isVisible():
            self._dock.close()
        else:
            self._open_dock()

    def _open_dock(self) -> None:
        if self._session.bridge is None:
            self._dock_action.setChecked(False)
            self.open_setup()
            return
        if self._dock is None:
            from ringbridge.qgis import Dock

            window = self._iface.mainWindow()
            self._dock = Dock(self._session.bridge, window, self._session.serving)
            self._dock.visibilityChanged.connect(self._dock_action.setChecked)
            if not window.restoreDockWidget(self._dock):
                self._iface.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self._dock)
        self._dock.show()
        self._dock.raise_()

    def open_serving(self) -> None:
        """The dock, where the switch is that lets other programs call into this QGIS."""
        self._open_dock()
        if self._dock is not None:
            self._dock.show_serving()

    def _close_dock(self) -> None:
        if self._dock is not None:
            self._dock.visibilityChanged.disconnect(self._dock_action.setChecked)
            self._iface.removeDockWidget(self._dock)
            self._dock.close()
            self._dock.deleteLater()
            self._dock = None
            self._dock_action.setChecked(False)


_I18N = f"{HERE}/i18n"
