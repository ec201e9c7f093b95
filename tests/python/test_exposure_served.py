# SPDX-License-Identifier: MIT
"""Modules of a server, as its clients see them. The server is in this process, and so are they:
while its main thread waits for an answer, it serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rbr_testing.module_files import ModuleFiles, module_files

import ringbridge
from ringbridge import host


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleFiles]:
    """Applications are met in a folder of this test's."""
    meeting = tmp_path / "run"
    meeting.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(meeting))
    with module_files(tmp_path) as files:
        yield files


def test_an_application_may_call_itself_before_its_first_pass(files: ModuleFiles) -> None:
    """It waited for itself, once, and for ever."""
    files.write("lent", "def f(x): return x + 1\n")
    with (
        host.serve("self", ["lent"], pump="script"),
        ringbridge.connect("self", call_timeout=20) as there,
    ):
        assert there.load("lent").f(1) == 2


def test_a_reload_reaches_the_clients_that_did_not_ask_for_it(files: ModuleFiles) -> None:
    """They had called what was there before, until they loaded the module themselves."""
    files.write("lent", "def f(): return 1\ndef old(): return 0\n")
    with (
        host.serve("two", ["lent"], pump="script"),
        ringbridge.connect("two", call_timeout=20) as one,
        ringbridge.connect("two", call_timeout=20) as other,
    ):
        f, old = one.load("lent").f, one.load("lent").old
        lent = other.load("lent")
        files.write("lent", "def f(): return 22\ndef new(): return 3\n")
        assert other.reload_changed() == ["lent"]
        assert (f(), lent.f()) == (22, 22)
        lent.refresh()
        assert lent.new() == 3
        with pytest.raises(AttributeError, match="no function 'old' any more"):
            old()
        assert one.load("lent").new() == 3
        files.write("lent", "def f(:\n")
        with pytest.raises(SyntaxError):
            one.reload_changed()
        assert f() == 22


def test_what_one_client_unloads_nobody_calls_until_somebody_loads_it(files: ModuleFiles) -> None:
    files.write("lent", "def f(): return 1\n")
    with (
        host.serve("unloading", ["lent"], pump="script") as server,
        ringbridge.connect("unloading", call_timeout=20) as one,
        ringbridge.connect("unloading", call_timeout=20) as other,
    ):
        f = one.load("lent").f
        other.unload("lent")
        assert server.modules() == []
        with pytest.raises(AttributeError, match="no function 'f' any more"):
            f()
        files.write("lent", "def f(): return 2\n")
        assert other.load("lent").f() == 2
        assert f() == 2
        with pytest.raises(LookupError, match="'nope' is not loaded: loaded are lent"):
            other.unload("nope")


def test_a_pinned_function_runs_where_its_author_said(files: ModuleFiles) -> None:
    files.write(
        "pinned",
        """
        import threading
        from ringbridge.host import expose
        def _here(): return threading.current_thread() is threading.main_thread()
        @expose(on="main")
        def main(): return _here()
        @expose(on="thread")
        def thread(): return _here()
        @expose
        def either(): return _here()
        """,
    )
    with (
        host.serve("pins", ["pinned"], pump="script"),
        ringbridge.connect("pins", call_timeout=20) as there,
    ):
        pinned = there.load("pinned")
        assert (pinned.main(), pinned.thread(), pinned.either()) == (True, False, True)
        assert not pinned.either.options(on="thread")()
        for function, other in ((pinned.main, "thread"), (pinned.thread, "main")):
            with pytest.raises(PermissionError, match="its author has said so"):
                function.options(on=other)()
