# SPDX-License-Identifier: MIT
"""Modules that are served, changed, run again, and served no longer."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

import pytest
from rbr_testing.module_files import ModuleFiles

from ringbridge.errors import RingbridgeError
from ringbridge.host.exposure import Exposure


def result(exposure: Exposure, name: str) -> object:
    return exposure.find(name)[1].function()


def touch(file: Path) -> None:
    """The clock of files is coarse: two writes in a row may have one time."""
    now = os.stat(file)
    os.utime(file, ns=(now.st_atime_ns, now.st_mtime_ns + 10_000_000))


def test_reload_runs_the_file_again_also_within_a_second(files: ModuleFiles) -> None:
    """Python itself takes the old code where time in seconds and size are the same."""
    files.write("quick", "def f(): return 0\n")
    exposure = Exposure(["quick"])
    exposure.load("quick")
    for value in range(1, 6):
        files.write("quick", f"def f(): return {value}\n")
        assert exposure.reload("quick").functions["f"].function() == value
        assert result(exposure, "f") == value


def test_what_the_file_has_no_more_is_not_exposed_after_a_reload(files: ModuleFiles) -> None:
    """A reload leaves it in the module, and once it had stayed exposed."""
    mark = "from ringbridge.host.expose import expose\n"
    files.write("shrinking", mark + "@expose\ndef a(): ...\n@expose\ndef b(): ...\nclass C: ...\n")
    exposure = Exposure(["shrinking"])
    assert list(exposure.load("shrinking").functions) == ["a", "b"]

    files.write("shrinking", mark + "@expose\ndef a(): ...\n")
    assert list(exposure.reload("shrinking").functions) == ["a"]
    assert list(exposure.load("shrinking").functions) == ["a"]
    with pytest.raises(PermissionError):
        exposure.find("b")

    files.write("shrinking", "def a(): ...\ndef c(): ...\n")  # nothing is marked any more
    assert list(exposure.reload("shrinking").functions) == ["a", "c"]
    files.write("shrinking", "def a(): ...\ndef b(): return 'back'\n")
    assert list(exposure.reload("shrinking").functions) == ["a", "b"]
    assert result(exposure, "b") == "back"


def test_a_reload_that_raises_leaves_the_module_as_it_was(files: ModuleFiles) -> None:
    files.write("fragile", "STATE = [1]\ndef f(): return STATE, helper()\ndef helper(): return 2\n")
    exposure = Exposure(["fragile"])
    exposure.load("fragile")
    sys.modules["fragile"].STATE.append(5)
    files.write("fragile", "def f(: pass\n")
    with pytest.raises(SyntaxError, match=r"fragile\.py"):
        exposure.reload("fragile")
    files.write("fragile", "STATE = 3\nextra = 4\ndef f(): return 'new'\ndel helper\n1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        exposure.reload("fragile")
    assert result(exposure, "f") == ([1, 5], 2)
    assert not hasattr(sys.modules["fragile"], "extra")
    files.write("fragile", "def f(): return 'right'\n")
    exposure.reload("fragile")
    assert result(exposure, "f") == "right"


def test_reload_imports_what_was_not_loaded_and_refuses_what_was_not_named(
    files: ModuleFiles,
) -> None:
    files.write("fresh", "def f(): return 1\n")
    exposure = Exposure(["fresh"])
    assert list(exposure.reload("fresh").functions) == ["f"]
    with pytest.raises(PermissionError, match="'os' is not served"):
        exposure.reload("os")


def test_what_has_no_source_file_cannot_be_reloaded() -> None:
    def of_a_script() -> None: ...

    of_a_script.__module__ = "__main__"
    exposure = Exposure([of_a_script, "math"])
    for name in ("__main__", "math"):
        exposure.load(name)
        with pytest.raises(RingbridgeError, match="not imported from a source file"):
            exposure.reload(name)
    assert exposure.find("of_a_script")[1].function is of_a_script


def test_a_function_that_was_named_is_the_new_one_after_a_reload(files: ModuleFiles) -> None:
    files.write("single", "def f(): return 1\ndef g(): ...\n")
    import single  # type: ignore[import-not-found]

    exposure = Exposure([single.f])
    files.write("single", "def f(): return 22\n")
    assert list(exposure.reload("single").functions) == ["f"]
    assert result(exposure, "f") == 22
    files.write("single", "def other(): return 22\n")
    assert list(exposure.reload("single").functions) == []
    files.write("single", "def f(): return 'again'\n")
    exposure.reload("single")
    assert result(exposure, "f") == "again"


def test_a_script_that_changes_is_left_alone(
    files: ModuleFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a file, and cannot be run again: that had been an error, of all that was served."""
    files.write("script", "def f(): return 1\n")
    files.write("other", "def g(): return 1\n")
    import script  # type: ignore[import-not-found]

    script.f.__module__ = "__main__"
    monkeypatch.setitem(sys.modules, "__main__", script)
    exposure = Exposure([script.f, "other"])
    exposure.load("other")
    files.write("script", "def f(): return 22\n")
    assert not exposure.changed()
    assert exposure.reload_changed() == []
    assert exposure.reload_all() == ["other"]
    assert result(exposure, "f") == 1


