# SPDX-License-Identifier: MIT
"""`ringbridge ps`: the applications that are served, beside the workers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbr_testing.doors import ABOUT, Room, listening

from ringbridge import rendezvous, running
from ringbridge.cli.main import main
from ringbridge.door import Door

HEAD = ["PID", "NAME", "APPLICATION", "SINCE", "CLIENTS", "MODULES", "DOCUMENT", "STATE"]


@pytest.fixture
def room(runtime_folder: Path) -> Iterator[Room]:
    """What this process tells as the application "map"."""
    made = Room()
    door = Door(rendezvous.address_of("map", os.getpid()), made)
    door.start()
    yield made
    door.stop()


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "workers", list)


def shown(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    assert main(["ps"]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_served_application_is_listed_as_it_tells(
    room: Room, no_workers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    room.told = {**ABOUT, "busy": "terrain.hillshade"}
    row = [str(os.getpid()), "map", "a", "test", "1.5", "s", "2", "terrain,", "tools"]
    assert shown(capsys) == [HEAD, [*row, "/maps/terrain.qgz", "terrain.hillshade"]]
    assert main(["ps", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found == {
        "what": "application",
        "name": "map",
        "pid": os.getpid(),
        "path": rendezvous.address_of("map", os.getpid()).path,
        **room.told,
        "modules": ["terrain", "tools"],
    }


def test_workers_and_applications_have_tables_of_their_own(
    room: Room, worker: object, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(capsys)
    applications = lines[lines.index([]) + 1 :]
    assert lines[0][:3] == ["PID", "NAME", "HOST"]
    assert applications[0] == HEAD and len(applications) == 2
    assert applications[1][-1] == "idle"


def test_one_that_does_not_answer_is_listed_and_said_so(
    runtime_folder: Path, no_workers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(rendezvous.address_of("stuck", os.getpid()).path):
        row = [str(os.getpid()), "stuck", "?", "-", "0", "-", "-", "does", "not", "answer"]
        assert shown(capsys) == [HEAD, row]


def test_what_it_tells_of_itself_does_not_reach_the_terminal_raw(
    room: Room, no_workers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    room.told = {
        "application": "\x1b[31mred",
        "modules": ["m\n" * 90],
        "document": "/\u202emaps/" + "x" * 90,
        "busy": "\x07",
    }
    (_, row) = shown(capsys)
    assert row[2] == r"\x1b[31mred" and row[-1] == r"\x07"
    assert row[-3].startswith(r"m\nm\n") and row[-3].endswith("...") and len(row[-3]) <= 32
    assert row[-2].startswith(r"/\u202emaps/xxx") and len(row[-2]) <= 48


def test_workers_are_listed_though_the_folder_of_sockets_is_wrong(
    runtime_folder: Path, no_workers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (runtime_folder / "ringbridge").mkdir()
    (runtime_folder / "ringbridge").chmod(0o755)
    assert main(["ps"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("No worker of this user is running")
    assert said.err.startswith("ringbridge: the sockets of served applications need a folder")
