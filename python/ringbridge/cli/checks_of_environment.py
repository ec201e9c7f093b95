# SPDX-License-Identifier: MIT
"""What `ringbridge doctor ENV` looks at on the worker's side, in the order in which a start needs
it: the environment, its interpreter, a build for that, activation, the start, calls.

What comes later is left out when it cannot work any more: the first FAIL is the cause.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ringbridge
from ringbridge import builds, discovery
from ringbridge.activation import Activation, cache, environ_for
from ringbridge.activation.process import Patience, run
from ringbridge.activation.recipe import Recipe
from ringbridge.cli import effect, plain
from ringbridge.cli.checks import Check
from ringbridge.environment import Environment

_INSTALL_A_WHEEL = (
    "install the wheel for all Pythons (`make wheel`) in this host, so that it serves it"
)
_KEPT = "kept activation"  # a stale one is no reason that no worker starts
_PROBE = """
import json, platform, sys
threaded = "t" in getattr(sys, "abiflags", "")
print(json.dumps([sys.version_info[:3], platform.python_implementation(), threaded]))
"""
_PROBE_S = 20.0
_CALLS, _WARM_UP = 1000, 50
_BIG = 16 << 20


def environment(env: str) -> Iterator[Check]:
    """All checks of that environment."""
    try:
        found = discovery.find(env)
    except ringbridge.EnvironmentNotFound as error:
        first, _, rest = str(error).partition("\n")
        advice = f"`ringbridge env list` shows what is there\n{rest}"
        yield Check("environment", "FAIL", first, advice)
        return
    yield Check("environment", "ok", f"{found.name} ({found.kind}, {found.prefix})")
    # What is over there is looked at there: `ssh box python3 -m ringbridge doctor gis`.
    here = (_architecture, _activation, _interpreter, _start)
    for step in (_start,) if found.kind == "ssh" else here:
        failed = False
        for check in step(found):
            failed = failed or (check.state == "FAIL" and check.what != _KEPT)
            yield check
        if failed:
            return


def _architecture(found: Environment) -> Iterator[Check]:
    program = os.path.realpath(found.python)
    machine, ours = builds.machine_of(program), builds.this_machine()
    if machine is None:
        yield Check("architecture", "note", f"{program} is a script or no program for Linux")
    elif machine != ours:
        text = f"wrong architecture: {program} is built for {machine}, this process for {ours}"
        yield Check("architecture", "FAIL", text, f"make the environment anew, for {ours}")
    else:
        yield Check("architecture", "ok", machine)


# ------------------------------------------------------------------------------------ activation


def _activation(found: Environment) -> Iterator[Check]:
    try:
        activation = Activation(found, os.environ)
        entry = cache.load(found.prefix)
        other = activation.differs(entry) if entry else []
        told = effect.of(activation, os.environ)
    except ringbridge.ActivationFailed as error:
        advice = (
            "mend or remove that script or file; one that only takes long: "
            "Worker(start_timeout=); or keep what a shell has: `ringbridge env capture --shell`"
        )
        yield Check("activation", "FAIL", f"broken: {error}", advice)
        return
    count = f"{plain.count(len(told.scripts), 'script')}; effect: " if told.scripts else ""
    if told.unkept:
        text = f"{count}{told.source}, at every start, since it cannot be kept: {told.unkept}"
        yield Check("activation", "note", text, "make the user's cache folder writable")
    else:
        yield Check("activation", "ok", f"{count}{told.source}")
    if entry is not None:
        yield _kept(found, activation.recipe, entry, other)
    yield Check("variables set", "ok", ", ".join(sorted(told.set)) or "none")
    yield Check("variables removed", "ok", ", ".join(told.removed) or "none of this process's")


def _kept(found: Environment, recipe: Recipe, entry: cache.Entry, other: list[str]) -> Check:
    """About the kept effect; `other`: the variables that the scripts would set otherwise now."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.time_s))
    env = shlex.quote(found.prefix)
    if entry.by_hand and not entry.fits(recipe):
        text = f"stale cache: captured from a shell on {when}; the environment has changed since"
        advice = (
            f"activate it, and run `ringbridge env capture --shell {env}`; or drop what is kept: "
            f"`ringbridge env capture --forget {env}`"
        )
        return Check(_KEPT, "FAIL", text, advice)
    if other:
        text = f"stale cache: kept on {when}, and now the scripts set {', '.join(other)} otherwise"
        return Check(_KEPT, "FAIL", text, f"run `ringbridge env capture {env}`")
    return Check(_KEPT, "ok", f"on {when}, from {'a shell' if entry.by_hand else 'its scripts'}")


# ----------------------------------------------------------------------------------- interpreter


