# SPDX-License-Identifier: MIT
"""The C reference, from the public headers: declarations in their order, with their comments.

A header is read as it is formatted: a comment belongs to the declarations between it and the next
empty line, and a comment of dashes begins a section.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from prose import directive, fenced, markdown

_SECTION = re.compile(r"/\* -{10,} (.+) \*/")
_SKIPPED = re.compile(r'#(?!define \w)|extern "C"|}$')
_GUARD = re.compile(r"#define \w+_H$")


@dataclass(frozen=True)
class Entry:
    """A declaration as it stands, with the comment that belongs to it."""

    kind: str  # function, macro, struct, enum or type: a directive of Sphinx's domain c
    name: str
    text: str
    comment: str

    @property
    def documented(self) -> bool:
        """By a comment of its own, or by those of its fields."""
        return bool(self.comment) or (self.kind in ("struct", "enum") and "/*" in self.text)


@dataclass(frozen=True)
class Header:
    """What a header says at its top, and (section, its entries in groups) below it."""

    about: str
    sections: list[tuple[str, list[list[Entry]]]]

    def entries(self) -> Iterator[Entry]:
        for _, groups in self.sections:
            for group in groups:
                yield from group


def read(text: str) -> Header:
    chunks = list(_chunks(text.split("\n")))
    about = next(_uncommented(chunk) for chunk in chunks if chunk.startswith("/*\n"))
    sections: list[tuple[str, list[list[Entry]]]] = [("", [])]
    comment, group = "", None
    macros: dict[str, str] = {}
    after = chunks[chunks.index(next(c for c in chunks if c.startswith("/*\n"))) + 1 :]
    for chunk in after:
        section = _SECTION.match(chunk)
        if section:
            sections.append((section[1], []))
            comment, group = "", None
        elif chunk.startswith("/*"):
            comment, group = _uncommented(chunk), None
        elif chunk == "":
            comment, group = "", None
        else:
            for entry in _entries(chunk, comment, macros):
                if group is None:
                    group = []
                    sections[-1][1].append(group)
                group.append(entry)
    return Header(about, sections)


def render(header: Header) -> str:
    """The header as Markdown for Sphinx, with a heading for each section."""
    parts = [markdown(_without_title(header.about))]
    for title, groups in header.sections:
        if groups and title:
            parts.append(f"## {title[0].upper()}{title[1:]}")
        for group in groups:
            parts.extend(_directive(entry, entry is group[-1]) for entry in group)
    return "\n\n".join(parts) + "\n"


def _directive(entry: Entry, is_last: bool) -> str:
    content = markdown(entry.comment) if is_last and entry.comment else ""
    if entry.kind in ("struct", "enum") and "{" in entry.text:
        content = f"{content}\n\n{fenced(entry.text, 'c')}"
    if entry.kind == "macro":
        value = entry.text.partition(entry.name)[2]
        if not value.startswith("("):
            content = f"{content}\n\n{fenced(entry.text, 'c')}"
    return directive(f"c:{entry.kind}", _signature(entry), content)


def _signature(entry: Entry) -> str:
    if entry.kind == "function":
        declaration = entry.text.partition("{")[0].replace("static inline", "")
        return " ".join(declaration.replace(";", "").split())
    if entry.kind == "macro":
        parameters = re.match(r"#define \w+(\([^)]*\))?", entry.text)
        return entry.name + (parameters[1] or "" if parameters else "")
    return entry.name


def _chunks(lines: list[str]) -> Iterator[str]:
    """Comments, declarations, macros and empty lines, each whole."""
    at = 0
    while at < len(lines):
        end = _end(lines, at)
        chunk = "\n".join(lines[at:end])
        at = end
        if not (_SKIPPED.match(chunk) or _GUARD.match(chunk)):
            yield chunk


def _end(lines: list[str], at: int) -> int:
    first = lines[at]
    end = at + 1
    if first.startswith("/*"):
        while not lines[end - 1].rstrip().endswith("*/"):
            end += 1
    elif first.startswith("#"):
        while lines[end - 1].endswith("\\"):
            end += 1
    elif first.startswith("static inline"):
        while lines[end - 1] != "}":
            end += 1
    elif first.startswith("typedef") and first.endswith("{"):
        while not lines[end - 1].startswith("}"):
            end += 1
    elif first and not first.startswith(("extern", "}", "RBR_")):
        while ";" not in lines[end - 1]:
            end += 1
    return end


def _entries(chunk: str, comment: str, macros: dict[str, str]) -> Iterator[Entry]:
    define = re.match(r"#define (\w+)", chunk)
    if define:
        if "##" in chunk:  # it makes functions, and is gone at the header's end
            macros[define[1]] = chunk
        else:
            yield Entry("macro", define[1], chunk, comment)
        return
    use = re.match(r"(RBR_\w+)\((\w+), (\w+)\)$", chunk)
    if use:
        text = macros[use[1]].replace("\\\n", "\n").partition("\n")[2].partition("{")[0]
        text = re.sub(r"\btype\b", use[3], text.replace("##suffix", use[2]))
        yield from _entries(text.strip(), comment, macros)
        return
    trailing = re.search(r";\s*/\*(.*)\*/$", chunk)
    if trailing and "\n" not in chunk:
        chunk, comment = chunk[: trailing.start() + 1], comment or trailing[1].strip()
    kind, name = _named(chunk)
    yield Entry(kind, name, chunk, comment)


def _named(chunk: str) -> tuple[str, str]:
    body = re.match(r"(?:typedef )?(struct|enum)\s+(\w+)\s*(\{|;)", chunk)
    if body:
        return body[1], body[2]
    opaque = re.match(r"typedef struct \w+ (\w+);", chunk)
    if opaque:
        return "type", opaque[1]
    function = re.search(r"\b(rbr_\w+)\(", chunk)
    if function is None:
        raise ValueError(f"not a declaration that this script knows: {chunk!r}")
    return "function", function[1]


def _uncommented(chunk: str) -> str:
    inner = chunk.strip()[2:-2]
    lines = [re.sub(r"^ \* ?", "", line) for line in inner.split("\n")]
    return "\n".join(line.rstrip() for line in lines).strip()


def _without_title(about: str) -> str:
    """Without its first line's `name.h - `."""
    said = about.partition(".h - ")[2]
    return said[:1].upper() + said[1:]
