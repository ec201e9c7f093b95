# SPDX-License-Identifier: MIT
"""The ready views of images and points: what they take, hold then, and refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rbr_testing.ready import agg_only, make, shown

np = pytest.importorskip("numpy")
matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def without_windows() -> Iterator[None]:
    with agg_only():
        yield


# ------------------------------------------------------------------------------------------ image


def test_an_image_is_the_array_in_its_colours() -> None:
    view = make("Image", cmap="gray", clim=(0, 255), colorbar=False, interpolation="nearest")
    array = np.arange(12).reshape(3, 4) * 20
    view.draw(array)
    view.axes.set_position((0, 0, 1, 1))
    view.figure.set_layout_engine("none")
    view.axes.set_axis_off()
    view.axes.set_aspect("auto")
    pixels = shown(view)
    height, width = pixels.shape[:2]
    middles = pixels[height // 6 :: height // 3, width // 8 :: width // 4, 0][:3, :4]
    assert np.abs(middles.astype(int) - array).max() <= 1


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "longdouble", "u1", "i2", "i8", "u8", "?"])
def test_every_kind_of_number_is_an_image(kind: str) -> None:
    view = make("Image")
    for _ in range(2):
        view.draw((np.arange(20).reshape(4, 5) % 2).astype(kind))
        shown(view)
    assert view.figure.axes[1].get_ylim() == (0, 1)  # the colour bar's


def test_colours_follow_the_values_that_are_finite() -> None:
    view = make("Image")
    array = np.array([[1.0, np.nan], [np.inf, 5.0]])
    view.draw(array)
    assert view.axes.images[0].get_clim() == (1, 5)
    view.draw(array * 2)
    assert view.axes.images[0].get_clim() == (2, 10)
    view.draw(array * np.nan)
    assert view.axes.images[0].get_clim() == (2, 10)
    view.draw(np.full((2, 2), 3.0))
    assert view.axes.images[0].get_clim() == (2.5, 3.5)
    shown(view)


def test_fixed_colours_stay() -> None:
    view = make("Image", clim=(-1, 1))
    view.draw(np.full((2, 2), 7.0))
    assert view.axes.images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_an_image_may_change_its_shape(origin: str) -> None:
    view = make("Image", origin=origin)
    view.draw(np.zeros((10, 20)))
    view.draw(np.ones((30, 5)))
    fresh = make("Image", origin=origin)
    fresh.draw(np.ones((30, 5)))
    for each in ("get_xlim", "get_ylim"):
        assert getattr(view.axes, each)() == getattr(fresh.axes, each)()
    assert view.axes.images[0].get_extent() == fresh.axes.images[0].get_extent()


def test_an_extent_is_kept_when_the_shape_changes() -> None:
    view = make("Image", extent=(0, 1, 0, 2))
    view.draw(np.zeros((10, 20)))
    view.draw(np.zeros((4, 4)))
    assert tuple(view.axes.images[0].get_extent()) == (0, 1, 0, 2)
    assert view.axes.get_xlim() == (0, 1)


@pytest.mark.parametrize("array", [np.zeros((4, 5, 3), "u1"), np.ones((4, 5, 4), "f4")])
def test_colours_may_come_with_the_frame(array: Any) -> None:
    view = make("Image")
    view.draw(array)
    view.draw(array)
    shown(view)
    assert len(view.figure.axes) == 1  # no colour bar


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros(3), ValueError),
        (np.zeros((2, 2, 2)), ValueError),
        (np.zeros((0, 5)), ValueError),
        (np.zeros((2, 2), "c8"), TypeError),
        (np.zeros((2, 2), "U1"), TypeError),
    ],
)
def test_an_image_refuses_what_is_none(array: Any, error: type) -> None:
    with pytest.raises(error):
        make("Image").draw(array)


def test_an_image_stays_of_its_kind() -> None:
    view = make("Image")
    view.draw(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="before"):
        view.draw(np.zeros((2, 2, 3)))


def test_places_are_found_anew_only_where_limits_have_moved() -> None:
    view = make("Image", clim=(0, 1))
    view.draw(np.zeros((5, 5)))
    shown(view)
    before = view.axes.get_position().bounds
    view.draw(np.ones((5, 5)))
    assert _is_placeholder(view)
    shown(view)
    assert view.axes.get_position().bounds == before
    view.draw(np.ones((50, 5)))
    assert not _is_placeholder(view)
    shown(view)
    assert view.axes.get_position().bounds != before


def _is_placeholder(view: Any) -> bool:
    return type(view.figure.get_layout_engine()).__name__ == "PlaceHolderLayoutEngine"


def test_a_resized_window_has_its_places_found_anew() -> None:
    from matplotlib.backend_bases import ResizeEvent

    view = make("Image", clim=(0, 1))
    for _ in range(2):
        view.draw(np.zeros((5, 5)))
        shown(view)
    assert _is_placeholder(view)
    ResizeEvent("resize_event", view.figure.canvas)._process()
    assert not _is_placeholder(view)


# ---------------------------------------------------------------------------------------- scatter


def test_points_are_x_and_y_or_one_array() -> None:
    view = make("Scatter")
    view.draw([1, 2], np.array([3, 4], "i4"))
    assert view.axes.collections[0].get_offsets().tolist() == [[1, 3], [2, 4]]
    view.draw(np.array([[5.0, 6.0]]))
    assert view.axes.collections[0].get_offsets().tolist() == [[5, 6]]
    shown(view)


def test_points_stay_in_view() -> None:
    view = make("Scatter")
    for centre in (0.0, 1000.0):
        view.draw(np.array([[centre, -centre], [centre + 1, -centre - 1], [np.nan, 0]]))
        low, high = view.axes.get_xlim()
        assert centre - 1 < low < centre < centre + 1 < high < centre + 2


def test_points_have_colours_and_sizes() -> None:
    view = make("Scatter", cmap="plasma")
    places = np.random.default_rng(1).random((5, 2))
    for times in (1, 2):
        view.draw(places, c=np.arange(5) * times, s=np.arange(5) + 1)
    points = view.axes.collections[0]
    assert points.get_clim() == (0, 8)
    assert points.get_cmap().name == "plasma"
    assert points.get_sizes().tolist() == [1, 2, 3, 4, 5]
    assert len(view.figure.axes) == 2
    view.draw(places[:3], c=np.arange(3), s=7)
    shown(view)


def test_no_points_are_drawn_too() -> None:
    view = make("Scatter")
    view.draw(np.zeros((0, 2)))
    shown(view)


@pytest.mark.parametrize(
    "points", [(), (np.zeros(3),), (np.zeros((3, 3)),), ([1, 2], [1]), ([1], [1], [1])]
)
def test_a_scatter_refuses_what_are_no_points(points: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"points|x is"):
        make("Scatter").draw(*points)


def test_each_point_has_its_colour() -> None:
    with pytest.raises(ValueError, match=r"\(2,\)"):
        make("Scatter").draw([1, 2], [1, 2], c=[1, 2, 3])
