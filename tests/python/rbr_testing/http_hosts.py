# SPDX-License-Identifier: MIT
"""Applications that serve over HTTP, each a process of its own: `python -m rbr_testing.http_hosts
script|qt`. Prints where, and ends when it is told to."""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any

import ringbridge.host
from rbr_testing.http_served import TOKEN

BINDINGS = ("PyQt5", "PyQt6", "PySide6", "PySide2")


def on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def title(text: str) -> str:
    """The window's, from now on."""
    window = _windows[0]
    window.setWindowTitle(text)
    return str(window.windowTitle())


def ask_in_a_dialog() -> int:
    """Opens a modal dialog, which stays until somebody calls `answer`."""
    dialog = _qt("QtWidgets").QDialog(_windows[0])
    _windows.append(dialog)
    try:
        return int(dialog.exec() if hasattr(dialog, "exec") else dialog.exec_())
    finally:
        _windows.remove(dialog)


def answer(code: int) -> None:
    _windows[-1].done(code)


_windows: list[Any] = []


def _qt(module: str) -> Any:
    for name in BINDINGS:
        try:
            return importlib.import_module(f"{name}.{module}")
        except ImportError:
            continue
    sys.exit("no Qt here")


def _served() -> ringbridge.host.Server:
    functions = [on_main_thread, title, ask_in_a_dialog, answer]
    server = ringbridge.host.serve("tested", functions, http={"token": TOKEN})
    print(server.gateway.port, flush=True)
    return server


def _script() -> None:
    _served().run()


def _in_qt() -> None:
    application = _qt("QtWidgets").QApplication([])
    _windows.append(_qt("QtWidgets").QWidget())
    _windows[0].show()
    server = _served()
    timer = _qt("QtCore").QTimer()
    timer.timeout.connect(lambda: application.quit() if server.closed else None)
    timer.start(10)
    application.exec() if hasattr(application, "exec") else application.exec_()


if __name__ == "__main__":
    {"script": _script, "qt": _in_qt}[sys.argv[1]]()
