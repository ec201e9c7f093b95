# SPDX-License-Identifier: MIT
"""Which interpreter is meant: from what the user wrote to a prefix and its python.

Looks at the file system and starts nothing. Whether the file found really is a Python comes out
when it is started.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Literal, Union

from ringbridge.errors import EnvironmentNotFound

Kind = Literal["conda", "venv", "plain"]
EnvironmentLike = Union[str, "os.PathLike[str]"]

_PYTHONS = ("bin/python", "bin/python3")  # in this order, below a prefix


@dataclass(frozen=True)
class Environment:
    """A Python installation: where it is, and what made it."""

    prefix: str
    python: str
    kind: Kind
    name: str


def find(env: EnvironmentLike) -> Environment:
    """The environment at an interpreter's path or at a prefix.

    Raises EnvironmentNotFound, which says what was looked at.
    """
    if not isinstance(env, (str, os.PathLike)):
        raise TypeError(f"env must be a str or a path, not {type(env).__name__}")
    text = os.fspath(env)
    if not isinstance(text, str):
        raise TypeError(f"env must be a path of str, not of {type(text).__name__}")
    if not text or "\0" in text:
        raise EnvironmentNotFound(f"{text!r} is neither a prefix nor an interpreter's path")
    if isinstance(env, str) and os.sep not in text and text not in (".", "..", "~"):
        return _find_name(text)
    path = os.path.abspath(os.path.expanduser(text))
    if os.path.isdir(path):
        return _at_prefix(path)
    return _at_interpreter(path)


def _find_name(name: str) -> Environment:
    """Where the names of environments will be looked up."""
    hint = f" (for the folder of that name here, write './{name}')" if os.path.isdir(name) else ""
    raise EnvironmentNotFound(
        f"no environment {name!r}: names of environments are not looked up yet. Give the path of "
        f"an interpreter (/path/to/env/bin/python) or of a prefix (/path/to/env){hint}"
    )


def _at_prefix(prefix: str) -> Environment:
    looked_at = []
    for relative in _PYTHONS:
        python = os.path.join(prefix, relative)
        problem = _problem(python)
        if problem is None:
            kind = _kind(prefix) or "plain"
            return Environment(prefix, python, kind, _name(prefix, kind))
        looked_at.append(f"{python} ({problem})")
    raise EnvironmentNotFound(f"no Python in {prefix}: looked at " + ", ".join(looked_at))


def _at_interpreter(python: str) -> Environment:
    problem = _problem(python)
    if problem is not None:
        raise EnvironmentNotFound(f"no interpreter at {python}: {problem}")
    # A venv's python is a link to another one's: what is around the link decides. Elsewhere a
    # link (/usr/local/bin/py) means what it points to.
    here = os.path.dirname(os.path.dirname(python))
    there = os.path.dirname(os.path.dirname(os.path.realpath(python)))
    for prefix in (here, there):
        kind = _kind(prefix)
        if kind is not None:
            return Environment(prefix, python, kind, _name(prefix, kind))
    return Environment(there, python, "plain", _name(there, "plain"))


def _kind(prefix: str) -> Kind | None:
    if os.path.isdir(os.path.join(prefix, "conda-meta")):
        return "conda"
    if os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):
        return "venv"
    return None


def _name(prefix: str, kind: Kind) -> str:
    if kind == "conda" and os.path.isdir(os.path.join(prefix, "condabin")):
        return "base"  # the one that conda itself lives in
    name = os.path.basename(prefix)
    # Many projects keep theirs in a folder .venv: the project's name says more.
    if name in (".venv", "venv", "env") and os.path.dirname(prefix) != os.sep:
        return os.path.basename(os.path.dirname(prefix)) or name
    return name or "python"


def _problem(path: str) -> str | None:
    """Why this file cannot be an interpreter; None when it may be one."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            return f"a broken link to {os.readlink(path)}"
        return "no such file"
    except OSError as error:
        return str(error.strerror)
    if stat.S_ISDIR(mode):
        return "a folder"
    if not stat.S_ISREG(mode):
        return "not a file"
    if not os.access(path, os.X_OK):
        return "not executable"
    return None
