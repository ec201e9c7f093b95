# SPDX-License-Identifier: MIT
"""The ready views of lines and histograms: what they take, hold then, and refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rbr_testing.ready import agg_only, lines, make, names, shown

from ringbridge.plot import emitting

np = pytest.importorskip("numpy")
matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def without_windows() -> Iterator[None]:
    with agg_only():
        yield


# ------------------------------------------------------------------------------------------- line


def test_a_number_is_one_more_point_at_the_number_of_its_update() -> None:
    view = make("Line")
    for number, value in ((1, 10), (2, 2.5), (7, np.float32(4))):
        emitting.set_frame_number(number)
        view.draw(value)
    assert lines(view) == [([1, 2, 7], [10, 2.5, 4])]


def test_several_numbers_are_several_curves_and_named_ones_have_a_legend() -> None:
    view = make("Line")
    for number in (1, 2):
        emitting.set_frame_number(number)
        view.draw(number, -number, energy=10 * number)
    assert lines(view) == [([1, 2], [1, 2]), ([1, 2], [-1, -2]), ([1, 2], [10, 20])]
    assert names(view) == ["energy"]
    shown(view)


def test_a_tuple_of_two_numbers_is_a_point() -> None:
    view = make("Line")
    view.draw((0.5, 1))
    view.draw((0.25, 2))
    assert lines(view) == [([0.5, 0.25], [1, 2])]


def test_an_array_is_the_whole_curve() -> None:
    view = make("Line")
    view.draw(np.arange(3), [5, 6])
    view.draw(np.arange(2, dtype="u1"), [7])
    assert lines(view) == [([0, 1], [0, 1]), ([0], [7])]


def test_a_tuple_of_two_arrays_is_a_curve_with_its_x() -> None:
    view = make("Line")
    view.draw(path=(np.array([3.0, 1.0]), [1, 2]))
    assert lines(view) == [([3, 1], [1, 2])]


def test_columns_are_curves() -> None:
    view = make("Line")
    view.draw(np.arange(6).reshape(3, 2), u=np.zeros((2, 2)))
    assert lines(view)[:2] == [([0, 1, 2], [0, 2, 4]), ([0, 1, 2], [1, 3, 5])]
    assert names(view) == ["u 0", "u 1"]


def test_points_are_added_to_a_whole_curve() -> None:
    view = make("Line")
    view.draw([1.0, 2.0])
    emitting.set_frame_number(9)
    view.draw(3.0)
    assert lines(view) == [([0, 1, 9], [1, 2, 3])]


def test_a_curve_grows_to_many_points_or_keeps_the_last_ones() -> None:
    all_of_them, last = make("Line"), make("Line", last=100)
    for number in range(1000):
        all_of_them.draw((number, -number))
        last.draw((number, -number))
    assert lines(all_of_them) == [(list(range(1000)), [-number for number in range(1000)])]
    assert lines(last)[0][0] == list(range(900, 1000))


def test_limits_follow_the_data_but_not_where_they_are_given() -> None:
    view = make("Line", ylim=(-1, 1))
    view.draw([0.0, 50.0, 3.0])
    assert view.axes.get_ylim() == (-1, 1)
    assert view.axes.get_xlim()[1] > 2
    view.draw([0.0, 50.0])
    assert 1 < view.axes.get_xlim()[1] < 2


def test_what_the_user_has_zoomed_stays() -> None:
    view = make("Line")
    view.draw([0.0, 1.0])
    view.axes.set_xlim(0.2, 0.4)  # as the toolbar does
    view.draw([0.0, 1.0, 2.0])
    assert view.axes.get_xlim() == (0.2, 0.4)
    assert view.axes.get_ylim()[1] > 2


def test_what_is_not_finite_is_a_gap() -> None:
    view = make("Line")
    view.draw([0.0, np.nan, np.inf, 3.0])
    shown(view)
    assert view.axes.get_ylim()[1] < 4


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (("text",), TypeError),
        ((1 + 2j,), TypeError),
        (([None],), TypeError),
        ((np.zeros((1, 2, 3)),), ValueError),
        (((1, 2, 3),), ValueError),
        ((([1, 2], [1]),), ValueError),
        (((np.zeros((2, 2)), np.zeros((2, 2))),), ValueError),
    ],
)
def test_a_line_refuses_what_is_no_curve(values: tuple[Any, ...], error: type) -> None:
    with pytest.raises(error, match="curve #0"):
        make("Line").draw(*values)


def test_the_last_points_are_one_at_least() -> None:
    with pytest.raises(ValueError, match="not 0"):
        make("Line", last=0)


# -------------------------------------------------------------------------------------- histogram


def heights(view: Any) -> list[list[float]]:
    return [list(steps.get_data().values) for steps in view.axes.patches]


def test_a_histogram_counts() -> None:
    view = make("Histogram", bins=[0, 1, 2, 3])
    view.draw(np.array([[0.5, 1.5], [1.6, np.nan]]))
    assert heights(view) == [[1, 2, 0]]
    view.draw([2.5])
    assert heights(view) == [[0, 0, 1]]
    shown(view)


def test_sets_share_their_bins_and_named_ones_have_a_legend() -> None:
    view = make("Histogram", bins=4)
    view.draw(a=[0, 1], b=[8])
    first, second = view.axes.patches
    assert list(first.get_data().edges) == list(second.get_data().edges) == [0, 2, 4, 6, 8]
    assert heights(view) == [[2, 0, 0, 0], [0, 0, 0, 1]]
    assert names(view) == ["a", "b"]
    shown(view)


def test_a_histogram_follows_its_values() -> None:
    view = make("Histogram", bins=10)
    for centre in (0.0, 100.0):
        view.draw(np.linspace(centre - 1, centre + 1, 50))
        low, high = view.axes.get_xlim()
        assert centre - 1.5 < low < high < centre + 1.5


def test_a_density_has_the_area_of_one() -> None:
    view = make("Histogram", bins=7, density=True, range=(0, 10), logy=True)
    view.draw(np.random.default_rng(1).random(100) * 10, [])
    assert sum(heights(view)[0]) * 10 / 7 == pytest.approx(1)
    assert heights(view)[1] == [0] * 7
    shown(view)


def test_a_histogram_of_nothing_is_empty() -> None:
    view = make("Histogram")
    view.draw([])
    assert sum(heights(view)[0]) == 0
    shown(view)


# ------------------------------------------------------------------------------------------ common


def test_texts_and_options_are_the_axes() -> None:
    view = make("Line", title="T", xlabel="x", ylabel="y", xlim=(0, 3), grid=True, figsize=(3, 2))
    view.draw(a=[1.0])
    assert (view.axes.get_title(), view.axes.get_xlabel(), view.axes.get_ylabel()) == (
        "T",
        "x",
        "y",
    )
    assert view.axes.get_xlim() == (0, 3)
    assert list(view.figure.get_size_inches()) == [3, 2]
    silent = make("Line", legend=False)
    silent.draw(a=[1.0])
    assert names(silent) == []


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        make("Scatter", colour="red")
