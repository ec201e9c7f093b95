# SPDX-License-Identifier: MIT
"""What the plugin repository's scans refuse in Python code: our own look, and Bandit's.

Our own needs nothing but Python, and is not complete: Bandit, where it is installed, knows more.
A line with `# nosec` (or for a secret `# pragma: allowlist secret`) is its author's own word that
it is harmless; the repository's scans take that word, too.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WAIVERS = re.compile(r"#\s*(nosec\b|pragma: allowlist secret)")
_RUNS_CODE = ("exec", "eval")
_UNSAFE_MODULES = ("pickle", "cPickle", "dill", "shelve", "marshal")
_SHELLS = ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput")
_TOO_OPEN = stat.S_IWOTH | stat.S_IXGRP  # Bandit's own limit
_SECRET_NAME = re.compile(
    r"(^|_)(api_?key|auth_?token|token|secret(_?key)?|passw(or)?d|passphrase|private_?key)$", re.I
)
_SECRET_VALUE = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{36}|xox[abprs]-[0-9A-Za-z-]{10}|sk_live_[0-9a-zA-Z]{24}"
    r"|-----BEGIN (\w+ )?PRIVATE KEY-----|://[^/\s:@]+:[^/\s:@]+@"
)
_BANDIT_S = 120.0

Finding = tuple[int, str]


def findings(source: bytes) -> list[Finding]:
    """(line, what is wrong there) for each thing in a module's text; by line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return [(getattr(error, "lineno", 0) or 0, f"no Python code: {error}")]
    lines = source.decode("utf-8", "replace").splitlines()
    names = _imported_names(tree)
    return sorted(
        {
            (getattr(node, "lineno", 0), text)
            for node in ast.walk(tree)
            for text in _of_node(node, names)
            if not _waived(lines, node)
        }
    )


def bandit_is_there() -> bool:
    """Whether this interpreter has Bandit."""
    return importlib.util.find_spec("bandit") is not None


def bandit_findings(folder: Path) -> list[tuple[str, int, str]]:
    """(file below the folder, line, text), of medium and high severity: what blocks an upload.

    Raises RuntimeError with what Bandit says where it fails, subprocess.TimeoutExpired after two
    minutes.
    """
    command = [sys.executable, "-m", "bandit", "-q", "-ll", "-f", "json", "-r", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_BANDIT_S)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"Bandit failed: {(done.stderr or done.stdout).strip()}") from None
    return [
        (
            Path(each["filename"]).as_posix(),
            each["line_number"],
            f"{' '.join(each['issue_text'].split())} (Bandit {each['test_id']})",
        )
        for each in told["results"]
    ]


def _imported_names(tree: ast.AST) -> dict[str, str]:
    """A name of this module -> the full name of what it was imported from."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                names[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _of_node(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from _of_import(node)
    elif isinstance(node, ast.Call):
        yield from _of_call(node, _full_name(node.func, names), names)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if isinstance(node.value, ast.Constant) and any(map(_is_secret, targets)):
            yield from _of_secret(node.value.value)
    elif isinstance(node, ast.Constant) and _SECRET_VALUE.search(str(node.value)):
        yield "a key or a password in the code: ask for it, or keep it in QGIS's settings"


def _of_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    modules = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        modules = [] if node.level else [node.module or ""]
    for name in modules:
        if name.partition(".")[0] in _UNSAFE_MODULES:
            yield f"import of {name}: what it reads can run any code; use json"


def _of_call(node: ast.Call, name: str, names: dict[str, str]) -> Iterator[str]:
    keywords = {each.arg: each.value for each in node.keywords}
    if name in _RUNS_CODE or name in [f"builtins.{each}" for each in _RUNS_CODE]:
        yield f"{name.rpartition('.')[2]}() runs text as code"
    if name in _SHELLS:
        yield f"{name} starts a shell: use subprocess.run with a list"
    if _is_true(keywords.get("shell")):
        yield "shell=True: give the program and its arguments as a list"
    method = name.rpartition(".")[2]
    if method == "chmod":
        for mode in [*node.args[-1:], keywords.get("mode")]:
            value = _mode(mode)
            if value is not None and value & _TOO_OPEN:
                yield f"chmod {value:#o} lets others run or change the file: 0o644 or 0o700"
    is_of_tar = method == "extractall" and any(n.startswith("tarfile") for n in names.values())
    if is_of_tar and not _is_text(keywords.get("filter"), "data"):
        yield "tarfile's extractall() can write anywhere: give filter='data'"
    for keyword in node.keywords:
        if keyword.arg and _SECRET_NAME.search(keyword.arg):
            yield from _of_secret(getattr(keyword.value, "value", None))


def _of_secret(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value and not _SECRET_VALUE.search(value):
        yield "a token or a password in the code: ask for it, or keep it in QGIS's settings"


def _is_secret(target: ast.expr) -> bool:
    name = getattr(target, "id", "") or getattr(target, "attr", "")
    return bool(_SECRET_NAME.search(name))


def _full_name(node: ast.expr, names: dict[str, str]) -> str:
    """os.system, however it was imported; the last part alone where the rest is an expression."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, names)}.{node.attr}"
    return ""


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and bool(node.value)


def _is_text(node: ast.expr | None, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def _mode(node: ast.expr | None) -> int | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


def _waived(lines: list[str], node: ast.AST) -> bool:
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", None)
    return any(_WAIVERS.search(line) for line in lines[first - 1 : last or first])
