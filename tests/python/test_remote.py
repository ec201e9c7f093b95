# SPDX-License-Identifier: MIT
"""RemoteModule: what a loaded module looks like from here."""

from __future__ import annotations

import inspect
import pydoc
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge
from ringbridge.exports import ExportTable


def test_a_module_shows_its_functions_and_plain_values(basics: ringbridge.RemoteModule) -> None:
    assert basics.__name__ == "rbr_testing.basics"
    assert "compute module for the tests" in (basics.__doc__ or "")
    assert repr(basics) == "<remote module 'rbr_testing.basics' of worker 'session'>"
    assert basics.ANSWER == 42
    assert basics.NAMES == ["a", "b"]
    assert basics.NESTED == {"one": (1, 2.5, None), "two": [b"x", True]}
    assert basics.add(1) == 3
    assert basics.add(1, 4, scale=0.5) == 2.5
    assert basics.add_ten(right=5) == 15


def test_a_remote_module_is_a_module_that_nobody_can_import(basics: ModuleType) -> None:
    assert isinstance(basics, ModuleType)
    assert sys.modules.get("rbr_testing.basics") is not basics


def test_dir_lists_what_is_there(basics: ringbridge.RemoteModule) -> None:
    names = dir(basics)
    assert {"ANSWER", "add", "add_ten", "later", "numbers", "Model", "refresh"} <= set(names)
    assert not {"_HIDDEN", "NOT_PLAIN", "annotations", "Any", "os"} & set(names)
    assert names == sorted(names)


def test_a_missing_name_gives_close_matches(basics: ringbridge.RemoteModule) -> None:
    with pytest.raises(AttributeError, match="no function or plain value 'ehco'; it has echo"):
        _ = basics.ehco
    with pytest.raises(AttributeError, match="'NOT_PLAIN'"):
        _ = basics.NOT_PLAIN
    assert not hasattr(basics, "__wrapped__")


def test_a_value_cannot_be_set_from_here(basics: ringbridge.RemoteModule) -> None:
    with pytest.raises(AttributeError, match="copies"):
        basics.ANSWER = 43
    with pytest.raises(AttributeError, match="cannot delete"):
        del basics.ANSWER
    assert basics.ANSWER == 42


def test_functions_carry_name_doc_and_signature(basics: ringbridge.RemoteModule) -> None:
    assert basics.echo.__name__ == "echo"
    assert basics.echo.__module__ == "rbr_testing.basics"
    assert basics.echo.__doc__ == "Gives back what it gets."
    signature = inspect.signature(basics.add)
    assert list(signature.parameters) == ["left", "right", "scale"]
    assert signature.parameters["right"].default == 2
    assert signature.parameters["scale"].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(inspect.signature(basics.later).parameters) == ["value"]


def test_a_default_that_cannot_be_shown_does_not_cost_the_signature(
    basics: ringbridge.RemoteModule,
) -> None:
    parameters = inspect.signature(basics.odd_default).parameters
    assert [p.kind.name for p in parameters.values()] == [
        "POSITIONAL_OR_KEYWORD",
        "VAR_POSITIONAL",
        "VAR_KEYWORD",
    ]
    assert str(inspect.signature(basics.odd_default)) == "(value=..., *rest, **more)"


def test_help_shows_the_functions(basics: ringbridge.RemoteModule) -> None:
    text = pydoc.plain(pydoc.render_doc(basics))
    assert "compute module for the tests" in text
    assert "add(left" in text
    assert "Gives back what it gets." in text
    one = pydoc.plain(pydoc.render_doc(basics.echo))
    assert "echo(value" in one
    assert "Gives back what it gets." in one


def test_an_import_that_fails_is_raised_here(worker: ringbridge.Worker) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'nope'.*Worker\(paths="):
        worker.load("nope")
    with pytest.raises(RuntimeError, match="does not want to be imported") as caught:
        worker.load("rbr_testing.broken_import")
    text = str(caught.value.__cause__)
    assert "broken_import.py" in text
    assert "importlib" not in text
    with pytest.raises(TypeError, match="module must be a str"):
        worker.load(3)  # type: ignore[arg-type]


def test_what_cannot_be_looked_at_does_not_silently_lose_its_functions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where `inspect` could not be read, once, a module had loaded well, without one function."""
    monkeypatch.setitem(sys.modules, "inspect", None)
    with pytest.raises(ImportError, match="inspect"):
        ExportTable().load("rbr_testing.basics", False)


def test_modules_of_the_standard_library_and_packages_load(worker: ringbridge.Worker) -> None:
    assert worker.load("math").sqrt(9.0) == 3.0
    assert worker.load("os.path").join("a", "b") == "a/b"


def write(file: Path, text: str) -> None:
    file.write_text(text)


def test_reload_runs_the_module_again_and_keeps_functions_valid(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    # environ: two versions within a second would share a .pyc
    worker = make_worker(paths=[tmp_path], environ={"PYTHONDONTWRITEBYTECODE": "1"})
    file = tmp_path / "changing.py"
    write(file, "VALUE = 1\ndef f(): return VALUE\ndef old(): return 0\n")
    first = worker.load("changing")
    f, old = first.f, first.old
    assert (first.VALUE, f()) == (1, 1)

    write(
        file,
        "VALUE = 22\ndef f(): return VALUE * 10\ndef new(): return 'n'\ndel globals()['old']\n",
    )
    assert worker.load("changing").VALUE == 1  # imported once
    second = worker.load("changing", reload=True)
    assert (second.VALUE, second.f(), second.new()) == (22, 220, "n")
    assert not hasattr(second, "old")
    assert f() == 220  # the same number, the new function
    with pytest.raises(AttributeError, match="no function 'old' any more"):
        old()
    assert first.VALUE == 1  # read at load
    first.refresh()
    assert (first.VALUE, first.new()) == (22, "n")
    assert not hasattr(first, "old")


def test_refresh_reads_values_again(make_worker: MakeWorker, tmp_path: Path) -> None:
    worker = make_worker(paths=[tmp_path])
    write(tmp_path / "counting.py", "n = 0\ndef up():\n    global n\n    n += 1\n")
    counting = worker.load("counting")
    counting.up()
    assert counting.n == 0
    counting.refresh()
    assert counting.n == 1


def test_a_function_called_refresh_is_the_modules_own(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    worker = make_worker(paths=[tmp_path])
    write(tmp_path / "own.py", "def refresh(): return 'mine'\n")
    refresh: Callable[[], str | None] = worker.load("own").refresh
    assert refresh() == "mine"


def test_all_and_odd_objects_in_a_module(make_worker: MakeWorker, tmp_path: Path) -> None:
    worker = make_worker(paths=[tmp_path])
    text = """
        __all__ = ["_listed", "on_demand", "not_there", 3]
        def _listed(): return 1
        def _hidden(): return 2
        def __getattr__(name):
            if name == "on_demand":
                return lambda: 3
            raise AttributeError(name)
        class Proxy:
            __class__ = property(lambda self: 1 / 0)
            def __call__(self): return 4
        proxy = Proxy()
        huge = "x" * 1_000_000
        surrogate = "\\udc80"
        loop = []
        loop.append(loop)
        fine = {"a": [1]}
        """
    import textwrap

    write(tmp_path / "odd.py", textwrap.dedent(text))
    odd = worker.load("odd")
    assert (odd._listed(), odd.on_demand(), odd.fine) == (1, 3, {"a": [1]})
    for name in ("_hidden", "not_there", "huge", "surrogate", "loop"):
        assert not hasattr(odd, name), name
