# SPDX-License-Identifier: MIT
"""What a server exposes of modules and functions, and what it refuses."""

from __future__ import annotations

import functools
import json
import logging
import math
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rbr_testing.module_files import ModuleFiles, module_files

from ringbridge.host.expose import expose
from ringbridge.host.exposure import Exposure


@pytest.fixture
def files(tmp_path: Path) -> Iterator[ModuleFiles]:
    with module_files(tmp_path) as files:
        yield files


def exposed(exposure: Exposure, name: str) -> list[str]:
    return list(exposure.load(name).functions)


# ---------------------------------------------------------------------------- what of a module


def test_a_module_exposes_what_it_defines_and_not_what_it_imports(files: ModuleFiles) -> None:
    files.write(
        "own",
        '''
        """The module's text."""
        import os
        from math import sqrt
        from json import JSONDecoder, dumps
        from typing import Any
        LIMIT = 3
        scale = 1.5
        _hidden = 4
        handle = object()
        def area(x): return x
        def _inner(): ...
        class Shape: ...
        other = area
        ''',
    )
    module = Exposure(["own"]).load("own")
    assert list(module.functions) == ["area", "Shape", "other"]
    assert module.values == {"LIMIT": 3, "scale": 1.5}
    assert module.doc == "The module's text."
    assert module.functions["area"].signature == "(x)"


def test_all_says_what_is_exposed_also_what_was_imported(files: ModuleFiles) -> None:
    files.write(
        "listing",
        """
        from math import sqrt
        __all__ = ["sqrt", "_own", "SIZE"]
        SIZE = 2
        OTHER = 3
        def _own(): ...
        def public(): ...
        """,
    )
    module = Exposure(["listing"]).load("listing")
    assert list(module.functions) == ["sqrt", "_own"]
    assert module.values == {"SIZE": 2}


def test_where_something_is_marked_only_that_is_exposed(files: ModuleFiles) -> None:
    files.write(
        "marked",
        """
        from ringbridge.host.expose import expose
        __all__ = ["SIZE", "unmarked"]
        SIZE, PASSWORD = 2, "secret"
        def unmarked(): ...
        @expose
        def plain(): ...
        @expose(on="thread", name="render")
        def _render(): ...
        @expose
        class Kept: ...
        class Child(Kept): ...
        """,
    )
    module = Exposure(["marked"]).load("marked")
    assert list(module.functions) == ["plain", "render", "Kept"]
    assert module.values == {"SIZE": 2}
    assert [(each.on, each.pinned) for each in module.functions.values()] == [
        ("main", False),
        ("thread", True),
        ("main", False),
    ]


def test_a_mark_in_another_module_is_not_one_in_the_module_that_imports_it(
    files: ModuleFiles,
) -> None:
    files.write(
        "library", "from ringbridge.host.expose import expose\n@expose\ndef theirs(): ...\n"
    )
    files.write("imports", "from library import theirs\ndef mine(): ...\n")
    assert exposed(Exposure(["imports"]), "imports") == ["mine"]


def test_a_mark_below_other_decorators_is_seen_and_private_copies_of_it_are_not(
    files: ModuleFiles,
) -> None:
    files.write(
        "wrapped",
        """
        import functools
        from ringbridge.host.expose import expose
        def doubled(f):
            @functools.wraps(f)
            def run(*args): return 2 * f(*args)
            return run
        @doubled
        @expose
        def one(): return 1
        @functools.lru_cache(maxsize=None)
        @expose(name="squared")
        def square(x): return x * x
        _unchecked = doubled(one)
        """,
    )
    module = Exposure(["wrapped"]).load("wrapped")
    assert list(module.functions) == ["one", "squared"]
    assert module.functions["one"].function() == 2
    assert module.functions["squared"].function(3) == 9
    assert module.functions["squared"].signature == "(x)"


def test_two_functions_of_one_name_are_told(files: ModuleFiles) -> None:
    files.write(
        "twice",
        """
        from ringbridge.host.expose import expose
        @expose(name="run")
        def a(): ...
        @expose(name="run")
        def b(): ...
        """,
    )
    with pytest.raises(ValueError, match=r"two functions of module 'twice' are exposed as 'run'"):
        Exposure(["twice"]).load("twice")


def test_names_that_are_loaded_on_demand_and_broken_ones(
    files: ModuleFiles, caplog: pytest.LogCaptureFixture
) -> None:
    files.write(
        "odd",
        """
        __all__ = ["lazy", "broken", "proxy", "fine"]
        def __getattr__(name):
            if name == "lazy":
                return lambda: 3
            raise RuntimeError("not today") if name == "broken" else AttributeError(name)
        class Proxy:
            __class__ = property(lambda self: 1 / 0)
            __module__ = property(lambda self: 1 / 0)
            def __call__(self): ...
        proxy = Proxy()
        def fine(): ...
        """,
    )
    with caplog.at_level(logging.WARNING, "ringbridge.host"):
        assert exposed(Exposure(["odd"]), "odd") == ["lazy", "fine"]
    assert "'broken' of its __all__: RuntimeError('not today')" in caplog.text
    assert "'proxy' is not exposed" in caplog.text
    files.write("plain", "from odd import proxy\ndef fine(): ...\n")
    assert exposed(Exposure(["plain"]), "plain") == ["fine"]


def test_kinds_and_builtins_are_described(files: ModuleFiles) -> None:
    files.write(
        "kinds",
        '''
        def plain(a, *, b=2):
            """First
            paragraph.

            Second.
            """
        def many(): yield 1
        async def later(): ...
        async def some(): yield 1
        class Thing:
            def __init__(self, size): ...
        ''',
    )
    exposure = Exposure(["kinds", math], on="thread")
    exposure.load("kinds")
    about = exposure.about()
    kinds = {name: each["kind"] for name, each in about["kinds"].items()}
    assert kinds == {
        "Thing": "class",
        "later": "coroutine",
        "many": "generator",
        "plain": "function",
        "some": "generator",
    }
    plain = about["kinds"]["plain"]
    assert (plain["signature"], plain["on"]) == ("(a, *, b=2)", "thread")
    assert plain["doc"].split() == ["First", "paragraph."]
    assert "signature" in about["math"]["hypot"]
    assert json.loads(json.dumps(about)) == about


def test_a_module_under_another_name_exposes_its_own(files: ModuleFiles) -> None:
    assert "join" in exposed(Exposure(["os.path"]), "os.path")
    files.write("pack.__init__", "from pack.sub import deep\ndef top(): ...\n")
    files.write("pack.sub", "def deep(): ...\n")
    exposure = Exposure(["pack", "pack.sub"])
    assert exposed(exposure, "pack") == ["top"]
    assert exposed(exposure, "pack.sub") == ["deep"]


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


# ----------------------------------------------------------------------------------- find, marks


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


def test_a_mark_changes_nothing_else() -> None:
    @expose(on="main")
    def f(x: int) -> int:
        """Text."""
        return x

    assert (f(3), f.__name__, f.__doc__) == (3, "f", "Text.")
    assert expose(f) is f


def test_what_cannot_be_marked_says_what_can() -> None:
    with pytest.raises(TypeError, match="method belongs to a class: expose the class"):

        class _Tool:
            @expose
            def method(self) -> None: ...

    with pytest.raises(TypeError, match="cannot be marked: expose a function of your own"):
        expose(math.sqrt)
    with pytest.raises(TypeError, match="marks functions and classes, and not str"):
        expose("name")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match='on="main" or on="thread", and not \'gui\''):
        expose(on="gui")
    with pytest.raises(ValueError, match="cannot be a function's name"):
        expose(name="a.b")


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
