# SPDX-License-Identifier: MIT
"""Where environments are, and which one a name means.

Knows the places of conda, mamba, micromamba, miniforge, pixi, venv, virtualenvwrapper, pipenv,
poetry, pyenv and uv, and the interpreters on PATH. Reads the file system and starts nothing; what
is at a path is environment's.

    places():  a label and the prefixes there  -->  environments():  each once  -->  find(name)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ringbridge import ssh_address
from ringbridge.environment import (
    Environment,
    EnvironmentLike,
    at_path,
    cache_home,
    home,
    is_conda,
    is_venv,
    pixi_home,
)
from ringbridge.errors import EnvironmentNotFound

_ROOT_NAMES = (
    *("miniforge3", "mambaforge", "miniconda3", "anaconda3", "micromamba"),
    *("miniforge", "miniconda", "anaconda", "conda", "mamba"),
)
_NO_HOME = "/nonexistent"  # as Debian's users without one have it
_PYTHON_NAME = re.compile(r"python3(\.[0-9]+)?t?")
_LISTED_MAX = 30  # in an error's text; `ringbridge env list` shows all


class Place(NamedTuple):
    """A folder or a list that was looked at, and the prefixes or interpreters that it has."""

    where: str
    paths: tuple[str, ...]


class Survey:
    """All that was found, and how.

    found           the environments, each once
    without_python  prefixes of conda's, with nothing for us in them
    links           those that a link leads to as well, by the link's name
    places          what was looked at
    """

    def __init__(self) -> None:
        self.found: list[Environment] = []
        self.without_python: list[str] = []
        self.links: list[tuple[str, Environment]] = []
        self.places: list[Place] = []


def environments() -> list[Environment]:
    """The environments that can be found on this machine for this user, each once.

    In the order in which they are looked for: conda's, pixi's, venvs, plain interpreters. Starts
    nothing: whether one of them can be a worker, `ringbridge doctor ENV` tells.
    """
    return survey().found


def find(env: EnvironmentLike) -> Environment:
    """The environment that is meant by a name, a prefix, an interpreter's path, or an address
    (ssh://...), which is not looked at.

    A str without a slash is a name; an Environment is itself. Raises EnvironmentNotFound, which
    lists what was found and where it looked; TypeError for what is none of these.
    """
    if isinstance(env, Environment):
        return env
    if not isinstance(env, (str, os.PathLike)):
        raise TypeError(f"env must be a str, a path or an Environment, not {type(env).__name__}")
    text = os.fspath(env)
    if not isinstance(text, str):
        raise TypeError(f"env must be a path of str, not of {type(text).__name__}")
    if ssh_address.is_address(text):
        return ssh_address.environment_of(text)
    if not text or "\0" in text:
        raise EnvironmentNotFound(f"{text!r} is no name, no prefix and no interpreter's path")
    if isinstance(env, str) and os.sep not in text and text not in (".", "..", "~"):
        return _named(text)
    return at_path(text)


# ------------------------------------------------------------------------------------ a name


def _named(name: str) -> Environment:
    seen = survey()
    # Its own name first, so that another one's second name cannot make it ambiguous.
    linked = [each for link, each in seen.links if link == name]
    for matches in (
        [each for each in seen.found if name == each.name],
        linked + [each for each in seen.found if name in _other_names(each) and each not in linked],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise EnvironmentNotFound(_ambiguous(name, matches))
    raise EnvironmentNotFound(_missing(name, seen))


def _other_names(environment: Environment) -> tuple[str, ...]:
    """What else a person may call it: its folder, and an interpreter's file name."""
    folder = os.path.basename(environment.prefix)
    if environment.kind == "pixi" and folder == "default":
        return (folder, f"{environment.name}:default")
    if environment.kind == "plain":
        real = os.path.realpath(environment.python)
        return (folder, os.path.basename(environment.python), os.path.basename(real))
    return (folder,)


def _ambiguous(name: str, matches: list[Environment]) -> str:
    lines = [f"  {each.prefix} ({each.kind})" for each in matches]
    return "\n".join(
        [f"{len(matches)} environments are called {name!r}: give the path of one of them", *lines]
    )


def _missing(name: str, seen: Survey) -> str:
    import difflib

    names = [each.name for each in seen.found]
    close = difflib.get_close_matches(name, names, n=1) or [
        each for each in names if each.lower() == name.lower()
    ]
    lines = [f"no environment {name!r}" + (f": did you mean {close[0]!r}?" if close else "")]
    bare = [prefix for prefix in seen.without_python if os.path.basename(prefix) == name]
    lines += [f"  there is {prefix}, but no Python is installed in it" for prefix in bare]
    if os.path.isdir(name):
        lines.append(f"  for the folder of that name here, write './{name}'")
    if seen.found:
        lines.append("  found:")
        lines += [_line(each) for each in seen.found[:_LISTED_MAX]]
        rest = len(seen.found) - _LISTED_MAX
        if rest > 0:
            lines.append(f"    and {rest} more: `ringbridge env list` shows them")
    else:
        lines.append("  none was found at all")
    lines.append("  looked at:")
    lines += [f"    {each.where}: {len(each.paths) or 'nothing'}" for each in seen.places]
    lines.append("  or give the path of a prefix or of an interpreter")
    return "\n".join(lines)


def _line(environment: Environment) -> str:
    version = environment.python_version or "?"
    return f"    {environment.name}  ({environment.kind}, Python {version})  {environment.prefix}"


# ---------------------------------------------------------------------------------- all of them


def survey() -> Survey:
    """Looks everywhere. Some milliseconds, with some dozens of environments."""
    seen = Survey()
    known: set[str] = set()
    for place in places():
        seen.places.append(place)
        for path in place.paths:
            _look_at(path, known, seen)
    return seen


def _look_at(path: str, known: set[str], seen: Survey) -> None:
    try:
        environment = at_path(path)
    except EnvironmentNotFound:
        if is_conda(path) and path not in known:
            known.add(path)
            seen.without_python.append(path)
        return
    # The same interpreter under several names is one; a venv is told from its base by its folder.
    plain = environment.kind == "plain"
    identity = os.path.realpath(environment.python if plain else environment.prefix)
    if identity in known:
        return
    known.add(identity)
    if plain or identity == environment.prefix:
        seen.found.append(environment)
    else:  # a link to it, found first: its own name is the one that people know
        seen.found.append(at_path(identity))
        seen.links.append((os.path.basename(environment.prefix), seen.found[-1]))


def places() -> Iterator[Place]:
    """Every place, in the order of preference; one that names nothing is told as well."""
    user = home() or _NO_HOME
    here = _working_folder()
    yield from _of_conda(user)
    yield from _of_pixi(here)
    yield from _of_venv(user, here)
    yield from _of_interpreters(user)


def _of_conda(user: str) -> Iterator[Place]:
    active = os.environ.get("CONDA_PREFIX")
    if active:
        yield Place("CONDA_PREFIX", (active,))
    list_file = os.path.join(user, ".conda", "environments.txt")
    yield Place(list_file, tuple(_lines(list_file)))
    roots = list(_conda_roots(user, active))
    for root in roots:
        yield Place(root, (root, *_folders_in(os.path.join(root, "envs"))))
    folders = [os.path.join(user, ".conda", "envs"), *_configured_envs(user, roots)]
    for variable in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"):
        parts = os.environ.get(variable, "").split(os.pathsep)
        folders += [os.path.expanduser(part) for part in parts if part]
    for folder in _unique(folders):
        yield Place(folder, tuple(_folders_in(folder)))


def _conda_roots(user: str, active: str | None) -> Iterator[str]:
    """Installations of conda or mamba: folders that have `envs` below them."""
    candidates = [os.environ.get("MAMBA_ROOT_PREFIX", ""), os.environ.get("CONDA_ROOT", "")]
    if active:
        folder, name = os.path.split(os.path.dirname(os.path.abspath(active)))
        candidates.append(folder if name == "envs" else active)
    for variable in ("CONDA_EXE", "CONDA_PYTHON_EXE", "MAMBA_EXE"):
        candidates.append(_above_bin(os.environ.get(variable, "")))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for program in ("conda", "mamba", "micromamba"):
            path = os.path.join(folder, program)
            if folder and os.path.isfile(path):
                candidates.append(_above_bin(os.path.realpath(path)))
    for parent in (user, "/opt", "/usr/local"):
        candidates += [os.path.join(parent, name) for name in _ROOT_NAMES]
    candidates.append(os.path.join(user, ".local", "share", "mamba"))
    for root in _unique(os.path.abspath(each) for each in candidates if each):
        if is_conda(root) or _folders_in(os.path.join(root, "envs")):
            yield root


def _above_bin(program: str) -> str:
    """/opt/conda/bin/conda, /opt/conda/condabin/conda -> /opt/conda"""
    return os.path.dirname(os.path.dirname(program)) if program else ""


def _configured_envs(user: str, roots: Iterable[str]) -> Iterator[str]:
    """The entry envs_dirs of the configuration files of conda and mamba."""
    files = [os.environ.get("CONDARC", ""), os.environ.get("MAMBARC", "")]
    files += [os.path.join("/etc/conda", ".condarc"), os.path.join("/etc/conda", "condarc")]
    files += [os.path.join(root, name) for root in roots for name in (".condarc", ".mambarc")]
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(user, ".config")
    files += [os.path.join(config, "conda", ".condarc"), os.path.join(user, ".conda", ".condarc")]
    files += [os.path.join(user, ".condarc"), os.path.join(user, ".mambarc")]
    for file in _unique(each for each in files if each):
        for folder in envs_dirs(_text(file)):
            yield os.path.abspath(os.path.expandvars(os.path.expanduser(folder)))


def envs_dirs(text: str) -> list[str]:
    """The list under `envs_dirs:` (or `envs_path:`) in a configuration file.

    Reads just that much of YAML: a block of `- item` lines or `[item, item]` on one line, quoted
    or not, with comments. The whole language would need a library in the host.
    """
    key = re.search(r"^(?:envs_dirs|envs_path)[ \t]*:[ \t]*(.*)$", text, re.MULTILINE)
    if key is None:
        return []
    inline = re.match(r"\[(.*)\]", key[1])
    if inline:
        return [_unquoted(item) for item in inline[1].split(",") if item.strip()]
    items = []
    for line in text[key.end() :].lstrip("\r\n").splitlines():
        item = re.match(r"[ \t]*-[ \t]+(.*)$", line)
        if item:
            items.append(_unquoted(item[1]))
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return [item for item in items if item]


def _unquoted(item: str) -> str:
    item = item.strip()
    quoted = re.match(r"""(["'])(.*?)\1""", item)
    return quoted[2] if quoted else item.split(" #")[0].strip()


def _of_pixi(here: str) -> Iterator[Place]:
    projects = [os.environ.get("PIXI_PROJECT_ROOT", ""), *_upwards(here)]
    folders = [os.path.join(each, ".pixi", "envs") for each in projects if each]
    folders.append(os.path.join(pixi_home() or _NO_HOME, "envs"))
    for folder in _unique(folders):
        prefixes = _folders_in(folder)
        if prefixes or folder == folders[-1]:
            yield Place(folder, tuple(prefixes))


def _of_venv(user: str, here: str) -> Iterator[Place]:
    active = os.environ.get("VIRTUAL_ENV")
    if active:
        yield Place("VIRTUAL_ENV", (active,))
    around = [os.path.join(each, name) for each in _upwards(here) for name in (".venv", "venv")]
    yield Place(f".venv and venv in {here} and above it", tuple(filter(is_venv, around)))
    folders = [
        os.environ.get("WORKON_HOME") or os.path.join(user, ".virtualenvs"),
        os.path.join(user, ".local", "share", "virtualenvs"),
        os.path.join(cache_home() or _NO_HOME, "pypoetry", "virtualenvs"),
    ]
    for folder in _unique(folders):
        yield Place(folder, tuple(filter(is_venv, _folders_in(folder))))


def _of_interpreters(user: str) -> Iterator[Place]:
    pyenv = os.environ.get("PYENV_ROOT") or os.path.join(user, ".pyenv")
    versions = os.path.join(pyenv, "versions")
    yield Place(versions, tuple(_folders_in(versions)))
    uv = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(user, ".local/share/uv/python")
    yield Place(uv, tuple(_folders_in(uv)))
    shims = os.path.join(pyenv, "shims")  # scripts that choose one of the versions above
    found = []
    for folder in [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]:
        if os.path.isabs(folder) and os.path.normpath(folder) != shims:
            names = [name for name in _names_in(folder) if name.startswith("python3")]
            found += [os.path.join(folder, name) for name in names if _PYTHON_NAME.fullmatch(name)]
    yield Place("python3 on PATH", tuple(_unique(found)))


# --------------------------------------------------------------------------------- file system


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return os.sep


def _upwards(folder: str) -> Iterator[str]:
    """The folder and those above it."""
    yield folder
    while os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
        yield folder


def _folders_in(folder: str) -> list[str]:
    names = [name for name in _names_in(folder) if not name.startswith(".")]
    return [path for path in (os.path.join(folder, name) for name in names) if os.path.isdir(path)]


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _lines(file: str) -> list[str]:
    return [line.strip() for line in _text(file).splitlines() if line.strip()]


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            return opened.read()
    except OSError:
        return ""


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
