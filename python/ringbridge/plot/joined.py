# SPDX-License-Identifier: MIT
"""One viewer that has joined a plot, as its computation has it: its letters, and what it was asked.

On the audience's thread; other threads may look at `letters.waiting_bytes`, `label` and `pid`.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringbridge.errors import CannotCross
from ringbridge.plot.asking import Question, ViewerError
from ringbridge.plot.letters import Kind, Letter, Letters, told

if TYPE_CHECKING:
    from collections.abc import Iterator

CUT_OFF = "its connection has ended"
_REASON_MAX = 16 << 10
_NAP_S = 0.002


@dataclass(eq=False)
class Viewer:
    """own: the one that the computation has launched. ticket: of its place among the readers."""

    letters: Letters
    label: str
    pid: int
    own: bool
    ticket: int | None = None
    writing: bool = False  # the selector waits until it can be written to
    why_gone: str = ""
    _asked: dict[int, Question] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __str__(self) -> str:
        return f"{self.label} (pid {self.pid})"

    def ask(self, question: Question) -> None:
        """Sends it; it is settled by the answer, or when this viewer has gone."""
        for given_up in [key for key, each in self._asked.items() if each.given_up]:
            del self._asked[given_up]
        number = next(self._numbers)
        try:
            self.letters.post(Kind.ASK, *question.values, number=number)
        except CannotCross as error:
            question.fail(error)
        else:
            self._asked[number] = question

    def hear_answer(self, letter: Letter) -> None:
        """Raises ProtocolError for what is none."""
        good, value = (*told(letter.values, bool), None)[:2]
        question = self._asked.pop(letter.number, None)
        if question is not None and good:
            question.settle(value)
        elif question is not None:
            question.fail(ViewerError(f"the {self} could not: {value}"))

    def hear_farewell(self, letter: Letter) -> None:
        """The same."""
        self.why_gone = str(told(letter.values, str)[0])[:_REASON_MAX]

    def close(self) -> None:
        """It has gone: what it was asked is not answered any more."""
        self.letters.close()
        asked, self._asked = self._asked, {}
        for question in asked.values():
            why = self.why_gone or CUT_OFF
            question.fail(ViewerError(f"the {self} has gone: {why}"))


def send_rest(viewers: list[Viewer], own_s: float, others_s: float) -> None:
    """Sends what is on its way to them: so long to the launched one, and so long to others."""
    begun = time.monotonic()
    left = [each for each in viewers if each.letters.flush()]
    while left:
        time.sleep(_NAP_S)
        waited_s = time.monotonic() - begun
        left = [each for each in left if waited_s < (own_s if each.own else others_s)]
        left = [each for each in left if each.letters.flush()]
