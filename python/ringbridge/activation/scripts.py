# SPDX-License-Identifier: MIT
"""Runs activation scripts in bash, and tells which variables they leave.

    bash (stdin /dev/null) --- stdout ---> the variables at the end, NUL between them
                           --- stderr ---> what the scripts print, a mark after each with its status

Neither `-e` nor `-u`, as in a person's shell; the scripts' own stdout goes to stderr. A script has
failed when it ends the shell, when it hangs, or when its last command failed and it said something:
many end with a test that is false, which is no failure.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from ringbridge.errors import ActivationFailed

_PRINTED_BYTES_MAX = 16 << 20
_SHOWN_BYTES_MAX = 4 << 10
_SHOWN_LINES_MAX = 20
_LOOK_S = 0.05  # how soon an end is seen when the pipes do not tell of it
_AFTER_END_S = 0.2  # for output that is still in the pipe; a process left behind may hold it open
# The shell's own, and what would make it another shell (SHELLOPTS with errexit, say).
_ITS_OWN = ("_", "SHLVL", "PWD", "OLDPWD", "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS")


def run(
    exports: Mapping[str, str],
    scripts: Sequence[str],
    environ: Mapping[str, str],
    *,
    timeout_s: float,
    abandoned: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """The variables after the scripts, for a shell that begins with `environ`.

    `exports` come first; in their values `$NAME` is replaced, by what is set before. Raises
    ActivationFailed, with the script's name and its own output, and leaves no process behind then.
    `abandoned` is asked now and then: True ends it as a failure.
    """
    bash, env = _program("bash"), _program("env")
    mark = f"<{secrets.token_hex(16)}>"
    try:
        shell = subprocess.Popen(
            [bash, "--noprofile", "--norc", "-c", _text(exports, scripts, mark, env)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: environ[name] for name in environ if name not in _ITS_OWN},
            cwd=os.sep,
            start_new_session=True,
        )
    except OSError as error:
        raise ActivationFailed(f"{bash} cannot be started: {error}") from None
    try:
        listing, said = _followed(shell, time.monotonic() + timeout_s, abandoned)
        if abandoned():
            raise ActivationFailed("the activation was given up: the worker has been closed")
        over = f"did not end within {timeout_s:g} s"
        if len(listing) + len(said) > _PRINTED_BYTES_MAX:
            over = f"printed more than {_PRINTED_BYTES_MAX >> 20} MiB"
        problem = _problem(said.split(mark.encode()), scripts, shell.poll(), over)
        if problem:
            raise ActivationFailed(problem)
        if not listing.endswith(mark.encode()):
            raise ActivationFailed(f"{env} did not list the variables{_quoted(said)}")
        return _variables(listing[: -len(mark)], environ)
    finally:
        _finish(shell)


def _program(name: str) -> str:
    # Not by the PATH of a host that may have no usable one.
    path = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin") or shutil.which(name)
    if path is None:
        raise ActivationFailed(f"activation scripts need {name}, which is not installed here")
    return path


def _text(exports: Mapping[str, str], scripts: Sequence[str], mark: str, env: str) -> str:
    lines = [f'export {name}="{_escaped(value)}"' for name, value in exports.items()]
    for script in scripts:
        lines.append(f". {shlex.quote(script)} 1>&2; printf '{mark}%d{mark}' $? >&2")
    lines.append(f"{shlex.quote(env)} -0 && printf %s '{mark}'")
    return "\n".join(lines)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _followed(
    shell: subprocess.Popen[bytes], deadline: float, abandoned: Callable[[], bool]
) -> tuple[bytes, bytes]:
    """What it prints, until it has ended or the time is over, whoever else holds its pipes."""
    assert shell.stdout is not None and shell.stderr is not None
    printed = {shell.stdout.fileno(): bytearray(), shell.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for fd in printed:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline and not abandoned():
            if shell.poll() is not None:
                deadline = min(deadline, time.monotonic() + _AFTER_END_S)
            for key, _events in selector.select(_LOOK_S):
                piece = os.read(key.fd, 1 << 16)
                printed[key.fd] += piece
                if not piece:
                    selector.unregister(key.fd)
            if sum(map(len, printed.values())) > _PRINTED_BYTES_MAX:
                break
        if not selector.get_map():  # both are closed: it ends now
            with contextlib.suppress(subprocess.TimeoutExpired):
                shell.wait(max(deadline - time.monotonic(), 0.0))
    out, err = printed.values()
    return bytes(out), bytes(err)


def _problem(said: list[bytes], scripts: Sequence[str], code: int | None, over: str) -> str | None:
    """What went wrong, from what stands between the marks: text, status, text, status, ..., text

    `code` is the shell's exit code; None: it has not ended, and `over` says why that is too late.
    """
    statuses = said[1::2]
    for script, text, status in zip(scripts, said[0::2], statuses):
        if status != b"0" and text.strip():
            return f"{script} failed, its last command with status {status.decode()}{_quoted(text)}"
    if code is None:
        where = scripts[len(statuses)] if len(statuses) < len(scripts) else "the shell"
        return f"{where} {over}{_quoted(said[-1])}"
    if len(statuses) < len(scripts):
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        return f"{scripts[len(statuses)]} ended the shell {how}{_quoted(said[-1])}"
    return None


def _quoted(said: bytes) -> str:
    lines = said[-_SHOWN_BYTES_MAX:].decode("utf-8", "backslashreplace").strip().splitlines()
    if not lines:
        return "; it printed nothing"
    return "; it printed:\n" + "\n".join(f"    | {line}" for line in lines[-_SHOWN_LINES_MAX:])


def _variables(listing: bytes, environ: Mapping[str, str]) -> dict[str, str]:
    pairs = (os.fsdecode(item).partition("=") for item in listing.split(b"\0") if item)
    result = {name: value for name, _, value in pairs if name not in _ITS_OWN}
    result.update({name: environ[name] for name in _ITS_OWN if name in environ})
    return result


def _finish(shell: subprocess.Popen[bytes]) -> None:
    assert shell.stdout is not None and shell.stderr is not None
    if shell.poll() is None:
        os.killpg(shell.pid, signal.SIGKILL)  # of its own session: what it started ends with it
        shell.wait()
    shell.stdout.close()
    shell.stderr.close()
