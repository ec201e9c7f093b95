# SPDX-License-Identifier: MIT
"""Documents for `ringbench report`, and its page taken apart."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from rbr_testing.ringbench import find, run

Document = dict[str, Any]
SVG = "{http://www.w3.org/2000/svg}"
POINTS = [[0, 400], [50, 470], [90, 500], [99, 600], [99.9, 2000], [100, 80000]]


def row(name: str, kind: str, size: int | None = None, **figures: Any) -> Document:
    found = {"name": name, "kind": kind, **figures}
    return found if size is None else {**found, "bytes": size}


def document(mode: str, *rows: Document, **parts: Any) -> Document:
    return {
        "tool": "ringbench", "format": 1, "version": "9.8.7", "mode": mode,
        "started": "2026-11-21T12:00:00Z",
        "machine": {"cpu": "Abacus 3000", "cpus": 2, "kernel": "6.1", "architecture": "x86_64",
                    "hypervisor": "KVM", "compiler": "gcc 12.2.0", "load_average": 0.5},
        "run": {"seconds": 3.2, "steal_percent": 0.2, "noisy": False, "noise": ""},
        "parameters": {"cpus": [0, 1], "wait": "spin"},
        "results": list(rows),
        **parts,
    }  # fmt: skip


class Page:
    """What the program made: HTML that any XML reader takes too."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root = ElementTree.fromstring(text)

    def section(self, name: str) -> ElementTree.Element | None:
        return self.root.find(f".//section[@id='{name}']")

    def plots(self, name: str) -> dict[str, ElementTree.Element]:
        """Caption -> SVG."""
        section = self.section(name)
        assert section is not None, name
        figures = section.findall(".//figure")
        found = {}
        for figure in figures:
            caption, svg = figure.find("figcaption"), figure.find(f"{SVG}svg")
            assert caption is not None and svg is not None
            found[(caption.text or "").strip()] = svg
        assert len(found) == len(figures)
        return found


def texts(svg: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in svg.iter(f"{SVG}text")]


def tips(svg: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in svg.iter(f"{SVG}title")]


def points(svg: ElementTree.Element) -> int:
    return sum(each.get("class", "").startswith("point") for each in svg.iter(f"{SVG}path"))


def lines(svg: ElementTree.Element, group: str) -> int:
    """How many names with a piece of line there are, in groups of the class."""
    groups = [each for each in svg.iter(f"{SVG}g") if group in each.get("class", "").split()]
    return sum(each.find(f"{SVG}text") is not None for each in groups)


def cells(page: Page, css: str) -> list[str]:
    return ["".join(each.itertext()) for each in page.root.iter("td") if each.get("class") == css]


def made(folder: Path, *documents: Document, title: str = "A page") -> Page:
    paths = []
    for number, each in enumerate(documents):
        paths.append(folder / f"d{number}.json")
        paths[-1].write_text(json.dumps(each))
    done = run(find(), "report", "-o", "-", "--title", title, *map(str, paths))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return Page(done.stdout)
