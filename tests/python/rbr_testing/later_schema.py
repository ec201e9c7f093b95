# SPDX-License-Identifier: MIT
"""The schema as a later version may have it: what "only append" allows, done everywhere at once.

Made from the text of today's, so that it follows every change of it.
"""

from __future__ import annotations

import re
from typing import Any

ADDED_KIND = 99
ADDED_BODY = "AddedBody"
#: What each table has at its end: a number, a text, a table and structs, 8-aligned.
FIELDS = "added_number:ulong; added_text:string; added_table:Added; added_numbers:[double];"
ADDED = {
    "added_number": 2**64 - 3,
    "added_text": b"from a later version",
    "added_table": {"one": 1, "two": [b"a", b"b"]},
    "added_numbers": [1.5, -0.0],
}


def later(text: str) -> str:
    text = re.sub(r"//[^\n]*", "", text)
    text, tables = re.subn(r"(?m)^(table \w+\s+\{[^}]*)\}", rf"\1 {FIELDS} }}", text)
    text, enums = re.subn(r"(enum Kind [^}]*?)\s*\}", rf"\1, Added = {ADDED_KIND} }}", text)
    text, unions = re.subn(r"(union Body [^}]*?)\s*\}", rf"\1, {ADDED_BODY} }}", text)
    assert tables >= 25 and enums == 1 and unions == 1, (tables, enums, unions)
    types = f"table Added {{ one:long; two:[string]; }} table {ADDED_BODY} {{ value:Value; }}"
    return text.replace("union Body", f"{types}\nunion Body")


def with_additions(spec: Any) -> Any:
    """The same frame, with all that is new in each of its tables."""
    if isinstance(spec, list):
        return [with_additions(each) for each in spec]
    if not isinstance(spec, dict):
        return spec
    if "generation" in spec and "offset" in spec:  # a struct never grows
        return spec
    return {**{name: with_additions(each) for name, each in spec.items()}, **ADDED}
