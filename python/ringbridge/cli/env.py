# SPDX-License-Identifier: MIT
"""`ringbridge env list|show|capture`: the environments here, and what activating one does."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import ringbridge
from ringbridge import builds, discovery
from ringbridge.activation import Activation, cache
from ringbridge.activation.variables import matches
from ringbridge.cli import effect, plain
from ringbridge.environment import Environment
from ringbridge.versions import PACKAGES

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_FAILED = 1
_LINE_COLUMNS = 120
# A login session's own, and the shell's: not the environment's doing, and other in every session.
_SESSION = (
    *("HOME", "USER", "LOGNAME", "SHELL", "MAIL", "HOSTNAME", "TMPDIR", "TZ"),
    *("PWD", "OLDPWD", "SHLVL", "_", "PS1", "PROMPT_COMMAND", "BASH_*", "EDITOR", "PAGER"),
    *("TERM*", "COLORTERM", "COLUMNS", "LINES", "LS_COLORS", "WINDOWID", "VTE_VERSION", "TMUX*"),
    *("LANG", "LANGUAGE", "LC_*", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_*"),
    *("DBUS_*", "SSH_*", "GPG_*", "SESSION_MANAGER", "DESKTOP_SESSION", "GNOME_*", "KDE_*"),
    *("INVOCATION_ID", "JOURNAL_STREAM"),
)
# What would break the environment's Python, whatever the shell needs it for.
_NEVER = ("PYTHON*", "__PYVENV_LAUNCHER__", "PIP_*", "LD_PRELOAD")


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "env",
        help="list environments, show one, capture its activation",
        description="Environments that workers can be started in.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="all that are found",
        description="All environments that are found: name, kind, version of Python, where a "
        "worker there gets ringbridge from (this copy, its own copy, or nowhere yet), and prefix. "
        "Starts nothing.",
    )
    listing.add_argument("--places", action="store_true", help="also tell where was looked")
    show = actions.add_parser(
        "show",
        help="one of them in detail",
        description="Versions of Python, numpy, GDAL and PROJ, whether a worker starts there, and "
        "which variables activation changes. Exit code 1: no worker starts there.",
    )
    capture = actions.add_parser(
        "capture",
        help="run an environment's activation now and keep its effect",
        description="Runs the environment's activation scripts, which else happens at the first "
        "start of a worker and after each change that can be seen, and keeps what they do to the "
        "variables in the user's cache. With --shell, what this shell has is kept instead.",
    )
    for each in (show, capture):
        each.add_argument("env", metavar="ENV", help="a name, a prefix, or an interpreter's path")
    what = capture.add_mutually_exclusive_group()
    what.add_argument(
        "--shell",
        action="store_true",
        help="keep the variables of the shell that runs this, in which ENV is activated (those of "
        "the login session left out), until it is captured again or forgotten",
    )
    what.add_argument("--forget", action="store_true", help="remove what is kept")
    for each in (listing, show):
        each.add_argument("--json", action="store_true", help="JSON instead of text")
    listing.set_defaults(verb=_list)
    show.set_defaults(verb=_show)
    capture.set_defaults(verb=_capture)


# ------------------------------------------------------------------------------------------ list


def _list(options: argparse.Namespace) -> int:
    survey = discovery.survey()
    documents = [_document(each) for each in survey.found]
    if options.json:
        print(json.dumps(documents, indent=1))
        return 0
    if documents:
        rows = [["NAME", "KIND", "PYTHON", "RINGBRIDGE", "PREFIX"]]
        for each in documents:
            cells = (
                each["name"],
                each["kind"],
                each["python_version"],
                each["reach"],
                each["prefix"],
            )
            rows.append([plain.printable(str(cell or "?")) for cell in cells])
        for line in plain.table(rows, right=()):
            plain.say(line)
    else:
        plain.say("No environment was found.")
    names = Counter(each["name"] for each in documents)
    for name in (name for name, count in names.items() if count > 1):
        plain.say(f"{plain.printable(name)}: {names[name]} have this name; give the path of one")
    for prefix in survey.without_python:
        plain.say(f"without a Python: {plain.printable(prefix)}")
    if options.places:
        plain.say("looked at:")
        for place in survey.places:
            plain.say(f"  {plain.printable(place.where)}: {len(place.paths) or 'nothing'}")
    return 0


def _document(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "kind": environment.kind,
        "prefix": environment.prefix,
        "python": environment.python,
        "python_version": environment.python_version,
        "reach": builds.reach(environment),
    }


# ------------------------------------------------------------------------------------------ show


def _show(options: argparse.Namespace) -> int:
    environment = discovery.find(options.env)
    document = {**_document(environment), "problem": None, "versions": {}, "activation": None}
    try:
        document["activation"] = effect.of(
            Activation(environment, os.environ), os.environ
        ).document()
        with ringbridge.Worker(environment) as worker:
            document["versions"] = _versions(worker)
    except ringbridge.RingbridgeError as error:
        document["problem"] = str(error)
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        for line in _lines(document):
            plain.say(line)
    return _FAILED if document["problem"] else 0


def _versions(worker: ringbridge.Worker) -> dict[str, str]:
    try:
        told: dict[str, str] = worker.load("ringbridge.versions").told()
    except ImportError:  # its own copy, an older one, has no such module
        return {}
    return told


def _lines(document: dict[str, Any]) -> Iterator[str]:
    versions = document["versions"]
    yield f"name         {plain.printable(document['name'])}"
    yield f"kind         {document['kind']}"
    yield f"prefix       {plain.printable(document['prefix'])}"
    version = versions.get("python") or document["python_version"] or "?"
    yield f"python       {version} ({plain.printable(document['python'])})"
    if document["problem"]:
        yield f"ringbridge   NO WORKER STARTS: {document['problem']}"
    else:
        copy = f"{versions.get('ringbridge', '?')} in {versions.get('ringbridge_folder', '?')}"
        yield f"ringbridge   a worker starts, with {copy}"
    named = {n: v for n, v in versions.items() if not n.startswith("ringbridge") and n != "python"}
    listed = ", ".join(f"{name} {version}" for name, version in named.items())
    looked_for = f"none of {', '.join((*PACKAGES, 'GDAL', 'PROJ'))}"
    unknown = "not known: no worker starts" if document["problem"] else looked_for
    yield f"packages     {listed or unknown}"
    yield from _activation_lines(document["activation"])


def _activation_lines(told: dict[str, Any] | None) -> Iterator[str]:
    if told is None:
        return
    scripts = told["scripts"]
    count = f"{plain.count(len(scripts), 'script')}; effect: " if scripts else ""
    yield f"activation   {count}{told['source']}"
    for script in scripts:
        yield f"    script   {plain.printable(script)}"
    for name, value in sorted(told["set"].items()):
        yield f"    set      {name}={plain.printable(value, _LINE_COLUMNS)}"
    for name in told["removed"]:
        yield f"    removed  {name} (of this process)"


# --------------------------------------------------------------------------------------- capture


def _capture(options: argparse.Namespace) -> int:
    environment = discovery.find(options.env)
    if environment.kind == "ssh":
        raise ringbridge.RingbridgeError(
            "an activation is kept on the machine that it is for: capture it there"
        )
    if options.forget:
        gone = cache.forget(environment.prefix)
        plain.say("forgotten" if gone else "nothing was kept")
        return 0
    activation = Activation(environment, os.environ)
    if options.shell:
        changes = _of_shell(environment)
        entry = cache.Entry.of(environment.prefix, activation.recipe, changes, by_hand=True)
    else:
        kept = cache.load(environment.prefix)
        if kept is not None and kept.by_hand:
            raise ringbridge.ActivationFailed(
                "what is kept was captured from a shell, and would be lost: say --forget first, or "
                "--shell to capture it anew"
            )
        entry = activation.run()[1]
        for line in activation.said.splitlines():
            plain.say(f"    | {plain.printable(line)}")
    path = cache.store(entry)
    for name, (_before, after) in sorted(entry.changes.items()):
        shown = f"{name}={after}" if after is not None else f"{name} (removed)"
        plain.say(plain.printable(shown, _LINE_COLUMNS))
    plain.say(f"{plain.count(len(entry.changes), 'variable')} kept in {plain.printable(path)}")
    return 0


def _of_shell(environment: Environment) -> cache.Changes:
    """The variables of this process's shell, in which the environment must be activated."""
    active = [os.environ.get(name, "") for name in ("CONDA_PREFIX", "VIRTUAL_ENV")]
    here = [os.path.realpath(each) for each in active if each]
    if os.path.realpath(environment.prefix) not in here:
        raise ringbridge.ActivationFailed(
            f"{environment.prefix} is not activated in this shell (CONDA_PREFIX is {active[0]!r}, "
            f"VIRTUAL_ENV {active[1]!r}): activate it here, and run this again"
        )
    return {
        name: (None, value)
        for name, value in os.environ.items()
        if not matches(name, (*_SESSION, *_NEVER))
    }
