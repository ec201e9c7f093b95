# SPDX-License-Identifier: MIT
"""Session: one run, who takes part in it, and what has been found so far. Knows no single test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringbridge.bench import catalogue
from ringbridge.bench.contest import Side, alternate
from ringbridge.bench.gathered import Budget, Gathered, Row
from ringbridge.bench.runner import Deadline, Failed, Participant, Rig

MakeRow = Callable[[Participant, Gathered], Row]


@dataclass(frozen=True)
class Options:
    """What the command line said."""

    env: str
    tests: Sequence[str]
    peers: Sequence[catalogue.Spec]
    sizes: Sequence[int]
    rounds: int
    deadline_s: float
    seed: int
    quick: bool = False

    @property
    def pair_s(self) -> float:
        """How long a pair may take turns in one test."""
        return 1.0 if self.quick else 4.0


@dataclass(frozen=True)
class Block:
    """What one test said of all, for people."""

    title: str
    rows: Sequence[Row]
    remark: str = ""
    #: The slowest one is a figure to be read, too.
    worst: bool = False


@dataclass
class Session:
    """show: takes each block as soon as it is there; tell: what is being done at the moment."""

    options: Options
    rig: Rig
    show: Callable[[Block], None] = lambda block: None
    tell: Callable[[str], None] = lambda text: None
    rows: list[Row] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    #: Versions over there; numpy is empty where it has none.
    worker: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ours = Participant(catalogue.OURS, self.rig)
        self.peers = [Participant(spec, self.rig) for spec in self.options.peers]
        self._references: dict[str, Participant] = {}
        self._given_up: dict[tuple[str, str], str] = {}

    def reference(self, spec: catalogue.Spec) -> Participant:
        if spec.key not in self._references:
            self._references[spec.key] = Participant(spec, self.rig)
        return self._references[spec.key]

    def everyone(self) -> list[Participant]:
        return [self.ours, *self.peers, *self._references.values()]

    def end(self, kill: bool = False) -> None:
        for each in self.everyone():
            each.end(kill)

    def done(self, block: Block) -> None:
        self.rows += block.rows
        self.show(block)

    def deadline(self) -> Deadline:
        return Deadline(self.options.deadline_s)

    def side(
        self,
        who: Participant,
        turn: str,
        parameters: dict[str, Any],
        prepare: tuple[str, dict[str, Any]] | None = None,
    ) -> Side:
        return Side(who, turn, parameters, self.deadline(), prepare)

    # --------------------------------------------------------------------------------- comparing

    def contest(
        self,
        kind: str,
        make_row: MakeRow,
        first: Sequence[Side],
        peers: Sequence[Side],
        rounds: int | None = None,
    ) -> list[Row]:
        """Ours (the first of `first`) and its references, with each peer in turn; a row for each.

        The ratio of a peer is to what ours took beside it, not to ours over the whole test.
        """
        for side in first:
            side.get_ready()
        rows = []
        for peer in peers or (None,):
            pair = [side.again(self.deadline()) for side in first]
            if peer is not None:
                peer.get_ready()
            if peer is None or not peer.failed:
                everyone = pair if peer is None else [*pair, peer]
                alternate(
                    everyone, rounds or self.options.rounds, self.options.pair_s, self._teller(kind)
                )
            for side, part in zip(first, pair):
                side.gathered.merge(part.gathered)
            if peer is not None:
                rows.append(self._peer_row(kind, make_row, peer, pair[0]))
        for side in first:
            side.get_checked()
        for side in first:
            side.tidy()
        return [*(make_row(side.who, side.gathered) for side in first), *rows]

    def _peer_row(self, kind: str, make_row: MakeRow, peer: Side, ours: Side) -> Row:
        peer.get_checked()
        peer.tidy()
        row = make_row(peer.who, peer.gathered)
        _compare(row, make_row(ours.who, ours.gathered))
        if peer.who.note:
            row["note"] = peer.who.note
        if peer.unable:
            row = {"name": row["name"], "kind": kind, "error": f"cannot: {peer.gathered.error}"}
        if peer.unable or peer.hung:
            why = "" if peer.unable else f"skipped: {peer.gathered.error} with a smaller one"
            self._given_up[peer.who.spec.key, kind] = why
        return row

    def started(self, peer: Participant) -> bool:
        """Whether what it can do is known; one that cannot start says so elsewhere."""
        try:
            peer.begin(self.deadline())
        except Failed:
            return False
        return True

    def willing(self, kind: str, size: int) -> tuple[list[Participant], list[Row]]:
        """The peers that did not fail for good at a smaller size; a row for each that hung."""
        found, rows = [], []
        for peer in self.peers:
            why = self._given_up.get((peer.spec.key, kind))
            if why is None:
                found.append(peer)
            elif why:
                rows.append({"name": peer.name, "kind": kind, "bytes": size, "error": why})
        return found, rows

    def _teller(self, kind: str) -> Callable[[str], None]:
        return lambda text: self.tell(f"{kind}: {text}")


def _compare(row: Row, ours: Row) -> None:
    """Adds the ratio to ours: of times, or of what comes back in a second."""
    for figure, faster in (("trip_ns", False), ("messages_per_s", True)):
        if row.get(figure) and ours.get(figure):
            ratio = ours[figure] / row[figure] if faster else row[figure] / ours[figure]
            row.update(floor=ours["name"], ratio=round(ratio, 3))
            return
