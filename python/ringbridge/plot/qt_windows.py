# SPDX-License-Identifier: MIT
"""Of a QWidget: when its window is closed, what is clicked and typed in it, a picture of it.

Imports a Qt binding: only for views that have a widget. Any of the four.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringbridge.qt import binding

QtCore: Any = binding.QtCore
_BUTTONS = {"LeftButton": 1, "MiddleButton": 2, "RightButton": 3, "BackButton": 8}
_MODIFIERS = {
    "AltModifier": "alt",
    "ControlModifier": "ctrl",
    "ShiftModifier": "shift",
    "MetaModifier": "super",
}

_ALONE = ("Control", "Shift", "Alt", "AltGr", "Meta")  # no event of their own


def _event_type(name: str) -> Any:
    return binding.enum(QtCore.QEvent, "Type", name)


class CloseFilter(QtCore.QObject):
    """Tells when the window has been closed, and not when it has refused to."""

    def __init__(self, window: Any, closed: Callable[[], None]) -> None:
        super().__init__()
        self._window, self._closed = window, closed
        self._close = _event_type("Close")
        window.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if watched is self._window and event.type() == self._close:
            QtCore.QTimer.singleShot(0, self._look)  # after the widget's own closeEvent
        return False

    def _look(self) -> None:
        if not binding.is_alive(self._window) or not self._window.isVisible():
            self._closed()


class InputFilter(QtCore.QObject):
    """Tells of clicks and keys in a widget and in all that is inside of it, but for some."""

    def __init__(self, widget: Any, but: list[Any], send: Callable[..., None]) -> None:
        super().__init__()
        self._widget, self._but, self._send = widget, but, send
        self._press = {_event_type("MouseButtonPress"), _event_type("MouseButtonDblClick")}
        self._double, self._key = _event_type("MouseButtonDblClick"), _event_type("KeyPress")
        self._alone = [_of_qt("Key", f"Key_{name}") for name in _ALONE]
        self._widgets: Any = binding.module("QtWidgets")
        self._last: tuple[Any, object] = (None, None)
        binding.application().installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        kind = event.type()
        if (kind in self._press or kind == self._key) and self._is_ours(watched):
            (self._typed if kind == self._key else self._clicked)(watched, event)
        return False

    def _is_ours(self, watched: Any) -> bool:
        if not isinstance(watched, self._widgets.QWidget) or not binding.is_alive(self._widget):
            return False
        if any(watched is each for each in self._but):
            return False
        return watched is self._widget or bool(self._widget.isAncestorOf(watched))

    def _clicked(self, watched: Any, event: Any) -> None:
        there = event.position().toPoint() if hasattr(event, "position") else event.pos()
        if watched.childAt(there) is not None:
            return  # a child has not wanted it, and has told of it
        at = watched.mapTo(self._widget, there) if watched is not self._widget else there
        button = event.button()
        named = [n for name, n in _BUTTONS.items() if button == _of_qt("MouseButton", name)]
        told = {
            "x": at.x(),
            "y": at.y(),
            "button": named[0] if named else 0,
            "double": event.type() == self._double,
            "modifiers": self._modifiers(event),
        }
        self._send("click", {**told, **_in_axes(watched, there)})

    def _typed(self, watched: Any, event: Any) -> None:
        (last, same), what = self._last, (event.timestamp(), event.key())
        self._last = (watched, what)
        again = same == what and last is not watched and watched.isAncestorOf(last)
        if event.key() in self._alone or again:  # again: a child has not wanted it
            return
        name = event.text()
        if not name.isprintable() or not name:  # Ctrl and a letter is a control character
            name = binding.module("QtGui").QKeySequence(event.key()).toString().lower()
        self._send("key", {"key": name, "modifiers": self._modifiers(event)})

    def _modifiers(self, event: Any) -> list[str]:
        held = event.modifiers()
        return [
            word for name, word in _MODIFIERS.items() if held & _of_qt("KeyboardModifier", name)
        ]


def _of_qt(group: str, name: str) -> Any:
    return binding.enum(QtCore.Qt, group, name)


def _in_axes(watched: Any, at: Any) -> dict[str, Any]:
    """Which of pyqtgraph's plots is there, and where in its data; {"axes": None} for none."""
    view = watched.parent()
    if hasattr(view, "scene") and hasattr(view, "mapToScene"):
        scene_at = view.mapToScene(at)
        boxes = [each for each in view.scene().items() if hasattr(each, "mapSceneToView")]
        boxes.sort(key=lambda box: (box.scenePos().y(), box.scenePos().x()))
        for number, box in enumerate(boxes):
            if box.sceneBoundingRect().contains(scene_at):
                data = box.mapSceneToView(scene_at)
                return {"axes": number, "xdata": data.x(), "ydata": data.y()}
    return {"axes": None, "xdata": None, "ydata": None}


def grabbed(widget: Any) -> Any:
    """The widget as a QImage of 4 bytes a pixel: R, G, B, A."""
    kind = binding.enum(binding.module("QtGui").QImage, "Format", "Format_RGBA8888")
    return widget.grab().toImage().convertToFormat(kind)


def rgba(widget: Any) -> tuple[bytes, int, int]:
    """The widget's pixels, row by row, how many rows, and how many in a row."""
    image = grabbed(widget)
    bits, size = image.constBits(), 4 * image.width() * image.height()
    if hasattr(bits, "setsize"):  # PyQt's pointer knows no size
        bits.setsize(size)
    return bytes(bits), image.height(), image.width()


def encoded(widget: Any, format: str, quality: int) -> bytes:
    """The widget as the bytes of an image file; b"" where Qt cannot write that format."""
    data = QtCore.QByteArray()
    buffer = QtCore.QBuffer(data)
    buffer.open(binding.enum(QtCore.QIODevice, "OpenModeFlag", "WriteOnly"))
    done = grabbed(widget).save(buffer, format.upper(), quality)
    buffer.close()
    return bytes(data.data()) if done else b""
