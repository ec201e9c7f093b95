# SPDX-License-Identifier: MIT
"""What a server exposes of modules and functions, and what it refuses."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from rbr_testing.module_files import ModuleFiles, exposed

from ringbridge.host.exposure import Exposure

# ------------------------------------------------------------------------------- what was named


def test_what_was_not_named_is_refused_before_it_is_imported(files: ModuleFiles) -> None:
    files.write("secret", "raise SystemExit('imported')\n")
    files.write("tools.__init__", "def f(): ...\n")
    files.write("tools.sub", "def g(): ...\n")
    exposure = Exposure(["mytools", "tools"], label="'blender'")
    text = (
        "module 'secret' is not served by 'blender': it serves mytools, tools; name it in "
        r"serve\(modules=\[...\]\)"
    )
    with pytest.raises(PermissionError, match=text):
        exposure.load("secret")
    with pytest.raises(PermissionError, match="did you mean 'mytools'"):
        exposure.load("mytool")
    with pytest.raises(PermissionError, match=r"'tools\.sub'"):
        exposure.load("tools.sub")
    with pytest.raises(PermissionError, match="it serves nothing"):
        Exposure().load("os")
    with pytest.raises(TypeError, match="must be a str"):
        exposure.load(3)  # type: ignore[arg-type]
    assert not {"secret", "tools.sub"} & sys.modules.keys()


def test_a_pattern_names_what_is_not_private(files: ModuleFiles) -> None:
    files.write("tools.__init__", "")
    files.write("tools.a.__init__", "def f(): ...\n")
    files.write("tools.a.b", "def g(): ...\n")
    files.write("tools._own", "def h(): ...\n")
    exposure = Exposure(["tools.*"])
    assert exposure.names() == ["tools.*"]
    assert exposed(exposure, "tools.a") == ["f"]
    assert exposed(exposure, "tools.a.b") == ["g"]
    for name in ("tools", "tools._own", "tools..a", "tools.a/b", "toolsb.a", "", "__main__"):
        with pytest.raises(PermissionError):
            exposure.load(name)
    assert exposed(Exposure(["*"]), "tools.a") == ["f"]
    with pytest.raises(PermissionError):
        Exposure(["*"]).load("__main__")
    assert exposed(Exposure(["tools._own"]), "tools._own") == ["h"]


@pytest.mark.parametrize("what", ["", "a b", "tools/*", "../x", ".tools", "tools.", "a-b"])
def test_what_is_no_modules_name_cannot_be_served(what: str) -> None:
    with pytest.raises(ValueError, match="no module's name"):
        Exposure([what])


def test_only_modules_their_names_and_functions_can_be_served() -> None:
    with pytest.raises(TypeError, match=r"and not int \(3\)"):
        Exposure([3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="has no name to call it by"):
        Exposure([functools.partial(print)])
    with pytest.raises(TypeError, match=r"<lambda>.*has no name to call it by"):
        Exposure([lambda: None])
    with pytest.raises(ValueError, match='on="main" or on="thread"'):
        Exposure(on="gui")
    assert Exposure("json").names() == ["json"]


def test_functions_are_served_as_part_of_their_module(files: ModuleFiles) -> None:
    files.write("pieces", "VALUE = 1\ndef f(): ...\ndef g(): ...\n")
    import pieces  # type: ignore[import-not-found]

    exposure = Exposure([pieces.f])
    assert exposure.names() == exposure.loaded() == ["pieces"]
    module = exposure.load("pieces")
    assert (list(module.functions), module.values) == (["f"], {})
    with pytest.raises(PermissionError, match="function 'g' of module 'pieces' is not exposed"):
        exposure.find("pieces.g")
    assert list(Exposure([pieces.f, "pieces"]).load("pieces").functions) == ["f", "g"]


def test_a_scripts_functions_are_those_of_main() -> None:
    """In Blender's text editor `__main__` is, later, another module than the function was made in;
    and in QGIS's console a function's module is None."""

    def made(name: str | None) -> Callable[[], Any]:
        space: dict[str, Any] = {"__name__": name}
        exec("def act(): return 1", space)
        function: Callable[[], Any] = space["act"]
        return function

    for name in ("__main__", None):
        exposure = Exposure([made(name)])
        assert exposure.loaded() == ["__main__"]
        assert list(exposure.load("__main__").functions) == ["act"]
    with pytest.raises(ValueError, match=r"two functions are named __main__\.act"):
        Exposure([made("__main__"), made("__main__")])


def test_a_module_that_nobody_can_import_is_served_as_it_is() -> None:
    module = ModuleType("made_up")
    exec("def f(): return 1", vars(module))
    exposure = Exposure([module], on="thread")
    assert exposure.loaded() == ["made_up"]
    assert exposure.find("f")[1].on == "thread"


def test_a_bound_method_can_be_served() -> None:
    class Tool:
        def render(self) -> str:
            return "done"

    found = Exposure([Tool().render]).find("render")[1]
    assert (found.function(), found.signature) == ("done", "() -> 'str'")


def test_an_import_that_fails_is_raised_and_serves_nothing(files: ModuleFiles) -> None:
    files.write("failing", "1 / 0\n")
    files.write("needy", "import not_there_at_all\n")
    exposure = Exposure(["failing", "needy", "missing", "missing.sub"], label="'maya'")
    with pytest.raises(ZeroDivisionError):
        exposure.load("failing")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'not_there_at_all'$"):
        exposure.load("needy")
    for name in ("missing", "missing.sub"):
        with pytest.raises(ModuleNotFoundError, match=r"'missing' where 'maya' runs.*sys\.path"):
            exposure.load(name)
    assert exposure.loaded() == []
    files.write("failing", "def f(): ...\n")
    assert exposed(exposure, "failing") == ["f"]


# ----------------------------------------------------------------------------------- about, find


def test_find_looks_through_modules_in_their_order(files: ModuleFiles) -> None:
    files.write("first", "def both(): return 1\ndef _own(): ...\n")
    files.write("second", "def both(): return 2\ndef render(): ...\n")
    exposure = Exposure(["first", "second", "third"])
    with pytest.raises(LookupError, match="no function 'both' in nothing"):
        exposure.find("both")
    exposure.load("first")
    exposure.load("second")
    assert exposure.find("both")[0].name == "first"
    assert exposure.find("second.both")[1].function() == 2
    with pytest.raises(LookupError, match="'rendr' in first, second: did you mean render"):
        exposure.find("rendr")
    with pytest.raises(LookupError, match="no function 'rendr' in first: there are both"):
        exposure.find("first.rendr")
    with pytest.raises(LookupError, match="module 'third' is not loaded: loaded are first, second"):
        exposure.find("third.f")
    with pytest.raises(PermissionError, match="is not served"):
        exposure.find("os.getcwd")
    with pytest.raises(PermissionError, match="'_own' of module 'first' is not exposed"):
        exposure.find("_own")


def test_about_answers_while_a_module_is_being_imported(files: ModuleFiles) -> None:
    """The door asks, and must not wait for a long import."""
    files.write("quick", "def f(): ...\n")
    files.write("slow", "import test_exposure_gate\ntest_exposure_gate.wait()\ndef g(): ...\n")
    gate, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert gate.wait(30)

    sys.modules["test_exposure_gate"] = module = ModuleType("test_exposure_gate")
    vars(module)["wait"] = wait
    exposure = Exposure(["quick", "slow"])
    exposure.load("quick")
    thread = threading.Thread(target=exposure.load, args=("slow",))
    thread.start()
    try:
        assert begun.wait(30)
        assert list(exposure.about()) == exposure.loaded() == ["quick"]
    finally:
        gate.set()
        thread.join(30)
        del sys.modules["test_exposure_gate"]
    assert list(exposure.about()) == ["quick", "slow"]
