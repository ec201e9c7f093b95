# SPDX-License-Identifier: MIT
"""Real conda environments: those of .ci/make_conda, and new ones from its channel.

RBR_CONDA names the folder that it made. What is installed and how it is activated is rattler's
doing, in an interpreter of its own; nothing of ringbridge has a part in it.

Files of an environment may be hard links that it shares with the others: a test that changes one
does so in an environment of its own, and replaces the file instead of writing into it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOOL = Path(__file__).resolve().parents[3] / ".ci" / "conda_tool.py"
TIMEOUT_S = 50


@dataclass(frozen=True)
class Installed:
    """An environment and the versions of what is in it: python, numpy and so on."""

    prefix: Path
    versions: Mapping[str, str]

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / "python"

    @property
    def minor(self) -> str:
        return ".".join(self.versions["python"].split(".")[:2])


@dataclass(frozen=True)
class Facts:
    """What .ci/make_conda made."""

    tools: Path
    channel: Path
    root: Path
    gis: Installed
    other: Installed
    own: Installed  # of the version that the tests run in


def available() -> bool:
    folder = os.environ.get("RBR_CONDA")
    return bool(folder) and os.path.isfile(os.path.join(str(folder), "facts.json"))


def facts() -> Facts:
    told = json.loads(Path(os.environ["RBR_CONDA"], "facts.json").read_text(encoding="utf-8"))
    environments = {
        name: Installed(Path(each.pop("prefix")), each)
        for name, each in told["environments"].items()
    }
    return Facts(
        *(Path(told["tools"]), Path(told["channel"]), Path(told["root"])),
        *(environments["gis"], environments["other"], environments["own"]),
    )


def install(prefix: str | os.PathLike[str], *specs: str) -> None:
    """A new environment with what the specs ask for ("python=3.12") from the channel."""
    made = facts()
    _run([made.tools, TOOL, "install", made.channel, prefix, *specs], dict(os.environ))


def rattler_script(prefix: str | os.PathLike[str], path: str) -> str:
    """rattler's own activation script for bash, for a process with this PATH."""
    return _run([facts().tools, TOOL, "activation", prefix], {"PATH": path}).decode()


def rattler_environ(prefix: str | os.PathLike[str], base: Mapping[str, str]) -> dict[str, str]:
    """The variables of a shell that had `base` and then ran rattler's activation script.

    All of them: also those that bash sets for itself.
    """
    bash, env = shutil.which("bash"), shutil.which("env")
    assert bash and env, "bash and env are needed"
    script = rattler_script(prefix, base.get("PATH", ""))
    command = [bash, "--noprofile", "--norc", "-c", f"{{\n{script}\n}} 1>&2\nexec '{env}' -0"]
    lines = _run(command, dict(base)).split(b"\0")[:-1]
    pairs = (os.fsdecode(line).partition("=") for line in lines)
    return {name: value for name, _, value in pairs}


def _run(command: Sequence[str | os.PathLike[str]], environ: dict[str, str]) -> bytes:
    done = subprocess.run(
        command, env=environ, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S
    )
    if done.returncode != 0:
        told = os.fsdecode(done.stdout + done.stderr)
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{told}")
    return done.stdout
