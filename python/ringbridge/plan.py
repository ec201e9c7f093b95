# SPDX-License-Identifier: MIT
"""What was asked for: all that decides how a worker is started, checked. Does nothing about it.

Imported by whoever wants a Worker, so it imports little: what a start takes is loaded with launch.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from ringbridge.environment import Environment

_MEMORY = {"auto": 0, "shm": 1, "memfd": 2}
_RING_BYTES = (64 << 10, 1 << 30)
_BYTES_MAX = (1 << 63) - 1


class Wishes(NamedTuple):
    """What a user wants of the variables, beside the environment's own.

    environ       has the last word
    keep_environ  names of the host's variables to keep in any case (a star at the end: all that
                  begin so), also where the environment's scripts set them; not those that say
                  where the process runs, PATH and CONDA_PREFIX for example
    threads       sets the usual thread-count variables
    """

    environ: Mapping[str, str] = {}
    keep_environ: Collection[str] = ()
    threads: int | None = None

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str] | None = None,
        keep_environ: Collection[str] = (),
        threads: int | None = None,
    ) -> Wishes:
        """Checks what a user wrote."""
        if environ is not None and not isinstance(environ, Mapping):
            raise TypeError(f"environ must be a dict of variables, not {type(environ).__name__}")
        wishes = cls(dict(environ or {}), keep_environ, threads)
        _check_wishes(*wishes)
        return wishes


def _check_wishes(
    environ: Mapping[str, str], keep_environ: Collection[str], threads: int | None
) -> None:
    if isinstance(keep_environ, str):
        raise TypeError(f"keep_environ must be a list of names: write [{keep_environ!r}]")
    for name in keep_environ:
        if not isinstance(name, str):
            raise TypeError(f"keep_environ must be names, not {type(name).__name__}")
    for name, value in environ.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"environ[{name!r}] must be a str, not {type(value).__name__}")
        if not is_variable(name, value):
            raise ValueError(f"environ[{name!r}]: not a name and value that a process can have")
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int):
            raise TypeError(f"threads must be an int, not {type(threads).__name__}")
        if threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")


def is_variable(name: str, value: str) -> bool:
    """Whether a process can have it in its environment."""
    return bool(name) and "=" not in name and "\0" not in name + value


class Limits(NamedTuple):
    """What `Worker(limits=...)` may set; 0 is the core's default."""

    arena_bytes: int = 0
    ring_bytes: int = 0
    memory: int = 0

    @classmethod
    def of(cls, limits: Mapping[str, object] | None) -> Limits:
        """Checks what a user wrote; refuses an unknown key by its name."""
        given = dict(limits or {})
        memory = given.pop("memory", "auto")
        if memory not in _MEMORY:
            raise ValueError(f"limits['memory'] must be one of {list(_MEMORY)}, not {memory!r}")
        arena_bytes = _positive("arena_bytes", given.pop("arena_bytes", None))
        ring_bytes = _positive("ring_bytes", given.pop("ring_bytes", None))
        low, high = _RING_BYTES
        if ring_bytes and not (low <= ring_bytes <= high and ring_bytes & (ring_bytes - 1) == 0):
            raise ValueError(
                f"limits['ring_bytes'] must be a power of two from {low} to {high}, "
                f"not {ring_bytes}"
            )
        if given:
            names = ", ".join(repr(name) for name in sorted(given, key=str))
            raise ValueError(f"limits has no {names}; it has arena_bytes, ring_bytes, memory")
        return cls(arena_bytes, ring_bytes, _MEMORY[str(memory)])


def _positive(name: str, value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"limits[{name!r}] must be an int, not {type(value).__name__}")
    if not 1 <= value <= _BYTES_MAX:
        raise ValueError(f"limits[{name!r}] must be 1 or more bytes, not {value}")
    return value


class Plan(NamedTuple):
    """All that decides how a worker is started. `base`: the host's variables."""

    name: str
    environment: Environment
    base: Mapping[str, str]
    wishes: Wishes = Wishes()
    cwd: str | None = None
    paths: tuple[str, ...] = ()
    limits: Limits = Limits()
    start_timeout_s: float = 30.0
    pickle: bool = False


def name_of(name: str | None, environment: Environment) -> str:
    """What messages call the worker: as it was named, or as its environment is."""
    if name is None:
        name = environment.name
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name or "\0" in name:
        raise ValueError(f"name must be a text that is not empty, not {name!r}")
    return name.encode("utf-8", "backslashreplace").decode()  # a folder's name need not be UTF-8


def seconds(option: str, value: float | None) -> float | None:
    """A number of seconds more than 0, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{option} must be a number of seconds, not {type(value).__name__}")
    if not value > 0:
        raise ValueError(f"{option} must be more than 0 seconds, not {value}")
    return float(value)


def start_timeout(value: float) -> float:
    """Seconds for the whole start."""
    checked = seconds("start_timeout", value)
    if checked is None:
        raise TypeError("start_timeout must be a number of seconds: a start has to end")
    return checked


def check_pickle(pickle: bool, environment: Environment) -> None:
    """Raises ValueError where pickled values cannot be had."""
    if pickle and environment.kind == "ssh":
        raise ValueError(
            f"pickle=True: no pickle crosses to another machine ({environment.prefix}); pass "
            "arrays, tables and plain values, or keep objects there with options(keep=True)"
        )


def folders(
    paths: Iterable[str | os.PathLike[str]], environment: Environment | None = None
) -> tuple[str, ...]:
    """Folders for sys.path, absolute; each must be there. On another machine that is seen there."""
    if isinstance(paths, (str, os.PathLike)):
        raise TypeError(f"paths must be a list of folders: write [{os.fspath(paths)!r}]")
    checked = tuple(folder("paths", path, environment) for path in paths)
    for each in checked:
        if not _elsewhere(environment) and not os.path.exists(each):
            raise ValueError(f"paths: there is no {each}")
    return checked


def folder(
    option: str, path: str | os.PathLike[str], environment: Environment | None = None
) -> str:
    """A folder that may not be there, absolute. On another machine as it is written: what `~` and a
    relative one mean (the home folder) is known there."""
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"{option} must be of str, not of {type(text).__name__}")
    return text if _elsewhere(environment) else os.path.abspath(os.path.expanduser(text))


def _elsewhere(environment: Environment | None) -> bool:
    return environment is not None and environment.kind == "ssh"
