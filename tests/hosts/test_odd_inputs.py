# SPDX-License-Identifier: MIT
"""Inputs and ways to run an algorithm that are seldom met, in the real QGIS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import HERE, Report


@pytest.fixture(scope="module")
def report(in_qgis: Callable[..., Report]) -> Report:
    folders = [str(HERE / "far_side" / "algorithms")]
    return in_qgis("host_script_odd_inputs.py", lambda _folder: {"folders": folders})


def test_a_list_of_vector_layers_may_be_files_in_the_background_too(report: Report) -> None:
    # They were loaded on the main thread, and looked for in a context that did not have them.
    told = report["lists"]
    assert told["from files"] == {"OUTPUT": 8}
    assert told["both"] == {"OUTPUT": 8} and told["here"] == 8


def test_lists_of_layers_cross_whole_beside_a_raster_that_is_cut(report: Report) -> None:
    # They were sent as they had been prepared, which does not cross.
    assert list(report["lists"]["cut"]) == ["OUTPUT"], report["lists"]["cut"]
    assert report["lists"]["values"] == [1.0 + 35 + 4]


def test_an_empty_text_is_a_parameter_that_was_left_empty(report: Report) -> None:
    # An optional file was Path("."), an extent a point at 0, 0, and a layer an error.
    for told in report["empty"]:
        assert told.get("OUTPUT") == repr([None] * 7), told


def test_a_band_that_is_not_there_is_told_as_that(report: Report) -> None:
    assert report["no_band"]["error"] == "One band: ValueError: dem has no band 9, only 1"


def test_a_raster_without_a_place_lies_where_its_source_does(report: Report) -> None:
    # GDAL's default was written out, in which the first row is the lowest: QGIS turned it over.
    told = report["without_a_place"]
    assert told["extents"][0] == told["extents"][1] and told["values"] == [0.0, 0.0]


def test_a_disk_that_gets_full_leaves_no_half_written_raster(report: Report) -> None:
    # What failed at the end, when the rest is flushed, or at the very start, was left there.
    for name, tries in report["full"].items():
        for error, is_left in tries:
            assert f"{name} cannot be " in error and not is_left, (name, tries)


def test_a_second_provider_of_one_id_is_told_and_closed(report: Report) -> None:
    # QGIS deletes it, and every later call of the Bridge raised RuntimeError.
    [problem] = report["second"]
    assert problem.startswith("Second: another plugin's algorithms are called tests:")


def test_what_was_read_of_other_folders_is_read_again(report: Report) -> None:
    # The answer to the old question was taken for one to the new.
    assert report["changed"]["modules"] == ["first", "second"]


def test_an_algorithm_of_a_name_that_is_taken_is_told(report: Report) -> None:
    assert report["changed"]["algorithms"] == ["both", "only"]
    assert report["changed"]["said"] == [
        "second: both is left out, since first has one of this name."
    ]


def test_a_plugin_that_is_closed_in_a_run_ends_the_run_first(report: Report) -> None:
    # QGIS had deleted the provider, and crashed when the run asked for a temporary output's name.
    assert len(report["closed"]) == 9
    for told in report["closed"]:
        assert "OUTPUT" in told or len(told) == 1, told
