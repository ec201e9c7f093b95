# SPDX-License-Identifier: MIT
"""What the user has chosen: QGIS's settings below `ringbridge/`, which nobody else touches."""

from __future__ import annotations

import os
from dataclasses import dataclass

from qgis.core import QgsSettings

_GROUP = "ringbridge"
MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """All of them. A 0 among the limits: ringbridge's own choice.

    environment   the prefix where workers run; "": none was chosen yet
    source        the prefix whose ringbridge QGIS loads, where `environment` has none
    folders       more folders of compute modules
    threads       of numba, OpenMP and BLAS in a worker
    arena_mib     shared memory that each side of a worker may hold
    workers_max   workers at once
    idle_minutes  after which a worker with nothing to do is ended
    serve_modules names of modules, or patterns of such, that may be served
    serve_folders where such modules are
    ask           False: the user does not want to be reminded that nothing is set up
    """

    environment: str = ""
    source: str = ""
    folders: tuple[str, ...] = ()
    threads: int = 0
    arena_mib: int = 0
    workers_max: int = 1
    idle_minutes: int = 10
    ask: bool = True
    serve_modules: tuple[str, ...] = ("qgis_tools",)
    serve_folders: tuple[str, ...] = ()

    @property
    def limits(self) -> tuple[int, int, int, int]:
        """What a Bridge takes only when it is made."""
        return (self.threads, self.arena_mib, self.workers_max, self.idle_minutes)


def read() -> Settings:
    """On any thread. $RINGBRIDGE_ENV stands in for an environment that was never chosen."""
    kept, default = QgsSettings(), Settings()

    def text(name: str) -> str:
        return str(kept.value(f"{_GROUP}/{name}", "") or "")

    def number(name: str, otherwise: int) -> int:
        try:
            return max(int(kept.value(f"{_GROUP}/{name}", otherwise)), 0)
        except (TypeError, ValueError):  # edited by hand
            return otherwise

    def texts(name: str, otherwise: tuple[str, ...] = ()) -> tuple[str, ...]:
        found = kept.value(f"{_GROUP}/{name}", list(otherwise))
        found = [found] if isinstance(found, str) else found or []  # one alone comes as a str
        return tuple(str(each) for each in found if each)

    return Settings(
        environment=text("environment") or os.environ.get("RINGBRIDGE_ENV", ""),
        source=text("source"),
        folders=texts("folders"),
        threads=number("threads", default.threads),
        arena_mib=number("arena_mib", default.arena_mib),
        workers_max=max(number("workers_max", default.workers_max), 1),
        idle_minutes=max(number("idle_minutes", default.idle_minutes), 1),
        ask=text("ask") != "false",
        serve_modules=texts("serve_modules", default.serve_modules),
        serve_folders=texts("serve_folders"),
    )


def write(settings: Settings) -> None:
    """Replaces all of them."""
    kept = QgsSettings()
    for name in ("environment", "source", "threads", "arena_mib", "workers_max", "idle_minutes"):
        kept.setValue(f"{_GROUP}/{name}", getattr(settings, name))
    for name in ("folders", "serve_modules", "serve_folders"):
        kept.setValue(f"{_GROUP}/{name}", list(getattr(settings, name)))
    kept.setValue(f"{_GROUP}/ask", "true" if settings.ask else "false")
