# SPDX-License-Identifier: MIT
"""Blender: its Python, without a window."""

from __future__ import annotations

from collections.abc import Callable

import expected
import pytest
from conftest import HERE, Host, Report
from rbr_testing.conda import Facts


@pytest.fixture(scope="module")
def blender(host: Callable[[str], Host], installed: Callable[..., list[str]]) -> Host:
    """Blender's folders; the environment's name is found in the root that mamba is told."""
    installed("blender")
    return host("blender")


@pytest.fixture(scope="module")
def report(blender: Host, conda: Facts, installed: Callable[..., list[str]]) -> Report:
    command = (*installed("blender"), "-b", "--factory-startup", "--python-exit-code", "3")
    script = str(HERE / "host_script_blender.py")
    return blender.report(*command, "--python", script, MAMBA_ROOT_PREFIX=str(conda.root))


def test_the_worker_runs_another_python_with_another_numpy(report: Report, conda: Facts) -> None:
    assert report["host"]["blender"][0].isdigit()
    expected.of_another_version(report, conda)


def test_rasterio_and_pyproj_find_their_own_data_there(report: Report, conda: Facts) -> None:
    expected.its_own_data(report, conda)


def test_the_worker_has_its_environments_variables(report: Report, conda: Facts) -> None:
    expected.its_own_variables(report, conda)


def test_nothing_that_the_host_leaks_arrives(report: Report, blender: Host, conda: Facts) -> None:
    expected.nothing_of_the_host(report, blender.poison, conda)


def test_arrays_come_back_and_prints_are_logged(report: Report) -> None:
    expected.arrays_and_prints(report)


def test_without_the_scrubbing_it_fails(report: Report, conda: Facts) -> None:
    expected.poison_that_kills(report, conda)


def test_other_leaks_would_only_mislead(report: Report, blender: Host, conda: Facts) -> None:
    expected.poison_that_misleads(report, blender.poison, conda)
