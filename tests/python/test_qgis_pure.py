# SPDX-License-Identifier: MIT
"""The parts of ringbridge.qgis that need no QGIS: strips, kept descriptions, shared workers."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ringbridge
from ringbridge.compute import Declaration
from ringbridge.crashes import DEATHS_MAX
from ringbridge.qgis import descriptions, run_log
from ringbridge.qgis.run_log import RunLog
from ringbridge.qgis.strips import strips
from ringbridge.qgis.workers import Key, LeaseCancelled, Workers

WAIT_S = 60.0
KEY = Key(sys.executable)

# ----------------------------------------------------------------------------------------- strips


@given(
    rows=st.integers(1, 5000),
    row_bytes=st.integers(1, 1 << 24),
    margin=st.integers(0, 300),
    block_rows=st.integers(1, 700),
)
def test_strips_cover_every_row_once_and_have_their_margin(
    rows: int, row_bytes: int, margin: int, block_rows: int
) -> None:
    at = 0
    for strip in strips(rows, row_bytes, margin, block_rows):
        assert strip.row == at and strip.rows > 0
        at += strip.rows
        assert strip.first == max(strip.row - margin, 0)
        assert strip.first + strip.height == min(strip.row + strip.rows + margin, rows)
        assert strip.above == strip.row - strip.first
    assert at == rows


def test_strips_of_a_tiled_file_end_where_its_tiles_do() -> None:
    made = list(strips(20_000, 80_000, 1, 256))
    assert len(made) > 10
    assert all(strip.rows % 256 == 0 for strip in made[:-1])


# ----------------------------------------------------------------------------------- descriptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "compute"
    made.mkdir()
    (made / "terrain.py").write_text("# a module\n")
    return made


def described(*names: str) -> list[dict[str, Any]]:
    algorithms = [Declaration(name, name, "g", "", (), (), None, ()).to_plain() for name in names]
    return [{"module": "terrain", "algorithms": algorithms, "error": "", "traceback": ""}]


def keep(cache: str, folder: Path) -> None:
    files = descriptions.stamps(str(folder))
    descriptions.write(cache, "gis", "1", str(folder), described("slope"), files)


def test_a_module_that_changed_while_it_was_described_is_not_fresh(
    tmp_path: Path, folder: Path
) -> None:
    # The files were looked at afterwards, and so the old description was kept for the new file.
    cache, files = str(tmp_path / "cache"), descriptions.stamps(str(folder))
    plain = described("slope")
    (folder / "terrain.py").write_text("# another module\n")
    descriptions.write(cache, "gis", "1", str(folder), plain, files)
    kept = descriptions.read(cache, "gis", "1", str(folder))
    assert kept is not None and not kept.fresh


def test_a_link_that_leads_nowhere_does_not_spoil_a_description(
    tmp_path: Path, folder: Path
) -> None:
    # An editor leaves one beside a file that is not saved: the toolbox was empty until it was.
    keep(str(tmp_path / "cache"), folder)
    (folder / ".#terrain.py").symlink_to("someone@somewhere.1234")
    kept = descriptions.read(str(tmp_path / "cache"), "gis", "1", str(folder))
    assert kept is not None and kept.fresh


def test_a_description_is_fresh_until_a_file_changes(tmp_path: Path, folder: Path) -> None:
    cache = str(tmp_path / "cache")
    assert descriptions.read(cache, "gis", "1", str(folder)) is None
    keep(cache, folder)
    kept = descriptions.read(cache, "gis", "1", str(folder))
    assert kept is not None and kept.fresh
    [module] = kept.modules
    assert (module.name, module.algorithms[0].name) == ("terrain", "slope")
    (folder / "helpers.py").write_text("x = 1\n")
    kept = descriptions.read(cache, "gis", "1", str(folder))
    assert kept is not None and not kept.fresh and kept.modules


@pytest.mark.parametrize(("environment", "version"), [("other", "1"), ("gis", "2")])
def test_another_environment_or_version_is_another_description(
    tmp_path: Path, folder: Path, environment: str, version: str
) -> None:
    cache = str(tmp_path / "cache")
    keep(cache, folder)
    kept = descriptions.read(cache, environment, version, str(folder))
    assert kept is None or not kept.fresh


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"format": 1}', '{"format": 99, "modules": []}']
)
def test_a_spoiled_description_is_none(tmp_path: Path, folder: Path, text: str) -> None:
    cache = tmp_path / "cache"
    keep(str(cache), folder)
    [file] = cache.iterdir()
    file.write_text(text)
    assert descriptions.read(str(cache), "gis", "1", str(folder)) is None


# ---------------------------------------------------------------------------------------- workers


@pytest.fixture
def shared() -> Iterator[Workers]:
    made = Workers()
    yield made
    for state in made.states():
        made.stop(state.number)


def never() -> bool:
    return False


def test_plugins_that_ask_for_the_same_share_a_worker(shared: Workers) -> None:
    with shared.lease(KEY, "one", "a run", 1, never) as seat:
        assert seat.worker is not None
        pid = seat.worker.pid
        [state] = shared.states()
        assert (state.state, state.task, state.plugins) == ("busy", "a run", ("one",))
        assert state.pid == pid and state.memory_bytes > 1 << 20
    with shared.lease(KEY, "two", "another", 1, never) as seat:
        assert seat.worker is not None and seat.worker.pid == pid
    assert [(s.state, s.plugins) for s in shared.states()] == [("idle", ("one", "two"))]
    shared.leave("one")
    assert [s.plugins for s in shared.states()] == [("two",)]
    shared.leave("two")
    assert shared.states() == [] and not os.path.exists(f"/proc/{pid}")


def test_a_prefix_and_its_interpreter_are_one_environment(shared: Workers) -> None:
    with shared.lease(Key(sys.prefix), "one", "a", 1, never) as seat:
        number = seat.number
    with shared.lease(Key(f"{sys.prefix}/bin/python"), "two", "b", 1, never) as seat:
        assert seat.number == number


def test_another_environment_has_another_worker(shared: Workers) -> None:
    other = Key(sys.executable, threads=1)
    with (
        shared.lease(KEY, "one", "a", 1, never) as a,
        shared.lease(other, "two", "b", 1, never) as b,
    ):
        assert a.number != b.number
        assert len(shared.states()) == 2


def test_a_run_waits_for_the_only_worker(shared: Workers) -> None:
    began, numbers = threading.Event(), []

    def second() -> None:
        began.set()
        with shared.lease(KEY, "two", "second", 1, never) as seat:
            numbers.append(seat.number)

    with shared.lease(KEY, "one", "first", 1, never) as seat:
        thread = threading.Thread(target=second)
        thread.start()
        assert began.wait(WAIT_S)
        assert numbers == []
        first = seat.number
    thread.join(WAIT_S)
    assert numbers == [first]


def test_a_second_one_is_started_where_two_may_run(shared: Workers) -> None:
    with shared.lease(KEY, "one", "a", 2, never), shared.lease(KEY, "one", "b", 2, never):
        assert [state.task for state in shared.states()] == ["a", "b"]


def test_whoever_waits_can_be_cancelled(shared: Workers) -> None:
    waits = shared.lease(KEY, "two", "b", 1, lambda: True)
    with shared.lease(KEY, "one", "a", 1, never), pytest.raises(LeaseCancelled), waits:
        pass
    with shared.lease(KEY, "two", "c", 1, lambda: True) as seat:  # it is free: nobody waits
        assert seat.worker is not None


def test_one_that_cannot_start_is_not_kept(shared: Workers, tmp_path: Path) -> None:
    nowhere = Key(str(tmp_path / "nothing"))
    with pytest.raises(ringbridge.EnvironmentNotFound), shared.lease(nowhere, "one", "a", 1, never):
        pass
    assert shared.states() == []


def test_idle_workers_end_and_busy_ones_stay(shared: Workers) -> None:
    with shared.lease(KEY, "one", "a", 2, never):
        with shared.lease(KEY, "one", "b", 2, never):
            pass
        shared.close_idle(WAIT_S)
        assert len(shared.states()) == 2
        shared.close_idle(0.0)
        assert [state.task for state in shared.states()] == ["a"]


def test_a_plugin_that_goes_elsewhere_ends_what_only_it_has_used(shared: Workers) -> None:
    other = Key(sys.executable, threads=1)
    for key, plugins in (
        (KEY, ["one"]),
        (other, ["one"]),
        (Key(sys.executable, 2), ["one", "two"]),
    ):
        for plugin in plugins:
            with shared.lease(key, plugin, "a", 1, never):
                pass
    shared.retire("one", other)
    assert [state.plugins for state in shared.states()] == [("one",), ("one", "two")]


def test_a_restarted_worker_is_another_process(shared: Workers) -> None:
    with shared.lease(KEY, "one", "a", 1, never) as seat:
        before = seat.worker.pid if seat.worker else None
    shared.restart(seat.number)
    [state] = shared.states()
    assert (state.state, state.restarts) == ("idle", 1) and state.pid != before
    with shared.lease(KEY, "one", "a", 1, never) as seat:
        assert seat.service is not None


def test_a_plugin_that_leaves_ends_its_run_on_a_shared_worker(shared: Workers) -> None:
    # It went on, for a provider that was no more.
    with shared.lease(KEY, "two", "a", 1, never):
        pass
    with shared.lease(KEY, "one", "b", 1, never) as seat:
        assert [state.plugins for state in shared.states()] == [("one", "two")]
        shared.leave("one")
        assert shared.states() == []
        assert seat.worker is not None and not seat.worker.alive


def test_a_run_has_a_worker_also_after_many_crashes(shared: Workers) -> None:
    # A batch whose rows all crashed left a worker that nothing but Restart in the dock revived.
    with shared.lease(KEY, "one", "a", 1, never) as seat:
        assert seat.worker is not None
        crash = seat.worker.load("os").abort
    for _ in range(2 * DEATHS_MAX):
        with shared.lease(KEY, "one", "a", 1, never), pytest.raises(ringbridge.WorkerDied):
            crash()
    with shared.lease(KEY, "one", "a", 1, never) as seat:
        assert seat.worker is not None and seat.worker.load("os").getpid() == seat.worker.pid


def test_one_that_is_stopped_while_it_starts_is_not_left_over(
    shared: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The run went on with a worker that no list had any more.
    made: list[ringbridge.Worker] = []

    def stopped_at_once(*args: Any, **kwargs: Any) -> ringbridge.Worker:
        shared.leave("one")
        made.append(ringbridge.Worker(*args, **kwargs))
        return made[0]

    monkeypatch.setattr("ringbridge.worker.Worker", stopped_at_once)
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):  # noqa: SIM117
        with shared.lease(KEY, "one", "a", 1, never):
            pass
    assert shared.states() == [] and not made[0].alive


# -------------------------------------------------------------------------------------------- log


class Heard:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.pushInfo = self.said.append
        self.pushWarning = self.warned.append


def test_what_is_read_a_moment_late_is_handed_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line on stderr came after the run's end, from the thread that reads the pipes."""
    logger, heard = logging.getLogger("ringbridge.worker.late"), Heard()
    late = iter(["one", "two"])

    def sleep(_seconds: float) -> None:
        for text in late:
            logger.warning(text)
            return

    monkeypatch.setattr(run_log.time, "sleep", sleep)
    with RunLog(logger.name) as log:
        log.settle()
        log.flush_to(heard)
    assert heard.warned == ["one", "two"]


def test_records_are_handed_on_by_who_asks_and_not_afterwards() -> None:
    logger, heard = logging.getLogger("ringbridge.worker.some-log"), Heard()
    with RunLog(logger.name) as log:
        thread = threading.Thread(target=lambda: logger.info("from %s", "elsewhere"))
        thread.start()
        thread.join()
        logger.warning("careful")
        assert heard.said == []
        log.flush_to(heard)
    logger.info("late")
    log.flush_to(heard)
    assert (heard.said, heard.warned) == (["from elsewhere"], ["careful"])
