# SPDX-License-Identifier: MIT
"""What is repeated leaves nothing behind: references, blocks, descriptors, mappings, threads.

Each group runs in a process of its own (rbr_testing/flat.py). RBR_ROUNDS multiplies the
repetitions. A CPython that counts all references, where there is one, runs them too: there, an
object that is shared by all counts as well as one that is made anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rbr_testing import rounds

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REPEATS = {
    "calls": 4000, "values": 10, "failures": 20, "arrays": 40, "timeouts": 30, "loads": 10,
    "tasks": 20, "imports": 50, "workers": 2, "deaths": 2,
}  # fmt: skip
#: The last one: headers that are symbolic links shall find their neighbours, not their target's.
CMAKE = [
    "-DRBR_EXTENSION=ON",
    "-DRBR_RINGBENCH=OFF",
    "-DRBR_LTO=OFF",
    "-DRBR_VERIFY=ON",
    "-DCMAKE_NO_SYSTEM_FROM_IMPORTED=ON",
]


def run(python: Path, group: str, repeats: int, **environ: str) -> None:
    command = [python, "-X", "faulthandler", "-m", "rbr_testing.flat", group, str(repeats)]
    done = subprocess.run(
        command, capture_output=True, cwd=HERE, env={**os.environ, **environ}, text=True
    )
    assert done.returncode == 0, f"{group}: {done.stdout}\n{done.stderr}"


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
@pytest.mark.parametrize("group", REPEATS)
def test_repetitions_leave_nothing_behind(group: str, nothing_left: None) -> None:
    repeats = REPEATS[group] * rounds.rounds(1)
    run(Path(sys.executable), group, repeats)
    rounds.count(f"repetitions of {group}", repeats)


@pytest.fixture(scope="session")
def counting_python(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A CPython that counts all references, and the folder with a ringbridge for it."""
    found = shutil.which("python3-dbg")
    cmake = shutil.which("cmake")
    if found is None or cmake is None:
        pytest.skip(
            "no python3-dbg here (Debian: python3-dbg, its headers: python3-dev), or no cmake"
        )
    folder = tmp_path_factory.mktemp("counting")
    build = ["-S", ROOT, "-B", folder / "build", f"-DPython_EXECUTABLE={found}", *CMAKE]
    made = subprocess.run([cmake, *build], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no extension can be built for {found}: {made.stderr[-300:]}")
    subprocess.run([cmake, "--build", folder / "build", "--parallel", "2"], check=True)
    shutil.copytree(ROOT / "python" / "ringbridge", folder / "site" / "ringbridge")
    for extension in (folder / "build").glob("_core*.so"):
        shutil.copy(extension, folder / "site" / "ringbridge")
    # Without this machine's packages: a numpy that was compiled without the count takes references
    # that are given back with it.
    venv = [found, "-m", "venv", "--without-pip", folder / "venv"]
    subprocess.run(venv, check=True, capture_output=True)
    return folder / "venv" / "bin" / "python", folder / "site"


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
@pytest.mark.parametrize("group", REPEATS)
def test_the_count_of_all_references_stays(
    group: str, counting_python: tuple[Path, Path], nothing_left: None
) -> None:
    python, site = counting_python
    repeats = max(2, REPEATS[group] // 2) * rounds.rounds(1)
    run(python, group, repeats, PYTHONPATH=f"{site}:{HERE}")
    rounds.count(f"repetitions of {group}, references counted", repeats)
