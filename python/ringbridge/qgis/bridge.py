# SPDX-License-Identifier: MIT
"""Bridge: all that a plugin needs between its compute modules and QGIS.

    self.bridge = Bridge("terrain_tools", "Terrain tools", environment="gis", folders=[COMPUTE])
    self.bridge.register()      # the toolbox has its algorithms; no worker is started
    ...
    self.bridge.close()         # nothing of it is left

On the main thread, all of it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

from qgis.core import Qgis, QgsApplication, QgsMessageLog, QgsTask
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QIcon

import ringbridge
from ringbridge.qgis import descriptions
from ringbridge.qgis.descriptions import Module
from ringbridge.qgis.provider import Provider
from ringbridge.qgis.runs import Runs
from ringbridge.qgis.texts import tr
from ringbridge.qgis.workers import Key, LeaseCancelled, workers

_IDLE_LOOK_MS = 10_000
_RUNS_END_S = 3.0
_REFRESH_MS = 1_500  # after the start, so that QGIS is there first


class Bridge(QObject):
    """A plugin's environment, its compute modules, and its provider in the toolbox.

    id, name      of the provider; the name is also the tab's in the Log Messages panel
    environment   a prefix, a name or an interpreter; "": none is chosen yet
    folders       with compute modules
    where         where a user chooses the environment, for messages
    threads       of numba, OpenMP and BLAS in its workers; None: their own choice
    arena_bytes   shared memory that a worker and QGIS may hold each; None: half of the machine's
    workers_max   runs side by side; others wait
    idle_s        after so many seconds without a run a worker ends

    changed       signal: the modules have been described anew
    failed(str)   signal: they could not be, and why
    """

    changed = pyqtSignal()
    failed = pyqtSignal(str)

    def __init__(
        self,
        id: str,
        name: str,
        *,
        environment: str,
        folders: Iterable[str | os.PathLike[str]],
        icon: QIcon | str | None = None,
        where: str = "Settings > Options",
        threads: int | None = None,
        arena_bytes: int | None = None,
        workers_max: int = 1,
        idle_s: float = 600.0,
    ) -> None:
        super().__init__()
        self.id = id
        self.name = name
        self.where = where
        self.icon = icon if isinstance(icon, QIcon) else QIcon(icon or "")
        self.threads = threads
        self.arena_bytes = arena_bytes
        self.workers_max = workers_max
        self.idle_s = idle_s
        self.modules: tuple[Module, ...] = ()
        self.runs = Runs()
        self._environment = os.fspath(environment)
        self._folders = [os.path.abspath(folder) for folder in folders]
        self._provider: Provider | None = None
        self._task: Any = None
        self._asked: Any = None  # what the task has been told to describe
        self._fresh = True
        self._timer = QTimer(self)
        self._timer.setInterval(_IDLE_LOOK_MS)
        self._timer.timeout.connect(lambda: workers().close_idle(self.idle_s))

    # ------------------------------------------------------------------------------------ settings

    @property
    def environment(self) -> str:
        """The prefix, name or interpreter; "" where none is chosen."""
        return self._environment

    def set_environment(self, environment: str) -> None:
        """Another one from now on; runs under way end where they began."""
        if environment != self._environment:
            self._environment = environment
            workers().retire(self.id, self.key())
            self._read_again()

    @property
    def folders(self) -> list[str]:
        """The folders with compute modules."""
        return list(self._folders)

    def set_folders(self, folders: Iterable[str | os.PathLike[str]]) -> None:
        """Others from now on."""
        wanted = [os.path.abspath(folder) for folder in folders]
        if wanted != self._folders:
            self._folders = wanted
            self._read_again()

    def key(self) -> Key:
        """What it asks of a worker."""
        return Key(self._environment, self.threads, self.arena_bytes)

    @property
    def problems(self) -> list[tuple[str, str, str]]:
        """(module, one line, traceback) of the modules that could not be described."""
        return [(each.name, each.error, each.traceback) for each in self.modules if each.error]

    # ---------------------------------------------------------------------------------- life

    def register(self) -> None:
        """Puts the provider into the toolbox. Starts no worker in QGIS's window; modules that have
        changed are described a moment later, in the background. Without a window (qgis_process)
        that is done at once. `failed` is emitted where QGIS has a provider of this id."""
        self.modules = self._cached()
        if not self._fresh and not _has_window():
            self._describe_now()
        provider = Provider(self)
        if not QgsApplication.processingRegistry().addProvider(provider):  # which deletes it
            problem = tr("{name}: another plugin's algorithms are called {id}:… already.")
            self._fail(problem.format(name=self.name, id=self.id))
            return
        self.runs = Runs()
        self._provider = provider
        self._timer.start()
        if not self._fresh:
            QTimer.singleShot(_REFRESH_MS, self._refresh_if_needed)

    def close(self) -> None:
        """Ends its runs, takes the provider away, ends the workers that no other plugin has used.
        Idempotent."""
        self._timer.stop()
        self.runs.is_over = True
        if self._task is not None:
            self._task.cancel()
        workers().leave(self.id)
        self.runs.wait(_RUNS_END_S)
        provider, self._provider = self._provider, None
        if provider is not None:
            QgsApplication.processingRegistry().removeProvider(provider)
        workers().leave(self.id)  # also what a run had begun to start meanwhile

    def log(self, text: str, level: Any = Qgis.Info) -> None:
        """A line in this plugin's tab of the Log Messages panel. From any thread."""
        QgsMessageLog.logMessage(text, self.name, level, notifyUser=False)

    # -------------------------------------------------------------------------------- descriptions

    def refresh(self) -> None:
        """Describes all modules anew, in the background; then `changed` or `failed` is emitted."""
        if self._task is not None or not self._environment:
            return
        wanted = self._asked = self._wanted()
        task = QgsTask.fromFunction(
            tr("{name}: reading modules").format(name=self.name),
            lambda task: _describe(wanted, self.id, task.isCanceled),
            on_finished=self._described,
        )
        self._task = task
        QgsApplication.taskManager().addTask(task)

    def _described(self, error: Exception | None, found: Any = None) -> None:
        self._task = None
        if self._provider is None:
            return  # closed meanwhile
        if self._asked != self._wanted():  # it is another environment's, or of other folders
            self.refresh()
            return
        if error is not None:
            if not isinstance(error, LeaseCancelled):
                self._fail(str(error))
            return
        self._keep(found)
        self._provider.refreshAlgorithms()
        self.changed.emit()

    def _describe_now(self) -> None:
        try:
            self._keep(_describe(self._wanted(), self.id, lambda: False))
        except ringbridge.RingbridgeError as error:
            self.log(str(error), Qgis.Warning)

    def _keep(self, found: Any) -> None:
        modules: list[Module] = []
        for folder, files, plain in found:
            with contextlib.suppress(OSError):  # a cache that cannot be written is none
                descriptions.write(*self._cache(), folder, plain, files)
            modules += descriptions.modules_of(folder, plain)
        self.modules = tuple(modules)
        self._fresh = True
        for name, line, details in self.problems:
            self.log(f"{name}: {line}\n{details}", Qgis.Warning)

    def _cached(self) -> tuple[Module, ...]:
        modules: list[Module] = []
        self._fresh = True
        for folder in self._folders:
            kept = descriptions.read(*self._cache(), folder) if self._environment else None
            self._fresh = self._fresh and kept is not None and kept.fresh
            modules += kept.modules if kept is not None else ()
        self._fresh = self._fresh or not self._environment
        return tuple(modules)

    def _cache(self) -> tuple[str, str, str]:
        folder = os.path.join(QgsApplication.qgisSettingsDirPath(), "ringbridge", "modules")
        return folder, self._environment, ringbridge.__version__

    def _read_again(self) -> None:
        self.modules = self._cached()
        if self._provider is not None:
            self._provider.refreshAlgorithms()
            self._refresh_if_needed()
            self.changed.emit()

    def _wanted(self) -> tuple[Key, list[str]]:
        return self.key(), list(self._folders)

    def _fail(self, problem: str) -> None:
        self.log(problem, Qgis.Warning)
        self.failed.emit(problem)

    def _refresh_if_needed(self) -> None:
        if self._provider is not None and not self._fresh:
            self.refresh()


def _describe(
    wanted: tuple[Key, list[str]], plugin: str, cancelled: Any
) -> list[tuple[str, Any, Any]]:
    """(folder, its files as they were, what its modules declare), asked of a worker. From any
    thread."""
    key, folders = wanted
    label = tr("reading modules")
    with workers().lease(key, plugin, label, 1, cancelled) as seat:
        assert seat.service is not None
        describe = seat.service.describe
        return [(folder, descriptions.stamps(folder), describe(folder)) for folder in folders]


def _has_window() -> bool:
    from qgis.utils import iface

    return iface is not None
