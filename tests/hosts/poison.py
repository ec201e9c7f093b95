# SPDX-License-Identifier: MIT
"""Variables of a host that break another Python, with the files behind them. All are real: each
leads to something that is there, and that is wrong for whoever inherits it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from rbr_testing.conda import Facts

NOT_A_LIBRARY = "this file stands where a library of another system would be\n"


@dataclass(frozen=True)
class Poison:
    """`outside`: the host is started with these. `inside`: it would not survive these, so it sets
    them itself, with os.environ, before it makes a worker."""

    folder: Path
    outside: dict[str, str]
    inside: dict[str, str]

    @property
    def names(self) -> set[str]:
        return self.outside.keys() | self.inside.keys()

    @property
    def all(self) -> dict[str, str]:
        return {**self.outside, **self.inside}


def make(folder: Path, conda: Facts) -> Poison:
    """In a folder of its own, so that its path in any value tells where that came from."""
    foreign = folder / "another-environment"  # of another Python, with another numpy
    foreign.symlink_to(conda.other.prefix)
    packages = foreign / "lib" / f"python{conda.other.minor}" / "site-packages"
    names = ("libraries", "runtime", "proj", "gdal", "qt")
    libraries, runtime, proj, gdal, qt = (folder / name for name in names)
    for each in (libraries, runtime, proj, gdal, qt):
        each.mkdir()
    (libraries / f"libpython{conda.gis.minor}.so.1.0").write_text(NOT_A_LIBRARY)
    (runtime / "libstdc++.so.6").write_text(NOT_A_LIBRARY)
    _old_database(proj / "proj.db")
    outside = {
        "LD_LIBRARY_PATH": str(libraries),
        "PROJ_DATA": str(proj),
        "PROJ_LIB": str(proj),
        "GDAL_DATA": str(gdal),
        "QT_PLUGIN_PATH": str(qt),
        "CONDA_PREFIX": str(foreign),
        "CONDA_PREFIX_1": str(foreign),
        "CONDA_DEFAULT_ENV": str(foreign),
        "CONDA_PROMPT_MODIFIER": f"({foreign}) ",
        "CONDA_SHLVL": "2",
    }
    inside = {
        "PYTHONHOME": str(foreign),
        "PYTHONPATH": str(packages),
        # The C++ library is the host's own too.
        "LD_LIBRARY_PATH": f"{libraries}:{runtime}",
    }
    return Poison(folder, outside, inside)


def _old_database(file: Path) -> None:
    """Of a PROJ that is older than any that could read it."""
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE metadata (key TEXT, value TEXT)")
        for part, value in (("MAJOR", "1"), ("MINOR", "0")):
            row = (f"DATABASE.LAYOUT.VERSION.{part}", value)
            database.execute("INSERT INTO metadata VALUES (?, ?)", row)
    database.close()
