# SPDX-License-Identifier: MIT
"""Which interpreter can load which build of the extension."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ringbridge import builds
from ringbridge.environment import Environment

P312, P313, P313T = (builds.Kind((3, 12)), builds.Kind((3, 13)), builds.Kind((3, 13), True))


@pytest.mark.parametrize(
    ("abi", "python", "fits"),
    [
        ("cpython-312", P312, True),
        ("cpython-312", P313, False),
        ("cpython-313", P313T, False),
        ("cpython-313t", P313T, True),
        ("cpython-313t", P313, False),
        ("abi3", P313, True),
        ("abi3", P313T, False),
        ("abi3", builds.Kind((3, 10)), False),
    ],
)
def test_a_build_fits_one_kind_of_python(abi: str, python: builds.Kind, fits: bool) -> None:
    build = builds.Build("/x", abi, "x86_64")
    assert build.fits(python, "x86_64") is fits
    assert not build.fits(python, "aarch64")


def test_the_exact_build_comes_before_the_one_for_many() -> None:
    exact, many = builds.Build("/a", "cpython-312", "m"), builds.Build("/b", "abi3", "m")
    assert builds.Copy("/", "1", (many, exact)).fitting(P312, "m") is exact
    assert builds.Copy("/", "1", (many, exact)).fitting(P313, "m") is many


def test_this_copy_has_a_build_for_this_python() -> None:
    kind = builds.Kind(sys.version_info[:2])
    assert builds.own_copy().fitting(kind, builds.this_machine())


def test_a_python_without_the_gil_is_not_served_by_a_build_with_it(tmp_path: Path) -> None:
    version = "{}.{}".format(*sys.version_info[:2])
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/proc/self/exe")
    found = Environment(str(tmp_path), str(tmp_path / "bin/python"), "conda", "gis")
    record = tmp_path / "conda-meta" / f"python-{version}.7-h_3_cp{version.replace('.', '')}.json"
    record.touch()
    assert builds.reach(found) == "this copy"
    record.rename(record.with_name(record.stem + "t.json"))
    assert builds.reach(found) == "needs ringbridge"


def test_a_copy_that_is_no_package_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "_core.so").touch()
    (tmp_path / "_core.cpython-312-x86_64-linux-gnu.so").write_bytes(b"no ELF")
    copy = builds.copy_at(str(tmp_path))
    assert (copy.version, [build.machine for build in copy.builds]) == ("unknown", ["unknown"])
