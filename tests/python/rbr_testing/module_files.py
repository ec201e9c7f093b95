# SPDX-License-Identifier: MIT
"""Modules written by a test: files in a folder that is imported from while the test runs."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ringbridge.host.exposure import Exposure


class ModuleFiles:
    """A folder on sys.path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> None:
        """The file of a module; "pack.__init__" is that of a package."""
        file = self.folder.joinpath(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))


@contextmanager
def module_files(folder: Path) -> Iterator[ModuleFiles]:
    """Nothing that was imported meanwhile stays."""
    before = dict(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield ModuleFiles(folder)
    finally:
        sys.path.remove(str(folder))
        for name in sys.modules.keys() - before.keys():
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


def exposed(exposure: Exposure, name: str) -> list[str]:
    """The names of the functions that it exposes of a module."""
    return list(exposure.load(name).functions)
