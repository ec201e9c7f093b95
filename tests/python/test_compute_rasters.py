# SPDX-License-Identifier: MIT
"""Rasters, and algorithms called as a notebook calls them: with plain arrays and frames."""

from typing import Annotated, Any, NamedTuple, Optional

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringbridge.compute import (
    NumberOutput,
    Raster,
    RasterLayer,
    RasterOutput,
    TextOutput,
    Vector,
    algorithm,
)

GRID = (500.0, 10.0, 0.0, 900.0, 0.0, -20.0)
TURNED = (500.0, 8.0, 3.0, 900.0, 6.0, -4.0)


def test_a_raster_knows_its_place() -> None:
    raster = Raster(np.zeros((3, 4)), GRID, "EPSG:32617")
    assert (raster.shape, raster.count, raster.cell_size) == ((3, 4), 1, (10.0, 20.0))
    assert raster.bounds == (500.0, 840.0, 540.0, 900.0)
    assert raster.xy(0, 0) == (505.0, 890.0)
    assert raster.cell_at(539.9, 840.1) == (2, 3)
    assert raster.cell_at(499.9, 900.1) == (-1, -1)
    assert Raster(np.zeros((2, 3, 4))).shape == (3, 4)
    assert Raster(np.zeros((2, 3, 4))).count == 2


def test_the_first_row_of_an_array_alone_is_the_northern_one() -> None:
    """It was the southern one once, and relief looked turned inside out."""
    raster = Raster(np.zeros((3, 4)))
    assert raster.bounds == (0.0, -3.0, 4.0, 0.0)
    assert raster.xy(0, 0)[1] > raster.xy(1, 0)[1]


@given(row=st.integers(-50, 50), column=st.integers(-50, 50), grid=st.sampled_from((GRID, TURNED)))
def test_the_middle_of_a_cell_lies_in_it(row: int, column: int, grid: tuple[float, ...]) -> None:
    raster = Raster(np.zeros((3, 4)), grid)
    assert raster.cell_at(*raster.xy(row, column)) == (row, column)
    rows, columns = raster.cell_at(*raster.xy(np.array([row, 0]), np.array([column, 1])))
    assert (rows.tolist(), columns.tolist()) == ([row, 0], [column, 1])


@pytest.mark.parametrize(
    ("values", "nodata", "valid"),
    [
        (np.array([[1, 2]], "uint8"), 1, [[False, True]]),
        (np.array([[1, 2]], "uint8"), -9999.0, [[True, True]]),
        (np.array([[1, 2]], "int16"), None, [[True, True]]),
        (np.array([[1.5, np.nan]], "float32"), None, [[True, False]]),
        (np.array([[1.5, np.nan]], "float32"), 1.5, [[False, False]]),
        (np.array([[0.1, 2]], "float32"), 0.1, [[False, True]]),  # 0.1 is another one in float32
        (np.array([[0.1, 2]], "float32"), np.float64(0.1), [[False, True]]),
        (np.array([[1.5, np.nan]], "float64"), np.nan, [[True, False]]),
        (np.array([[-3.4028234663852886e38, 1]], "f4"), -3.4028234663852886e38, [[False, True]]),
    ],
)
def test_valid_is_what_is_neither_nodata_nor_nan(values: Any, nodata: Any, valid: Any) -> None:
    raster = Raster(values, nodata=nodata)
    assert raster.valid().tolist() == valid
    filled = raster.filled(-1, "float64")
    assert (filled == -1).tolist() == np.logical_not(valid).tolist()
    assert filled is not values


