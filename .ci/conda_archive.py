# SPDX-License-Identifier: MIT
"""Conda packages out of folders: what stands in the archive beside the files themselves.

A folder is laid out as it will be below a prefix. A file that names the prefix says PLACEHOLDER;
that is found here and recorded, so that installing puts the real prefix there, as text, or with
the rest filled up with NULs in binaries.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

#: As long as conda-build's: a prefix must not be longer than this.
PLACEHOLDER = ("/build/_h_env" + "_placehold" * 25)[:255]
SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}.get(platform.machine(), "")
TIMESTAMP_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Package:
    """What its index.json says; `folder` holds the files."""

    folder: Path
    name: str
    version: str
    build: str = "0"
    depends: list[str] = field(default_factory=list)
    noarch: str = ""  # or generic, python
    entry_points: list[str] = field(default_factory=list)  # of noarch python: made at installation

    @property
    def subdir(self) -> str:
        return "noarch" if self.noarch else SUBDIR

    def index(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": 0,
            "depends": self.depends,
            "subdir": self.subdir,
            "timestamp": TIMESTAMP_MS,
            "arch": None if self.noarch else platform.machine(),
            "platform": None if self.noarch else "linux",
        }
        return {**told, "noarch": self.noarch} if self.noarch else told


def path_entry(file: Path, name: str) -> dict[str, Any]:
    """Its line in paths.json."""
    content = file.read_bytes()  # of a link: what it leads to
    entry = {
        "_path": name,
        "path_type": "softlink" if file.is_symlink() else "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if PLACEHOLDER.encode() in content and not file.is_symlink():
        entry["prefix_placeholder"] = PLACEHOLDER
        entry["file_mode"] = "binary" if b"\0" in content else "text"
    return entry


def names_in(folder: Path) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [os.path.relpath(os.path.join(place, name), folder) for name in files + links]
    return sorted(found)


def info_files(package: Package, names: list[str]) -> dict[str, str]:
    paths = [path_entry(package.folder / name, name) for name in names]
    info: dict[str, Any] = {
        "index.json": package.index(),
        "paths.json": {"paths": paths, "paths_version": 1},
        "about.json": {"summary": f"{package.name}, made of files at hand for tests"},
    }
    if package.noarch == "python":
        told = {"type": "python", "entry_points": package.entry_points}
        info["link.json"] = {"noarch": told, "package_metadata_version": 1}
    texts = {f"info/{name}": json.dumps(content, indent=1) for name, content in info.items()}
    return {**texts, "info/files": "".join(f"{name}\n" for name in names)}


def add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(content), TIMESTAMP_MS // 1000
    tar.addfile(member, io.BytesIO(content))


def add_info(tar: tarfile.TarFile, info: dict[str, str]) -> None:
    for name, text in info.items():
        add_text(tar, name, text)


def add_files(tar: tarfile.TarFile, package: Package, names: list[str]) -> None:
    for name in names:
        tar.add(package.folder / name, name, recursive=False)


def zstd_tar(out: IO[bytes], add: Callable[[tarfile.TarFile], None]) -> None:
    """The fastest level: these archives live for one run of the tests."""
    import zstandard  # of the tools; the rest of this file is anybody's

    compressor = zstandard.ZstdCompressor(level=1, threads=2)
    with (
        compressor.stream_writer(out, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        add(tar)


def write_conda(package: Package, channel: Path) -> None:
    """The newer kind: a zip of two tars and a file that says so."""
    stem = f"{package.name}-{package.version}-{package.build}"
    names = names_in(package.folder)
    info = info_files(package, names)
    with zipfile.ZipFile(_place(package, channel, f"{stem}.conda"), "w") as archive:
        archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        with archive.open(f"pkg-{stem}.tar.zst", "w", force_zip64=True) as out:
            zstd_tar(out, lambda tar: add_files(tar, package, names))
        with archive.open(f"info-{stem}.tar.zst", "w", force_zip64=True) as out:
            zstd_tar(out, lambda tar: add_info(tar, info))


def write_tar(package: Package, channel: Path) -> None:
    """The older kind, for small ones: bzip2 takes its time."""
    path = _place(package, channel, f"{package.name}-{package.version}-{package.build}.tar.bz2")
    names = names_in(package.folder)
    with tarfile.open(path, "w:bz2", compresslevel=1) as tar:
        add_info(tar, info_files(package, names))
        add_files(tar, package, names)


def _place(package: Package, channel: Path, name: str) -> Path:
    folder = channel / package.subdir
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
