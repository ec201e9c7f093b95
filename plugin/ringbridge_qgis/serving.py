# SPDX-License-Identifier: MIT
"""Serving: one server of this QGIS, or none.

    off --start()--> on              (`problem` may name modules that cannot be imported)
     ^ |              |
     | +--start()--+  |              (`problem` says why)
     +-------------+  |
     +---- stop() ----+

Main thread only. Knows nothing of QGIS; importing it loads nothing of ringbridge, starting it needs
one that is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

NAME = "qgis"
_OURS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "served")


class Serving:
    """`server` is None while it is off. It is off until somebody starts it."""

    def __init__(self, modules: Iterable[str], folders: Iterable[str]) -> None:
        self.server: Any = None
        self.problem = ""
        self._modules = tuple(modules)
        self._folders = tuple(folders)
        self._added: list[str] = []

    def use(self, modules: Iterable[str], folders: Iterable[str]) -> None:
        """Other modules and folders from now on. A server of others is replaced: clients find it
        with their next call."""
        wanted = tuple(modules), tuple(folders)
        if wanted == (self._modules, self._folders):
            return
        self._modules, self._folders = wanted
        if self.server is not None:
            self.stop()
            self.start()

    @property
    def modules(self) -> tuple[str, ...]:
        """Names and patterns of what is served, or would be."""
        return self._modules

    def start(self) -> None:
        """Never raises: `problem` says what is wrong. Does nothing while it is on."""
        if self.server is not None:
            return
        self.problem = ""
        folders = [each for each in (*self._folders, _OURS) if os.path.isdir(each)]
        self._added = [each for each in folders if each not in sys.path]
        sys.path.extend(self._added)  # last: QGIS's own modules must not be hidden
        try:
            from ringbridge import host

            self.server = host.serve(NAME, self._modules)
        except Exception as error:  # QGIS must go on, whatever a foreign ringbridge does
            self.stop()
            self.problem = str(error) or type(error).__name__
            return
        self._load()

    def _load(self) -> None:
        """What was named is imported now, so that what is exposed can be seen."""
        problems = []
        for name in self._modules:
            if "*" not in name:
                try:
                    self.server.exposure.load(name)
                except Exception as error:
                    problems.append(f"{name}: {type(error).__name__}: {error}")
        self.problem = "\n".join(problems)

    def stop(self) -> None:
        """Clients are told that it is over, and what was imported for them is forgotten.
        Idempotent."""
        self.problem = ""
        server, self.server = self.server, None
        if server is not None:
            server.stop()
            for name in server.modules():
                server.exposure.unload(name)
        for each in self._added:
            if each in sys.path:
                sys.path.remove(each)
        self._added = []
