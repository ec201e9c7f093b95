# SPDX-License-Identifier: MIT
"""FlatBuffers' own runtimes write frames that we read, and read frames that we write.

Theirs are laid out in ways that ours never are (official.Layout). What crosses is encoded and
decoded by the reference alone on their side (plain_values).
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from rbr_testing import rounds
from rbr_testing.equality import identical, same_array
from rbr_testing.every_kind import VALUES, arrays
from rbr_testing.raw_peer import RawHost, RawWorker

pytest.importorskip("flatbuffers")
from rbr_testing.official import LAYOUTS, Layout, Wire
from rbr_testing.plain_values import spec_of, value_of

EXAMPLES = 50  # generated values of each kind, both ways


@pytest.fixture(scope="module")
def raw_host(raw_peer: pathlib.Path) -> Iterator[RawHost]:
    host = RawHost(raw_peer)
    yield host
    assert host.close() == 0


def result_frame(wire: Wire, value: Any, layout: Layout, vectors: bool = True) -> bytes:
    return wire.frame("Result", {"value": spec_of(value, vectors)}, layout)


# ------------------------------------------------------------------------- every kind, each layout


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_result_of_the_official_runtime_is_the_same_object(
    wire: Wire, raw_worker: RawWorker, layout: Layout
) -> None:
    for value in VALUES:
        for vectors in (True, False):
            frame = result_frame(wire, value, layout, vectors)
            assert identical(raw_worker.answer(frame, id_at=wire.id_at(frame)), value), value


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_an_array_of_the_official_runtime_is_the_same_array(
    wire: Wire, raw_worker: RawWorker, layout: Layout
) -> None:
    for array in arrays():
        frame = result_frame(wire, array, layout)
        assert same_array(raw_worker.answer(frame, id_at=wire.id_at(frame)), array)


def test_the_layouts_differ(wire: Wire) -> None:
    """Else the tests above would try one of them five times."""
    value = [{"a": (1, 2.5)}, {"a": (1, 2.5)}, None]
    assert len({result_frame(wire, value, layout) for layout in LAYOUTS}) == len(LAYOUTS)


def test_arguments_of_the_official_runtime_reach_a_worker_and_come_back(
    wire: Wire, raw_host: RawHost
) -> None:
    """Nothing of ours on this side but the channel: the worker decodes, and encodes again."""

    def ask(frame: bytes) -> Any:
        return wire.read(raw_host.ask(frame, wire.id_at(frame)))["body"]

    loaded = ask(wire.frame("Load", {"module": b"rbr_testing.basics"}))
    (echo,) = (each["id"] for each in loaded["functions"] if each["name"] == b"echo")
    for layout in LAYOUTS:
        for value in VALUES:
            given = [{"args": [spec_of(value)]}, {"kwargs": [{"k": b"value", "v": spec_of(value)}]}]
            for arguments in given:
                answer = ask(wire.frame("Call", {"function": echo, **arguments}, layout))
                assert "value" in answer, answer
                assert identical(value_of(answer["value"]), value), value


def test_the_official_runtime_reads_our_frames(wire: Wire, raw_worker: RawWorker) -> None:
    for value in VALUES:
        frame, blocks = raw_worker.show(value)
        (argument,) = wire.read(frame)["body"]["args"]
        assert identical(value_of(argument, blocks), value), value


# ---------------------------------------------------------------------------------------- generated


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
@pytest.mark.parametrize("kind", ["values", "arrays"])
def test_generated_values_mean_the_same_to_the_official_runtime(
    wire: Wire, raw_worker: RawWorker, kind: str
) -> None:
    pytest.importorskip("hypothesis")
    from rbr_testing import strategies

    if kind == "arrays":
        pytest.importorskip("numpy")
    done = 0

    def ours_is_read(value: Any) -> None:
        nonlocal done
        done += 1
        frame, blocks = raw_worker.show(value)
        (argument,) = wire.read(frame)["body"]["args"]
        assert identical(value_of(argument, blocks), value)
        if kind == "values":
            layout = Layout(seed=done, reorder=True, share=done % 2 > 0, junk=done % 3 > 0)
            theirs = result_frame(wire, value, layout, vectors=done % 5 > 0)
            assert identical(raw_worker.answer(theirs, id_at=wire.id_at(theirs)), value)

    strategies.check(getattr(strategies, kind)(), EXAMPLES, ours_is_read)
    rounds.count(f"generated {kind} through the official runtime", done)
