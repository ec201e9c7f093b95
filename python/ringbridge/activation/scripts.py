# SPDX-License-Identifier: MIT
"""Runs activation scripts in bash, and tells which variables they leave.

    bash (stdin /dev/null) --- stdout ---> the variables at the end, NUL between them, a mark
                           --- stderr ---> what the scripts print, a mark after each with its status

Neither `-e` nor `-u`, as in a person's shell; the scripts' own stdout goes to stderr. A script has
failed when it ends the shell, when it hangs, or when its last command failed and it said something:
many end with a test that is false, which is no failure.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Mapping

from ringbridge.activation.process import Patience, Printed, run
from ringbridge.activation.recipe import Recipe
from ringbridge.errors import ActivationFailed

_SHOWN_BYTES_MAX = 4 << 10
_SHOWN_LINES_MAX = 20
_READ_BYTES_MAX = 1 << 20
_ITS_OWN = ("_", "SHLVL", "PWD", "OLDPWD")  # bash's bookkeeping: no doing of a script's
# What would make it another shell than a fresh one (SHELLOPTS with errexit, say).
_NOT_FOR_IT = ("BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS")
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
# Copies of the pipes that a script's `exec >file` does not touch.
_PRIVATE_OUT, _PRIVATE_ERR = 18, 19


def variables_after(
    recipe: Recipe, environ: Mapping[str, str], patience: Patience
) -> tuple[dict[str, str], str]:
    """The variables after the recipe's scripts and exports, for a shell that begins with `environ`;
    and what the scripts printed.

    Raises ActivationFailed, with the script's name and its own output, and leaves no process
    behind then.
    """
    steps = [(script, f". {shlex.quote(script)} 1>&2") for script in recipe.scripts]
    for name, (value, source) in recipe.exports.items():
        line = f'export {name}="{_escaped(value)}"'
        steps.append((f"{name} in {source}", f"eval {shlex.quote(line)} 1>&2"))
    bash, env = _program("bash"), _program("env")
    mark = f"<{secrets.token_hex(16)}>"
    command = [bash, "--noprofile", "--norc", "-c", _text([c for _, c in steps], mark, env)]
    apart = (*_ITS_OWN, *_NOT_FOR_IT)
    try:
        done = run(command, {n: v for n, v in environ.items() if n not in apart}, patience)
    except OSError as error:
        raise ActivationFailed(f"{bash} cannot be started: {error}") from None
    problem = _problem([label for label, _ in steps], done, mark.encode())
    if problem:
        raise ActivationFailed(problem)
    listing, found, _ = done.out.partition(mark.encode())
    if not found:
        said = done.err.replace(mark.encode(), b" ")
        raise ActivationFailed(f"{env} did not list the variables{_quoted(said)}")
    said = b"".join(done.err.split(mark.encode())[0::2])
    return _variables(listing, environ), said.decode("utf-8", "backslashreplace").strip()


def names_in(recipe: Recipe) -> set[str]:
    """All words in the scripts that could be a variable's name: what they may look at or set."""
    words = {os.fsencode(name) for name in recipe.exports}
    for value, _source in recipe.exports.values():
        words.update(_NAME.findall(os.fsencode(value)))
    for script in recipe.scripts:
        # bash will say why it cannot be read
        with contextlib.suppress(OSError), open(script, "rb") as file:
            words.update(_NAME.findall(file.read(_READ_BYTES_MAX)))
    return {word.decode("ascii") for word in words} - {*_ITS_OWN, *_NOT_FOR_IT}


def _program(name: str) -> str:
    # Not by the PATH of a host that may have no usable one.
    path = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin") or shutil.which(name)
    if path is None:
        raise ActivationFailed(f"activation scripts need {name}, which is not installed here")
    return path


def _text(commands: list[str], mark: str, env: str) -> str:
    lines = [f"exec {_PRIVATE_OUT}>&1 {_PRIVATE_ERR}>&2"]
    for command in commands:
        lines.append(command)
        lines.append(f"builtin printf '{mark}%d{mark}' $? >&{_PRIVATE_ERR}")
    lines.append(f"{shlex.quote(env)} -0 >&{_PRIVATE_OUT}")
    lines.append(f"[ $? = 0 ] && builtin printf %s '{mark}' >&{_PRIVATE_OUT}")
    return "\n".join(lines)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _problem(labels: list[str], done: Printed, mark: bytes) -> str | None:
    """What went wrong, from what stands between the marks: text, status, text, status, ..., text"""
    said = done.err.split(mark)
    statuses = said[1::2]
    for label, text, status in zip(labels, said[0::2], statuses):
        if status != b"0" and text.strip():
            return f"{label} failed, its last command with status {status.decode()}{_quoted(text)}"
    if done.code is None:
        where = labels[len(statuses)] if len(statuses) < len(labels) else "the shell"
        return f"{where} {done.over}{_quoted(said[-1])}"
    if len(statuses) < len(labels):
        code = done.code
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        return f"{labels[len(statuses)]} ended the shell {how}{_quoted(said[-1])}"
    return None


def _quoted(said: bytes) -> str:
    lines = said[-_SHOWN_BYTES_MAX:].decode("utf-8", "backslashreplace").strip().splitlines()
    if not lines:
        return "; it printed nothing"
    return "; it printed:\n" + "\n".join(f"    | {line}" for line in lines[-_SHOWN_LINES_MAX:])


def _variables(listing: bytes, environ: Mapping[str, str]) -> dict[str, str]:
    pairs = (os.fsdecode(item).partition("=") for item in listing.split(b"\0") if item)
    kept = {name: environ[name] for name in (*_ITS_OWN, *_NOT_FOR_IT) if name in environ}
    return {**kept, **{name: value for name, _, value in pairs if name not in _ITS_OWN}}
