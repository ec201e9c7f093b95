# SPDX-License-Identifier: MIT
"""Runs in QGIS's window, by `qgis --code`: a person at the first start, who sets the plugin up.

story "by hand": nothing is set up -> message bar -> setup dialog, with each thing that can be found
-> Test -> Use -> the options page -> the dock -> unload -> load again. Story "by itself": one
environment is there, and is taken. Takes a picture of each, writes down what is seen, judges
nothing. Always ends QGIS: an exception would not.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import qgis.utils
from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
)
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtGui import QGuiApplication
from qgis.PyQt.QtWidgets import QDialog, QPushButton, QWidget
from qgis.utils import iface

sys.path.insert(0, os.environ["RBR_HOSTS_FOLDER"])
from plugin_traces import message, options_page, traces, worker_processes
from window_steps import Step, after, picture, settled, told, walk, wanted

PLUGIN = "ringbridge_qgis"


def list_environments(*names: str) -> None:
    """What conda would have written down for every user."""
    folder = os.path.join(os.path.expanduser("~"), ".conda")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "environments.txt"), "w", encoding="utf-8") as file:
        file.writelines(f"{wanted['environments'][name]}\n" for name in names)


def plugin() -> Any:
    return qgis.utils.plugins[PLUGIN]


def buttons(widget: Any) -> dict[str, Any]:
    return {each.text(): each for each in widget.findChildren(QPushButton)}


def dialog() -> Any:
    found = iface.mainWindow().findChildren(QDialog, "ringbridgeSetup")
    return next((each for each in found if each.isVisible()), None)


def looked(panel: Any) -> Step:
    """True when the panel has looked once more."""
    seen: list[bool] = []
    panel.looked.connect(lambda: seen.append(True))
    return lambda: seen


def algorithms() -> list[str]:
    provider = QgsApplication.processingRegistry().providerById("ringbridge")
    return sorted(each.name() for each in provider.algorithms()) if provider else []


# ------------------------------------------------------------------------------------- the steps


def by_hand() -> Iterator[Step]:
    """Each yields what has to become true before it goes on."""
    yield from first_start()
    yield from setup()
    yield from options()
    yield from dock()
    yield from unload_and_load()


def by_itself() -> Iterator[Step]:
    """In another language, too."""
    yield lambda: message() is not None
    yield settled()
    told["text"], told["buttons"] = message().text(), sorted(buttons(message()))
    told["taken"] = plugin()._session.settings.environment
    told["core_loaded"] = "ringbridge._core" in sys.modules
    picture("plugin-taken")
    next(button for name, button in buttons(message()).items() if name).click()
    yield lambda: dialog() is not None and dialog().panel.found is not None
    yield settled()
    told["heading"], told["message_after"] = dialog().heading, message() is not None
    picture("plugin-setup-translated")
    dialog().panel.test_button.click()
    dialog().close()  # in the middle of the test
    plugin().open_setup()  # and once more, to be left open
    QTimer.singleShot(0, plugin().open_settings)
    yield lambda: options_page() is not None and options_page().panel.found is not None
    yield settled()
    picture("plugin-options-translated")
    panel = options_page().panel
    panel.select(wanted["environments"]["hanging"])
    yield lambda: algorithms()  # its own worker has read its modules
    others = set(worker_processes())
    panel.test_button.click()
    yield lambda: set(worker_processes()) - others
    options_page().window().reject()  # in the middle of the test
    began = time.monotonic()
    yield lambda: not set(worker_processes()) - others
    told["left_for_s"] = time.monotonic() - began
    yield settled()
    yield from unload()
    told["after_unload"] = traces()


def first_start() -> Iterator[Step]:
    told["start"] = {
        "seconds": qgis.utils.plugin_times.get(PLUGIN),
        "ringbridge_loaded": "ringbridge" in sys.modules,
        "children": worker_processes(),
    }
    yield lambda: message() is not None
    yield settled()
    told["first"] = {"text": message().text(), "dialog": dialog() is not None}
    picture("plugin-first-start")
    buttons(message())["Set up…"].click()
    yield lambda: dialog() is not None and dialog().panel.found is not None


def setup() -> Iterator[Step]:
    panel = dialog().panel
    yield settled()
    told["headings"] = [dialog().heading]
    picture("plugin-setup-nothing")
    for names in (["bare"], ["bare", "empty", "ancient", "old", "foreign"]):
        list_environments(*names)
        done = looked(panel)
        buttons(dialog())["Look again"].click()
        yield done
        panel.select(wanted["environments"][names[-1]])
        told["headings"].append(dialog().heading)
        yield settled()
        picture(f"plugin-setup-{names[-1]}")
    told["states"] = {}
    for each in panel.found:
        panel.select(each.prefix)
        told["states"][each.name] = [each.state.name, panel.command.command]
    panel.command.copy()
    told["copied"] = QGuiApplication.clipboard().text()
    yield from try_and_use(panel)


def try_and_use(panel: Any) -> Iterator[Step]:
    list_environments("good", "broken")
    done = looked(panel)
    panel.look_again()
    yield done
    told["headings"].append(dialog().heading)
    panel.select(wanted["environments"]["broken"])
    panel.test_button.click()
    yield lambda: panel.test_button.isEnabled()
    told["broken_test"] = panel.result
    yield settled()
    picture("plugin-setup-broken")
    panel.select(wanted["environments"]["good"])
    panel.test_button.click()
    told["test"] = [panel.result]
    yield lambda: panel.test_button.isEnabled()
    told["test"].append(panel.result)
    yield settled()
    picture("plugin-setup-good")
    panel.use_button.click()
    yield lambda: plugin()._session.bridge is not None
    yield settled()
    told["headings"].append(dialog().heading)
    told["taken"] = {
        "environment": plugin()._session.settings.environment,
        "messages": message() is not None,
    }
    picture("plugin-setup-used")
    dialog().close()


def options() -> Iterator[Step]:
    QTimer.singleShot(0, plugin().open_settings)  # it has an event loop of its own
    yield lambda: options_page() is not None and options_page().panel.found is not None
    page = options_page()
    page.add_folder(wanted["modules"])
    page.threads.setValue(2)
    page.arena_mib.setValue(512)
    yield settled()
    picture("plugin-options")
    page.apply()
    page.window().reject()
    yield lambda: "wait_a_moment" in algorithms()
    told["options"] = {"algorithms": algorithms(), "settings": repr(plugin()._session.settings)}
    yield lambda: message() is not None  # the module with a problem
    yield settled()
    told["options"]["message"] = message().text()


def dock() -> Iterator[Step]:
    plugin()._dock_action.trigger()
    shown = plugin()._dock
    context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
    registry = QgsApplication.processingRegistry()
    algorithm = registry.algorithmById("ringbridge:wait_a_moment").create()
    task = QgsProcessingAlgRunnerTask(algorithm, {"SECONDS": 20.0}, context, feedback)
    ended: list[bool] = []
    task.executed.connect(lambda successful, _results: ended.append(successful))
    QgsApplication.taskManager().addTask(task)
    yield lambda: [state for state in shown.states if state.state == "busy" and state.pid]
    (busy,) = [state for state in shown.states if state.state == "busy"]
    yield after(1.2)  # the dock looks twice a second
    told["dock"] = {"rows": shown.rows(), "commands": shown.commands()}
    picture("plugin-dock")
    shown.stop_button.click()
    yield lambda: ended
    told["dock"]["run_was_successful"] = ended[0]
    yield lambda: busy.pid not in worker_processes()
    yield settled()
    picture("plugin-dock-empty")


def unload_and_load() -> Iterator[Step]:
    told["before_unload"] = traces()
    yield from unload()
    told["after_unload"] = traces()
    QTimer.singleShot(0, lambda: iface.showOptionsDialog(iface.mainWindow()))
    yield lambda: QgsApplication.activeModalWidget() is not None
    yield settled()
    told["page_after_unload"] = bool(
        QgsApplication.activeModalWidget().findChildren(QWidget, "ringbridgeOptions")
    )
    QgsApplication.activeModalWidget().reject()
    qgis.utils.loadPlugin(PLUGIN)
    qgis.utils.startPlugin(PLUGIN)
    told["second_start"] = {
        "seconds": qgis.utils.plugin_times.get(PLUGIN),
        "algorithms": algorithms(),
        "children": worker_processes(),
    }
    yield settled()
    picture("plugin-second-start")
    yield from unload()
    told["after_second_unload"] = traces()


def unload() -> Iterator[Step]:
    qgis.utils.unloadPlugin(PLUGIN)
    yield lambda: not traces()["processes"] and not traces()["threads"]  # they end by themselves
    yield settled()


def story() -> Iterator[Step]:
    yield from by_itself() if wanted["story"] == "by itself" else by_hand()


walk(story)
