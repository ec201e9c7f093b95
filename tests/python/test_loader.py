# SPDX-License-Identifier: MIT
"""plugin/ringbridge_loader.py in hosts that have nothing of ours: an interpreter with -I -S.

That every version of Python loads the copy of every other one's environment is
rbr_testing/loader_pairs.py.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ringbridge

LOADER = Path(__file__).resolve().parents[2] / "plugin" / "ringbridge_loader.py"
PACKAGE = Path(ringbridge.__file__).parent
LINES_MAX = 197  # a reviewer reads it in a minute

#: `loader` and `args`; `say` for what is to be known here; another plugin's `another_loader()`.
PREAMBLE = f"""
import importlib.util, json, os, sys

def another_loader():
    spec = importlib.util.spec_from_file_location("plugin.ringbridge_loader", {str(LOADER)!r})
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

def say(*what):
    print(json.dumps(what))

def refusal(*places, **options):
    try:
        loader.load(*places, **options)
    except ImportError as error:
        return str(error)

loader, args = another_loader(), sys.argv[1:]
"""


def in_host(
    code: str, *args: str | Path, python: str | Path = sys.executable, **environ: str | Path
) -> list[Any]:
    """What a host with nothing of ours says; HOME is nowhere unless it is given."""
    ended = subprocess.run(
        [python, *("-I", "-S", "-B", "-c"), PREAMBLE + textwrap.dedent(code), *args],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ},
    )
    assert ended.returncode == 0, ended.stderr
    return list(json.loads(ended.stdout))


def site_of(prefix: Path) -> Path:
    return prefix / "lib" / "python3.12" / "site-packages"


def install(site: Path, version: str = "99.0.0", core: bool = True) -> Path:
    """A copy of our package as if it were of that version; its file."""
    unwanted = shutil.ignore_patterns("bin", "__pycache__", *([] if core else ["_core*"]))
    package = Path(shutil.copytree(PACKAGE, site / "ringbridge", ignore=unwanted))
    file = package / "__init__.py"
    text = re.sub(
        r'^__version__ = ".*"', f'__version__ = "{version}"', file.read_text(), flags=re.M
    )
    file.write_text(text)
    return file


def environment(prefix: Path, version: str = "99.0.0", core: bool = True) -> Path:
    """A prefix with a copy, and with a file that is no program at bin/python."""
    install(site_of(prefix), version, core)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python").write_text("")
    return prefix


# ------------------------------------------------------------------------------------ it is loaded

NAMES = ["plain", "\xfcml\xe4ut \u20ac", 'it\'s "quoted" $HOME', "new\nline", "[a]*?"]
if sys.version_info < (3, 12):  # newer ones load no extension from a path that is not UTF-8
    NAMES.append("\udcff")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_environments_copy_is_loaded_and_works(tmp_path: Path, name: str) -> None:
    prefix = environment(tmp_path / name)
    code = """
        import math
        rb = loader.load(args[0])
        before = sorted(name for name in sys.modules if name.startswith("ringbridge"))
        assert os.path.samefile(rb.__file__, args[1]), rb.__file__
        assert rb is sys.modules["ringbridge"]
        with open("/proc/self/task/%d/children" % os.getpid()) as children:
            assert children.read() == ""
        with rb.Worker(args[2]) as worker:
            say(before, worker.load("math").fsum([1.0, 2.5]))
    """
    loaded, total = in_host(
        code, prefix, site_of(prefix) / "ringbridge/__init__.py", sys.executable
    )
    assert loaded == ["ringbridge", "ringbridge._core", "ringbridge.errors"]
    assert total == 3.5


def test_nothing_else_of_the_environment_becomes_importable(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env")
    (site_of(prefix) / "beside.py").write_text("")
    code = """
        path, paths = list(sys.path), dict(sys.path_importer_cache)
        loader.load(args[0])
        assert sys.path == path
        found = {name: importlib.util.find_spec(name) for name in ("beside", "errors", "_core")}
        say([name for name, spec in found.items() if spec], len(sys.meta_path))
        del sys.modules["ringbridge"]
        assert importlib.util.find_spec("ringbridge") is None
    """
    assert in_host(code, prefix)[0] == []


LAYOUTS = ["lib/python3.9/site-packages", "lib64/python3.13/site-packages",
           "lib/python3/dist-packages", "local/lib/python3.11/dist-packages"]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_copy_is_found_where_systems_put_it(tmp_path: Path, layout: str) -> None:
    file = install(tmp_path / layout)
    assert in_host("say(loader.load(args[0]).__file__)", tmp_path) == [str(file)]


def test_a_copy_that_is_reached_twice_is_told_once(tmp_path: Path) -> None:
    environment(tmp_path, "0.0.9")
    (tmp_path / "lib64").symlink_to("lib")
    (tmp_path / "lib/python3.1").symlink_to("python3.12")  # as conda does
    (said,) = in_host("say(refusal(args[0]))", tmp_path)
    assert said.count("too old") == 1
    assert in_host("say(loader.load(args[0], minimum='0.0.9').__path__)", tmp_path) == [
        [str(tmp_path / "lib/python3.1/site-packages/ringbridge")]
    ]


def test_an_interpreters_path_means_its_environment(tmp_path: Path) -> None:
    venv, base = environment(tmp_path / "venv"), environment(tmp_path / "base", "98.0")
    (venv / "pyvenv.cfg").write_text("")
    (venv / "bin/python").unlink()
    (venv / "bin/python").symlink_to(base / "bin/python")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(base / "bin/python")  # no environment around it
    for python, version in ((venv / "bin/python", "99.0.0"), (tmp_path / "bin/python", "98.0")):
        assert in_host("say(loader.load(args[0]).__version__)", python) == [version]


def test_without_any_it_looks_where_environments_usually_are(tmp_path: Path) -> None:
    own, listed, root = (
        environment(tmp_path / name) for name in ("own", "listed \xe4", "m/envs/x")
    )
    forge = environment(tmp_path / "home/miniforge3/envs/a")
    venv = environment(tmp_path / "home/.virtualenvs/b")
    (tmp_path / "home/.conda").mkdir()
    (tmp_path / "home/.conda/environments.txt").write_text(f"{tmp_path}/gone\n{listed}\n")
    code = "say(loader.load().__file__)"
    home = {"HOME": tmp_path / "home"}
    everything = {**home, "RINGBRIDGE_ENV": own, "MAMBA_ROOT_PREFIX": tmp_path / "m"}
    for expected in (own, listed, root, forge, venv):
        (said,) = in_host(code, **everything)
        assert said.startswith(f"{expected}/")
        shutil.rmtree(expected)


# --------------------------------------------------------------------------------- which one it is


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [(["0.9.0", "0.10.0", "0.2.0"], 1), (["0.2.0", "0.2.0"], 0), (["0.2.0rc1", "0.2.0"], 0)],
)
def test_the_newest_wins_and_then_the_first(
    tmp_path: Path, versions: list[str], chosen: int
) -> None:
    made = [environment(tmp_path / str(n), version) for n, version in enumerate(versions)]
    (said,) = in_host("say(loader.load(*args).__file__)", *made)
    assert said.startswith(f"{made[chosen]}/")


def test_what_the_host_has_itself_comes_before_what_is_newer(tmp_path: Path) -> None:
    env = environment(tmp_path / "env", "2.0.0")
    install(tmp_path / "host", "1.0.0")
    code = "sys.path.append(args[0]); say(loader.load(args[1], minimum=args[2]).__version__)"
    assert in_host(code, tmp_path / "host", env, "0.1.0") == ["1.0.0"]
    assert in_host(code, tmp_path / "host", env, "1.0.1") == ["2.0.0"]


def test_a_host_that_can_import_it_without_a_core_takes_the_environments(tmp_path: Path) -> None:
    env = environment(tmp_path / "env", "1.0.0")
    install(tmp_path / "host", "2.0.0", core=False)
    code = "sys.path.append(args[0]); say(loader.load(args[1]).__version__)"
    assert in_host(code, tmp_path / "host", env) == ["1.0.0"]


def test_the_first_loaded_wins(tmp_path: Path) -> None:
    old, new = environment(tmp_path / "old", "1.0.0"), environment(tmp_path / "new", "2.0.0")
    code = """
        first = loader.load(args[0])
        assert another_loader().load(args[1]) is first
        assert another_loader().load() is first
        say(first.__version__, refusal(args[1], minimum="1.0.1"))
    """
    version, said = in_host(code, old, new)
    assert version == "1.0.0"
    folder = site_of(old) / "ringbridge"
    assert said.startswith(
        f"ringbridge 1.0.0 is loaded already, from {str(folder)!r}, and 1.0.1 or"
    )
    assert said.endswith(f"\n  {old}/bin/python -m pip install --force-reinstall ringbridge")


def test_two_plugins_at_once_get_the_same_copy(tmp_path: Path) -> None:
    """The package is slow to import here, so that one always meets the other's half-made module."""
    made = [environment(tmp_path / name) for name in "ab"]
    for each in made:
        with (site_of(each) / "ringbridge/__init__.py").open("a") as file:
            file.write("\nimport time\ntime.sleep(0.2)\nWHOLE = True\n")
    code = """
        import threading
        got, barrier = [], threading.Barrier(8)

        def run(place):
            own = another_loader()
            barrier.wait(20)
            module = own.load(place)
            got.append((module, module.WHOLE))

        threads = [threading.Thread(target=run, args=(args[n % 2],), daemon=True) for n in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
        say(len(got), len(set(got)))
    """
    assert in_host(code, *made) == [8, 1]


