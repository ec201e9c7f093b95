# SPDX-License-Identifier: MIT
"""A B A B: sides that take turns, so that what disturbs one disturbs the other as well.

Knows deadlines and failures, not what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringbridge.bench.gathered import Gathered
from ringbridge.bench.runner import Deadline, Failed, Participant

_LEAST = 3  # rounds, where they take long
_PART = 3  # of its deadline that a side may use before the rounds end


@dataclass
class Side:
    """One side of a comparison: who, and what it is asked for each time."""

    who: Participant
    turn: str
    parameters: dict[str, Any]
    deadline: Deadline
    #: What comes before the first turn, and the name of what is checked again after the last one.
    prepare: tuple[str, dict[str, Any]] | None = None
    gathered: Gathered = field(default_factory=Gathered)
    #: It was prepared a while ago: an arena may have given its memory back since.
    warm_up: bool = False
    hung: bool = False
    unable: bool = False

    @property
    def failed(self) -> bool:
        return bool(self.gathered.error)

    def again(self, deadline: Deadline) -> Side:
        """The same side with nothing gathered, and prepared already."""
        side = Side(self.who, self.turn, self.parameters, deadline)
        side.gathered.error = self.gathered.error
        side.warm_up = self.prepare is not None
        return side

    def ask(self, turn: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """None when it failed: then that is noted, and it is not asked again."""
        if self.failed:
            return None
        try:
            answer: dict[str, Any] = self.who.ask(turn, self.deadline, **parameters)
            return answer
        except Failed as failure:
            self.hung, self.unable = failure.hung, failure.never
            self.gathered.error = failure.line
            return None

    def get_ready(self) -> None:
        if self.prepare is not None:
            self.gathered.add(self.ask(*self.prepare) or {})

    def get_checked(self) -> None:
        """What crossed before the turns must still cross right after them."""
        if self.prepare is not None:
            self.gathered.add(self.ask("check", {"key": self.parameters["key"]}) or {})

    def tidy(self) -> None:
        if self.prepare is not None and self.who.runner is not None:
            self.ask("forget", {})


def alternate(
    sides: Sequence[Side], rounds: int, most_s: float, tell: Callable[[str], None]
) -> None:
    """Each side in turn, so many times. A first round is not counted, where there is another.

    Ends early when all this takes long, or a side fails: of it nothing more can be learnt.
    """
    taken: list[list[dict[str, Any]]] = [[] for _ in sides]
    began = time.monotonic()
    for side in sides:
        if side.warm_up:
            side.gathered.check(side.ask(side.turn, side.parameters) or {})
    for number in range(rounds + 1):
        for side, answers in zip(sides, taken):
            tell(f"{side.who.name}, round {number} of {rounds}")
            answer = side.ask(side.turn, side.parameters)
            if answer is not None:
                answers.append(answer)
        slow = any(side.deadline.used_s * _PART > side.deadline.seconds for side in sides)
        late = time.monotonic() - began > most_s and number >= _LEAST
        if slow or late or any(side.failed for side in sides):
            break
    for side, answers in zip(sides, taken):
        if len(answers) > 1:
            side.gathered.check(answers.pop(0))
        for answer in answers:
            side.gathered.add(answer)
