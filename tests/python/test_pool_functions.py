# SPDX-License-Identifier: MIT
"""Pool: which functions run over there: by their name, or as the source that they are made of."""

from __future__ import annotations

import asyncio
import functools
import importlib
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import pools

from ringbridge import CannotCross, Pool, pooled, sources

TIMEOUT_S = 40

MakePool = Callable[..., Pool]

HERE_ONLY = '''
import decimal
import functools
import json as encoder
import os.path
import threading
import xml.dom.minidom
from math import hypot
from pathlib import Path

SCALE = 3
LIMITS = {"low": [1, 2], "root": Path("/data"), "kinds": (None, True, 1.5, b"x")}
LOCK = threading.Lock()
TALL = b"x" * (2 << 20)
counter = None

class Thing:
    def method(self):
        return 1

def scaled(x, by=SCALE, *, plus=SCALE + 1):
    """A text that
stands at the margin."""
    return helper(x) * by + plus

def helper(x):
    return x + SCALE

def limits():
    return LIMITS, SCALE

def modules(x):
    return encoder.dumps([x]), os.path.basename("/a/b"), hypot(3, 4), decimal.Decimal("1.50"), (
        xml.dom.minidom.parseString("<a/>").documentElement.tagName
    )

def recursive(n):
    return 1 if n == 0 else n * recursive(n - 1)

def outer(factor):
    def inner(n):
        return 1 if n == 0 else factor * inner(n - 1)
    return inner

def doubled(function):
    @functools.wraps(function)
    def wrapper(*args):
        return 2 * function(*args)
    return wrapper

@doubled
def decorated(x):
    return x + SCALE

def begin(value):
    global counter
    counter = value

def count():
    global counter
    counter += 1
    return counter

async def waits(x):
    return x

def fails():
    raise ValueError("a line of its own")

lambdas = [lambda x: x + SCALE,
           lambda x, y: x * y]
pair = (lambda x: x + 1), (lambda x: x - 1)
lock = lambda: LOCK
tall = lambda: TALL
thing = lambda: Thing
later = lambda: decimal.no_such_thing
scratch = eval("lambda x: x")
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module that only this process can import."""
    (tmp_path / "here_only.py").write_text(HERE_ONLY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("here_only")
    del sys.modules["here_only"]


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., Any]]:
    with Pool(sys.executable, 1, name="functions") as pool:
        yield lambda function, *args, **kwargs: pool.submit(function, *args, **kwargs).result(
            TIMEOUT_S
        )


# ---------------------------------------------------------------------------------------- by name


def test_a_name_may_lead_into_classes(make_pool: MakePool) -> None:
    pool = make_pool(1)
    nested = pool.submit("rbr_testing.pools:Nested.Deeper.double", 4)
    assert nested.result(TIMEOUT_S) == 8
    assert pool.submit(pools.Nested.name).result(TIMEOUT_S) == "Nested"


@pytest.mark.parametrize("name", ["operator", "operator:", ":add", "a b:c", "m:f()", "m:1"])
def test_what_is_no_name_is_told_at_once(make_pool: MakePool, name: str) -> None:
    with pytest.raises(ValueError, match="write 'module:function'"):
        make_pool(1).submit(name)


def test_what_is_async_without_a_code_of_its_own_is_run_to_its_end(make_pool: MakePool) -> None:
    # Pools and modules each had a way of their own to tell: here its coroutine was the result.
    pool = make_pool(1)
    assert pool.submit("rbr_testing.pools:later_five").result(TIMEOUT_S) == 5
    assert pool.submit("rbr_testing.pools:later", 6).result(TIMEOUT_S) == 6


def test_a_missing_module_says_what_to_do(run: Callable[..., Any]) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"Pool\(paths=\[...\]\)") as caught:
        run("here_only:scaled", 1)
    assert "No module named 'here_only'" in str(caught.value)


def test_a_missing_function_says_where_it_was_looked_for(run: Callable[..., Any]) -> None:
    with pytest.raises(AttributeError, match=r"operator:multiply is not in .* has no 'multiply'"):
        run("operator:multiply", 1, 2)


@pytest.mark.parametrize(
    ("function", "args"),
    [(pow, (2, 8)), (math.sqrt, (4,)), (str, (5,)), (dict.fromkeys, ([1],)), (len, ("abc",))],
)
def test_builtins_and_classes_go_by_name(
    run: Callable[..., Any], function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    assert run(function, *args) == function(*args)


def test_a_partial_is_its_function_with_its_arguments(run: Callable[..., Any]) -> None:
    assert run(functools.partial(functools.partial(pow, 2), mod=5), exp=3) == 3


def test_a_function_that_is_found_over_there_is_that_one(
    make_pool: MakePool, here: Any, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "here_only.py").write_text("def helper(x):\n    return 'another'\n")
    pool = make_pool(1, paths=[tmp_path / "there"])
    assert pool.submit(here.helper, 1).result(TIMEOUT_S) == "another"
    with pytest.raises(AttributeError, match="has no 'recursive'"):
        pool.submit(here.recursive, 1).result(TIMEOUT_S)


# -------------------------------------------------------------------------------------- by source


def test_a_module_that_is_not_over_there_goes_as_source(run: Callable[..., Any], here: Any) -> None:
    assert run(here.scaled, 1) == here.scaled(1) == 16
    assert run(here.scaled, 1, 2, plus=0) == 8
    assert run(here.limits) == (here.LIMITS, 3)
    assert run(here.modules, 1) == here.modules(1)
    assert run(here.recursive, 5) == 120


def test_closures_and_decorated_functions_go_too(run: Callable[..., Any], here: Any) -> None:
    assert run(here.outer(3), 4) == 81
    assert run(here.decorated, 1) == here.decorated(1) == 8
    text = "local"
    assert run(lambda x: (text, x), 1) == ("local", 1)
    with pytest.raises(CannotCross, match=r"'here', which .*around it.*is not found over"):
        run(lambda: here)


def test_lambdas_in_the_middle_of_something_go_too(run: Callable[..., Any], here: Any) -> None:
    assert run(here.lambdas[0], 4) == 7
    assert run(here.lambdas[1], 4, 5) == 20
    assert [run(function, 4) for function in (lambda x: x, lambda y: -y)] == [4, -4]


def test_globals_are_what_they_are_when_it_is_submitted(run: Callable[..., Any], here: Any) -> None:
    found = []
    for scale in (1, 2.0, 2, 1):
        here.SCALE = scale
        here.LIMITS["low"].append(scale)
        found.append(run(here.limits))
    assert [scale for _, scale in found] == [1, 2.0, 2, 1]
    assert [type(scale) for _, scale in found] == [int, float, int, int]
    assert [limits["low"] for limits, _ in found][-1] == [1, 2, 1, 2.0, 2, 1]


def test_what_code_over_there_makes_of_its_globals_stays_there(
    make_pool: MakePool, here: Any
) -> None:
    pool = make_pool(1, initializer=here.begin, initargs=(10,))
    assert [pool.submit(here.count).result(TIMEOUT_S) for _ in range(3)] == [11, 12, 13]
    assert here.counter is None
    here.counter = 99
    assert pool.submit(here.count).result(TIMEOUT_S) == 14


def test_what_it_sees_is_as_it_was_when_it_was_submitted() -> None:
    # What was changed before a worker took the call was seen there.
    with Pool(sys.executable, 1, name="late") as pool:
        holding = pool.submit("time:sleep", 0.2)
        counter, futures = [0], []
        for each in range(5):
            counter[0] = each
            futures.append(pool.submit(lambda: counter[0]))
        counter.append("late")
        assert [future.result(TIMEOUT_S) for future in futures] == list(range(5))
        assert holding.result(TIMEOUT_S) is None


def test_a_coroutine_function_is_run_to_its_end(run: Callable[..., Any], here: Any) -> None:
    assert run(here.waits, 3) == 3
    assert run(asyncio.sleep, 0, "slept") == "slept"


def test_a_call_that_is_interrupted_as_it_begins_leaves_its_globals_to_no_other(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function that ran before it was taken for bound, and saw globals of another one."""
    bind = pooled._Space.bind

    def interrupted(space: pooled._Space, name: str, token: str, value: Any) -> None:
        bind(space, name, token, value)
        raise KeyboardInterrupt

    for key, scale in ((-1, 1), (-2, 2)):  # keys of no pool
        here.SCALE = scale
        assert pooled.define(key, sources.describe(here.helper, {"here_only"})) == []
    assert pooled.call(-1, 0) == 1
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pooled._Space, "bind", interrupted)
        pooled.call(-2, 0)
    assert pooled.call(-1, 0) == 1
    assert pooled.call(-2, 0) == 2
    pooled.forget([-1, -2], [])


def test_its_traceback_shows_its_own_file_and_line(run: Callable[..., Any], here: Any) -> None:
    with pytest.raises(ValueError, match="a line of its own") as caught:
        run(here.fails)
    line = here.fails.__code__.co_firstlineno + 1
    assert f'{here.__file__}", line {line}, in fails' in str(caught.value.__cause__)
    assert 'raise ValueError("a line of its own")' in str(caught.value.__cause__)


def test_what_another_python_cannot_read_says_which_line_and_which_python(here: Any) -> None:
    description = sources.describe(here.helper, {"here_only"})
    (spec,) = description["functions"]
    spec["text"] = spec["text"].replace("return x + SCALE", "return x +")
    with pytest.raises(SyntaxError, match=r"helper\(\) was sent to Python 3\.") as caught:
        pooled.define(1, description)
    assert caught.value.lineno == here.helper.__code__.co_firstlineno + 1
    assert caught.value.filename == here.__file__


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lock", r"'LOCK', a global that <lambda>\(\) uses, is a _thread.lock.*an argument"),
        ("tall", r"'TALL'.* of 2097160 bytes.*share\(\) it"),
        ("thing", r"'Thing'.*which is not found over there.*paths="),
        ("scratch", r"has no source text.*a module of its own"),
        ("Thing", r"'Thing' of the module 'here_only'.*paths="),
    ],
)
def test_what_cannot_be_sent_says_why_and_what_to_do(
    run: Callable[..., Any], here: Any, name: str, text: str
) -> None:
    with pytest.raises(CannotCross, match=text):
        run(getattr(here, name))


def test_two_functions_on_one_line_are_told_apart_or_refused(
    run: Callable[..., Any], here: Any
) -> None:
    with pytest.raises(CannotCross, match="2 functions on one line"):
        run(here.pair[0], 1)


def test_a_file_that_has_changed_since_is_noticed(
    run: Callable[..., Any], here: Any, tmp_path: Path
) -> None:
    (tmp_path / "here_only.py").write_text(HERE_ONLY.replace("x + SCALE", "x - SCALE"))
    with pytest.raises(CannotCross, match="the file has changed since"):
        run(here.helper, 1)


def test_a_method_is_refused_or_pickled_where_that_is_allowed(make_pool: MakePool) -> None:
    method = pools.Adder(3).add
    with pytest.raises(CannotCross, match=r"only functions made by `def` or `lambda`.*pickle=True"):
        make_pool(1).submit(method, 4)
    pool = make_pool(1, pickle=True)
    assert [pool.submit(method, i).result(TIMEOUT_S) for i in range(3)] == [3, 4, 5]
    assert list(pool.map(method, range(4), chunksize=2)) == [3, 4, 5, 6]


def test_what_is_no_function_is_told_at_once(make_pool: MakePool) -> None:
    with pytest.raises(TypeError, match="is no function"):
        make_pool(1).submit([1])


def test_many_functions_do_not_stay_in_the_worker(run: Callable[..., Any]) -> None:
    made = [functools.partial(_times, i) for i in range(3)]
    assert [run(each, 2) for each in made] == [0, 2, 4]
    for i in range(300):  # more than a worker keeps
        assert run(_adder(i), 1) == i + 1
    assert run(eval, "len(__import__('ringbridge.pooled').pooled._functions)") < 300


def _times(a: int, b: int) -> int:
    return a * b


def _adder(number: int) -> Callable[[int], int]:
    return lambda x: x + number


def test_a_script_sends_its_own_functions(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import math
            import ringbridge
            PYTHON = {sys.executable!r}

            FACTOR = 2
            table = None

            def fill(values):
                global table
                table = values

            def slope(x: "no such type"):
                return FACTOR * x + table[0] + math.floor(0.5)

            if __name__ == "__main__":
                with ringbridge.Pool(PYTHON, 2, initializer=fill, initargs=([5],)) as pool:
                    print(list(pool.map(slope, range(4))))
                    print(list(pool.map(lambda x: x + FACTOR, [1])))
            """
        )
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=50)
    assert (ended.stdout, ended.stderr) == ("[5, 7, 9, 11]\n[3]\n", "")
