# SPDX-License-Identifier: MIT
"""What a computation asks its viewers, and the answers. Each waits until a frame has been drawn.

    ("drawn", n)                        None
    ("counts", n)                       {"drawn": how many frames, "dropped": how many}
    ("picture", n, format, {options})   bytes of a file, as savefig writes it
    ("snapshot", n, {options})          uint8 array (height, width, 4)

The answer comes once a frame with number n or more has been drawn. What cannot be answered is told
with its reason; it ends nothing.
"""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from ringbridge.errors import RingbridgeError
from ringbridge.plot import pictures
from ringbridge.plot.letters import Kind, Letter, Letters, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge.plot.viewer_windows import Windows

_logger = logging.getLogger("ringbridge.plot")


class _Question(NamedTuple):
    id: int
    what: str
    number: int
    more: tuple[Any, ...]


class Questions:
    """Those that wait. Answers go into the letters."""

    def __init__(self, letters: Letters, counts: Callable[[], dict[str, int]]) -> None:
        self._letters = letters
        self._counts = counts
        self._waiting: list[_Question] = []

    def add(self, letter: Letter) -> None:
        """Raises ProtocolError for what is no question."""
        what, number, *more = told(letter.values, str, int)
        self._waiting.append(_Question(letter.number, what, number, tuple(more)))

    def answer(self, windows: Windows, drawn: int) -> None:
        """Those that ask for a frame up to this one."""
        due = [each for each in self._waiting if each.number <= drawn]
        self._waiting = [each for each in self._waiting if each.number > drawn]
        for question in due:
            try:
                self._tell(question, True, self._answer(question, windows))
            except RingbridgeError as error:
                self._tell(question, False, str(error))
            except Exception as error:
                _logger.exception("a viewer was asked for a %s", question.what)
                self._tell(question, False, f"{type(error).__name__}: {error}")

    def give_up(self, why: str) -> None:
        """No further frame will be drawn."""
        while self._waiting:
            self._tell(self._waiting.pop(0), False, why)

    def _answer(self, question: _Question, windows: Windows) -> Any:
        if question.what == "drawn":
            return None
        if question.what == "counts":
            return self._counts()
        if question.what == "snapshot":
            options = told(question.more, dict)[0] if question.more else {}
            return pictures.snapshot(windows, options)
        if question.what == "picture":
            format, options, *_ = told(question.more, str, dict)
            return pictures.picture(windows, format, options)
        raise RingbridgeError(f"this viewer knows no answer to {question.what!r}")

    def _tell(self, question: _Question, good: bool, value: Any) -> None:
        self._letters.post(Kind.ANSWER, good, value, number=question.id)


def error_text(error: BaseException) -> str:
    """With its traceback, from where the code of ours was left."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next and "/ringbridge/plot/" in _file(trace):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _file(trace: Any) -> str:
    return str(trace.tb_frame.f_code.co_filename)
