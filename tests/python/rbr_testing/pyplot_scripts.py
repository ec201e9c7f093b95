# SPDX-License-Identifier: MIT
"""What plot_pyplot_views' views have to do with windows of any toolkit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rbr_testing.bare_computation import TESTS, BareComputation, ended, viewed
from ringbridge.plot.letters import Kind


@contextlib.contextmanager
def scripted(
    name: str, environ: dict[str, str | None], **welcome: Any
) -> Iterator[tuple[BareComputation, Any]]:
    """A viewer with one of these views."""
    spec = {"module": "rbr_testing.plot_pyplot_views", "class": name, "paths": [str(TESTS)]}
    with viewed(view=spec, environ=environ, **welcome) as both:
        yield both


def hears_letters_amid(what: str, environ: dict[str, str | None]) -> None:
    with scripted("Script", environ, rate=0.0) as (there, process):
        for _ in range(3):
            number = there.keep(what)
            assert there.hear(Kind.EVENT, "amid").values[1] == number
            there.ask("drawn", number)
        there.end()
        assert ended(process)[0] == 0


def shows_figures_that_draw_makes(environ: dict[str, str | None]) -> None:
    with scripted("Lazy", environ, title="Waves", hold=True) as (there, process):
        shot = there.ask("snapshot", there.keep("colour", 0.0, 1.0, 0.0))
        assert shot[5, 5].tolist() == [0, 255, 0, 255]
        there.ask("drawn", there.keep("another"))
        there.keep("current")
        assert there.hear(Kind.EVENT, "current").values[1] == 1
        shot = there.ask("snapshot", 1, {"figure": 1})
        assert shot[5, 5].tolist() == [0, 0, 255, 255]
        there.keep("title")
        assert there.hear(Kind.EVENT, "title").values[1:] == ("Waves: Figure 1", "Waves: another")
        there.keep("close_it")
        there.hear(Kind.EVENT, "close")
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 0


def holds_no_window_that_never_came(environ: dict[str, str | None]) -> None:
    with scripted("Lazy", environ, hold=True) as (there, process):
        there.ask("counts", 0)
        there.end(hold=True)
        assert ended(process)[0] == 0
