# SPDX-License-Identifier: MIT
"""What an environment's scripts did to the variables, kept in the user's cache folder.

    ~/.cache/ringbridge/activation/<name>-<checksum of the prefix>.json
        prefix, stamp    which environment, and in which state (recipe.Recipe.stamp)
        changes          variable -> [value before, value after]; null: not set
        captured         "scripts", or "shell" for what was stored by hand

Whatever is wrong with such a file, it counts as not there. Files and folder are the user's alone:
who can write them decides what runs in the user's workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ringbridge.activation.recipe import Recipe

_FORMAT = 1

Changes = dict[str, "tuple[str | None, str | None]"]


@dataclass(frozen=True)
class Entry:
    """One environment's captured activation."""

    prefix: str
    stamp: list[tuple[str, int, int]]
    changes: Changes
    by_hand: bool
    time_s: float  # since the epoch

    def fits(self, recipe: Recipe) -> bool:
        """Whether the environment's files are as they were then."""
        return self.stamp == recipe.stamp

    def applied(self, environ: Mapping[str, str]) -> dict[str, str] | None:
        """The variables after these changes; None when they were made for others.

        A list like PATH that was put before or behind the value of then is put around the one of
        now. What was stored by hand holds in any case.
        """
        result = dict(environ)
        for name, (before, after) in self.changes.items():
            now = environ.get(name)
            if now != before and not self.by_hand:
                after = _moved(before, after, now)
                if after is None:
                    return None
            if after is None:
                result.pop(name, None)
            else:
                result[name] = after
        return result


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


def folder() -> str:
    """Where the files are; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "ringbridge", "activation")


def file_of(prefix: str) -> str:
    """The file for an environment; it need not exist."""
    # Two prefixes with one file name would only replace each other's entry, which says whose it is.
    name = re.sub(r"[^A-Za-z0-9._-]", "_", os.path.basename(prefix))[:64]
    return os.path.join(folder(), f"{name}-{zlib.crc32(os.fsencode(prefix)):08x}.json")


def load(prefix: str) -> Entry | None:
    """The environment's entry, whether it still fits or not."""
    entry = _read(file_of(prefix))
    return entry if entry is not None and entry.prefix == prefix else None


def _read(path: str) -> Entry | None:
    try:
        with open(path, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            content = json.load(file)
        if content["format"] != _FORMAT:
            return None
        return Entry(
            prefix=_text(content["prefix"]),
            stamp=[(_text(path), int(mtime), int(size)) for path, mtime, size in content["stamp"]],
            changes={
                _text(k): (_optional(b), _optional(a)) for k, (b, a) in content["changes"].items()
            },
            by_hand=content["captured"] == "shell",
            time_s=float(content["time_s"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def store(prefix: str, recipe: Recipe, changes: Changes, *, by_hand: bool = False) -> str:
    """Writes the environment's entry, at once or not at all; its path. Raises OSError."""
    path = file_of(prefix)
    content = {
        "format": _FORMAT,
        "prefix": prefix,
        "captured": "shell" if by_hand else "scripts",
        "time_s": time.time(),
        "stamp": recipe.stamp,
        "changes": changes,
    }
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)  # a name that is no UTF-8 is escaped
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return path


def forget(prefix: str) -> bool:
    """Removes the environment's entry; whether there was one."""
    try:
        os.unlink(file_of(prefix))
    except FileNotFoundError:
        return False
    return True


def forgotten() -> Iterator[tuple[str, str]]:
    """(file, prefix) of each entry whose environment is gone."""
    try:
        names = sorted(os.listdir(folder()))
    except OSError:
        return
    for name in names:
        path = os.path.join(folder(), name)
        entry = _read(path) if name.endswith(".json") else None
        if entry is not None and not os.path.isdir(entry.prefix):
            yield path, entry.prefix
