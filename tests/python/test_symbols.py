# SPDX-License-Identifier: MIT
"""What the built files show and need: hosts carry libraries of their own, and old C libraries."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import ringbridge
from ringbridge import _core

ROOT = Path(__file__).resolve().parents[2]
PYENV = Path.home() / ".pyenv" / "versions"
CORE = Path(_core.__file__)
RINGBENCH = CORE.parent / "bin" / "ringbench"

#: No system older than this can load what was built here: sem_clockwait, pthread and dl in libc
#: itself. A build on an older Debian needs less; a call that needs more has to be wanted.
NEWEST_GLIBC = (2, 34)

#: What a Linux system has anyway. librt and libpthread are stubs from glibc 2.34 on.
SYSTEM_LIBRARIES = {"libc", "libm", "libdl", "librt", "libpthread", "ld-linux-x86-64"}


def said_by(tool: str, *arguments: str | Path) -> str:
    """What nm or readelf says."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} (binutils) is not here")
    return subprocess.run([tool, *arguments], capture_output=True, check=True, text=True).stdout


def newest_glibc(binary: Path) -> tuple[int, ...]:
    versions = re.findall(r"GLIBC_([0-9.]+)", said_by("readelf", "--version-info", "-W", binary))
    return max(tuple(map(int, version.split("."))) for version in versions)


def needed(binary: Path) -> set[str]:
    lines = said_by("readelf", "--dynamic", "-W", binary)
    return {name.split(".so")[0] for name in re.findall(r"\(NEEDED\).*\[(.*)\]", lines)}


def test_the_package_under_test_is_the_installed_one() -> None:
    assert ROOT / "python" not in Path(ringbridge.__file__).parents


def test_the_extension_exports_its_init_function_and_nothing_else() -> None:
    lines = said_by("nm", "--dynamic", "--defined-only", CORE).splitlines()
    assert [line.split()[-1] for line in lines] == ["PyInit__core"]


@pytest.mark.parametrize("binary", [CORE, RINGBENCH], ids=["_core", "ringbench"])
def test_no_newer_c_library_is_needed_than_is_known(
    binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = newest_glibc(binary)
    with capsys.disabled():
        print(f"\n  {binary.name} needs glibc {'.'.join(map(str, newest))}")
    assert newest <= NEWEST_GLIBC


@pytest.mark.parametrize("binary", [CORE, RINGBENCH], ids=["_core", "ringbench"])
def test_only_the_systems_own_libraries_are_needed(binary: Path) -> None:
    assert needed(binary) <= SYSTEM_LIBRARIES


@pytest.mark.parametrize(
    "source", sorted((ROOT / "csrc" / "ext").glob("*.c")), ids=lambda f: f.name
)
def test_the_extension_compiles_for_a_free_threaded_python(source: Path) -> None:
    """Not linked or run: such a Python is not at hand everywhere. It turns its GIL on for us."""
    include = sysconfig.get_path("include")
    if sys.version_info < (3, 13):
        found = sorted(PYENV.glob("3.13*/include/python3.13"))
        if not found:
            pytest.skip(f"no headers of Python 3.13 or newer, here or in {PYENV}")
        include = str(found[0])
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    flags = ["-std=c11", "-D_GNU_SOURCE", "-DPy_GIL_DISABLED=1", "-Wall", "-Wextra", "-Werror"]
    places = [f"-I{include}", f"-I{ROOT / 'csrc' / 'include'}"]
    command = [compiler, "-fsyntax-only", *flags, "-Wno-cast-function-type", *places, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
