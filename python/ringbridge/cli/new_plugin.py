# SPDX-License-Identifier: MIT
"""`ringbridge new-plugin NAME`: writes a QGIS plugin of one's own, complete and working."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ringbridge.cli import plain

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "new-plugin",
        help="write a QGIS plugin of your own, which computes in an environment",
        description="Writes the folder NAME with a complete QGIS plugin: a Processing provider "
        "with one raster and one vector algorithm, which are computed in an environment of the "
        "user's choice, a dock, tests for both sides, a Makefile and a README that says how to go "
        "on. It works in QGIS at once. Nothing is ever overwritten.",
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        help="of the folder, the Python package and the provider: lower case, as in terrain_tools",
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="where the folder NAME is made (default: here)",
    )
    parser.add_argument("--title", metavar="TEXT", help="for people (default: made of NAME)")
    parser.add_argument("--author", metavar="TEXT", default="Your Name", help="who writes it")
    parser.add_argument(
        "--email", metavar="ADDRESS", default="you@example.org", help="of the author"
    )
    parser.set_defaults(verb=new_plugin)


def new_plugin(options: argparse.Namespace) -> int:
    from ringbridge.new_plugin import generate

    plugin = generate.Plugin(options.name, options.title, options.author, options.email)
    folder = generate.write(plugin, options.folder)
    shown = plain.printable(os.path.relpath(folder))
    plain.say(f"{shown}: a QGIS plugin. Next:")
    plain.say(f"  make -C {shown} test    tries its algorithms, and itself in QGIS")
    plain.say(f"  make -C {shown} link    puts it into QGIS, where the Plugin Manager enables it")
    plain.say(f"  {shown}/README.md       how to go on")
    return 0