# --------------------------------------------------------------------------------- none that serves


def test_each_place_is_told_with_its_reason_and_what_to_run(tmp_path: Path) -> None:
    none, odd = tmp_path / "none", tmp_path / "it's here"
    (none / "lib/python3.12/site-packages/ringbridge/__pycache__").mkdir(parents=True)
    old, bare = environment(odd, "0.0.9"), environment(tmp_path / "bare", core=False)
    foreign = environment(tmp_path / "foreign", core=False)
    for tag in ("38-x86_64-linux-gnu", "313t-aarch64-linux-gnu"):
        (site_of(foreign) / f"ringbridge/_core.cpython-{tag}.so").write_bytes(b"")
    code = "say(loader._PYTHON, refusal(*args, args[0]))"
    python, said = in_host(code, none, old, bare, foreign)
    assert re.fullmatch(r"CPython 3\.\d+ \w+", python)
    assert said.split("\n") == [
        f"no ringbridge 0.1.0 or newer for {python}. Looked at:",
        "  this host: no ringbridge there",
        f"  {str(none)!r}: no ringbridge there",
        f"  {str(old)!r}: too old: 0.0.9",
        f"  {str(bare)!r}: no _core for {python}: has none",
        f"  {str(foreign)!r}: no _core for {python}: has 3.13t aarch64, 3.8 x86_64",
        "Add it to an environment:",
        f"  {shlex.quote(str(old / 'bin/python'))} -m pip install --force-reinstall ringbridge",
    ]


