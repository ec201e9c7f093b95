# SPDX-License-Identifier: MIT
"""What a folder's modules declare, kept in a file, so that QGIS starts without starting a worker.

One JSON file for each (environment, folder). It is fresh while neither ringbridge, the environment
nor one of the folder's files has changed. Pure: knows neither QGIS nor workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ringbridge.compute import Declaration

_FORMAT = 1


@dataclass(frozen=True)
class Module:
    """A compute module and its algorithms; `error` is one line, "" where all is well."""

    folder: str
    name: str
    algorithms: tuple[Declaration, ...]
    error: str
    traceback: str


@dataclass(frozen=True)
class Described:
    """A folder's modules. `fresh`: nothing has changed since they were read."""

    modules: tuple[Module, ...]
    fresh: bool


def modules_of(folder: str, plain: Sequence[dict[str, Any]]) -> tuple[Module, ...]:
    """What service.describe() tells. Raises ValueError for what is no such thing."""
    try:
        return tuple(
            Module(
                folder,
                each["module"],
                tuple(Declaration.from_plain(one) for one in each["algorithms"]),
                each["error"],
                each["traceback"],
            )
            for each in plain
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no description of modules: {error!r}") from None


def read(cache: str, environment: str, version: str, folder: str) -> Described | None:
    """What was written last for this folder and environment; None where there is nothing usable."""
    try:
        with open(_file(cache, environment, folder), encoding="utf-8") as file:
            kept = json.load(file)
        if kept["format"] != _FORMAT or kept["folder"] != folder:
            return None
        fresh = kept["version"] == version and kept["files"] == stamps(folder)
        return Described(modules_of(folder, kept["modules"]), fresh)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(
    cache: str,
    environment: str,
    version: str,
    folder: str,
    plain: Sequence[dict[str, Any]],
    files: dict[str, list[int]],
) -> None:
    """Keeps what service.describe() told; another process sees the old file or the new one.

    files  stamps() from before describe(): what was changed during it is not fresh
    """
    import tempfile  # QGIS's start only reads

    os.makedirs(cache, exist_ok=True)
    kept = {
        **{"format": _FORMAT, "version": version, "environment": environment, "folder": folder},
        **{"files": files, "modules": list(plain)},
    }
    made, path = tempfile.mkstemp(dir=cache, prefix=".", suffix=".json")
    try:
        with open(made, "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.replace(path, _file(cache, environment, folder))
    except BaseException:
        os.unlink(path)
        raise


def stamps(folder: str) -> dict[str, list[int]]:
    """Of each Python file below the folder: when it was changed, and its size."""
    found = {}
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and name[0] != "."]
        for name in names:
            path = os.path.join(here, name)
            with contextlib.suppress(OSError):  # gone meanwhile; or an editor's link to nowhere
                if name.endswith(".py"):
                    status = os.stat(path)
                    found[os.path.relpath(path, folder)] = [status.st_mtime_ns, status.st_size]
    return found


def _file(cache: str, environment: str, folder: str) -> str:
    key = zlib.crc32(f"{environment}\0{folder}".encode("utf-8", "surrogateescape"))
    return os.path.join(cache, f"{os.path.basename(folder)}-{key:08x}.json")
