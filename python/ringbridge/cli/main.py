# SPDX-License-Identifier: MIT
"""Entry point of the command `ringbridge`: finds the verb, and runs it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ringbridge import RingbridgeError, __version__
from ringbridge.cli import (
    bench,
    clean,
    doctor,
    env,
    new_plugin,
    package_plugin,
    plot,
    ps,
    relay,
    run,
    serve_modules,
)

_VERBS = (
    *(bench, clean, doctor, env, new_plugin, package_plugin, plot, ps, relay, run),
    serve_modules,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the result is the exit code."""
    parser = argparse.ArgumentParser(
        prog="ringbridge", description="Calls between two Python interpreters."
    )
    parser.add_argument("--version", action="version", version=f"ringbridge {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in _VERBS:
        verb.add_to(verbs)
    if sys.stdout is None:  # it was closed before we started
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives)
    options = parser.parse_args(arguments)
    try:
        code = int(options.verb(options))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except RingbridgeError as error:
        print(f"ringbridge: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # What is left of the output may fail once more, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # else its reader has gone, and needs no word
            print(f"ringbridge: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
