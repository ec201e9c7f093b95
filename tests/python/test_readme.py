# SPDX-License-Identifier: MIT
"""The snippets of README.md and docs/ that say they run, run: each in an interpreter of its own.

A snippet is a block fenced as ```python in the line after the comment `<!-- run -->`. Blocks of one
page that are marked `<!-- run: continued -->` run after those before them, in one script. One that
is marked `<!-- run: file terrain.py -->` is a file of that name, beside each script of its page.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCED = re.compile(
    r"^<!-- run(?P<more>: continued|: file (?P<file>\w+\.py))? -->\s*\n"
    r"```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
MARKED = re.compile(r"^<!-- run", re.MULTILINE)
LIMIT_S = 50


def pages() -> list[Path]:
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if page.is_file()]


def snippets(text: str) -> list[tuple[int, str]]:
    """(line, code) of each script that a page holds; the lines of tracebacks are the page's."""
    scripts: list[tuple[int, str]] = []
    for match in FENCED.finditer(text):
        if match["file"]:
            continue
        line = text.count("\n", 0, match.start("code"))
        if match["more"] and scripts:
            first, before = scripts.pop()
            padding = "\n" * (line - before.count("\n"))
            scripts.append((first, before + padding + match["code"]))
        else:
            scripts.append((line + 1, "\n" * line + match["code"]))
    return scripts


def files(text: str) -> dict[str, str]:
    return {match["file"]: match["code"] for match in FENCED.finditer(text) if match["file"]}


def all_snippets() -> list[tuple[Path, int, str]]:
    return [(page, *found) for page in pages() for found in snippets(page.read_text())]


def names() -> list[str]:
    return [f"{page.relative_to(ROOT)}:{line}" for page, line, _ in all_snippets()]


@pytest.mark.parametrize(("page", "line", "code"), all_snippets(), ids=names())
def test_the_snippet_runs(page: Path, line: int, code: str, tmp_path: Path) -> None:
    script = tmp_path / f"{page.stem}_{line}.py"
    script.write_text(code)
    for name, content in files(page.read_text()).items():
        (tmp_path / name).write_text(content)
    ended = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=LIMIT_S, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr


def test_every_mark_has_its_snippet() -> None:
    for page in pages():
        text = page.read_text()
        assert len(MARKED.findall(text)) == len(FENCED.findall(text)), page


def test_a_continued_snippet_sees_what_stood_before_it() -> None:
    text = "a\n<!-- run -->\n```python\nx = 1\n```\n<!-- run: continued -->\n```python\nx\n```\n"
    assert snippets(text) == [(4, "\n\n\nx = 1\n\n\n\nx\n")]


def test_a_snippet_that_is_a_file_is_no_script() -> None:
    text = (
        "<!-- run: file a.py -->\n```python\nx = 1\n```\n<!-- run -->\n```python\nimport a\n```\n"
    )
    assert files(text) == {"a.py": "x = 1\n"}
    assert [code.strip() for _, code in snippets(text)] == ["import a"]