def test_a_masked_arrays_mask_becomes_nodata() -> None:
    """It was dropped: what rasterio reads with masked=True lost its holes."""
    masked = np.ma.array([[1.0, 2.0]], mask=[[False, True]])
    assert Raster(masked, nodata=-9.0).values.tolist() == [[1.0, -9.0]]
    assert Raster(masked).valid().tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("values", "more", "error"),
    [
        (np.zeros(3), {}, ValueError),
        (np.zeros((1, 1, 1, 1)), {}, ValueError),
        (np.array([["a"]]), {}, TypeError),
        (np.array([[None]]), {}, TypeError),
        (np.zeros((1, 1)), {"geotransform": (0, 1, 0)}, ValueError),
    ],
)
def test_what_is_no_raster_is_refused(values: Any, more: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Raster(values, **more)


def test_like_keeps_the_grid_and_nothing_else() -> None:
    raster = Raster(np.zeros((2, 3, 4)), GRID, "EPSG:32617", -1, ("red", "green"))
    made = raster.like(np.ones((3, 4)), nodata=0)
    assert (made.geotransform, made.crs, made.nodata, made.bands) == (GRID, "EPSG:32617", 0, ())
    with pytest.raises(ValueError, match=r"\(4, 3\) do not fit a grid of \(3, 4\)"):
        raster.like(np.ones((4, 3)))


def test_a_raster_is_an_array_for_numpy_and_comes_back_from_a_dict() -> None:
    raster = Raster(np.arange(6.0).reshape(2, 3), GRID, "x", 2.0, ("a",))
    assert np.add(raster, 1).sum() == 21
    again = Raster.from_plain(raster.to_plain())
    assert {n: getattr(again, n) for n in Raster.__slots__ if n != "values"} == {
        **{"geotransform": GRID, "crs": "x", "nodata": 2.0, "bands": ("a",)}
    }
    assert again.values is raster.values


# ------------------------------------------------------------------------------- called directly


class Parts(NamedTuple):
    output: Raster  # the name that a single result has
    mean: Annotated[float, NumberOutput()]
    note: Annotated[Optional[str], TextOutput()]


@algorithm()
def doubled(dem: Raster, times: int = 2) -> Raster:
    assert isinstance(dem, Raster)
    return dem.like(dem.values * times)


@algorithm()
def of_arrays(dem: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    assert type(dem) is np.ndarray
    return dem + 1


@algorithm()
def summed(layers: list[Annotated[Raster, RasterLayer(form="array")]]) -> Raster:
    assert all(type(each) is np.ndarray for each in layers)
    return sum(layers)  # type: ignore[return-value]


@algorithm()
def parts(dem: Raster, remark: Optional[str] = None) -> Parts:
    return Parts(dem, dem.values.mean(), remark)


def test_a_function_gets_rasters_and_gives_back_what_came() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert doubled(array).tolist() == (array * 2).tolist()  # type: ignore[arg-type, attr-defined]
    made = doubled(dem=Raster(array, GRID), times=3)
    assert isinstance(made, Raster)
    assert (made.geotransform, made.values.tolist()) == (GRID, (array * 3).tolist())


def test_a_function_of_arrays_gets_them_and_its_result_gets_the_grid() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert of_arrays(array).tolist() == (array + 1).tolist()
    made: Any = of_arrays(Raster(array, GRID))  # type: ignore[arg-type]
    assert (made.geotransform, made.values.tolist()) == (GRID, (array + 1).tolist())


def test_several_layers_decide_on_grid_and_form_too() -> None:
    """A list's first raster was not looked at: an array came back as TypeError, or a Raster."""
    array = np.ones((2, 3))
    made = summed([Raster(array, GRID), Raster(array)])
    assert (made.geotransform, made.values.tolist()) == (GRID, (array * 2).tolist())
    assert summed([array, array]).tolist() == (array * 2).tolist()  # type: ignore[list-item, attr-defined]


def test_several_results_come_in_their_named_tuple() -> None:
    """One whose first is called `output` came back alone."""
    made = parts(Raster(np.ones((2, 3))), remark="n")
    assert type(made) is Parts
    assert (made.mean, made.note) == (1.0, "n")
    assert parts(np.ones((2, 3))).output.tolist() == np.ones((2, 3)).tolist()  # type: ignore[arg-type, attr-defined]
    assert parts(Raster(np.ones((2, 3)))).note is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "gave None for 'Output', which is not optional"),
        ("text", "gave a str where 'Output' is a Raster"),
        (np.zeros((3, 3)), r"do not fit a grid of \(2, 3\)"),
        ((1, 2), "gave 2 results, and declares 1"),
    ],
)
def test_a_result_that_was_not_declared_is_refused(given: Any, said: str) -> None:
    @algorithm()
    def wrong(dem: Raster) -> Annotated[Any, RasterOutput()]:
        return given

    with pytest.raises((TypeError, ValueError), match=said):
        wrong(np.zeros((2, 3)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "number"),
    [(3, 3), (2.5, 2.5), (np.float32(2.5), 2.5), (np.int16(7), 7), (np.array(2.5), 2.5)],
)
def test_numbers_of_any_make_are_python_numbers(given: Any, number: float) -> None:
    """An array of no dimensions that holds a float was said to be no number."""

    @algorithm()
    def measured(dem: Raster) -> float:
        return given  # type: ignore[no-any-return]

    found = measured(np.zeros((2, 3)))  # type: ignore[arg-type]
    assert found == number
    assert type(found) in (int, float)


def test_a_number_that_is_none_is_refused() -> None:
    @algorithm()
    def measured(dem: Raster) -> float:
        return "much"  # type: ignore[return-value]

    with pytest.raises(TypeError, match="gave a str where 'Output' is a number"):
        measured(np.zeros((2, 3)))  # type: ignore[arg-type]


def test_a_dict_of_columns_is_a_table() -> None:
    @algorithm()
    def counted(points: Vector) -> Vector:
        return points.with_columns(twice=points["n"] * 2)

    made = counted({"n": [1.0, 2.0]})  # type: ignore[arg-type]
    assert isinstance(made, Vector)
    assert made["twice"].tolist() == [2.0, 4.0]
