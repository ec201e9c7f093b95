# SPDX-License-Identifier: MIT
"""What our pages have that is not written in them: the references, what programs say, counts.

A page holds an empty block, which is replaced by Markdown before Sphinx reads the page:

    ```{c-header} ringbridge.h      the public header, with its comments
    ```{python-names}               every name of `ringbridge.__all__`, with its docstring
    ```{python-names} ringbridge.qt the same, of that package
    ```{help} ringbridge run        what `ringbridge run --help` prints
    ```{counts}                     the table of counts.json
    ```{promises}                   a table of the page's own sections `### F1: ...`, with the word
                                    in bold that each ends with

`{count}` with a name of that table in backticks gives its number in the middle of a line, and the
comment `<!-- pages: 0* -->` puts pages of the same folder below this one.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import headers
import names
from prose import fenced

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python/ringbridge"
RINGBENCH = ROOT / "csrc/ringbench/help.c"
COUNTS = ROOT / "docs/explanation/counts.json"

_BLOCK = re.compile(
    r"^```\{(c-header|python-names|help|counts|promises)\} ?(.*)\n```$", re.MULTILINE
)
_PROMISE = re.compile(
    r"^\((f\d+)\)=\n### (F[^:]+): (.+)$(?:\n(?!#).*)*?\n- \*\*(.+?)\*\*", re.MULTILINE
)
_COUNT = re.compile(r"\{count\}`([^`\n]+)`")
_PAGES = re.compile(r"^<!-- pages: (\S+) -->$", re.MULTILINE)


def c_header(name: str, _: str) -> str:
    return headers.render(headers.read((ROOT / "csrc/include" / name).read_text()))


def python_names(package_name: str, _: str) -> str:
    if package_name:
        folder = PACKAGE / package_name.partition(".")[2]
        return names.render(names.read(folder), package_name)
    function = names.read_class(PACKAGE / "_core.pyi", "Function")
    package = names.render(names.read(PACKAGE), "ringbridge")
    return f"{package}\n## A remote function\n\n{names.render([function], 'ringbridge._core')}"


def program_help(command: str, _: str) -> str:
    program, *verb = command.split()
    said = ringbench_help() if program == "ringbench" else _said_by_ringbridge(verb)
    return fenced(said.rstrip())


def ringbench_help() -> str:
    """From the source, since the program may not be built: the string literals of its help."""
    literals = RINGBENCH.read_text().partition("text[] =")[2].partition(";\n\n")[0]
    return "".join(ast.literal_eval(f'"{each}"') for each in re.findall(r'"(.*)"\n?', literals))


def _said_by_ringbridge(verb: list[str]) -> str:
    from ringbridge.cli.main import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main([*verb, "--help"])
    return said.getvalue()


def counts_table(_: str, __: str) -> str:
    rows = ["| counted | in all | runs | the last |", "|---|--:|--:|---|"]
    for name, entry in sorted(_counts().items()):
        rows.append(f"| {name} | {entry['count']:,} | {entry['runs']} | {entry['last']} |")
    return "\n".join(rows)


def promises_table(_: str, page: str) -> str:
    rows = ["| # | what happens | |", "|---|---|---|"]
    found = sorted(_PROMISE.findall(page), key=lambda promise: int(promise[0][1:]))
    rows += [
        f"| [{number}](#{anchor}) | {title} | {word} |" for anchor, number, title, word in found
    ]
    return "\n".join(rows)


def _count(name: str) -> str:
    return f"{_counts()[name]['count']:,}"


def _counts() -> dict[str, Any]:
    counted: dict[str, Any] = json.loads(COUNTS.read_text())
    return counted


#: What a block's argument, and the page that it stands in, become.
_BLOCKS: dict[str, Callable[[str, str], str]] = {
    "c-header": c_header,
    "python-names": python_names,
    "help": program_help,
    "counts": counts_table,
    "promises": promises_table,
}


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    text = _BLOCK.sub(lambda found: _BLOCKS[found[1]](found[2], source[0]), source[0])
    text = _COUNT.sub(lambda found: _count(found[1]), text)
    text = _PAGES.sub(r"```{toctree}\n:hidden:\n:glob:\n\n\1\n```", text)
    if text != source[0]:
        app.env.note_reread()  # what it was made from may change without the page
    source[0] = text


def setup(app: Sphinx) -> dict[str, bool]:
    sys.path.insert(0, str(PACKAGE.parent))
    os.environ["COLUMNS"] = "90"  # how wide argparse writes
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}
