# SPDX-License-Identifier: MIT
"""What an environment's scripts did to the variables, kept in the user's cache folder.

    ~/.cache/ringbridge/activation/<name>-<checksum of the prefix>.json
        prefix, stamp    which environment, and in which state (recipe.Recipe.stamp)
        changes          variable -> [value before, value after]; null: not set
        seen             variable -> value before, of all whose names stand in the scripts
        captured         "scripts", or "shell" for what was stored by hand

Whatever is wrong with such a file, it counts as not there; so does one that others may write, since
who writes it decides what runs in the user's workers.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

from ringbridge import interrupts
from ringbridge.activation.recipe import Recipe
from ringbridge.environment import cache_home
from ringbridge.plan import is_variable

_FORMAT = 1
_OF_OTHERS = 0o022
_NEW = ".new"
_NEW_S = 60.0  # after which a file that was being written has been left behind

Changes = dict[str, "tuple[str | None, str | None]"]


class Entry(NamedTuple):
    """One environment's captured activation."""

    prefix: str
    stamp: list[tuple[str, int, int]]
    changes: Changes
    seen: dict[str, str | None]
    by_hand: bool
    time_s: float  # since the epoch

    @classmethod
    def of(
        cls,
        prefix: str,
        recipe: Recipe,
        changes: Changes,
        seen: dict[str, str | None] | None = None,
        *,
        by_hand: bool = False,
    ) -> Entry:
        """As of now."""
        prefix = os.path.realpath(prefix)
        return cls(prefix, recipe.stamp, changes, seen or {}, by_hand, time.time())

    def fits(self, recipe: Recipe) -> bool:
        """Whether the environment's files are as they were then."""
        return self.stamp == recipe.stamp

    def applied(self, environ: Mapping[str, str], recipe: Recipe) -> dict[str, str] | None:
        """The variables after these changes; None when they were made for others.

        A list like PATH that was put before or behind the value of then is put around the one of
        now. What was stored by hand holds in any case.
        """
        if not self.by_hand and not (self.fits(recipe) and self._is_for(environ)):
            return None
        result = dict(environ)
        for name, (before, after) in self.changes.items():
            now = environ.get(name)
            if now != before and not self.by_hand:
                after = _moved(before, after, now)
            if after is None:
                result.pop(name, None)
            else:
                result[name] = after
        return result

    def _is_for(self, environ: Mapping[str, str]) -> bool:
        """Whether the scripts would do the same with these variables, as far as can be seen."""
        for name, (before, after) in self.changes.items():
            now = environ.get(name)
            if now != before and _moved(before, after, now) is None:
                return False
        unchanged = (name for name in self.seen if name not in self.changes)
        return all(environ.get(name) == self.seen[name] for name in unchanged)


def _moved(before: str | None, after: str | None, now: str | None) -> str | None:
    if not before or not after or not now:
        return None
    head, found, tail = after.partition(before)
    is_list = (not head or head.endswith(":")) and (not tail or tail.startswith(":"))
    return head + now + tail if found and is_list else None


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Changes:
    """What changed, as an Entry keeps it."""
    names = sorted({*before, *after})
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


# ----------------------------------------------------------------------------------------- files


def folder() -> str | None:
    """Where the files are, which need not exist; None: this user has no place for them."""
    base = cache_home()
    return os.path.join(base, "ringbridge", "activation") if base else None


def file_of(prefix: str) -> str | None:
    """The file for an environment, which need not exist; None: there is no place for it."""
    place, prefix = folder(), os.path.realpath(prefix)
    if place is None:
        return None
    # Two prefixes with one file name would only replace each other's entry, which says whose it is.
    name = re.sub(r"[^A-Za-z0-9._-]", "_", os.path.basename(prefix))[:64]
    return os.path.join(place, f"{name}-{zlib.crc32(os.fsencode(prefix)):08x}.json")


