# SPDX-License-Identifier: MIT
"""bfloat16 through a real worker; and what happens where ml_dtypes is missing over there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rbr_testing.equality import same_array

import ringbridge as rb

np = pytest.importorskip("numpy")
ml_dtypes = pytest.importorskip("ml_dtypes")

SHAPES: list[tuple[int, ...]] = [(), (0, 3), (7,), (40, 50)]


@pytest.mark.parametrize("shape", SHAPES)
def test_array_of_bfloat16_comes_back_bit_by_bit(echo: Any, shape: tuple[int, ...]) -> None:
    bits = np.arange(int(np.prod(shape)), dtype="u2") * np.uint16(33)  # NaNs with payloads, too
    whole = bits.reshape(shape).view(ml_dtypes.bfloat16)
    for array in [whole, whole.T] + ([whole[::-2], whole[..., ::2]] if shape else []):
        back = echo({"deep": [array]})["deep"][0]
        assert same_array(back, array) and back.dtype == ml_dtypes.bfloat16


def test_read_only_and_scalars_of_bfloat16_come_back(echo: Any) -> None:
    array = np.ones(3, ml_dtypes.bfloat16)
    array.flags.writeable = False
    assert not echo(array).flags.writeable
    for scalar in (ml_dtypes.bfloat16(-0.0), ml_dtypes.bfloat16("nan"), ml_dtypes.bfloat16(1.5)):
        assert type(echo(scalar)) is ml_dtypes.bfloat16 and same_array(echo(scalar), scalar)


def test_shared_array_of_bfloat16_is_used_in_place_over_there(
    worker: rb.Worker, worker_module: rb.RemoteModule
) -> None:
    shared = worker.empty((30, 40), ml_dtypes.bfloat16)
    shared[...] = 0
    worker_module.fill(shared[::2], 3.0)
    assert (shared[::2] == 3).all() and (shared[1::2] == 0).all()


@pytest.mark.parametrize("name", ["float8_e4m3fn", "int4"])
def test_other_dtypes_of_ml_dtypes_are_refused_with_advice(echo: Any, name: str) -> None:
    dtype = getattr(ml_dtypes, name)
    with pytest.raises(rb.CannotCross, match=r"args\[0\]\[1\].*astype"):
        echo([0, np.zeros(3, dtype)])
    with pytest.raises(rb.CannotCross, match="astype"):
        echo(dtype(1))


def test_bfloat16_inside_of_records_and_big_endian_is_refused(echo: Any) -> None:
    for dtype in (
        np.dtype([("a", ml_dtypes.bfloat16)]),
        np.dtype(ml_dtypes.bfloat16).newbyteorder(">"),
    ):
        with pytest.raises(rb.CannotCross):
            echo(np.zeros(3, dtype))


@pytest.mark.parametrize("missing", ["ml_dtypes", "numpy"])
def test_without_its_package_over_there_the_error_names_it(
    make_worker: Any, tmp_path: Path, missing: str
) -> None:
    (tmp_path / f"{missing}.py").write_text("raise ImportError('not here')")
    here = Path(__file__).parent
    basics = make_worker(paths=[tmp_path, here]).load("rbr_testing.basics")
    with pytest.raises(rb.CannotCross, match=f"bfloat16 needs .*{missing}"):
        basics.echo(np.zeros(3, ml_dtypes.bfloat16))
    assert basics.echo(1) == 1