def test_only_what_has_changed_is_reloaded(files: ModuleFiles) -> None:
    files.write("one", "def f(): return 1\n")
    files.write("two", "def g(): return 1\n")
    exposure = Exposure(["one", "two"])
    exposure.load("one")
    exposure.load("two")
    assert exposure.reload_changed() == []
    files.write("two", "def g(): return 22\n")
    assert exposure.changed()
    assert exposure.reload_changed() == ["two"]
    assert result(exposure, "g") == 22
    assert exposure.reload_changed() == []
    os.unlink(files.folder / "two.py")
    assert exposure.reload_changed() == []
    assert result(exposure, "g") == 22


def test_submodules_are_reloaded_before_what_uses_them(files: ModuleFiles) -> None:
    files.write(
        "pack.__init__",
        "from pack.b import value\n__all__ = ['total']\ndef total(): return value\n",
    )
    files.write("pack.b", "from pack import a\nvalue = a.value() + 1\n")
    files.write("pack.a", "def value(): return 10\n")
    files.write("pack.unused", "")
    files.write("apart", "import pack\ndef f(): return pack.total()\n")
    exposure = Exposure(["pack", "apart"])
    exposure.load("pack")
    exposure.load("apart")
    import pack.unused  # type: ignore[import-not-found]  # noqa: F401

    assert result(exposure, "total") == 11
    files.write("pack.a", "def value(): return 200\n")
    assert exposure.reload_changed() == ["pack.a", "pack.b", "pack", "apart"]
    assert result(exposure, "total") == 201
    files.write("pack.a", "def value(): return 3000\n")
    exposure.reload("pack")
    assert result(exposure, "total") == 3001
    assert exposure.reload_changed() == []


def test_modules_that_use_each_other_are_reloaded_once(files: ModuleFiles) -> None:
    files.write("ring.__init__", "")
    files.write("ring.a", "from ring import b\ndef f(): return 1\n")
    files.write("ring.b", "from ring import a\ndef g(): return 1\n")
    exposure = Exposure(["ring.*", "ring"])
    for name in ("ring", "ring.a", "ring.b"):
        exposure.load(name)
    files.write("ring.b", "from ring import a\ndef g(): return 22\n")
    assert sorted(exposure.reload_changed()) == ["ring", "ring.a", "ring.b"]
    assert result(exposure, "g") == 22


