# SPDX-License-Identifier: MIT
"""`ringbridge doctor [ENV]`: why it does not work, or how well it does."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from ringbridge.cli import checks, plain
from ringbridge.cli.checks import Check

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_WIDTH = 19


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "doctor",
        help="say why it does not work, or how well it does",
        description="Looks at this interpreter and this machine; with ENV also at that "
        "environment, starts a worker there and measures calls to it. Each line is ok, a note, or "
        "FAIL with what to do about it; the last one names the cause. Exit code 1: something "
        "FAILs.",
    )
    parser.add_argument(
        "env", nargs="?", metavar="ENV", help="a name, a prefix, or an interpreter's path"
    )
    parser.add_argument("--json", action="store_true", help="one object instead of lines")
    parser.set_defaults(verb=doctor)


def doctor(options: argparse.Namespace) -> int:
    seen = []
    for check in _checks(options.env):
        seen.append(check)
        if not options.json:
            _show(check)
    failed = [check for check in seen if check.state == "FAIL"]
    cause = f"{failed[0].what}: {_one_line(failed[0].text)}" if failed else None
    if options.json:
        document = {"ok": not failed, "cause": cause, "checks": [asdict(check) for check in seen]}
        print(json.dumps(document, indent=1))
    elif cause is not None:
        plain.say(f"\nThe cause: {plain.printable(cause)}")
    else:
        for check in seen:
            if check.state == "note":
                plain.say(f"\nIt works. Of note: {plain.printable(f'{check.what}: {check.text}')}")
    return 1 if failed else 0


def _checks(env: str | None) -> Iterator[Check]:
    seen = []
    for check in checks.host():
        seen.append(check)
        yield check
    if env is not None and not any(check.state == "FAIL" for check in seen):
        from ringbridge.cli import checks_of_environment

        yield from checks_of_environment.environment(env)


def _one_line(text: str) -> str:
    return text.splitlines()[0].removesuffix("; it printed:")


def _show(check: Check) -> None:
    lines = check.text.splitlines() or [""]
    plain.say(f"{check.state:<5}{check.what + ':':<{_WIDTH}}{plain.printable(lines[0])}")
    rest = itertools.chain(lines[1:], check.advice.splitlines() if check.state != "ok" else ())
    for i, line in enumerate(rest):
        mark = "-> " if i == len(lines) - 1 else "   "
        plain.say(f"{'':{5 + _WIDTH}}{mark}{plain.printable(line)}")
