# SPDX-License-Identifier: MIT
"""Runs in QGIS's window: the tutorial's steps, each with the picture that the page shows.

make_pictures says what it needs. What a person clicks is clicked, or called as the click calls it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["RBR_HOSTS_FOLDER"])

import pyplugin_installer
import qgis.utils
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtGui import QGuiApplication
from qgis.PyQt.QtWidgets import (
    QApplication,
    QDialog,
    QDockWidget,
    QMessageBox,
    QPushButton,
    QTextEdit,
    QTreeView,
)
from qgis.utils import iface
from window_steps import Step, after, picture, settled, told, walk, wanted

PLUGIN = "ringbridge_qgis"
OWN = "peaks"


def all_steps() -> Iterator[Step]:
    yield from window()
    yield from install()
    yield from choose()
    yield from hillshade()
    yield from own_plugin()
    yield from change_it()
    yield from own_module()
    QgsProject.instance().clear()  # QGIS 3.22 crashes at its end with layers in it
    yield settled()


# ------------------------------------------------------------------------------- what a page says


def code_of_page(beginning: str) -> str:
    """The snippet of the page that begins so."""
    snippets = re.findall(r"^```python\n(.*?)^```$", Path(wanted["page"]).read_text(), re.M | re.S)
    (found,) = (each for each in snippets if each.startswith(beginning))
    return str(found)


def run(*command: str) -> None:
    ended = subprocess.run(command, cwd=Path.home(), capture_output=True, text=True, check=False)
    told.setdefault("said", []).append(ended.stdout + ended.stderr)
    assert ended.returncode == 0, ended.stderr


# ------------------------------------------------------------------------------ QGIS, and dialogs


def drawn() -> Step:
    """The map as it is, without what QGIS has to say of tasks."""
    iface.messageBar().clearWidgets()
    still = settled()
    return lambda: not iface.mapCanvas().isDrawing() and still()


def algorithm(name: str) -> Any:
    return QgsApplication.processingRegistry().algorithmById(name)


def buttons(widget: Any) -> dict[str, Any]:
    return {each.text().replace("&", ""): each for each in widget.findChildren(QPushButton)}


def open_dialog(name: str, **parameters: Any) -> Any:
    import processing

    dialog = processing.createAlgorithmDialog(name, parameters)
    dialog.show()
    return dialog


def log_of(dialog: Any) -> str:
    return "\n".join(each.toPlainText() for each in dialog.findChildren(QTextEdit))


def ended(dialog: Any) -> Step:
    return lambda: not buttons(dialog)["Cancel"].isEnabled() and dialog.results()


def show_toolbox(*providers: str) -> None:
    dock = iface.mainWindow().findChild(QDockWidget, "ProcessingToolbox")
    dock.show()
    dock.raise_()
    for tree in dock.findChildren(QTreeView):
        model = tree.model()
        for row in range(model.rowCount()):
            index = model.index(row, 0)
            if model.data(index, Qt.ItemDataRole.DisplayRole) in providers:
                tree.expandRecursively(index)
                tree.scrollTo(index, QTreeView.ScrollHint.PositionAtTop)


# --------------------------------------------------------------------------------------- the walk


def window() -> Iterator[Step]:
    iface.mainWindow().setGeometry(QGuiApplication.primaryScreen().geometry())
    for name in ("Browser", "MessageLog"):
        iface.mainWindow().findChild(QDockWidget, name).hide()
    layer = QgsRasterLayer(wanted["model"], "jacksboro")
    QgsProject.instance().addMapLayer(layer)
    QgsProject.instance().setCrs(layer.crs())
    yield drawn()


def install() -> Iterator[Step]:
    """Plugins > Manage and Install Plugins > Install from ZIP, from the file on."""
    QTimer.singleShot(0, lambda: pyplugin_installer.instance().installFromZipFile(wanted["zip"]))

    def there() -> bool:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            box.button(QMessageBox.StandardButton.Yes).click()
        return PLUGIN in qgis.utils.active_plugins

    yield there
    yield lambda: message() is not None
    told["first"] = message().text()
    yield after(6)  # the installer's own message has gone
    picture("plugin-first")


def message() -> Any:
    items = [each for each in iface.messageBar().items() if each.title() == "ringbridge"]
    return items[0] if items else None


def choose() -> Iterator[Step]:
    qgis.utils.plugins[PLUGIN].open_setup()
    found = iface.mainWindow().findChildren(QDialog, "ringbridgeSetup")
    dialog = next(each for each in found if each.isVisible())
    yield lambda: dialog.panel.found is not None
    dialog.panel.test_button.click()
    yield lambda: dialog.panel.test_button.isEnabled()
    told["test"] = dialog.panel.result
    yield settled()
    picture("plugin-setup")
    dialog.close()
    iface.messageBar().clearWidgets()
    yield lambda: algorithm("ringbridge:hillshade") is not None


def hillshade() -> Iterator[Step]:
    show_toolbox("ringbridge")
    dialog = open_dialog("ringbridge:hillshade", DEM=wanted["model"])
    yield settled()
    picture("plugin-hillshade")
    dialog.runAlgorithm()
    yield ended(dialog)
    yield drawn()
    dialog.close()
    qgis.utils.plugins[PLUGIN]._dock_action.trigger()
    yield after(3.0)  # the dock looks twice a second; QGIS tells of the task a moment later
    yield drawn()
    picture("plugin-result")


def own_plugin() -> Iterator[Step]:
    run(wanted["ringbridge"], "new-plugin", OWN)
    plugins = os.path.join(QgsApplication.qgisSettingsDirPath(), "python", "plugins")
    run("make", "-C", OWN, "link", f"PLUGINS={plugins}")
    qgis.utils.updateAvailablePlugins()
    assert qgis.utils.loadPlugin(OWN) and qgis.utils.startPlugin(OWN)
    yield lambda: algorithm("peaks:focal_mean") is not None
    show_toolbox("ringbridge", "Peaks")
    yield from run_mean("plugin-own")


def run_mean(name: str) -> Iterator[Step]:
    keep_the_model()
    dialog = open_dialog("peaks:focal_mean", RASTER=wanted["model"])
    dialog.runAlgorithm()
    yield ended(dialog)
    yield drawn()
    dialog.close()
    yield after(1.5)
    yield drawn()
    picture(name)


def keep_the_model() -> None:
    for layer in list(QgsProject.instance().mapLayers().values()):
        if layer.name() != "jacksboro":
            QgsProject.instance().removeMapLayer(layer.id())


def change_it() -> Iterator[Step]:
    """The page's edit, and the next run: nothing is reloaded by hand. Then it is taken back."""
    file = Path.home() / OWN / "compute" / "neighbours.py"
    text = file.read_text()
    after_it = code_of_page("mean[wanted] = values").strip()
    before = after_it.replace("values[wanted] - ", "")
    assert text.count(before) == 1
    file.write_text(text.replace(before, after_it))
    yield from run_mean("plugin-changed")
    file.write_text(text)


def own_module() -> Iterator[Step]:
    """A new file needs `Read the algorithms again`."""
    file = Path.home() / OWN / "compute" / "highest.py"
    file.write_text(code_of_page('"""Peaks'))
    keep_the_model()
    qgis.utils.plugins[OWN].read_again()
    yield lambda: algorithm("peaks:find_peaks") is not None
    dialog = open_dialog("peaks:find_peaks", DEM=wanted["model"])
    dialog.runAlgorithm()
    yield ended(dialog)
    told["peaks"] = log_of(dialog)
    yield drawn()
    dialog.close()
    yield after(1.5)
    yield drawn()
    picture("plugin-peaks")
    dialog = open_dialog("peaks:find_peaks", DEM=wanted["model"], RADIUS=100)
    dialog.runAlgorithm()
    yield after(1.0)  # the worker is in scipy's C code by then
    assert buttons(dialog)["Cancel"].isEnabled()
    began = time.monotonic()
    buttons(dialog)["Cancel"].click()
    yield lambda: not buttons(dialog)["Cancel"].isEnabled()
    told["cancel"] = {"seconds": time.monotonic() - began, "log": log_of(dialog)[-200:]}
    dialog.close()


walk(all_steps)
