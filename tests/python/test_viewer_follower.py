# SPDX-License-Identifier: MIT
"""Which frames a viewer draws: the rules against a model, real memory and sockets, bad letters."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from ringbridge import _core
from ringbridge.errors import ProtocolError
from ringbridge.plot.follower import KEPT_MAX, Follower, Frame, Order
from ringbridge.plot.letters import Kind, Letter, Letters

SEED = random.randrange(1 << 30)


def frame(number: int, parent: int = 0) -> Frame:
    return Frame(number, parent, (number,), {})


# --------------------------------------------------------------------------------------- the rules


def test_a_frame_is_given_out_once() -> None:
    order = Order(0)
    order.add_newest(frame(3))
    assert order.next() == frame(3)
    order.add_newest(frame(3))
    assert order.next() is None
    assert order.drawn == 3


def test_an_older_frame_is_not_given_out_after_a_newer_one() -> None:
    order = Order(0)
    order.add_newest(frame(3))
    order.add_newest(frame(2))
    assert order.next() == frame(3)
    order.add_newest(frame(2))
    assert order.next() is None


def test_the_newest_waits_for_the_kept_ones_before_it() -> None:
    order = Order(0)
    order.add_newest(frame(5, 2))
    assert order.next() is None
    order.add_kept(frame(1, 1))
    assert order.next() == frame(1, 1)
    assert order.next() is None
    order.add_kept(frame(4, 2))
    assert order.next() == frame(4, 2)
    assert order.next() == frame(5, 2)


def test_a_kept_frame_that_is_the_newest_too_is_given_out_once() -> None:
    order = Order(0)
    order.add_newest(frame(1, 1))
    assert order.next() is None
    order.add_kept(frame(1, 1))
    assert order.next() == frame(1, 1)
    assert order.next() is None


def test_a_frame_that_a_kept_one_has_overtaken_is_dropped() -> None:
    order = Order(0)
    order.add_newest(frame(1))
    order.add_kept(frame(2, 1))
    assert order.next() == frame(2, 1)
    assert order.next() is None


def test_who_joins_late_does_not_wait_for_what_was_kept_before() -> None:
    order = Order(7)
    order.add_newest(frame(20, 7))
    assert order.next() == frame(20, 7)
    order.add_kept(frame(21, 8))
    assert order.next() == frame(21, 8)


def test_a_kept_frame_from_before_the_joining_is_left_out() -> None:
    order = Order(2)
    order.add_kept(frame(9, 2))
    assert order.next() is None


def test_when_no_letter_can_come_the_newest_waits_for_none() -> None:
    order = Order(0)
    order.add_newest(frame(9, 4))
    assert order.next() is None
    order.no_more_kept()
    assert order.next() == frame(9, 4)


@pytest.mark.parametrize("second", [frame(3, 2), frame(4, 1), frame(2, 2)])
def test_kept_frames_out_of_order_are_refused(second: Frame) -> None:
    order = Order(0)
    order.add_kept(frame(3, 1))
    with pytest.raises(ProtocolError, match="order"):
        order.add_kept(second)


# --------------------------------------------------------------------- against a model, at random


class Model:
    """A computation, the memory and the letters between, and what a viewer may draw by the rules.

    Letters arrive late; the memory at once. `kept` are those that must be drawn.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.number = self.parent = 0
        self.newest: Frame | None = None
        self.under_way: deque[Frame] = deque()
        self.kept: list[int] = []
        for _ in range(rng.randrange(6)):
            self.publish()
        self.under_way.clear()  # before the viewer has joined
        self.kept.clear()
        self.order = Order(self.parent)
        self.drawn: list[Frame] = []
        self.taken = 0

    def publish(self) -> None:
        self.number += 1
        keep = self.rng.random() < 0.4
        self.parent += keep
        self.newest = Frame(self.number, self.parent, (self.number,), {})
        if keep:
            self.under_way.append(self.newest)
            self.kept.append(self.number)

    def deliver(self) -> None:
        if self.under_way:
            self.order.add_kept(self.under_way.popleft())

    def move(self) -> None:
        """New memory: the newest frame is in it, as if it had not been taken."""
        self.taken = 0

    def draw(self) -> None:
        if self.newest is not None and self.newest.number > self.taken:
            self.taken = self.newest.number
            self.order.add_newest(self.newest)
        given = self.order.next()
        if given is not None:
            self.check(given)
            self.drawn.append(given)

    def check(self, given: Frame) -> None:
        assert given.values == (given.number,)
        assert not self.drawn or given.number > self.drawn[-1].number
        before = [number for number in self.kept if number < given.number]
        assert set(before) <= {each.number for each in self.drawn}


