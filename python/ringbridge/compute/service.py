# SPDX-License-Identifier: MIT
"""What a host loads in a worker to use the algorithms there: what there are, and to run one.

    worker.load("ringbridge.compute.service").describe(folder)
    worker.load("ringbridge.compute.service").run(folder, "terrain", "hillshade", {...})

Arguments and results cross as plain dicts (Raster.to_plain and so on). Knows nothing of QGIS.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from ringbridge.compute import declaration, direct_call, kinds, module_folder
from ringbridge.compute.raster import Raster
from ringbridge.compute.vector import Vector


def describe(folder: str) -> list[dict[str, Any]]:
    """One dict for each module: {"module", "algorithms": [declarations], "error", "traceback"}.

    `error` is one line for people, where it could not be imported or declares nonsense, else "".
    A folder that cannot be read is told like a module that cannot.
    """
    module_folder.forget(folder)
    try:
        names = module_folder.module_names(folder)
    except OSError as error:
        return [_entry(Path(folder).name, error)]
    described = []
    for name in names:
        entry = _entry(name)
        try:
            module = module_folder.load(folder, name)
            entry["algorithms"] = [
                declaration.declaration_of(each).to_plain()
                for each in declaration.algorithms_of(module)
            ]
        except (Exception, SystemExit) as error:  # a script may end itself
            entry = _entry(name, error)
        described.append(entry)
    return described


def _entry(name: str, error: BaseException | None = None) -> dict[str, Any]:
    line = f"{type(error).__name__}: {error}".splitlines()[0] if error is not None else ""
    details = traceback.format_exc() if error is not None else ""
    return {"module": name, "algorithms": [], "error": line, "traceback": details}


def run(folder: str, module: str, name: str, arguments: dict[str, Any]) -> list[Any]:
    """An algorithm's results, one for each of its outputs. Raises what it raises.

    Arguments are by parameter: rasters and vectors as dicts, or None; lists of those.
    """
    function = getattr(module_folder.load(folder, module), name)
    declared = declaration.declaration_of(function)
    grid: Raster | None = None
    values = {}
    for each in declared.parameters:
        if each.name not in arguments:
            continue
        value = _received(each.kind, arguments[each.name])
        grid = grid or direct_call.first_raster(value)
        values[each.name] = direct_call.in_form(each.kind, value)
    results = direct_call.results_of(declared, function.__wrapped__(**values), grid)
    return [each.to_plain() if isinstance(each, (Raster, Vector)) else each for each in results]


def _received(kind: kinds.Kind, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, kinds.Layers):
        return [_received(kind.of, each) for each in value]
    if isinstance(kind, kinds.RasterLayer):
        return Raster.from_plain(value)
    if isinstance(kind, kinds.VectorLayer):
        return Vector.from_plain(value)
    return Path(value) if isinstance(kind, kinds.File) else value
