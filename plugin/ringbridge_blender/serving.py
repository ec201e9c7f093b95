# SPDX-License-Identifier: MIT
"""Serving: one server of this Blender, or none, and what to say about it.

    stopped --start()--> serving      (`problem` is "")
      ^ |                  |
      | +--start()--+      |          (`problem` says why)
      +-------------+      |
      +------- stop() -----+

Main thread only. Knows nothing of Blender; importing it loads nothing of ringbridge.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from . import ringbridge_loader as loader

MINIMUM = "0.1.0"


@dataclass(frozen=True)
class Wanted:
    """What the preferences say."""

    environment: str  # has ringbridge; "": the first one found
    name: str
    modules: str  # names or patterns, with spaces or commas between
    folders: str  # where modules are, as in PATH


@dataclass(frozen=True)
class Seen:
    """What there is to show."""

    name: str
    pid: int
    modules: tuple[str, ...]
    loaded: tuple[str, ...]
    clients: tuple[str, ...]


class Serving:
    """`problem` says why it does not serve, where it should."""

    def __init__(self) -> None:
        self.server: Any = None
        self.problem = ""
        self._folders: list[str] = []

    def start(self, wanted: Wanted) -> bool:
        """False: `problem` says why. Never raises; does nothing while it serves already."""
        if self.seen() is not None:
            return True
        self.stop()
        self._add_folders(wanted)
        try:
            self._start(wanted)
        except Exception as error:  # Blender must go on, whatever a foreign ringbridge does
            self.stop()
            self.problem = str(error) or type(error).__name__
            return False
        return True

    def _start(self, wanted: Wanted) -> None:
        modules = wanted.modules.replace(",", " ").split()
        if not modules:
            raise ValueError("Name the modules to be served, in the add-on's preferences.")
        loader.load(*filter(None, [wanted.environment]), minimum=MINIMUM)
        from ringbridge import host

        self.server = host.serve(wanted.name or None, modules=modules)

    def _add_folders(self, wanted: Wanted) -> None:
        folders = [os.path.expanduser(each) for each in wanted.folders.split(os.pathsep) if each]
        self._folders = [each for each in folders if each not in sys.path]
        sys.path[:0] = self._folders

    def stop(self) -> None:
        """Clients are told that it is over. Idempotent."""
        self.problem = ""
        server, self.server = self.server, None
        if server is not None:
            server.stop()
        for each in self._folders:
            if each in sys.path:
                sys.path.remove(each)
        self._folders = []

    def seen(self) -> Seen | None:
        """None: it does not serve, or somebody else has stopped it."""
        server = self.server
        if server is None or server.closed:
            return None
        return Seen(
            server.name,
            server.pid,
            tuple(server.exposure.names()),
            tuple(server.modules()),
            tuple(f"{each.name} ({each.pid})" for each in server.clients()),
        )
