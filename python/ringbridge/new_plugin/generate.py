# SPDX-License-Identifier: MIT
"""Writes a plugin: the files of template/ with a name, a title and an author put in.

A file there is named like the one that is made of it, with `.tmpl` behind; @NAME@ and so on stand
for what is put in, in the way of writing that the file needs.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from importlib.machinery import PathFinder
from keyword import iskeyword
from pathlib import Path

from ringbridge import __version__
from ringbridge.new_plugin import PluginError

TEMPLATE = Path(__file__).with_name("template")
_SUFFIX = ".tmpl"
_DOT = "dot-"  # a hidden file would be easily overlooked there
_PLACEHOLDER = re.compile(r"@(NAME|TITLE|AUTHOR|EMAIL|YEAR|VERSION)@")
_NAME = re.compile(r"[a-z][a-z0-9_]+")
_NAME_MAX = 50
_TEXT_MAX = 100
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
#: Packages that QGIS's Python has beside its own library: a plugin of their name would hide them.
_HOSTS = (
    *("ringbridge", "ringbridge_qgis", "ringbridge_loader", "qgis", "processing", "osgeo", "numpy"),
    *("console", "db_manager", "pyplugin_installer"),
    *("grassprovider", "otbprovider", "sagaprovider"),
)


@dataclass(frozen=True)
class Plugin:
    """What a plugin is called, and by whom it is. title=None: made of the name."""

    name: str
    title: str | None = None
    author: str = "Your Name"
    email: str = "you@example.org"


def write(plugin: Plugin, parent: Path) -> Path:
    """The new folder parent/NAME. Raises PluginError where something is there already, or where
    a name or a text will not do; OSError where it cannot be written. Nothing is left then."""
    values = _values(plugin)
    folder = parent / plugin.name
    parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        raise PluginError(
            f"{folder} is there already: take another name, or another --folder"
        ) from None
    try:
        for name, source in _templates():
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            target.write_text(_filled(name, source.read_text("utf-8"), values), "utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _values(plugin: Plugin) -> dict[str, str]:
    _check_name(plugin.name)
    words = plugin.name.replace("_", " ").strip()
    title = words.capitalize() if plugin.title is None else plugin.title
    for what, text in (("title", title), ("author", plugin.author)):
        if not text.strip() or not text.isprintable() or len(text) > _TEXT_MAX:
            wanted = f"one line of 1 to {_TEXT_MAX} characters"
            raise PluginError(f"the {what} is {wanted}, not {text!r}")
    if "/" in plugin.author:
        raise PluginError(f"the author's name may have no slash: {plugin.author!r}")
    if not _EMAIL.fullmatch(plugin.email) or not plugin.email.isprintable():
        raise PluginError(f"{plugin.email!r} is no e-mail address")
    return {
        "NAME": plugin.name,
        "TITLE": title.strip(),
        "AUTHOR": plugin.author.strip(),
        "EMAIL": plugin.email,
        "YEAR": str(time.localtime().tm_year),
        "VERSION": __version__,
    }


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _NAME_MAX or iskeyword(name):
        raise PluginError(
            f"{name!r} cannot be a plugin's name: 2 to {_NAME_MAX} lower case letters, digits and "
            "underscores, a letter first, and no word of Python's own; as in terrain_tools"
        )
    if name in _HOSTS or name in sys.builtin_module_names or _in_library(name):
        raise PluginError(
            f"{name!r} is a module that QGIS's Python has already, and the plugin would hide it: "
            "take another name"
        )


def _in_library(name: str) -> bool:
    library = sysconfig.get_path("stdlib")
    spec = PathFinder.find_spec(name, [library, os.path.join(library, "lib-dynload")])
    return spec is not None and spec.origin is not None


def _templates() -> Iterator[tuple[str, Path]]:
    """(name of the file that is made, its template)."""
    for source in sorted(TEMPLATE.rglob(f"*{_SUFFIX}")):
        name = source.relative_to(TEMPLATE).as_posix()[: -len(_SUFFIX)]
        yield (f".{name[len(_DOT) :]}" if name.startswith(_DOT) else name), source


def _filled(name: str, text: str, values: dict[str, str]) -> str:
    escaped = _escaping(name)
    return _PLACEHOLDER.sub(lambda match: escaped(values[match[1]]), text)


def _escaping(name: str) -> Callable[[str], str]:
    """How a text is written in a file of this name: in Python between double quotes."""
    if name.endswith(".py"):
        return lambda text: text.replace("\\", "\\\\").replace('"', '\\"')
    if name == "metadata.txt":
        return lambda text: text.replace("%", "%%")  # configparser's
    if name.endswith(".svg"):
        return escape
    return str
