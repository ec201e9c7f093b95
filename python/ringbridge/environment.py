# SPDX-License-Identifier: MIT
"""What is at a path: from a prefix or an interpreter's path to the environment it belongs to.

Looks at the file system and starts nothing. Whether the file found really is a Python comes out
when it is started. Where environments are, and what a name means, is discovery's.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Literal, NamedTuple, Union

from ringbridge.errors import EnvironmentNotFound

Kind = Literal["conda", "pixi", "venv", "plain", "ssh"]
EnvironmentLike = Union[str, "os.PathLike[str]", "Environment"]

_FOLDERS_OF_SEVERAL = ("envs", "virtualenvs", ".virtualenvs")  # no project's folders
_SHARED_PREFIXES = ("/", "/usr", "/usr/local")
_PYTHONS = ("bin/python", "bin/python3")  # in this order, below a prefix


class Environment(NamedTuple):
    """A Python installation: where it is, and what made it.

    prefix  its folder, absolute
    python  its interpreter's path
    kind    "conda" (conda, mamba, micromamba), "pixi", "venv", or "plain": any other
            installation, such as the system's or pyenv's; "ssh": on another machine, where
            prefix and python are addresses (ssh://...)
    name    what Worker() and the command line may call it by, where no other has that name
    """

    prefix: str
    python: str
    kind: Kind
    name: str

    @property
    def python_version(self) -> str | None:
        """The version of its Python ("3.12.1" or "3.12"), as its files tell; None: they do not."""
        if self.kind == "ssh":
            return None
        if self.kind in ("conda", "pixi"):
            return _version_of_record(self.prefix)
        if self.kind == "venv":
            return _version_of_venv(self.prefix)
        return _version_of_file(os.path.realpath(self.python))


def at_path(path: str) -> Environment:
    """The environment at a prefix, or at an interpreter's path.

    Raises EnvironmentNotFound, which says what was looked at.
    """
    path = os.path.abspath(os.path.expanduser(path))
    return at_prefix(path) if os.path.isdir(path) else _at_interpreter(path)


def at_prefix(prefix: str) -> Environment:
    """The environment whose folder this is. Raises EnvironmentNotFound."""
    looked_at = []
    for relative in _PYTHONS:
        python = os.path.join(prefix, relative)
        problem = _problem(python)
        if problem is None:
            kind = _kind(prefix) or "plain"
            return Environment(prefix, python, kind, _name(prefix, kind, python))
        looked_at.append(f"{python} ({problem})")
    text = f"no Python in {prefix}: looked at " + ", ".join(looked_at)
    for inside in (".pixi/envs/default", ".venv", "venv"):
        if os.path.isdir(os.path.join(prefix, inside)):
            text += f". It has an environment: give {os.path.join(prefix, inside)}"
            break
    raise EnvironmentNotFound(text)


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
            return Environment(prefix, python, kind, _name(prefix, kind, python))
    return Environment(there, python, "plain", _name(there, "plain", python))


def home() -> str | None:
    """The user's home folder; None: the system knows of none."""
    path = os.path.expanduser("~")
    return path if os.path.isabs(path) else None


def cache_home() -> str | None:
    """Where programs keep what they can make again; None: there is no such place."""
    path = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(path):  # its specification wants it so
        path = os.path.join(home() or "", ".cache")
    return path if os.path.isabs(path) else None


def is_condas_own(prefix: str) -> bool:
    """Whether conda itself is installed in this prefix: the one that it calls base."""
    return os.path.isdir(os.path.join(prefix, "condabin"))


def is_conda(prefix: str) -> bool:
    """Whether conda or its like made this folder; there may be no Python in it."""
    return os.path.isdir(os.path.join(prefix, "conda-meta"))


def is_venv(prefix: str) -> bool:
    """Whether venv or virtualenv made this folder."""
    return os.path.isfile(os.path.join(prefix, "pyvenv.cfg"))


def _kind(prefix: str) -> Kind | None:
    if is_conda(prefix):
        is_global = os.path.dirname(os.path.dirname(prefix)) == pixi_home()
        return "pixi" if is_global or pixi_project(prefix) else "conda"
    return "venv" if is_venv(prefix) else None


def pixi_project(prefix: str) -> str | None:
    """The folder of the pixi project that this prefix belongs to; None: it belongs to none."""
    head, envs = os.path.split(os.path.dirname(prefix))
    project, pixi = os.path.split(head)
    if (pixi, envs) == (".pixi", "envs") and head != pixi_home():
        return project
    # One that pixi keeps elsewhere ("detached") says in a record of pixi's whose it is.
    record = os.path.join(prefix, "conda-meta", "pixi")
    if not os.path.isfile(record):
        return None
    manifest = read_record(record).get("manifest_path")
    return os.path.dirname(manifest) if isinstance(manifest, str) else None


def pixi_home() -> str | None:
    """Where pixi keeps what belongs to no project: its global environments, in `envs`."""
    path = os.environ.get("PIXI_HOME") or os.path.join(home() or "", ".pixi")
    return path if os.path.isabs(path) else None


def read_record(path: str) -> dict[str, object]:
    """A JSON file that should hold an object; {} for one that cannot be read."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _name(prefix: str, kind: Kind, python: str) -> str:
    name = os.path.basename(prefix)
    if kind == "plain" and prefix in _SHARED_PREFIXES:  # what is there has no name of its own
        return os.path.basename(os.path.realpath(python))
    if kind == "conda" and is_condas_own(prefix):
        return "base"
    if kind == "pixi":
        project = os.path.basename(pixi_project(prefix) or "")
        return ":".join(part for part in (project, name) if part and part != "default")
    # Many projects keep theirs in a folder .venv: the project's name says more.
    parent = os.path.basename(os.path.dirname(prefix))
    if name in (".venv", "venv", "env") and parent and parent not in _FOLDERS_OF_SEVERAL:
        return parent
    return name


def _version_of_record(prefix: str) -> str | None:
    """conda-meta has a record `python-3.12.1-build.json`, of the package that is installed."""
    try:
        names = os.listdir(os.path.join(prefix, "conda-meta"))
    except OSError:
        return None
    matches = (re.fullmatch(r"python-([0-9][0-9a-z.]*)-[^-]*\.json", name) for name in names)
    return next((match[1] for match in matches if match), None)


def _version_of_venv(prefix: str) -> str | None:
    try:
        with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    match = re.search(r"^version(?:_info)?\s*=\s*([0-9]+(?:\.[0-9]+)*)", text, re.MULTILINE)
    return match[1] if match else None


def _version_of_file(python: str) -> str | None:
    """From pyenv's folder (3.12.1/bin/python3.12), or else from the file's own name."""
    folder = os.path.basename(os.path.dirname(os.path.dirname(python)))
    for pattern, text in (
        (r"([0-9]+(?:\.[0-9]+){2})", folder),
        (r"python([0-9]+(?:\.[0-9]+)+)", os.path.basename(python)),
    ):
        match = re.fullmatch(pattern, text)
        if match:
            return match[1]
    return None


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
    except ValueError as error:  # a NUL in it
        return str(error)
    if stat.S_ISDIR(mode):
        return "a folder"
    if not stat.S_ISREG(mode):
        return "not a file"
    if not os.access(path, os.X_OK):
        return "not executable"
    return None
