# SPDX-License-Identifier: MIT
"""What rattler does for the tests: index a channel, install from it, activate.

    conda_tool.py index CHANNEL
    conda_tool.py install CHANNEL PREFIX SPEC...   a new environment; PREFIX may have any name
    conda_tool.py activation PREFIX                prints rattler's own bash script, for our PATH

CHANNEL is a folder. Caches stand beside it, nothing is kept elsewhere. Runs in the environment of
the tools (py-rattler), as build/conda/tools/bin/python.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rattler import Channel, Gateway, RepoDataRecord, index, solve
from rattler import install as link
from rattler.shell import ActivationVariables, PathModificationBehavior, Shell, activate


def history(command: Sequence[str], records: Sequence[RepoDataRecord], specs: Sequence[str]) -> str:
    """As conda writes it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    lines = [f"==> {now:%Y-%m-%d %H:%M:%S} <==", f"# cmd: {' '.join(map(repr, command))}"]
    lines += ["# conda version: 24.1.0"]
    for each in records:
        channel = (each.channel or "").rstrip("/")
        lines += [f"+{channel}/{each.subdir}::{each.name.normalized}-{each.version}-{each.build}"]
    return "\n".join([*lines, f"# update specs: {list(specs)!r}", ""])


async def install(channel: Path, prefix: Path, specs: list[str]) -> None:
    cache = channel.parent / "cache"
    records = await solve(
        sources=[Channel(channel.as_uri())],
        specs=specs,
        gateway=Gateway(cache_dir=cache / "repodata"),
    )
    await link(
        records,
        target_prefix=prefix,
        cache_dir=cache / "packages",
        show_progress=False,
    )
    with (prefix / "conda-meta" / "history").open("a", encoding="utf-8") as file:
        file.write(history(sys.argv, records, specs))


def activation(prefix: Path) -> str:
    path = os.environ.get("PATH", "").split(":")
    variables = ActivationVariables(None, path, PathModificationBehavior.Prepend)
    return activate(prefix, variables, Shell.bash).script


def main() -> None:
    parser = argparse.ArgumentParser(description="What rattler does for the tests.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("index", help="writes the channel's repodata")
    verb.add_argument("channel", type=Path)
    verb = verbs.add_parser("install", help="solves, and installs into a new prefix")
    verb.add_argument("channel", type=Path)
    verb.add_argument("prefix", type=Path)
    verb.add_argument("specs", nargs="+")
    verb = verbs.add_parser("activation", help="prints the activation script for bash")
    verb.add_argument("prefix", type=Path)
    options = parser.parse_args()
    if options.verb == "index":
        asyncio.run(index.index_fs(options.channel.absolute(), write_shards=False))
    elif options.verb == "install":
        asyncio.run(install(options.channel.absolute(), options.prefix.absolute(), options.specs))
    else:
        sys.stdout.write(activation(options.prefix.absolute()))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # rattler's threads outlive the interpreter's end now and then, and crash.
    os._exit(0)