def test_where_it_is_missing_the_command_installs_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text("")
    (said,) = in_host("say(refusal(args[0]))", tmp_path)
    assert said.endswith(f"\n  {tmp_path}/bin/python -m pip install ringbridge")
    (said,) = in_host("say(refusal(args[0] + '/gone'))", tmp_path)
    assert f"{str(tmp_path / 'gone')!r}: no ringbridge there" in said
    assert said.endswith("\n  /path/to/environment/bin/python -m pip install ringbridge")


def test_without_any_environment_it_says_so(tmp_path: Path) -> None:
    if [*Path("/opt").glob("*/envs/*")]:
        pytest.skip("this machine has environments below /opt")
    (said,) = in_host("say(refusal())", HOME=tmp_path)
    assert "\n  any environment: not in the usual places\n" in said
    (said,) = in_host("say(refusal())", HOME=tmp_path, RINGBRIDGE_ENV=tmp_path / "gone")
    assert f"\n  {str(tmp_path / 'gone')!r}: no ringbridge there\n" in said


def test_a_word_is_a_name_and_no_folder_of_the_working_one(tmp_path: Path) -> None:
    environment(tmp_path / "gis", "1.0.0")  # the working folder has one of that name
    home, here = tmp_path / "home", f"import os; os.chdir({str(tmp_path)!r})"
    (said,) = in_host(f"{here}\nsay(refusal('gis'))", HOME=home)
    assert "\n  'gis': not in the usual places\n" in said
    named = environment(home / "miniforge3/envs/gis", "1.0.0")
    (said,) = in_host(f"{here}\nsay(loader.load('gis').__file__)", HOME=home)
    assert said.startswith(str(named))


