# SPDX-License-Identifier: MIT
"""Points to clusters, by how densely they lie.

HDBSCAN: R. J. G. B. Campello, D. Moulavi and J. Sander, "Density-Based Clustering Based on
Hierarchical Density Estimates", Advances in Knowledge Discovery and Data Mining, 2013, pages
160-172. DBSCAN: M. Ester, H.-P. Kriegel, J. Sander and X. Xu, "A Density-Based Algorithm for
Discovering Clusters in Large Spatial Databases with Noise", Proceedings of KDD 1996, pages 226-231.
Both as scikit-learn has them.
"""

from typing import Annotated, Any, Literal, NamedTuple, Optional

import numpy as np

import ringbridge as rb
from ringbridge.compute import (
    Categories,
    Choice,
    Field,
    Number,
    NumberOutput,
    TableOutput,
    Vector,
    VectorLayer,
    VectorOutput,
    algorithm,
)

GROUP = "Points"


class Clusters(NamedTuple):
    """The points with the cluster of each, and the clusters."""

    clustered: Annotated[
        Vector, VectorOutput("Clustered points", geometry="point", style=Categories("cluster"))
    ]
    clusters: Annotated[Vector, TableOutput("Clusters", optional=True)]
    found: Annotated[int, NumberOutput("Number of clusters")]


@algorithm("Points to clusters", tags=("hdbscan", "dbscan", "density", "grouping"))
def clusters_of_points(
    points: Annotated[Vector, VectorLayer("Points", geometry="point")],
    method: Annotated[
        Literal["HDBSCAN", "DBSCAN"],
        Choice(
            "Method",
            labels=("HDBSCAN: of any density", "DBSCAN: of one density, and of weighted points"),
            help="HDBSCAN takes as long as the square of the number of points: some seconds for "
            "20,000. DBSCAN takes a million, where few lie within the distance of each other.",
        ),
    ] = "HDBSCAN",
    least: Annotated[
        int,
        Number(
            "Fewest points of a cluster",
            min=2,
            max=1_000_000,
            help="For DBSCAN: the points, or the sum of their weights, within the distance of a "
            "point inside of a cluster, that point included.",
        ),
    ] = 10,
    distance: Annotated[
        Optional[float],
        Number(
            "Distance",
            min=0,
            distance_of="points",
            help="DBSCAN needs it: how far apart neighbours are at most. HDBSCAN does not split "
            "what lies closer together than this; empty: as it sees fit.",
        ),
    ] = None,
    weight: Annotated[
        Optional[str],
        Field(
            "Weight",
            of="points",
            type="number",
            help="For the centres and sums of the clusters, and for DBSCAN how many points one "
            "stands for. A point without one weighs nothing.",
        ),
    ] = None,
    neighbours: Annotated[
        Optional[int],
        Number(
            "Neighbours",
            min=1,
            max=1_000_000,
            advanced=True,
            help="HDBSCAN takes the distance to so many of them for the density at a point: more "
            "leave more points out. Empty: the fewest points of a cluster.",
        ),
    ] = None,
) -> Clusters:
    """Gives each point the number of its cluster, from 1 for the largest; 0 lies in none.

    Beside it stand the probability that it belongs there (DBSCAN knows only 0 and 1) and how many
    points the cluster has. Distances are those of the map, so it should not be one in degrees.
    """
    here = rb.current_task()
    if points.crs.startswith("GEOG"):
        here.log("distances are in degrees here: a projected layer is better", "WARNING")
    xy = points.xy()
    placed = np.flatnonzero(np.isfinite(xy).all(axis=1))
    weights = np.ones(len(points))
    if weight is not None:
        weights = np.nan_to_num(np.ma.filled(np.ma.asarray(points[weight], "float64"), 0.0))
    here.progress(fraction=0.1, text=f"{method} of {len(placed)} points")
    label = np.full(len(points), -1)
    probability = np.zeros(len(points))
    if len(placed) >= least:
        sample = xy[placed] - xy[placed].mean(axis=0)  # small numbers have more digits
        label[placed], probability[placed] = (
            _hdbscan(sample, least, neighbours, distance)
            if method == "HDBSCAN"
            else _dbscan(sample, least, distance, weights[placed])
        )
    here.progress(fraction=0.9, text="centres")
    cluster, size = _by_size(label)
    table = _table(cluster, len(size) - 1, xy, weights, probability)
    here.log(f"{len(size) - 1} clusters; {np.count_nonzero(cluster == 0)} points lie in none")
    columns = {"cluster": cluster, "probability": probability, "cluster_size": size[cluster]}
    return Clusters(points.with_columns(**columns), table, len(size) - 1)


def _hdbscan(xy: Any, least: int, neighbours: Optional[int], distance: Optional[float]) -> Any:
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(
        min_cluster_size=least,
        min_samples=None if neighbours is None else min(neighbours, len(xy)),
        cluster_selection_epsilon=distance or 0.0,
        copy=False,
    ).fit(xy)
    return found.labels_, found.probabilities_


def _dbscan(xy: Any, least: int, distance: Optional[float], weights: Any) -> Any:
    from sklearn.cluster import DBSCAN

    if not distance:
        raise ValueError("DBSCAN needs a distance greater than 0")
    found = DBSCAN(eps=distance, min_samples=least).fit(xy, sample_weight=weights)
    return found.labels_, found.labels_ >= 0


def _by_size(label: Any) -> tuple[Any, Any]:
    """Each point's cluster, from 1 for the largest, and how many points each has; 0 of none."""
    sizes = np.bincount(label + 1)  # the first is that of -1, of no cluster
    order = 1 + np.argsort(-sizes[1:], kind="stable")
    number: Any = np.zeros(len(sizes), "int64")
    number[order] = np.arange(1, len(sizes))
    return number[label + 1], np.concatenate(([0], sizes[order]))


def _table(cluster: Any, count: int, xy: Any, weights: Any, probability: Any) -> Vector:
    """One row for each; a cluster that weighs nothing has the centre of its points."""

    def sums(of: Any) -> Any:
        return np.bincount(cluster, of, count + 1)[1:]

    points, weight = np.bincount(cluster, minlength=count + 1)[1:], sums(weights)
    share = np.where((weight > 0)[cluster - 1], weights, 1.0) if count else weights
    whole = sums(share)
    x, y = (sums(np.where(cluster > 0, each, 0) * share) / whole for each in xy.T)
    return Vector(
        {
            "cluster": np.arange(1, count + 1),
            "points": points,
            "weight": weight,
            "x": x,
            "y": y,
            "probability": sums(probability) / np.maximum(points, 1),
        }
    )
