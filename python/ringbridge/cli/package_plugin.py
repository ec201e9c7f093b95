# SPDX-License-Identifier: MIT
"""`ringbridge package-plugin FOLDER`: a QGIS plugin as a zip, checked as its repository would."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ringbridge.cli import plain

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_REFUSED = 1


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "package-plugin",
        help="make the zip of a QGIS plugin, and check the plugin repository's rules",
        description="Packs the folder of a QGIS plugin into NAME-VERSION.zip: the same bytes for "
        "the same files, links followed, .ts files compiled where Qt's lrelease is found. Left "
        "out: at its top tests, test, build, dist, Makefile, pyproject.toml, setup.cfg and zips; "
        "everywhere caches, hidden files and leftovers of editors. The zip is checked by the "
        "rules of QGIS's plugin repository, with Bandit too where this interpreter has it; "
        "each violation is a line with file and line. Exit code 1: there are violations, and "
        "no zip is written.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="with metadata.txt in it")
    parser.add_argument(
        "-o",
        "--output",
        metavar="ZIP",
        type=Path,
        help="a file that ends in .zip, or a folder (default: the current one)",
    )
    parser.add_argument("--check", action="store_true", help="only check: write no zip")
    parser.set_defaults(verb=package_plugin)


def package_plugin(options: argparse.Namespace) -> int:
    from ringbridge.new_plugin import code_rules, package

    packed = package.pack(options.folder, options.output, options.check)
    for note in packed.notes:
        plain.say(f"note: {plain.printable(note)}")
    if not code_rules.bandit_is_there():
        plain.say(f"note: without Bandit; {plain.printable(sys.executable)} -m pip install bandit")
    sys.stdout.flush()  # so that the two stand in their order where they go to the same file
    for finding in packed.findings:
        print(plain.printable(str(finding)), file=sys.stderr)
    if packed.findings:
        count = plain.count(len(packed.findings), "violation")
        print(f"ringbridge package-plugin: {count} of the repository's rules", file=sys.stderr)
        return _REFUSED
    what = f"{plain.count(packed.count, 'file')}, {plain.size(packed.bytes)}"
    where = "the repository's rules are kept" if options.check else str(packed.path)
    plain.say(f"{plain.printable(where)}: {what}")
    return 0
