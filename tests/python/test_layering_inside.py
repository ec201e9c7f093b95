# SPDX-License-Identifier: MIT
"""The arrows inside of ringbridge.compute, host, relay and qgis, as docs/map.md draws them.

Reads the source tree only. The arrows between packages are test_layering's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_layering import FACADE, PACKAGE, imported

#: Inside a package, from the bottom to the top: what is imported there, in functions too.
INSIDE = {
    "compute": (
        {"kinds", "raster", "module_folder"},
        {"column", "column_values", "arrow_columns", "wkb", "vector", "geo_frames"},
        {"annotations", "declaration_checks", "direct_call"},
        {"declaration"},
        {"service"},
    ),
    "host": (
        {"expose", "main_work", "applications", "http_rules", "http_listener"},
        {"module_rules", "one_pass", "json_values"},
        {"reloading", "qt_pump", "blender_pump", "executor_pump"},
        {"exposure", "pumps"},
        {"client_table", "http_calls"},
        {"lanes", "http_wire", "skyhook"},
        {"http_request"},
        {"gateway"},
        {"server"},
    ),
    "plot": (
        # the computation's side
        {"asking", "commands", "handling", "kept", "viewer_process", "view_source"},
        {"launched"},
        {"letters", "pipes"},
        {"joined"},
        {"audience", "notebook"},
        {"doorman"},
        {"plotter"},
        {"quick", "running_plots"},
        # the viewer's side
        {"emitting", "view_loading", "viewer_loops", "viewer_output", "qt_windows", "ready_figure"},
        {"follower", "meeting", "ready_views", "viewer_windows", "viewer_events"},
        {"pictures"},
        {"questions"},
        {"viewer"},
        # between machines
        {"remote_far"},
        {"remote_near"},
    ),
    "relay": (
        {"records", "ssh"},
        {"line"},
        {"passing"},
        {"near", "far"},
    ),
    "qgis": (
        {"texts", "strips", "descriptions", "run_log", "workers", "runs"},
        {"raster_source", "styles", "parameters", "attributes", "shapes", "failures"},
        {"raster_input", "raster_sink", "arguments", "features"},
        {"algorithm_run"},
        {"in_whole", "in_strips"},
        {"results"},
        {"execution"},
        {"algorithm"},
        {"provider"},
        {"bridge", "serving_panel"},
        {"dock"},
    ),
}
#: Parts that somebody else may use: they know nothing of channels and workers.
FOR_OTHERS = {"records", "ssh", "line"}
#: The gateway's parts, which the rest of the package does not look into but for its top.
GATEWAY = {"http_rules", "http_listener", "json_values", "http_calls", "http_wire", "skyhook"}
#: Parts that are tested where there is no QGIS.
WITHOUT_QGIS = {"strips", "descriptions", "run_log", "workers", "runs"}


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but for what only type checkers read."""
    if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from at_run_time(child)


def names_at_run_time(file: Path) -> set[str]:
    return {
        name
        for node in at_run_time(ast.parse(file.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in imported(node)
    }


@pytest.mark.parametrize("package", INSIDE)
def test_inside_a_package_modules_import_only_from_their_layer_and_lower_ones(package: str) -> None:
    height = {name: at for at, names in enumerate(INSIDE[package]) for name in names}
    files = [file for file in (PACKAGE / package).glob("*.py") if file.stem != FACADE]
    assert {file.stem for file in files} == set(height)
    wrong = []
    for file in files:
        inner = [name.split(".") for name in names_at_run_time(file)]
        targets = {parts[2] for parts in inner if parts[:2] == ["ringbridge", package]}
        wrong += [
            f"{file.name} imports {name}"
            for name in targets & set(height)
            if height[name] > height[file.stem]
        ]
    assert not wrong


def test_what_starts_ssh_and_frames_records_knows_no_channel_and_no_worker() -> None:
    allowed = {"errors", "activation", "ssh_address", "relay"}
    for part in FOR_OTHERS:
        named = (name.split(".") for name in names_at_run_time(PACKAGE / "relay" / f"{part}.py"))
        ours = {parts[1] for parts in named if parts[0] == "ringbridge"}
        assert ours <= allowed, part


def test_parts_that_are_tested_without_qgis_do_not_import_it() -> None:
    wrong = [
        f"{part} imports {name}"
        for part in WITHOUT_QGIS
        for name in names_at_run_time(PACKAGE / "qgis" / f"{part}.py")
        if name.partition(".")[0] in ("qgis", "osgeo")
    ]
    assert not wrong


def test_only_the_gateway_looks_into_its_parts() -> None:
    for file in (PACKAGE / "host").glob("*.py"):
        named = (name.split(".") for name in names_at_run_time(file))
        inner = {parts[2] for parts in named if parts[:2] == ["ringbridge", "host"]}
        if file.stem not in GATEWAY | {"http_request", "gateway"}:
            assert not inner & (GATEWAY | {"http_request"}), file.name
