# SPDX-License-Identifier: MIT
"""Loads: what a worker has loaded, in which order, so that its next process can load the same.

Knows channels and modules; when a process is replaced, and by whom, stands in worker_process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ringbridge.errors import WorkerDied
from ringbridge.remote import Loaded, Targets

if TYPE_CHECKING:
    from typing import Union

    from ringbridge._core import Channel, Target

    #: What became of each load in a new process, in their order.
    Replayed = dict[str, Union[Loaded, Exception]]


class Loads:
    """The modules of one worker. Whoever replaces its process keeps others out meanwhile."""

    def __init__(self, owner: object) -> None:
        self._targets = Targets(owner)
        self._order: dict[str, None] = {}
        self.failed: dict[str, Exception] = {}  # could not be loaded again; told once

    def bind(self, channel: Channel, module: str, loaded: Loaded) -> Mapping[str, Target]:
        """The targets of a module's functions, bound as Channel.load has said."""
        self._order[module] = None
        self.failed.pop(module, None)
        return self._targets.bind(channel, module, loaded)

    def replay(self, channel: Channel) -> Replayed:
        """Loads all again, and binds nothing yet. Raises when the process does not survive it."""
        said: Replayed = {}
        for module in list(self._order):
            try:
                said[module] = channel.load(module, False, None)
            except WorkerDied as error:
                text = f"{error}; it died when it loaded {module!r} again"
                raise WorkerDied(text, error.signal, error.exit_code) from None
            except Exception as error:
                if not channel.alive:
                    raise
                said[module] = error
        return said

    def take(self, channel: Channel, replayed: Replayed) -> None:
        """From here on functions are called there; those of modules that failed raise."""
        self.failed = {}
        for module, loaded in replayed.items():
            if isinstance(loaded, Exception):
                self.failed[module] = loaded
            else:
                self._targets.bind(channel, module, loaded)


def module_of(target: Target) -> str:
    """The module that the target's function belongs to."""
    return target.name.rpartition(".")[0]
