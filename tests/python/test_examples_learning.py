# SPDX-License-Identifier: MIT
"""The example modules that use scikit-learn: points to clusters, and a raster to classes."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest
from rbr_testing.examples import FOLDER, load

import ringbridge
from ringbridge.compute import Raster, Vector

GRID = (1000.0, 10.0, 0.0, 5000.0, 0.0, -10.0)


@pytest.fixture(scope="module")
def clusters() -> Any:
    return load("clusters", "sklearn").clusters_of_points


@pytest.fixture(scope="module")
def classify() -> Any:
    return load("classify", "sklearn", "geopandas").classify


# ------------------------------------------------------------------------------ points to clusters


def two_heaps() -> Vector:
    """40 points around one place, 60 around another, 3 far from all, and one nowhere."""
    random = np.random.default_rng(5)
    heaps = [random.normal((x, y), 1, (n, 2)) for x, y, n in ((0, 0, 40), (100, 100, 60))]
    xy = np.concatenate([*heaps, [(3000, -2000), (-4000, 3000), (2000, 9000)], [(np.nan, np.nan)]])
    xy += (500_000, 5_000_000)  # as the coordinates of maps are
    weight = np.ma.array(np.arange(104.0), mask=np.arange(104) == 7)
    return Vector.points(xy, "PROJCRS[]", weight=weight, name=[f"p{i}" for i in range(104)])


@pytest.mark.parametrize("options", [{}, {"method": "DBSCAN", "distance": 3.0}])
def test_heaps_of_points_are_clusters_the_largest_first(clusters: Any, options: Any) -> None:
    given = two_heaps()
    made = clusters(given, **options)
    assert made.found == 2
    cluster = made.clustered["cluster"]
    assert (cluster[:40] == 2).mean() > 0.9
    assert (cluster[40:100] == 1).mean() > 0.9
    assert (cluster[100:] == 0).all()
    probability = made.clustered["probability"]
    assert ((probability > 0) == (cluster > 0)).all()
    assert probability.max() == 1
    sizes = np.bincount(cluster)
    assert (made.clustered["cluster_size"] == np.array([0, *sizes[1:]])[cluster]).all()
    assert made.clustered["name"].tolist() == given["name"].tolist()
    assert made.clustered.crs == given.crs
    assert made.clusters["cluster"].tolist() == [1, 2]
    assert made.clusters["points"].tolist() == sizes[1:].tolist()


def test_centres_are_those_of_the_weighted_points(clusters: Any) -> None:
    given = two_heaps()
    made = clusters(given, weight="weight")
    xy, cluster = given.xy(), made.clustered["cluster"]
    weight = given["weight"].filled(0)  # of one it is missing
    for number in (1, 2):
        mine = cluster == number
        row = {name: made.clusters[name][number - 1] for name in ("x", "y", "weight")}
        expected = np.average(xy[mine], axis=0, weights=weight[mine])
        np.testing.assert_allclose([row["x"], row["y"]], expected, rtol=1e-12, atol=1e-9)
        assert row["weight"] == weight[mine].sum()


def test_a_cluster_that_weighs_nothing_has_a_centre(clusters: Any) -> None:
    given = two_heaps().with_columns(weight=np.zeros(104))
    made = clusters(given, weight="weight")
    assert made.clusters["weight"].tolist() == [0, 0]
    np.testing.assert_allclose(made.clusters["x"], [500_100, 500_000], atol=1)


def test_dbscan_counts_weights(clusters: Any) -> None:
    xy = [(0, 0), (1, 0), (100, 0), (101, 0)]
    given = Vector.points(xy, weight=np.array([5, 5, 1, 1]))
    options = {"method": "DBSCAN", "distance": 2.0, "least": 4}
    assert clusters(given, weight="weight", **options).clustered["cluster"].tolist() == [1, 1, 0, 0]
    assert clusters(given, **options).found == 0


@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("options", [{}, {"method": "DBSCAN", "distance": 3.0}])
def test_few_points_are_no_cluster(clusters: Any, count: int, options: Any) -> None:
    made = clusters(Vector.points(np.zeros((count, 2))), **options)
    assert made.found == 0
    assert made.clustered["cluster"].tolist() == [0] * count
    assert len(made.clusters) == 0


def test_a_notebook_calls_it_with_a_geodataframe(clusters: Any, gpd: Any) -> None:
    xy = two_heaps().xy()[:100]
    frame = gpd.GeoDataFrame({"n": range(100)}, geometry=gpd.points_from_xy(*xy.T), crs=32617)
    made = clusters(frame)
    assert type(made.clustered) is gpd.GeoDataFrame
    assert made.clustered.crs == frame.crs
    assert made.clustered.geometry.geom_equals(frame.geometry).all()
    assert set(made.clustered["cluster"]) >= {1, 2}
    assert made.clusters["cluster"].tolist() == [1, 2]


def test_dbscan_without_a_distance_is_told_so(clusters: Any) -> None:
    with pytest.raises(ValueError, match="DBSCAN needs a distance"):
        clusters(two_heaps(), method="DBSCAN")


def test_neighbours_may_be_more_than_there_are_points(clusters: Any) -> None:
    assert clusters(two_heaps(), neighbours=5000).found == 0


# ------------------------------------------------------------------------------ raster to classes


def fields() -> tuple[Raster, Any]:
    """Three fields side by side, in two bands with noise, and what grows in each column."""
    random = np.random.default_rng(6)
    kind = np.repeat([0, 1, 2], 20)[None].repeat(30, axis=0)
    bands = np.stack([kind * 10.0, (kind == 1) * 10.0]) + random.normal(0, 1, (2, 30, 60))
    bands[0, 0, :5], bands[1, 29, 59] = -9999, np.nan
    return Raster(bands.astype("float32"), GRID, "EPSG:32617", -9999), kind


def areas(gpd: Any, names: Any, **columns: Any) -> Any:
    """A square of 3 x 3 cells in each field, with those names."""
    import shapely

    squares = [shapely.box(1000 + x, 4900, 1030 + x, 4930) for x in (50, 250, 450)]
    return gpd.GeoDataFrame({"crop": names, **columns}, geometry=squares, crs="EPSG:32617")


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (["wheat", "maize", "beans"], [3, 2, 1]),  # in the order of their names
        ([7, 3, 250], [7, 3, 250]),
        ([7.0, 3.0, 250.0], [7, 3, 250]),
        ([-1, 300, 5], [1, 3, 2]),
    ],
)
def test_cells_get_the_class_of_the_areas_they_are_like(
    classify: Any, gpd: Any, names: Any, values: Any
) -> None:
    raster, kind = fields()
    made = classify(raster, areas(gpd, names), "crop", trees=25)
    valid = raster.valid().all(axis=0)
    assert ((made.classes.values != 0) == valid).all()
    assert (made.classes.values == np.array(values)[kind])[valid].mean() > 0.99
    assert made.classes.values.dtype == np.uint8
    assert (made.classes.geotransform, made.classes.crs, made.classes.nodata) == (
        *(GRID, "EPSG:32617", 0),
    )
    assert made.accuracy > 90
    confidence = made.confidence.values
    assert ((confidence == -1) == ~valid).all()
    assert (confidence[valid] > 1 / 3).all()
    assert confidence.max() == 1
    legend = {name: list(made.legend[name]) for name in made.legend.columns}
    assert dict(zip(legend["class"], legend["value"])) == dict(zip(names, values))
    assert legend["training_cells"] == [9, 9, 9]
    assert sum(legend["cells"]) == valid.sum()


def test_areas_are_taken_to_the_crs_of_the_raster(classify: Any, gpd: Any) -> None:
    raster, _ = fields()
    given = areas(gpd, ["a", "b", "c"])
    turned = classify(raster, given.to_crs("EPSG:4326"), "crop", trees=10)
    assert turned.legend["training_cells"].tolist() == [9, 9, 9]


def test_points_stand_for_the_cell_they_are_in_and_many_for_many(classify: Any, gpd: Any) -> None:
    import shapely

    raster, _ = fields()
    given = areas(gpd, ["a", "b", "c"])
    given.geometry = [
        shapely.Point(1001, 4899),
        shapely.MultiPoint([(1255, 4805), (1265, 4805)]),
        given.geometry[2].union(shapely.box(1560, 4900, 1580, 4910)),
    ]
    made = classify(raster, given, "crop", trees=10)
    assert made.legend["training_cells"].tolist() == [1, 2, 9 + 2]


def test_areas_without_a_class_or_a_place_and_those_beside_the_raster_are_left_out(
    classify: Any, gpd: Any
) -> None:
    import pandas
    import shapely

    raster, _ = fields()
    given = areas(gpd, ["a", "b", None])
    more = gpd.GeoDataFrame(
        {"crop": ["a", "b"]}, geometry=[None, shapely.box(0, 0, 10, 10)], crs=given.crs
    )
    made = classify(raster, pandas.concat([given, more], ignore_index=True), "crop", trees=10)
    assert list(made.legend["class"]) == ["a", "b"]
    assert made.legend["training_cells"].tolist() == [9, 9]


@pytest.mark.parametrize("names", [["a", "a", "a"], [None, None, None]])
def test_one_class_is_too_few(classify: Any, gpd: Any, names: Any) -> None:
    raster, _ = fields()
    with pytest.raises(ValueError, match="nothing to tell apart"):
        classify(raster, areas(gpd, names), "crop")


def test_lines_are_no_areas(classify: Any, gpd: Any) -> None:
    raster, _ = fields()
    given = areas(gpd, ["a", "b", "c"])
    given.geometry = given.geometry.boundary
    with pytest.raises(ValueError, match="polygons or points, not LineString"):
        classify(raster, given, "crop")


def test_the_same_seed_gives_the_same_classes_and_one_band_is_enough(
    classify: Any, gpd: Any
) -> None:
    raster, _ = fields()
    one = raster.like(raster.values[1], nodata=-9999)  # two of three look the same in it
    made = [classify(one, areas(gpd, [1, 2, 3]), "crop", trees=15, seed=seed) for seed in (1, 1, 2)]
    first, again, other = (each.confidence.values for each in made)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_run_in_a_worker_is_cancelled_between_its_parts(
    worker: ringbridge.Worker, gpd: Any
) -> None:
    pytest.importorskip("sklearn")
    there = worker.load("ringbridge.compute.service")
    raster, _ = fields()
    from ringbridge.compute import geo_frames

    training = geo_frames.vector_of(areas(gpd, ["a", "b", "c"])).to_plain()
    arguments = {"raster": raster.to_plain(), "training": training, "class_field": "crop"}
    task = there.run.submit(str(FOLDER), "classify", "classify", {**arguments, "trees": 10_000})
    told = []

    def cancel(progress: Any) -> None:
        told.append(progress)
        if "learning" in progress.text:
            task.cancel()

    task.on_progress(cancel)
    with pytest.raises(CancelledError):
        task.result(50)
    assert told[-1].fraction < 0.3
