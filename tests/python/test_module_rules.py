# SPDX-License-Identifier: MIT
"""What of a module is exposed, once the module is named; and the marks that say so."""

from __future__ import annotations

import json
import logging
import math
import sys

import pytest
from rbr_testing.module_files import ModuleFiles, exposed

from ringbridge.host.expose import expose
from ringbridge.host.exposure import Exposure


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


def test_a_module_that_answers_no_question_well_is_served_all_the_same(files: ModuleFiles) -> None:
    """One that raises what is no AttributeError for each name that it does not have."""
    files.write(
        "grumpy",
        """
        import sys, types
        def __getattr__(name): raise RuntimeError(name)
        def f(): return 1
        sys.modules["grumpy.lazy"] = type("Lazy", (types.ModuleType,), {
            "__getattribute__": lambda self, name: 1 / 0
        })("grumpy.lazy")
        """,
    )
    exposure = Exposure(["grumpy"])
    assert exposed(exposure, "grumpy") == ["f"]
    try:
        assert exposure.reload_changed() == []
        exposure.unload("grumpy")
    finally:
        sys.modules.pop("grumpy.lazy", None)


def test_a_module_that_has_put_something_else_in_its_place_exposes_nothing(
    files: ModuleFiles,
) -> None:
    files.write(
        "replaced",
        "import sys\nclass Own:\n    def f(self): ...\nsys.modules[__name__] = Own()\n",
    )
    assert exposed(Exposure(["replaced"]), "replaced") == []


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