def _interpreter(found: Environment) -> Iterator[Check]:
    told, problem = _probed(found)
    if told is None:
        advice = f"see what `{found.python} -c pass` says; reinstall Python in that environment"
        yield Check("interpreter", "FAIL", f"{found.python} {problem}", advice)
        return
    version, implementation, threaded = told
    text = f"{implementation} {'.'.join(map(str, version))} ({found.python})"
    if implementation != "CPython" or tuple(version) < (3, 9):
        advice = "ringbridge needs CPython 3.9 or newer: make an environment with one"
        yield Check("interpreter", "FAIL", f"{text} cannot be a worker", advice)
        return
    yield Check("interpreter", "ok", text)
    yield from _build_for(found, builds.Kind((version[0], version[1]), threaded))


def _probed(found: Environment) -> tuple[tuple[list[int], str, bool] | None, str]:
    """What it says about itself, or why it says nothing."""
    try:
        done = run(
            [found.python, "-c", _PROBE], environ_for(found, os.environ), Patience.of(_PROBE_S)
        )
    except OSError as error:
        return None, f"cannot be run: {error.strerror}"
    if done.code is None:
        return None, f"{done.over} at its start"
    try:
        version, implementation, threaded = json.loads(done.out.splitlines()[-1])
    except (ValueError, IndexError, TypeError):
        return None, f"dies at its start, with {_ended(done.code)}: {_last_line(done.err)}"
    return (version, implementation, threaded), ""


def _ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "backslashreplace").strip().splitlines()
    telling = [line for line in lines if "Error" in line or "error" in line]
    return (telling or lines or ["it printed nothing"])[-1].strip()


def _build_for(found: Environment, python: builds.Kind) -> Iterator[Check]:
    """Which copy a worker there takes: see docs/decisions/0006-which-copy-a-worker-loads.md."""
    machine = builds.this_machine()
    ours, theirs = builds.own_copy(), builds.installed_copy(found)
    fitting = ours.fitting(python, machine)
    pip = f"{shlex.quote(found.python)} -m pip install --upgrade"
    name = ".".join(map(str, python.version)) + ("t" if python.threaded else "")
    if fitting is not None:
        yield Check("build", "ok", f"this copy's {os.path.basename(fitting.file)} serves it")
        if theirs is not None and theirs.version != ours.version:
            text = f"{theirs.version} in {theirs.folder}; not used by workers of this host"
            yield Check("ringbridge there", "note", text)
    elif theirs is None or theirs.fitting(python, machine) is None:
        there = f"{theirs.version}, without one" if theirs else "none"
        text = (
            f"no build for CPython {name} on {machine}: this copy has "
            f"{', '.join(build.abi for build in ours.builds)}; ringbridge installed there: {there}"
        )
        yield Check("build", "FAIL", text, f"{_INSTALL_A_WHEEL}; or there: {pip} WHEEL")
    elif builds.numbers(theirs.version) < builds.numbers(ours.version):
        text = (
            f"old ringbridge on the other side: {theirs.version} in {theirs.folder}, "
            f"and {ours.version} here"
        )
        yield Check("build", "FAIL", text, f"{_INSTALL_A_WHEEL}; or there: {pip} WHEEL")
    else:
        yield Check("build", "ok", f"its own copy serves it ({theirs.version} in {theirs.folder})")


# ----------------------------------------------------------------------------------- start, calls


def _start(found: Environment) -> Iterator[Check]:
    before = time.perf_counter()
    try:
        worker = ringbridge.Worker(found)
    except ringbridge.RingbridgeError as error:
        yield Check("start", "FAIL", str(error), "the lines above say what it is about")
        return
    with worker:
        took = time.perf_counter() - before
        yield Check("start", "ok", f"a worker started in {took * 1e3:.0f} ms")
        yield from _calls(worker)


def _calls(worker: ringbridge.Worker) -> Iterator[Check]:
    operator = worker.load("operator")
    times = sorted(_timed(operator.neg, 1) for _ in range(_WARM_UP + _CALLS))
    median, worst = times[len(times) // 2], times[len(times) * 99 // 100]
    yield Check("small call", "ok", f"{median * 1e6:.1f} us (99 %: {worst * 1e6:.1f} us)")
    array = _array()
    there = min(_timed(operator.length_hint, array) for _ in range(5))
    yield Check("16 MiB there", "ok", _rate(there))
    yield Check("16 MiB back", "ok", _rate(min(_timed(operator.mul, b"x", _BIG) for _ in range(5))))
    stats: Mapping[str, int] = worker.stats()
    if stats.get("late_looks"):
        text = f"{stats['late_looks']} wake-ups were lost in that test"
        yield Check("wake-ups", "note", text, "tell the makers, with this machine's kernel")


def _array() -> Any:
    """16 MiB that are not in shared memory yet."""
    try:
        import numpy
    except ImportError:
        return bytearray(b"x") * _BIG
    return numpy.ones(_BIG, "uint8")  # not zeros: no page of those is there before it is written


def _timed(function: Callable[..., Any], *args: Any) -> float:
    before = time.perf_counter()
    function(*args)
    return time.perf_counter() - before


def _rate(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms ({_BIG / seconds / 1e9:.1f} GB/s)"
