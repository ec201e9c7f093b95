# SPDX-License-Identifier: MIT
"""Functions that are sent as source: what is cut out of a file is the function itself."""

from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ringbridge import CannotCross, Pool, sources

TIMEOUT_S = 40


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., Any]]:
    with Pool(sys.executable, 1, name="sources") as pool:
        yield lambda function, *args: pool.submit(function, *args).result(TIMEOUT_S)


ODD_LINES = (  # "\f", "\x1c", "\x85" and such split lines for str.splitlines(), and not for Python
    "\f\nNAMES = 'a\x1cb\x1dc\x1ed\x85e\u2028f\u2029g\vh'\n\f\n"
    "def other(x):\n    return -x\n\f\n"
    "def function(x):\n    return x, 'i\u2028j\x85k'\n"
    "\fdef behind(x): return x\n"
    "def around():\n \f    \f    def inner(x):\n \f        return x\n    return inner\n"
    "each = [lambda x: -x,\n        lambda x: x]\n"
    "def fails():\n    '\f'\n    raise ValueError('its own line')\n"
)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_python_does(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    # Another function of the file was sent, and its result came back as if nothing were wrong.
    (tmp_path / "odd_lines.py").write_bytes(ODD_LINES.replace("\n", ending).encode())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_lines", raising=False)
    odd = importlib.import_module("odd_lines")
    assert run(odd.function, 3) == (3, "i\u2028j\x85k")
    assert run(odd.behind, 4) == 4
    assert run(odd.around(), 5) == 5
    assert run(odd.each[1], 6) == 6
    with pytest.raises(ValueError) as caught:
        run(odd.fails)
    assert "raise ValueError('its own line')" in str(caught.value.__cause__)


def test_the_lines_of_what_is_no_file_are_counted_as_python_does(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = len(ODD_LINES), None, ODD_LINES.splitlines(keepends=True), "<a cell>"
    monkeypatch.setitem(linecache.cache, "<a cell>", entry)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(ODD_LINES, "<a cell>", "exec"), space)
    assert run(space["function"], 3)[0] == 3
    with pytest.raises(ValueError) as caught:
        run(space["fails"])
    assert "raise ValueError('its own line')" in str(caught.value.__cause__)


def test_what_was_not_cut_out_right_is_never_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cut_badly.py").write_text("SCALE = 3\n\n\ndef helper(x):\n    return x + SCALE\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cut_badly", raising=False)
    here = importlib.import_module("cut_badly")
    shift = here.helper.__code__.co_firstlineno - 1
    for cut in ("def helper(x):\n    return x - SCALE", "x + SCALE", "def helper(x"):
        sources._source.cache_clear()
        monkeypatch.setattr(sources, "_cut", lambda _text, _node, cut=cut: (cut, shift))
        with pytest.raises(CannotCross, match="cannot be cut out of the text of"):
            sources.describe(here.helper, {"cut_badly"})