def test_a_core_that_cannot_be_loaded_is_told_and_the_next_one_taken(tmp_path: Path) -> None:
    broken, good = (
        environment(tmp_path / "broken", "2.0.0"),
        environment(tmp_path / "good", "1.0.0"),
    )
    for core in (site_of(broken) / "ringbridge").glob("_core*"):
        core.write_bytes(b"no ELF")
    code = """
        said = refusal(args[0])
        left = [name for name in sys.modules if name.startswith("ringbridge")]
        say(left, said, loader.load(*args).__version__)
    """
    left, said, version = in_host(code, broken, good)
    assert left == []
    assert f"{str(broken)!r}: cannot be loaded: {site_of(broken)}/ringbridge/_core." in said
    assert version == "1.0.0"


def test_a_broken_package_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    env = environment(tmp_path / "env")
    with (site_of(env) / "ringbridge/__init__.py").open("a") as file:
        file.write("\nimport ringbridge.errors\n1 / 0\n")
    code = 'say(refusal(args[0]), [name for name in sys.modules if name.startswith("ringbridge")])'
    said, left = in_host(code, env)
    assert f"{str(env)!r}: cannot be loaded: division by zero" in said
    assert left == []


@pytest.mark.parametrize("change", ["sys.platform = 'win32'", "sys.maxsize = 2**31 - 1"])
def test_another_system_is_told_what_is_needed(tmp_path: Path, change: str) -> None:
    (said,) = in_host(f"{change}; say(refusal(args[0]))", environment(tmp_path / "env"))
    assert said.startswith("ringbridge needs CPython 3.9 or newer on 64-bit Linux, and this is ")


def test_another_python_than_cpython_is_told_what_is_needed(tmp_path: Path) -> None:
    pypy = shutil.which("pypy3")
    if pypy is None:
        pytest.skip("no pypy3 here")
    (said,) = in_host("say(refusal(args[0]))", environment(tmp_path / "env"), python=pypy)
    assert "needs CPython 3.9 or newer on 64-bit Linux, and this is PyPy 3." in said


# ------------------------------------------------------------------------------- fit for a plugin


def imported() -> Iterator[str]:
    for node in ast.walk(ast.parse(LOADER.read_text(), feature_version=(3, 9))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield str(node.module).partition(".")[0]


def test_it_needs_nothing_but_pythons_own_library() -> None:
    own = {"contextlib", "glob", "importlib", "os", "platform", "re", "shlex", "sys", "threading"}
    assert set(imported()) <= own | {"types", "__future__"}


def test_it_is_short_enough_to_be_read() -> None:
    assert len(LOADER.read_text().splitlines()) <= LINES_MAX
