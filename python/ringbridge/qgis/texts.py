# SPDX-License-Identifier: MIT
"""Texts that a user reads, to be translated."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication


def tr(text: str) -> str:
    """In the user's language, where a translation of ringbridge is loaded."""
    translated: str = QCoreApplication.translate("ringbridge", text)
    return translated