def load(prefix: str) -> Entry | None:
    """The environment's entry, whether it still fits or not."""
    path = file_of(prefix)
    entry = _read(path) if path else None
    return entry if entry is not None and entry.prefix == os.path.realpath(prefix) else None


def _read(path: str) -> Entry | None:
    try:
        # Neither a link nor a fifo: opening must not lead elsewhere, and must not wait.
        with _opened(path, "r", os.O_NOFOLLOW | os.O_NONBLOCK) as file:
            own = map(_is_users_own, (os.fstat(file.fileno()), os.stat(os.path.dirname(path))))
            return _checked(json.load(file)) if all(own) else None
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return None


def _opened(path: str, mode: str, flags: int) -> IO[str]:
    """open() with more flags, and with no moment in which Ctrl-C would lose the descriptor."""
    with interrupts.held():
        return open(
            path,
            mode,
            encoding="utf-8",
            opener=lambda name, usual: os.open(name, usual | flags, 0o600),
        )


def _is_users_own(status: os.stat_result) -> bool:
    plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return plain and status.st_uid == os.geteuid() and not status.st_mode & _OF_OTHERS


def _checked(content: dict[str, object]) -> Entry:
    """Raises ValueError, TypeError, LookupError or ArithmeticError for nonsense."""
    if content["format"] != _FORMAT:
        raise ValueError("another format")
    changes = {name: _pair(name, pair) for name, pair in _items(content["changes"])}
    seen = {name: _value(name, value) for name, value in _items(content["seen"])}
    time_s = float(str(content["time_s"]))
    if not math.isfinite(time_s):
        raise ValueError("no time")
    stamps = [(str(path), int(mtime), int(size)) for path, mtime, size in _list(content["stamp"])]
    by_hand = content["captured"] == "shell"
    return Entry(str(content["prefix"]), stamps, changes, seen, by_hand, time_s)


def _items(value: object) -> list[tuple[str, object]]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return list(value.items())


def _list(value: object) -> list[tuple[str, int, int]]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _pair(name: str, value: object) -> tuple[str | None, str | None]:
    if not isinstance(value, list) or len(value) != 2:
        raise TypeError("no pair")
    return _value(name, value[0]), _value(name, value[1])


def _value(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not is_variable(name, value):
        raise ValueError("no variable")
    return value


def store(entry: Entry) -> str:
    """Writes the entry, at once or not at all; its path. Raises OSError."""
    path = file_of(entry.prefix)
    if path is None:
        raise OSError("there is no folder for it: neither XDG_CACHE_HOME nor HOME is set")
    content: dict[str, object] = entry._asdict()
    content["format"] = _FORMAT
    content["captured"] = "shell" if content.pop("by_hand") else "scripts"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}-{threading.get_ident()}{_NEW}"
    try:
        with _opened(temporary, "w", os.O_NOFOLLOW) as file:
            json.dump(content, file, indent=1)  # a name that is no UTF-8 is escaped
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return path


def forget(prefix: str) -> bool:
    """Removes the environment's entry; whether there was one."""
    path = file_of(prefix)
    try:
        os.unlink(path or "")
    except FileNotFoundError:
        return False
    return True


def forgotten() -> Iterator[tuple[str, str, bool]]:
    """(file, why it may go, whether it was stored by hand) of what is of no use any more."""
    place = folder()
    try:
        names = sorted(os.listdir(place)) if place else []
    except OSError:
        return
    for name in names:
        path = os.path.join(place or "", name)
        if name.endswith(_NEW):
            if _age_s(path) > _NEW_S:
                yield path, "it was being written when its writer was killed", False
            continue
        entry = _read(path) if name.endswith(".json") else None
        if entry is not None and not os.path.isdir(entry.prefix):
            yield path, f"{entry.prefix} is gone", entry.by_hand


def _age_s(path: str) -> float:
    with contextlib.suppress(OSError):
        return time.time() - os.lstat(path).st_mtime
    return 0.0