@pytest.mark.parametrize("run", range(40))
def test_random_sequences_keep_the_rules(run: int) -> None:
    seed = SEED + run
    print(f"seed {seed}")
    model = Model(random.Random(seed))
    steps = [model.publish, model.deliver, model.draw, model.draw, model.move]
    weights = [model.rng.random() for _ in steps]
    for step in model.rng.choices(steps, weights, k=400):
        step()
    while model.under_way:
        model.deliver()
    model.order.no_more_kept()
    for _ in range(model.number + 1):
        model.draw()
    numbers = [each.number for each in model.drawn]
    assert set(model.kept) <= set(numbers)
    assert numbers[-1:] == ([model.number] if model.number else [])


# ------------------------------------------------------------------ with real memory and a socket


class Pair:
    """Both ends of the letters, and a publisher, in this process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.computation = Letters(ours, takes_fds=False)
        self.viewer = Letters(theirs, takes_fds=True)
        self.woken, wake = socket.socketpair()
        with wake:
            self.publisher = _core.Publisher(wake.fileno())
        self.follower = Follower(self.viewer, _core.Subscriber)

    def welcome(self) -> None:
        self.computation.post(Kind.WELCOME, {"kept": self.publisher.kept})
        self.give_memory()

    def give_memory(self) -> None:
        _, memory, reader, wait = self.publisher.add_reader()
        self.computation.post(Kind.MEMORY, reader, fds=(memory, wait))

    def keep(self, value: Any) -> None:
        self.publisher.update_kept(value)
        frame = self.publisher.take_kept()
        assert frame is not None
        self.computation.post_packed(Kind.KEPT, frame)

    def close(self) -> None:
        self.follower.close()
        self.viewer.close()
        self.computation.close()
        self.publisher.close()
        self.woken.close()


@pytest.fixture
def pair(nothing_left: None) -> Iterator[Pair]:
    with contextlib.closing(Pair()) as pair:
        yield pair


def test_the_newest_and_the_kept_frames_come_in_order(pair: Pair) -> None:
    pair.welcome()
    pair.publisher.update("dropped")
    pair.publisher.update("newest", more=1)
    (welcome,) = pair.follower.hear()
    assert welcome.kind is Kind.WELCOME
    assert pair.follower.next() == (2, 0, ("newest",), {"more": 1})
    pair.keep("kept")
    pair.publisher.update("last")
    assert pair.follower.next() is None
    assert pair.follower.hear() == []
    assert [pair.follower.next()[2], pair.follower.next()[2]] == [("kept",), ("last",)]  # type: ignore[index]
    assert pair.follower.drawn == 4


def test_new_memory_gives_the_newest_once(pair: Pair) -> None:
    pair.welcome()
    pair.publisher.update("first")
    pair.follower.hear()
    assert pair.follower.next() is not None
    pair.give_memory()
    pair.follower.hear()
    assert pair.follower.next() is None
    pair.publisher.update("second")
    assert pair.follower.next() == (2, 0, ("second",), {})


def test_it_arms_only_where_nothing_newer_is_there(pair: Pair) -> None:
    pair.welcome()
    pair.follower.hear()
    assert pair.follower.arm()
    pair.publisher.update(1)
    assert not pair.follower.arm()
    assert pair.follower.next() is not None
    assert pair.follower.arm()


def test_letters_are_not_read_while_many_kept_frames_wait(pair: Pair) -> None:
    pair.welcome()
    pair.follower.hear()
    for number in range(KEPT_MAX):
        assert not pair.follower.is_full
        pair.keep(number)
        pair.follower.hear()
    assert pair.follower.is_full
    assert pair.follower.next() is not None
    assert not pair.follower.is_full


def test_the_end_of_the_computation_is_told_after_all_its_letters(pair: Pair) -> None:
    pair.welcome()
    pair.keep("last words")
    pair.computation.post(Kind.END, True)
    pair.computation.close()
    heard = [each.kind for each in pair.follower.hear()]
    while Kind.END not in heard:
        heard += [each.kind for each in pair.follower.hear()]
    assert heard == [Kind.WELCOME, Kind.END]
    with pytest.raises(EOFError):
        pair.follower.hear()
    assert pair.follower.next() == (1, 1, ("last words",), {})


# ------------------------------------------------------------------------------------- bad letters


def _send(pair: Pair, kind: Kind, *values: Any, fds: int = 0) -> None:
    copies = [os.open(os.devnull, os.O_RDONLY) for _ in range(fds)]
    pair.computation.post(kind, *values, fds=copies)


@pytest.mark.parametrize(
    ("kind", "values", "fds"),
    [
        (Kind.WELCOME, (), 0),
        (Kind.WELCOME, ("name",), 0),
        (Kind.WELCOME, ({"name": "no kept"},), 0),
        (Kind.WELCOME, ({"kept": "7"},), 0),
        (Kind.WELCOME, ({"kept": True},), 0),
        (Kind.WELCOME, ({"kept": 0},), 1),
        (Kind.KEPT, (1,), 0),
        (Kind.ASK, ("drawn", 0), 0),
        (Kind.END, (True,), 0),
        (Kind.MEMORY, (0,), 2),
        (Kind.GONE, ("closed",), 0),
    ],
)
def test_a_bad_first_letter_is_refused(
    pair: Pair, kind: Kind, values: tuple[Any, ...], fds: int
) -> None:
    _send(pair, kind, *values, fds=fds)
    with pytest.raises(ProtocolError):
        pair.follower.hear()


@pytest.mark.parametrize(
    ("kind", "values", "fds"),
    [
        (Kind.WELCOME, ({"kept": 0},), 0),
        (Kind.MEMORY, (0,), 0),
        (Kind.MEMORY, (0,), 1),
        (Kind.MEMORY, (), 2),
        (Kind.MEMORY, ("0",), 2),
        (Kind.MEMORY, (0,), 2),
        (Kind.MEMORY, (-1,), 2),
        (Kind.MEMORY, (1 << 40,), 2),
        (Kind.KEPT, (1,), 1),
        (Kind.ASK, ("drawn", 0), 2),
        (Kind.ANSWER, (True, None), 0),
        (Kind.EVENT, ("click",), 0),
    ],
)
def test_a_bad_later_letter_is_refused_and_leaves_no_descriptor(
    pair: Pair, kind: Kind, values: tuple[Any, ...], fds: int
) -> None:
    pair.welcome()
    pair.publisher.update("good")
    pair.follower.hear()
    _send(pair, kind, *values, fds=fds)
    _send(pair, Kind.MEMORY, 0, fds=2)  # read together with the bad one, by nobody
    with pytest.raises(ProtocolError):
        pair.follower.hear()
    assert pair.follower.next() == (1, 0, ("good",), {})


def test_random_letters_break_nothing(pair: Pair) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    pool: list[Any] = [0, -1, 1 << 70, "drawn", b"x", None, {}, {"kept": 3}, [1], True, 2.5]
    for _ in range(500):
        letters = [
            Letter(
                rng.choice(list(Kind)),
                rng.choice([0, 1, 2, 1 << 60]),
                rng.choice([0, 1, 2, 1 << 60]),
                tuple(rng.choices(pool, k=rng.randrange(4))),
                {},
                tuple(os.open(os.devnull, os.O_RDONLY) for _ in range(rng.choice([0, 0, 1, 2]))),
            )
            for _ in range(rng.randrange(1, 6))
        ]
        if rng.random() < 0.8:
            letters.insert(0, Letter(Kind.WELCOME, 0, 0, ({"kept": rng.randrange(3)},), {}))

        class Post:
            def read(self, letters: list[Letter] = letters) -> list[Letter]:
                return letters

        follower = Follower(Post(), _core.Subscriber)
        with contextlib.suppress(ProtocolError):
            follower.hear()
        last = 0
        while (given := follower.next()) is not None:
            assert given.number > last
            last = given.number
        follower.close()
