# SPDX-License-Identifier: MIT
"""Opens the plugin's help, a page that lies beside it, in the user's browser."""

from __future__ import annotations

import os

from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QDesktopServices

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "help", "index.html")


def show_help(section: str = "") -> None:
    """`section` is an id in the page."""
    url = QUrl.fromLocalFile(PAGE)
    url.setFragment(section)
    QDesktopServices.openUrl(url)
