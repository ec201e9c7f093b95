# SPDX-License-Identifier: MIT
"""What a worker logs and prints while it runs for an algorithm, for that algorithm's feedback.

Records come on whatever thread reads them; a feedback object is for one thread only.
"""

from __future__ import annotations

import logging
import queue
import time
from typing import Any

_SETTLE_S = 0.1


class RunLog(logging.Handler):
    """Collects a logger's records while it is open; `flush_to` hands them to a feedback."""

    def __init__(self, logger: str) -> None:
        super().__init__()
        self._records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._logger = logging.getLogger(logger)

    def emit(self, record: logging.LogRecord) -> None:
        self._records.put(record)

    def settle(self) -> None:
        """Waits a moment for what was printed last: another thread reads the worker's pipes."""
        until = time.monotonic() + _SETTLE_S
        seen = -1
        while seen != self._records.qsize() and time.monotonic() < until:
            seen = self._records.qsize()
            time.sleep(_SETTLE_S / 4)

    def flush_to(self, feedback: Any) -> None:
        """From the algorithm's thread, as often as it likes."""
        while not self._records.empty():
            record = self._records.get()
            text = record.getMessage()
            if record.levelno >= logging.WARNING and hasattr(feedback, "pushWarning"):
                feedback.pushWarning(text)
            else:
                feedback.pushInfo(text)

    def __enter__(self) -> RunLog:
        if not self._logger.isEnabledFor(logging.INFO):
            self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_error: object) -> None:
        self._logger.removeHandler(self)
