# SPDX-License-Identifier: MIT
"""How `make docs` turns these pages into HTML. What is ours in it is in _sphinx/."""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_sphinx"))

project = "ringbridge"
copyright = "the authors of ringbridge, MIT licence"
release = re.search(
    r'__version__ = "(.*)"', (DOCS.parent / "python/ringbridge/__init__.py").read_text()
)[1]  # type: ignore[index]

extensions = ["myst_parser", "ringbridge_pages"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

highlight_language = "text"  # of blocks that name none

html_theme = "furo"
html_title = f"ringbridge {release}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
python_maximum_signature_line_length = 90
c_maximum_signature_line_length = 90

# The C library's types have no pages here, and annotations name types of the standard library.
nitpick_ignore = [
    ("c:identifier", name)
    for name in ("uint8_t", "uint16_t", "uint32_t", "uint64_t", "int32_t", "int64_t", "size_t")
]
nitpick_ignore_regex = [("py:(class|obj|exc)", r".*")]
