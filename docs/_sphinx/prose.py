# SPDX-License-Identifier: MIT
"""Comments and docstrings as Markdown. Text in, text out."""

from __future__ import annotations

import re

_CODE = re.compile(r"(`+[^`]+`+)")
_SPECIAL = re.compile(r"([\\*_<>\[\]|#$~{}])")
_NAME = re.compile(r"(?<!\w)((?:rbr|RBR)_\w+(?:\.\w+)?(?:\.\.\.)?)")
_COLUMNS = re.compile(r"\S {3,}\S")


def markdown(text: str) -> str:
    """Paragraphs as prose, and what is set in columns or indented as it stands."""
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n\s*\n", text.strip("\n")))


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def directive(name: str, argument: str, content: str = "") -> str:
    """A directive whose fence is longer than every fence within."""
    longest = max((len(found) for found in re.findall(r"^`+", content, re.MULTILINE)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{{{name}}} {argument}\n\n{content}\n{fence}"


def _paragraph(text: str) -> str:
    lines = text.split("\n")
    if any(line.startswith("  ") or _COLUMNS.search(line) for line in lines):
        return fenced(text)
    pieces = _CODE.split(text)
    return "".join(piece if piece.startswith("`") else _escaped(piece) for piece in pieces)


def _escaped(text: str) -> str:
    """Names of ours become code, what Markdown would take for its own is escaped."""
    pieces = _NAME.split(text)
    for at, piece in enumerate(pieces):
        pieces[at] = f"`{piece}`" if at % 2 else _SPECIAL.sub(r"\\\1", piece)
    return "".join(pieces)
