# SPDX-License-Identifier: MIT
"""Lines in QGIS's message bar, with buttons; gone when the plugin goes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from qgis.core import Qgis
from qgis.PyQt.QtWidgets import QPushButton

_TITLE = "ringbridge"
_LENGTH_MAX = 200

Button = tuple[str, Callable[[], None]]


class Messages:
    """Those of one plugin. Main thread only."""

    def __init__(self, iface: Any) -> None:
        self._bar = iface.messageBar()
        self._shown: dict[Any, str] = {}

    def info(self, text: str, *buttons: Button) -> None:
        """Stays until it is closed."""
        self._push(text, Qgis.MessageLevel.Info, buttons)

    def warning(self, text: str, *buttons: Button) -> None:
        """Its first line; the rest belongs into the log."""
        self._push(text, Qgis.MessageLevel.Warning, buttons)

    def _push(self, text: str, level: Any, buttons: tuple[Button, ...]) -> None:
        line = text.partition("\n")[0]
        if len(line) > _LENGTH_MAX:
            line = f"{line[:_LENGTH_MAX]}…"
        for shown in [each for each, said in self._shown.items() if said == line]:
            self._pop(shown)  # once is enough
        item = self._bar.createMessage(_TITLE, line)
        for words, act in buttons:
            button = QPushButton(words)
            button.clicked.connect(lambda _clicked, act=act: self._pressed(item, act))
            item.layout().addWidget(button)
        self._bar.pushWidget(item, level, 0)
        self._shown[item] = line

    def _pressed(self, item: Any, act: Callable[[], None]) -> None:
        self._pop(item)
        act()

    def _pop(self, item: Any) -> None:
        self._shown.pop(item, None)
        with contextlib.suppress(RuntimeError):  # the user has closed it: it is deleted
            self._bar.popWidget(item)

    def close(self) -> None:
        """Takes away all that is still shown."""
        for item in list(self._shown):
            self._pop(item)