def test_a_syntax_error_is_logged_once_and_the_others_are_reloaded(
    files: ModuleFiles, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("good", "bad"):
        files.write(name, f"def {name}(): return 1\n")
    exposure = Exposure(["bad", "good"])
    exposure.load("bad")
    exposure.load("good")
    files.write("bad", "def bad(:\n")
    files.write("good", "def good(): return 22\n")
    with caplog.at_level(logging.ERROR, "ringbridge.host"):
        with pytest.raises(SyntaxError, match=r"bad\.py"):
            exposure.reload_changed()
        assert exposure.reload_changed() == []
    assert caplog.text.count("module bad was not reloaded, and is served as it was") == 1
    assert "SyntaxError" in caplog.text
    assert (result(exposure, "bad"), result(exposure, "good")) == (1, 22)
    files.write("bad", "def bad(): return 'right'\n")
    assert exposure.reload_changed() == ["bad"]
    assert result(exposure, "bad") == "right"


def test_a_submodule_that_was_imported_late_is_watched_too(files: ModuleFiles) -> None:
    files.write("late.__init__", "def f():\n    from late.part import value\n    return value\n")
    files.write("late.part", "value = 1\n")
    exposure = Exposure(["late"])
    exposure.load("late")
    assert result(exposure, "f") == 1
    files.write("late.part", "value = 22\n")
    touch(files.folder / "late" / "part.py")
    assert "late.part" in exposure.reload_changed()
    assert result(exposure, "f") == 22
    assert exposure.reload_changed() == []


def test_a_file_of_the_future_is_not_reloaded_for_ever(files: ModuleFiles) -> None:
    files.write("future", "def f(): ...\n")
    os.utime(files.folder / "future.py", (2e9, 2e9))
    exposure = Exposure(["future"])
    exposure.load("future")
    assert exposure.reload_changed() == ["future"]  # it may have changed while it was read
    assert exposure.reload_changed() == []


# ---------------------------------------------------------------------------------------- unload


def test_unload_lets_go_of_what_it_has_imported(files: ModuleFiles) -> None:
    files.write("pack.__init__", "from pack import part\ndef f(): return part.value\n")
    files.write("pack.part", "value = 1\n")
    exposure = Exposure(["pack"])
    exposure.load("pack")
    exposure.unload("pack")
    assert exposure.loaded() == []
    assert not {"pack", "pack.part"} & sys.modules.keys()
    with pytest.raises(LookupError, match="module 'pack' is not loaded: loaded are nothing"):
        exposure.unload("pack")
    with pytest.raises(LookupError, match="is not loaded"):
        exposure.find("pack.f")
    files.write("pack.part", "value = 2\n")
    exposure.load("pack")
    assert result(exposure, "f") == 2


def test_unload_keeps_what_the_application_has_imported(files: ModuleFiles) -> None:
    files.write("theirs", "def f(): ...\n")
    import theirs  # type: ignore[import-not-found]

    exposure = Exposure(["theirs"])
    exposure.load("theirs")
    exposure.load("theirs")
    exposure.unload("theirs")
    assert sys.modules["theirs"] is theirs


def test_unload_keeps_submodules_and_packages_that_are_still_served(files: ModuleFiles) -> None:
    files.write("pack.__init__", "from pack import part\ndef f(): ...\n")
    files.write("pack.part", "def g(): ...\n")
    exposure = Exposure(["pack", "pack.part"])
    exposure.load("pack")
    part = sys.modules["pack.part"]
    exposure.load("pack.part")
    exposure.unload("pack")
    assert exposure.loaded() == ["pack.part"]
    assert sys.modules["pack.part"] is part


def test_many_threads_may_load_reload_and_ask(files: ModuleFiles) -> None:
    names = [f"busy{number}" for number in range(4)]
    for name in names:
        files.write(name, f"def {name}(): return 1\n")
    exposure = Exposure(["busy*"])
    failures: list[BaseException] = []

    def work(own: str) -> None:
        try:
            for _ in range(30):
                exposure.load(own)
                exposure.reload(own)
                assert exposure.find(own)[1].function() == 1
                exposure.about()
                assert own in exposure.loaded()
                exposure.reload_changed()
                exposure.unload(own)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
