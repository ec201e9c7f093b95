# SPDX-License-Identifier: MIT
"""`ringbench report`: one page from documents: what is in them is drawn and told."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rbr_testing.pages import (
    POINTS,
    SVG,
    Page,
    cells,
    document,
    lines,
    made,
    points,
    row,
    texts,
    tips,
)
from rbr_testing.ringbench import NEEDS_TWO_CPUS, find, measure

Make = Callable[..., Page]
TIMES = "\u00d7"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Page]:
    return partial(made, tmp_path)


# ----------------------------------------------------------------------------------------- the page


def test_a_page_needs_nothing_but_itself(make: Make) -> None:
    page = make(document("call", row("channel", "round trip", 64, percentiles=POINTS)))
    outside = page.text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    for word in ("http:", "https:", "//", "@import", "url(", "<script", "<link", "<img", "src="):
        assert word not in outside, word
    assert page.text.startswith("<!DOCTYPE html>\n")
    assert "prefers-color-scheme: dark" in page.text
    assert "@media print" in page.text


def test_the_top_tells_machine_version_compiler_and_time(make: Make) -> None:
    python = document("python", row("ringbridge", "call", trip_ns=700), tool="ringbridge bench")
    python["machine"] = {"cpu": "Other CPU", "python": "3.11.7", "numpy": "2.0"}
    page = make(document("call", row("channel", "round trip")), python, title="Two <runs>")
    top = "".join(page.root.itertext())
    for said in (
        *("Two <runs>", "Abacus 3000, 2 CPUs, x86_64, Linux 6.1, under KVM", "ringbench 9.8.7"),
        *("gcc 12.2.0", "2026-11-21 12:00 UTC", "Other CPU", "ringbridge bench 9.8.7"),
        *("Python 3.11.7, NumPy 2.0", "d0.json", "wait spin"),
    ):
        assert said in top, said


def test_a_noisy_run_is_said_with_its_reason(make: Make) -> None:
    quiet = document("call", row("channel", "round trip"))
    noisy = copy.deepcopy(quiet)
    noisy["run"].update(noisy=True, noise="steal 3.1 %")
    assert 'class="notice' not in make(quiet).text
    page = make(quiet, noisy)
    (notice,) = [each for each in page.root.iter("div") if "noisy" in each.get("class", "")]
    said = "".join(notice.itertext())
    assert "2. call" in said and "steal 3.1 %" in said and "1. call" not in said


def test_each_run_of_a_mode_is_named_by_what_sets_it_apart(make: Make) -> None:
    spin = document("call", row("channel", "round trip", 64, percentiles=POINTS))
    block = copy.deepcopy(spin)
    block["parameters"]["wait"] = "block"
    (svg,) = make(spin, block).plots("latency").values()
    assert {"channel (spin)", "channel (block)"} <= set(texts(svg))
    (svg,) = make(spin, copy.deepcopy(spin)).plots("latency").values()
    assert {"channel (d0.json)", "channel (d1.json)"} <= set(texts(svg))


def test_a_document_without_figures_is_a_page_without_plots(make: Make) -> None:
    page = make(document("idle"), document("call", row("channel", "round trip", trip_ns=None)))
    for name in ("latency", "throughput", "peers"):
        assert page.section(name) is None
    assert page.section("tables") is not None


# --------------------------------------------------------------------------------------- the plots


def test_latency_has_a_plot_for_each_kind_and_size_and_a_mark_for_each_point(make: Make) -> None:
    rows = []
    for size in (4096, 64):
        rows += [row("own cache lines", "floor", size, percentiles=POINTS[:3]),
                 row("channel", "round trip", size, percentiles=POINTS, floor="own cache lines"),
                 row("raw", "round trip", size, percentiles=POINTS)]  # fmt: skip
    rows.append(row("channel", "other", 64, percentiles=POINTS))
    plots = make(document("call", *rows)).plots("latency")
    assert list(plots) == ["call: round trip, 64 B", "call: round trip, 4 KiB", "call: other, 64 B"]
    svg = plots["call: round trip, 64 B"]
    assert svg.get("role") == "img"
    assert "channel from 400 ns to 80.0 µs" in (svg.get("aria-label") or "")
    assert points(svg) == 2 * len(POINTS) + 3
    assert lines(svg, "floor") == 1
    assert {"0", "50", "90", "99", "99.9", "1 µs", "10 µs", "channel"} <= set(texts(svg))
    assert {"channel: 99.9 % within 2.00 µs", "channel: at most 80.0 µs"} <= set(tips(svg))


def test_percentiles_that_the_samples_do_not_allow_are_left_out(make: Make) -> None:
    few = row("channel", "round trip", percentiles=POINTS, samples=100)
    (svg,) = make(document("call", few)).plots("latency").values()
    assert points(svg) == len(POINTS) - 1  # not 99.9
    assert "99.9" not in texts(svg)


def test_more_lines_than_a_plot_takes_go_to_the_next(make: Make) -> None:
    rows = [row(f"peer {i}", "round trip", percentiles=POINTS) for i in range(40)]
    section = make(document("compare", *rows)).section("latency")
    assert section is not None
    svgs = section.findall(f".//{SVG}svg")
    assert len(svgs) == 3
    assert sum(points(svg) for svg in svgs) == 40 * len(POINTS)


def test_throughput_has_lines_by_size_beside_memcpy(make: Make) -> None:
    rows = []
    for size in (64, 4096, 65536):
        rows += [row("stream", "one way", size, bytes_per_s=1e9 * size**0.2),
                 row("bare slots", "floor", size, bytes_per_s=4e9 * size**0.2)]  # fmt: skip
    rows += [row("in place", "copy", 1 << 20, bytes_per_s=2e10), row("odd", "copy", 7)]
    floor = document(
        "floor",
        row("memcpy 64 KiB, warm", "floor", 65536, bytes_per_s=1e11),
        row("memcpy 1 MiB, warm", "floor", 1 << 20, bytes_per_s=5e10),
        row("memcpy 100 MB, warm", "floor", 10**8, bytes_per_s=1e10),
    )
    plots = make(floor, document("stream", *rows)).plots("throughput")
    one_way, copied = plots["stream: one way"], plots["stream: copy"]
    assert points(one_way) == 6
    assert lines(one_way, "floor") == 1
    assert {"64", "4 Ki", "64 Ki", "stream", "bare slots", "10 GB/s"} <= set(texts(one_way))
    assert "stream: 2.30 GB/s with 64 B" in tips(one_way)
    assert points(copied) == 2  # of the sizes of memcpy, the one that was measured
    assert {"memcpy, warm", "in place"} <= set(texts(copied))


def test_peers_stand_side_by_side_ours_first(make: Make) -> None:
    rows = [
        row("own cache lines", "floor", 64, p50_ns=92),
        row("pipe", "round trip", 64, p50_ns=53000, p99_ns=90000, floor="ringbridge"),
        row("nng", "round trip", 64, error="no answer within 30 s"),
        row("ringbridge", "round trip", 64, p50_ns=530, floor="own cache lines"),
        row("iceoryx", "round trip", 64, p50_ns=265),
        row("pipe", "one way", 64, messages_per_s=2e6),
        row("ringbridge", "one way", 64, messages_per_s=8e7),
        row("nothing", "not there", 64, error="not installed"),
    ]
    plots = make(document("compare", *rows)).plots("peers")
    assert list(plots) == ["compare: round trip, 64 B", "compare: one way, 64 B"]
    trips, rates = plots.values()
    names = ["ringbridge", "iceoryx", "pipe", "nng", "own cache lines"]
    assert [each for each in texts(trips) if each in names] == names
    assert len(list(trips.iter(f"{SVG}rect"))) == 4
    found = texts(trips)
    assert {
        "530 ns",
        "53.0 µs",
        f"100 {TIMES}",
        f"slower 2.0 {TIMES}",
        "no answer within 30 s",
    } <= set(found)
    assert "pipe: 53.0 µs, 99 % within 90.0 µs" in tips(trips)
    assert {"80.0 M/s", "2.00 M/s", f"40 {TIMES}"} <= set(texts(rates))
    widths = [float(each.get("width", "0")) for each in rates.iter(f"{SVG}rect")]
    assert widths == sorted(widths, reverse=True)


# -------------------------------------------------------------------------------------- the tables


def test_tables_have_every_figure_in_units_for_people(make: Make) -> None:
    figures = {
        "trip_ns": 471.25, "max_ns": 8.1e6, "samples": 1234567, "messages_per_s": 2.1e6,
        "bytes_per_s": 5.63e9, "ratio": 1.2, "budget": 1.3, "steal_percent": 3.25,
        "some_new_ns": 2e9, "wakes": None, "ring_bytes": 1 << 20,
    }  # fmt: skip
    page = make(document("call", row("channel", "round trip", 4096, **figures)))
    (table,) = [each for each in page.root.iter("table") if each.get("class") == "figures"]
    heads = ["".join(each.itertext()) for each in table.iter("th")]
    for said in ("name", "kind", "size", "trip", "max", "samples", "some new", "wakes", "ring"):
        assert said in heads, said
    found = ["".join(each.itertext()) for each in table.iter("td")]
    thin = "\u202f"
    for said in (
        *("4 KiB", "471 ns", "8.10 ms", f"1{thin}234{thin}567", "2.10 M/s", "5.63 GB/s"),
        *("1.20", "1.30", "3.25 %", "2.00 s", "?", "1 MiB"),
    ):
        assert said in found, said
    assert 'class="over"' not in page.text and 'class="bad"' not in page.text


def test_what_must_not_be_is_marked_in_the_table_and_said_at_the_top(make: Make) -> None:
    rows = [
        row("channel", "round trip", 64, ratio=1.4, budget=1.3, lost=0, late_looks=2),
        row("stream", "one way", 64, ratio=0.8, budget=0.9),  # a part of the floor's speed
        row("good", "one way", 64, ratio=0.95, budget=0.9, lost=0),
        row("dead", "one way", 64, error="the worker died"),
    ]
    page = make(document("call", *rows))
    assert cells(page, "bad") == ["! 2"]
    assert cells(page, "over") == ["▲ 1.40", "▼ 0.80"]
    assert cells(page, "text bad") == ["the worker died"]
    notices = ["".join(e.itertext()) for e in page.root.iter("div") if e.get("role") == "note"]
    for said in ("channel, 64 B: late looks 2", "1.40, allowed 1.30", "dead, 64 B: the worker"):
        assert any(said in notice for notice in notices), said


def test_budgets_of_the_python_benchmark_are_shown(make: Make) -> None:
    budgets = [
        {"what": "a call", "measured": "0.7 us", "against": "x", "budget": "1 us", "ok": True},
        {"what": "idle", "measured": "0.2 %", "against": "x", "budget": "0.1 %", "ok": False},
    ]
    page = make(document("python", row("ringbridge", "call"), budgets=budgets))
    assert cells(page, "text bad") == ["missed"]
    assert "idle: 0.2 %, allowed 0.1 %" in page.text


# -------------------------------------------------------------------------------- real documents


@NEEDS_TWO_CPUS
def test_what_the_modes_write_becomes_a_page(make: Make) -> None:
    program = find()
    page = make(*(measure(program, mode) for mode in ("floor", "call", "stream")))
    assert list(page.plots("latency")) == ["call: round trip, 64 B", "floor"]
    (svg,) = page.plots("throughput").values()
    assert {"stream", "memcpy"} <= set(texts(svg))
