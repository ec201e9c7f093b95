# SPDX-License-Identifier: MIT
"""The rules of QGIS's plugin repository, applied to a zip as it would be uploaded.

One `Finding` for each violation. What the repository asks the network (whether the URLs answer) is
not asked here.
"""

from __future__ import annotations

import configparser
import re
import stat
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ringbridge.new_plugin import code_rules

BYTES_MAX = 25_000_000  # the repository's 25 MB
REQUIRED = (
    *("name", "description", "version", "qgisMinimumVersion", "author", "email", "about"),
    *("tracker", "repository"),
    "homepage",  # optional by the repository's list, and yet an upload without one is refused
)
_BOOLEANS = ("experimental", "deprecated", "server", "hasProcessingProvider")
_BOOLEAN_WORDS = ("true", "false", "yes", "no", "1", "0")
_PLACEHOLDERS = {
    "tracker": "http://bugs",
    "repository": "http://repo",
    "homepage": "http://homepage",
}
_TOP = re.compile(r"[A-Za-z][A-Za-z0-9_-]+")
_QGIS_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")
_VERSION = re.compile(r"\d+(\.\d+)*([-.+]?[0-9A-Za-z]+)*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_URL = re.compile(r"https?://[^\s/]+\.[^\s/]+(/\S*)?")
_EXAMPLE = re.compile(r"\bexample\.(org|com)\b")

_BINARY_NAMES = re.compile(r"\.(so(\.\d+)*|dll|pyd|exe|dylib|o|a|lib|jar|whl)$", re.IGNORECASE)
_BINARY_HEADS = (
    *(b"\x7fELF", b"!<arch>\n"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),
    *(b"\xca\xfe\xba\xbe", b"\xbe\xba\xfe\xca"),
)
_CACHES = re.compile(r"(^|/)(__pycache__|__MACOSX)(/|$)|\.py[co]")


@dataclass(frozen=True)
class Finding:
    """What would be refused: `file` as it is named in the zip, a line (0: of all of it), a text."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


def check(path: Path) -> list[Finding]:
    """What the repository would refuse in this zip; [] for a good one. Raises OSError.

    Bandit looks too, where this interpreter has it (code_rules.bandit_is_there).
    """
    found = []
    if path.stat().st_size > BYTES_MAX:
        size = path.stat().st_size / 1e6
        found.append(Finding(path.name, 0, f"{size:.1f} MB: at most 25 MB are taken"))
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        return [*found, Finding(path.name, 0, f"no zip: {error}")]
    with archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        found += _of_names(path.name, names)
        for name in names:
            found += _of_file(name, archive)
        top = names[0].partition("/")[0] if names else ""
        found += _of_folder(top, names)
        if f"{top}/metadata.txt" in names:
            found += of_metadata(f"{top}/metadata.txt", archive.read(f"{top}/metadata.txt"), names)
        python = [name for name in names if name.endswith(".py")]
        for name in python:
            found += [Finding(name, *each) for each in code_rules.findings(archive.read(name))]
        if code_rules.bandit_is_there():
            found += _of_bandit(path.name, archive, [name for name in python if _is_safe(name)])
    return _without_repeats(found)


def examples_left(name: str, metadata: bytes) -> list[Finding]:
    """Keys whose value is still an example's: nothing wrong, and not yet one's own."""
    return [
        Finding(name, number, f"{line.partition('=')[0].strip()} is still an example")
        for number, line in enumerate(metadata.decode("utf-8", "replace").splitlines(), 1)
        if "=" in line and not line.startswith("#") and _EXAMPLE.search(line)
    ]


def _of_names(zip_name: str, names: Sequence[str]) -> Iterator[Finding]:
    tops = sorted({name.partition("/")[0] for name in names})
    if len(tops) != 1 or any("/" not in name for name in names):
        yield Finding(zip_name, 0, f"one folder holds everything in it, not {', '.join(tops)}")
    for top in tops:
        if not _TOP.fullmatch(top):
            text = "the top folder's name is of ASCII letters, digits, - and _, a letter first"
            yield Finding(top, 0, text)
    for name in names:
        if not _is_safe(name):
            yield Finding(name, 0, "a path may not lead out of the folder, nor have '..' in it")


def _is_safe(name: str) -> bool:
    return not (".." in name or "\\" in name or name.startswith("/") or re.match("[A-Za-z]:", name))


def _of_file(name: str, archive: zipfile.ZipFile) -> Iterator[Finding]:
    if _CACHES.search(name):
        yield Finding(name, 0, "a cache of compiled code: leave it out")
    elif any(part.startswith(".") for part in name.split("/")):
        yield Finding(name, 0, "a hidden file: leave it out")
    info = archive.getinfo(name)
    mode = info.external_attr >> 16
    if mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        yield Finding(name, 0, "it is marked as a program: chmod 644")
    with archive.open(info) as file:
        head = file.read(64)
    is_pe = head.startswith(b"MZ") and b"\0" in head  # and no text that begins so
    if is_pe or head.startswith(_BINARY_HEADS) or _BINARY_NAMES.search(name):
        yield Finding(name, 0, "a binary: a plugin of the repository brings none")


def _of_folder(top: str, names: Sequence[str]) -> Iterator[Finding]:
    needed = {
        "__init__.py": "classFactory() belongs there",
        "metadata.txt": "QGIS and the repository read what the plugin is",
        "LICENSE": "a text file of exactly this name, with the licence",
    }
    for name, why in needed.items():
        if f"{top}/{name}" not in names:
            yield Finding(f"{top}/{name}", 0, f"missing: {why}")


def of_metadata(name: str, content: bytes, names: Sequence[str]) -> Iterator[Finding]:
    """What is wrong in a metadata.txt of a plugin that has files of these `names`."""
    try:
        text = content.decode("utf-8")
        parser = configparser.ConfigParser()
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(text)
        values = dict(parser.items("general"))
    except UnicodeDecodeError as error:
        yield Finding(name, content.count(b"\n", 0, error.start) + 1, "it is not UTF-8")
        return
    except configparser.NoSectionError:
        yield Finding(name, 1, "no section [general]")
        return
    except configparser.Error as error:
        line = getattr(error, "lineno", 0) or _line_of(text, getattr(error, "option", ""))
        words = " ".join(str(error).split())
        yield Finding(name, line or 1, f"cannot be read (a % is written %%): {words}")
        return
    for key in REQUIRED:
        if not values.get(key, "").strip():
            yield Finding(name, _line_of(text, key), f"{key} is missing")
    for key, value in values.items():
        wrong = _wrong_value(key, value.strip(), name, names)
        if wrong:
            yield Finding(name, _line_of(text, key), f"{key} = {value.strip()!r}: {wrong}")


def _wrong_value(key: str, value: str, name: str, names: Sequence[str]) -> str:
    """Why a value is refused; "" where it is not."""
    if not value:
        return ""
    if key == "version" and not _VERSION.fullmatch(value):
        return "a version is like 1.0.2"
    if key in ("qgisMinimumVersion", "qgisMaximumVersion") and not _QGIS_VERSION.fullmatch(value):
        return "a version of QGIS is like 3.22"
    if key == "author" and "/" in value:
        return "an author's name has no slash"
    if key == "email" and not _EMAIL.fullmatch(value):
        return "no e-mail address"
    if key in _PLACEHOLDERS and (value == _PLACEHOLDERS[key] or not _URL.fullmatch(value)):
        return "no address of a page, as in https://example.org/tracker"
    if key in _BOOLEANS and value.lower() not in _BOOLEAN_WORDS:
        return "True or False"
    if key == "icon" and f"{name.rpartition('/')[0]}/{value.removeprefix('./')}" not in names:
        return "there is no such file"
    return ""


def _line_of(text: str, key: str) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"{re.escape(key)}\s*[=:]", line):
            return number
    return 0


def _of_bandit(zip_name: str, archive: zipfile.ZipFile, names: list[str]) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            archive.extract(name, folder)
        try:
            found = code_rules.bandit_findings(Path(folder))
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            yield Finding(zip_name, 0, str(error))
            return
    for name, line, text in found:
        yield Finding(name.removeprefix("./"), line, text)


def _without_repeats(found: list[Finding]) -> list[Finding]:
    """One for each line of code: where we and Bandit see the same, in our words."""
    kept: dict[tuple[str, int, str], Finding] = {}
    for each in found:
        once = "" if each.line and each.file.endswith(".py") else each.text
        kept.setdefault((each.file, each.line, once), each)
    return sorted(kept.values(), key=lambda each: (each.file, each.line))
