# SPDX-License-Identifier: MIT
"""What is in the wheel of `make wheel`, and which extension an interpreter takes out of it.

.ci/test_wheel sets RBR_WHEEL, the file, and RBR_WHEEL_PYTHONS, environments where it is installed.
That they call each other is rbr_testing/pairs.py.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

WHEEL = os.environ.get("RBR_WHEEL", "")
PYTHONS = [path for path in os.environ.get("RBR_WHEEL_PYTHONS", "").split(":") if path]
ABI3_FROM = (3, 11)
GLIBC_FLOOR = (2, 17)  # docs/decisions/0010-one-wheel.md
SYMBOL_VERSION = re.compile(rb"\0GLIBC_(\d+)\.(\d+)")

pytestmark = pytest.mark.skipif(not WHEEL, reason="the wheel is tested by `make wheel`")


def said_by(python: str, code: str, package_in: Path | None = None) -> str:
    """stdout; the installed package is used, or the one in that folder."""
    path = {} if package_in is None else {"PYTHONPATH": str(package_in)}
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **path, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def version_of(python: str) -> tuple[int, int]:
    major, minor = said_by(python, "import sys; print(*sys.version_info[:2])").split()
    return int(major), int(minor)


def exact_name(version: tuple[int, int]) -> str:
    return f"_core.cpython-{version[0]}{version[1]}-{platform.machine()}-linux-gnu.so"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """What the wheel puts into site-packages."""
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(tmp_path / "all")
    return tmp_path / "all"


@pytest.fixture
def abi3_only(unpacked: Path) -> Path:
    for file in (unpacked / "ringbridge").glob("_core.cpython-*.so"):
        file.unlink()
    return unpacked


def test_its_record_is_right() -> None:
    with zipfile.ZipFile(WHEEL) as wheel:
        (record,) = [name for name in wheel.namelist() if name.endswith(".dist-info/RECORD")]
        rows = [row.rsplit(",", 2) for row in wheel.read(record).decode().splitlines()]
        assert sorted(name for name, _, _ in rows) == sorted(wheel.namelist())
        for name, digest, size in rows:
            if name != record:
                content = wheel.read(name)
                raw = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
                assert (digest, size) == (f"sha256={raw.decode()}", str(len(content))), name


def test_its_name_says_which_c_library_it_needs(unpacked: Path) -> None:
    named = re.search(r"-manylinux_(\d+)_(\d+)_\w+\.whl$", WHEEL)
    assert named is not None
    binaries = [*unpacked.glob("ringbridge/*.so"), unpacked / "ringbridge/bin/ringbench"]
    needed = [SYMBOL_VERSION.findall(file.read_bytes()) for file in binaries]
    newest = max((int(major), int(minor)) for found in needed for major, minor in found)
    print(f"the wheel needs glibc {newest[0]}.{newest[1]}")
    assert newest == (int(named[1]), int(named[2]))
    assert newest <= GLIBC_FLOOR


def test_its_extensions_export_their_init_function_and_nothing_else(unpacked: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm (binutils) is not here")
    for file in unpacked.glob("ringbridge/*.so"):
        lines = subprocess.check_output(["nm", "-D", "--defined-only", file], text=True)
        assert [line.split()[-1] for line in lines.splitlines()] == ["PyInit__core"], file.name


@pytest.mark.parametrize("python", PYTHONS)
def test_an_interpreter_loads_the_extension_of_its_own_version(python: str) -> None:
    """With abi3 beside it; it would be slower, and nobody would notice."""
    loaded = said_by(python, "from ringbridge import _core; print(_core.__file__)")
    assert Path(loaded).name == exact_name(version_of(python))


@pytest.mark.parametrize("python", PYTHONS)
def test_abi3_alone_serves_3_11_and_newer_and_says_so_to_older_ones(
    python: str, abi3_only: Path
) -> None:
    code = """if True:
        import sys
        import ringbridge
        try:
            ringbridge.Worker
        except ImportError as error:
            print(error)
        else:
            print(sys.modules["ringbridge._core"].__file__)
    """
    version = version_of(python)
    said = said_by(python, code, package_in=abi3_only)
    if version >= ABI3_FROM:
        assert Path(said).name == "_core.abi3.so"
    else:
        assert f"no usable _core for this Python {version[0]}.{version[1]}." in said
