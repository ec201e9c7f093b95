# SPDX-License-Identifier: MIT
"""`ringbridge relay`: the far end of a worker over ssh. Started by ssh, and not by hand."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "relay",
        help="serve a worker of this machine to another one; started by ssh",
        description="What Worker('ssh://...') on another machine starts here by ssh: finds the "
        "environment, starts the worker, and passes on what is said, over stdin and stdout. Ends "
        "with them.",
    )
    parser.set_defaults(verb=relay)


def relay(_options: argparse.Namespace) -> int:
    if sys.stdin is None or sys.stdin.isatty():
        print("ringbridge relay: is for ssh to start, by Worker('ssh://...')", file=sys.stderr)
        return 2
    from ringbridge.relay import far

    return far.main()
