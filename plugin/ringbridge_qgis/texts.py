# SPDX-License-Identifier: MIT
"""Texts that a user reads, to be translated."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication


def tr(text: str) -> str:
    """In the user's language, where a translation is loaded. The same context as in ringbridge."""
    translated: str = QCoreApplication.translate("ringbridge", text)
    return translated
