# SPDX-License-Identifier: MIT
"""A plugin's folder as a zip for QGIS's plugin repository: what belongs in it, and nothing else.

Two runs over the same files give the same bytes: names are sorted, and times and modes are fixed.
Links are followed, so that a plugin may share files with others in the source tree.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ringbridge.new_plugin import PluginError, rules

#: At the plugin's top, for its developer alone.
_DEVELOPERS = ("tests", "test", "build", "dist", "Makefile", "pyproject.toml", "setup.cfg")
_LEFT_OUT = re.compile(r"\..*|__pycache__|.*\.(py[co]|orig|rej|swp)|.*~|.*\.egg-info")
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_MODE = 0o100644 << 16
_UNIX = 3
_LRELEASES = ("pyside6-lrelease", "lrelease")
_LRELEASE_S = 60.0


@dataclass(frozen=True)
class Packed:
    """What came of it. `findings`: what the repository would refuse; without any there is a zip.

    notes  what to know all the same, one line each
    """

    path: Path
    bytes: int
    count: int
    findings: tuple[rules.Finding, ...]
    notes: tuple[str, ...]


def pack(folder: Path, output: Path | None = None, check_only: bool = False) -> Packed:
    """Makes the zip and checks it; what is refused is not left lying about.

    output  a file, or a folder for NAME-VERSION.zip; None: the current folder. Raises PluginError
    where `folder` is no plugin's, OSError where a file cannot be read or written.
    """
    folder = Path(os.path.abspath(folder))  # a link keeps its name: QGIS knows the plugin by that
    metadata = folder / "metadata.txt"
    if not metadata.is_file():
        raise PluginError(f"{folder} is no QGIS plugin: it has no metadata.txt")
    path = _target(folder, output)
    with tempfile.TemporaryDirectory() as scratch:
        found = dict(_files(folder))
        files = {name: file for name, file in found.items() if not name.endswith(".ts")}
        sources = {name: file for name, file in found.items() if name not in files}
        translations, notes = _translations(sources, files, Path(scratch))
        files.update(translations)
        made = Path(scratch) / path.name
        _write(made, folder.name, files)
        findings = rules.check(made)
        size = made.stat().st_size
        if not findings and not check_only:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, path)
    examples = rules.examples_left(f"{folder.name}/metadata.txt", metadata.read_bytes())
    notes += [f"{each}: put your own there before an upload" for each in examples]
    return Packed(path, size, len(files), tuple(findings), tuple(notes))


def _target(folder: Path, output: Path | None) -> Path:
    if output is not None and output.suffix == ".zip" and not output.is_dir():
        return output
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(folder / "metadata.txt", encoding="utf-8")
        version = parser.get("general", "version", fallback="0")
    except (configparser.Error, UnicodeDecodeError):
        version = "0"  # what is wrong with it, the rules say
    word = re.sub(r"[^0-9A-Za-z.+-]", "_", version)
    return (output or Path()) / f"{folder.name}-{word}.zip"


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name in the zip below the top folder, file) of all that belongs to the plugin."""
    for here, folders, names in os.walk(folder, followlinks=True):
        _refuse_loop(here)
        below = Path(here).relative_to(folder)
        outer = below == Path()
        folders[:] = [name for name in folders if _belongs(name, outer)]
        for name in names:
            if _belongs(name, outer) and not (outer and name.endswith(".zip")):
                yield (below / name).as_posix(), Path(here, name)


def _belongs(name: str, outer: bool) -> bool:
    return not (_LEFT_OUT.fullmatch(name) or (outer and name in _DEVELOPERS))


def _refuse_loop(here: str) -> None:
    real = os.path.realpath(here)
    parent = os.path.dirname(here)
    while len(parent) > 1:
        if os.path.realpath(parent) == real:
            raise PluginError(f"{here} is a link to a folder that it lies in")
        parent = os.path.dirname(parent)


def _write(path: Path, top: str, files: dict[str, Path]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{top}/{name}", _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = _UNIX, _MODE
            archive.writestr(entry, file.read_bytes(), compresslevel=9)


# ---------------------------------------------------------------------------------- translations


def _translations(
    sources: dict[str, Path], files: dict[str, Path], scratch: Path
) -> tuple[dict[str, Path], list[str]]:
    """The .qm file of each .ts file, and what to say where one cannot be made."""
    program = _lrelease() if sources else None
    made: dict[str, Path] = {}
    notes = []
    for number, (source, file) in enumerate(sorted(sources.items())):
        name, target = f"{source[:-3]}.qm", scratch / f"{number}.qm"
        advice = "" if program else "; pip install PySide6-Essentials has one"
        problem = _compile(program, file, target) if program else "no lrelease was found"
        if problem:
            instead = "the .qm beside it goes in" if name in files else "it is left out"
            notes.append(f"{source}: not compiled: {problem}; {instead}{advice}")
        else:
            made[name] = target
    return made, notes


def _lrelease() -> str | None:
    """Qt's compiler of translations: beside this interpreter, or on PATH."""
    beside = os.path.dirname(sys.executable)
    search = os.pathsep.join([beside, os.environ.get("PATH", os.defpath)])
    found = (shutil.which(name, path=search) for name in _LRELEASES)
    return next(filter(None, found), None)


def _compile(program: str, source: Path, target: Path) -> str:
    """Why it failed, in one line; "" where it did not."""
    command = [program, "-silent", str(source), "-qm", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LRELEASE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0 and target.is_file():
        return ""
    return " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
