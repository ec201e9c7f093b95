# SPDX-License-Identifier: MIT
"""What a slot raises: PyQt ends the process for it, and PySide prints it. Here it is logged.

PyQt calls qFatal() where sys.excepthook is Python's own. While signals of ours are emitted it is
another one; one that the application has set stays.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from types import TracebackType

from ringbridge.qt.binding import QtCore


@contextlib.contextmanager
def logged() -> Iterator[None]:
    """What slots raise while signals are emitted within it goes to the logger `ringbridge.qt`."""
    if sys.excepthook is not sys.__excepthook__:
        yield
        return
    sys.excepthook = _log
    try:
        yield
    finally:
        if sys.excepthook is _log:
            sys.excepthook = sys.__excepthook__


def _log(
    _kind: type[BaseException], error: BaseException, _traceback: TracebackType | None
) -> None:
    end_or_log(error, "a slot failed")


def end_or_log(error: BaseException, what: str) -> None:
    """sys.exit() and Ctrl-C end Qt's loop, with their exit code; all else is logged."""
    if isinstance(error, SystemExit):
        QtCore.QCoreApplication.exit(error.code if isinstance(error.code, int) else 1)
    elif isinstance(error, KeyboardInterrupt):
        QtCore.QCoreApplication.exit(130)
    else:
        logging.getLogger("ringbridge.qt").error("%s", what, exc_info=error)
