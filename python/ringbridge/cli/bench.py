# SPDX-License-Identifier: MIT
"""`ringbridge bench [ENV]`: what calls and arrays cost from Python, beside other ways to cross."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from ringbridge.bench import catalogue

if TYPE_CHECKING:
    from ringbridge.bench.session import Session

    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_FAILED, _USAGE = 1, 2
_SIZES = "1K,1M,10M,100M,1G"
_QUICK_SIZES = "1K,1M,10M"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_SIZE_MAX = 10**11
_TICK_S = 0.1


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "bench",
        help="measure calls and arrays, beside other ways to cross",
        description="Measures ringbridge from Python, in turns with other ways to call another "
        "process: each in a process of its own, pinned to the same two processors, its results "
        "checked, ended when it takes too long. Shows medians; --json has percentiles. The tests: "
        + "; ".join(f"{name}: {what}" for name, what in catalogue.TESTS.items())
        + ".",
        epilog="Example: `ringbridge bench /opt/envs/gis --tests call,argument --peers "
        "pipe,zmq --sizes 1K,100M` compares small calls and ordinary arrays with two others. "
        "Exit code 1: ringbridge lost something or was wrong, or with --strict a budget was "
        "missed; 2: the command line asks for what there is not, or there is no worker.",
    )
    parser.add_argument(
        "env",
        nargs="?",
        metavar="ENV",
        default=sys.executable,
        help="a name, a prefix, or an interpreter's path (default: this interpreter)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, up to 10 MB: about a minute"
    )
    parser.add_argument("--tests", metavar="LIST", help="of the above, by comma (default: all)")
    parser.add_argument(
        "--peers",
        metavar="LIST",
        help=f"by comma, all or none; in every run {_keys(catalogue.USUAL)}; "
        f"on request {_keys(catalogue.OTHERS)}",
    )
    parser.add_argument(
        "--sizes",
        metavar="LIST",
        help=f"bytes of the arrays; K, M and G are powers of 1000 (default: {_SIZES})",
    )
    parser.add_argument("--rounds", metavar="N", type=int, help="turns of each side (default: 20)")
    parser.add_argument(
        "--deadline",
        metavar="S",
        type=float,
        help="seconds that a peer may take for one test (default: 30)",
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=1, help="of the arrays' content (default: 1)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write all figures; - is stdout")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a budget is missed")
    parser.set_defaults(verb=bench)


def _keys(specs: tuple[catalogue.Spec, ...]) -> str:
    return ",".join(spec.key for spec in specs)


def bench(options: argparse.Namespace) -> int:
    from ringbridge.bench import measure
    from ringbridge.bench.runner import Failed
    from ringbridge.bench.session import Options, Session

    try:
        wanted = catalogue.peers_named(options.peers)
        plan = Options(
            env=options.env,
            tests=catalogue.tests_named(options.tests),
            peers=[spec for spec in wanted if spec.installed],
            sizes=_sizes(options.sizes or (_QUICK_SIZES if options.quick else _SIZES)),
            rounds=_positive("--rounds", options.rounds, 3 if options.quick else 20),
            deadline_s=_positive("--deadline", options.deadline, 10.0 if options.quick else 30.0),
            seed=_positive("--seed", options.seed, 1),
            quick=options.quick,
        )
    except catalogue.UsageError as error:
        print(f"ringbridge bench: {error}", file=sys.stderr)
        return _USAGE
    missing = [spec for spec in wanted if not spec.installed]
    screen = _Screen(quiet=options.json == "-")
    session = Session(plan, measure.rig_for(plan.env), show=screen.show, tell=screen.tell)
    screen.begin(session, missing)
    try:
        document = measure.run(session, missing)
    except Failed as failure:
        screen.tell("")
        print(f"ringbridge bench: {failure}", file=sys.stderr)
        return _USAGE
    screen.end(document, session)
    if options.json:
        _write(options.json, document)
    wrong = measure.wrong_of_ours(document, session.ours.name)
    for each in wrong:
        print(f"ringbridge bench: ringbridge failed: {each}", file=sys.stderr)
    missed = [budget for budget in session.budgets if budget.ok is False]
    return _FAILED if wrong or (options.strict and missed) else 0


def _sizes(text: str) -> list[int]:
    found = []
    for part in text.split(","):
        number, unit = part.strip().rstrip("KMG"), part.strip()[-1:]
        factor = _UNITS[unit if unit in _UNITS else ""]
        if not number.isdigit() or not 8 <= int(number) * factor <= _SIZE_MAX:
            raise catalogue.UsageError(
                f"--sizes: {part!r} is not a number of bytes from 8 to 100G, as in 1K,10M,1G"
            )
        found.append(int(number) * factor)
    return sorted(set(found))


def _positive(option: str, given: Any, default: Any) -> Any:
    value = default if given is None else given
    if not 0 < value <= 10**6:
        raise catalogue.UsageError(
            f"{option} must be more than 0 and at most 1,000,000, not {value}"
        )
    return value


def _write(path: str, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class _Screen:
    """What people see: blocks on stdout; on a terminal, one line that is alive on stderr."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._alive = sys.stderr.isatty()
        self._told = 0.0

    def begin(self, session: Session, missing: list[catalogue.Spec]) -> None:
        rig = session.rig
        place = f"host on CPU {rig.host_cpu}, the other side on CPU {rig.far_cpu}"
        if rig.host_cpu == rig.far_cpu:
            place = "only one CPU may be used: nothing can spin, the figures mean little"
        self._print(f"ringbridge bench: {place}; load average {os.getloadavg()[0]:.2f}; "
                    f"seed {session.options.seed}")  # fmt: skip
        for spec in missing:
            self._print(f"  without {spec.title}: {spec.advice}")

    def show(self, block: Any) -> None:
        from ringbridge.bench.table import block_text

        self._print("\n" + block_text(block, catalogue.OURS.title))

    def end(self, document: dict[str, Any], session: Session) -> None:
        from ringbridge.bench.table import budgets_text

        if session.budgets:
            self._print("\n" + budgets_text(session.budgets))
        run = document["run"]
        noise = f"; noisy: {run['noise']}" if run["noisy"] else ""
        self._print(f"\n{run['seconds']:g} s; steal {run['steal_percent']:g} %{noise}")

    def tell(self, text: str) -> None:
        now = time.monotonic()
        if self._alive and (not text or now - self._told > _TICK_S):
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\033[K" + text[:width])
            sys.stderr.flush()
            self._told = now

    def _print(self, text: str) -> None:
        self.tell("")
        if not self._quiet:
            print(text, flush=True)
