# SPDX-License-Identifier: MIT
"""`ringbench report`: hostile and bad documents, and where the page goes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.pages import POINTS, SVG, Page, document, made, row
from rbr_testing.ringbench import find, run

Make = Callable[..., Page]
HOSTILE = "<script>alert(1)</script>&\"'\x01\x7f\u202e\ufffe</text></svg><b>"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)


@pytest.fixture(scope="module")
def ringbench() -> Path:
    return find()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Page]:
    return partial(made, tmp_path)


# ------------------------------------------------------------------------------------ hostile input


def test_everything_from_a_file_stays_text(make: Make) -> None:
    rows = [
        row(HOSTILE, HOSTILE, 64, percentiles=POINTS, floor=HOSTILE, p50_ns=5, **{HOSTILE: 1}),
        row(HOSTILE + "2", HOSTILE, 64, error=HOSTILE, p50_ns=5),
        row(HOSTILE, "one way", 64, bytes_per_s=1e9, messages_per_s=1e6),
    ]
    hostile = document(HOSTILE, *rows, started=HOSTILE, version=HOSTILE)
    hostile["machine"] = {key: HOSTILE for key in hostile["machine"]}
    hostile["run"].update(noisy=True, noise=HOSTILE)
    hostile["parameters"] = {HOSTILE: HOSTILE, "list": [HOSTILE, {}]}
    for mode in (HOSTILE, "compare"):
        page = make({**hostile, "mode": mode}, title=HOSTILE.replace("\x01", ""))
        tags = Tags()
        tags.feed(page.text)
        assert not tags.seen & {"script", "b"}
        assert "alert(1)" in page.text
        assert not {"\x01", "\x7f", "\ufffe"} & set(page.text)


def test_values_without_sense_are_drawn_or_left_out(make: Make) -> None:
    numbers = (0, 5e-324, 1e-300, 0.5, 1, 1e300, 2.0**53)
    rows = [
        row("ringbridge", kind, size, p50_ns=a, p99_ns=b, trip_ns=a, samples=b, bytes_per_s=a,
            messages_per_s=b, percentiles=[[0, min(a, b)], [50, min(a, b)], [100, max(a, b)]])
        for kind in ("round trip", "one way") for size in (0, 1, 1 << 52) for a in numbers
        for b in numbers
    ]  # fmt: skip
    page = make(document("compare", *rows))
    for each in page.root.iter(f"{SVG}path"):
        assert "nan" not in each.get("d", "") and "inf" not in each.get("d", "")


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("", "1:1", "the text ends"),
        ("[]", "1:1", '"tool" is missing; known are "ringbench" and "ringbridge bench"'),
        ('{"tool": "hammer"}', "1:10", 'unknown tool "hammer"; known are'),
        ('{"tool": "ringbench", "version": "0.1"}', "1:1", '"format" is missing'),
        ('{"tool": "ringbench",\n "format": 2}', "2:12", "unknown format 2; known is 1"),
        ('{"tool": "ringbench", "format": "1"}', "1:33", "unknown format; known is 1"),
        ('{"tool": "ringbench", "format": 1}', "1:1", '"results" is missing'),
        ('{"tool": "ringbench", "format": 1, "results": {}}', "1:47", "a list, not an object"),
        ('{"tool": "ringbench", "format": 1, "results": [\n{"kind": "x"}]}', "2:1", '"name"'),
        ('{"tool": "ringbench",\n"format": 1,}', "2:13", "a name in quotes is expected"),
        ('{"tool": "ringbench", "format": 1, "mode": 7}', "1:44", '"mode" must be a string'),
        ("[" * 100, "1:33", "more than 32 arrays and objects"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(
    ringbench: Path, tmp_path: Path, text: str, where: str, said: str
) -> None:
    bad, page = tmp_path / "bad.json", tmp_path / "page.html"
    bad.write_text(text)
    page.write_text("the old one")
    done = run(ringbench, "report", "-o", str(page), str(bad))
    assert done.returncode == 2
    assert done.stderr.startswith(f"ringbench report: {bad}:{where}: ")
    assert said in done.stderr
    assert page.read_text() == "the old one"
    assert sorted(os.listdir(tmp_path)) == ["bad.json", "page.html"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"percentiles": [[50, 5], [40, 6]]}, "go up from 0 to 100"),
        ({"percentiles": [[50, 5], [101, 6]]}, "go up from 0 to 100"),
        ({"percentiles": [[50, 5], [60, 4]]}, "not below the one before"),
        ({"percentiles": [[50, "5"]]}, "two numbers"),
        ({"percentiles": [[i / 20, 1] for i in range(1025)]}, "more than 1024 percentiles"),
        ({"bytes": -1}, '"bytes" must not be below 0'),
        ({"error": 5}, '"error" must be a string, not a number'),
        ({f"k{i}": 0 for i in range(65)}, "more than 64 different figures"),
        ({f"k{i}": 0 for i in range(300)}, "more than 256 members"),
    ],
)
def test_a_bad_row_is_refused(ringbench: Path, tmp_path: Path, part: Any, said: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(document("call", {"name": "x", "kind": "y", **part})))
    done = run(ringbench, "report", "-o", "-", str(bad))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


# --------------------------------------------------------------------------------------- the output


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.json"
    path.write_text(json.dumps(document("call", row("channel", "round trip"))))
    return path


def test_the_page_takes_its_name_at_once_and_its_rights_from_the_umask(
    ringbench: Path, tmp_path: Path, good: Path
) -> None:
    done = subprocess.run([ringbench, "report", good.name], cwd=tmp_path, umask=0o027, timeout=60)
    assert done.returncode == 0
    page = tmp_path / "ringbench.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o640
    link = tmp_path / "link.html"
    link.symlink_to(page)
    assert run(ringbench, "report", "-o", str(link), "--title", "New", str(good)).returncode == 0
    assert link.is_symlink()
    assert "<title>New</title>" in page.read_text()
    assert sorted(os.listdir(tmp_path)) == ["good.json", "link.html", "ringbench.html"]


def test_a_page_goes_through_pipes_at_both_ends(
    ringbench: Path, tmp_path: Path, good: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    with good.open() as given:
        done = subprocess.run([ringbench, "report", "-o", pipe, "-"], stdin=given, timeout=60)
    assert done.returncode == 0
    reader.join(60)
    assert read and read[0].endswith("</html>\n")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "no file"),
        (["-o"], 2, "--help"),
        (["-o", "", "GOOD"], 2, "the name of a file"),
        (["-o", "GOOD", "GOOD"], 2, "a file that it is made from"),
        (["-o", "/no/such/folder/x.html", "GOOD"], 2, "No such file"),
        (["-o", "/dev/full", "GOOD"], 3, "No space left"),
        (["/no/such/file.json"], 2, "/no/such/file.json: No such file"),
        (["."], 2, "Is a directory"),
        (["GOOD"] * 65, 2, "64 at the most"),
        (["--fast", "GOOD"], 2, "--help"),
    ],
)
def test_a_bad_command_line_says_what_is_wrong(
    ringbench: Path, good: Path, arguments: list[str], code: int, said: str
) -> None:
    before = good.read_text()
    given = [argument.replace("GOOD", str(good)) for argument in arguments]
    done = run(ringbench, "report", *given)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert good.read_text() == before
