# SPDX-License-Identifier: MIT
"""`ringbridge new-plugin`: what it writes is whole, and what it refuses it says. (That QGIS takes
it is in tests/hosts.)"""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import shutil
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import pytest

from ringbridge.cli.main import main
from ringbridge.compute import service
from ringbridge.new_plugin import PluginError, generate
from ringbridge.new_plugin.generate import Plugin

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(generate.__file__).parents[1]
#: Each of them means something in one of the files that are written.
AWKWARD = Plugin(
    "terrain_tools", r"""50 % "of" <a> \n 'Tools' & @NAME@ ä""", "Ä. O'B % <x>", "a@b.cd"
)
FILES = {
    *(".gitignore", "LICENSE", "Makefile", "README.md", "__init__.py", "icon.svg", "metadata.txt"),
    *("plugin.py", "ringbridge_loader.py", "compute/__init__.py", "compute/neighbours.py"),
    *("compute/scores.py", "tests/conftest.py", "tests/in_qgis.py", "tests/test_compute.py"),
    "tests/test_in_qgis.py",
}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return generate.write(Plugin("terrain_tools"), tmp_path)


def written(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in files}


def test_the_command_writes_a_plugin_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--folder", str(tmp_path / "new"), "--title", "Hills", "--author", "N. N."]
    assert main(["new-plugin", "terrain_tools", *arguments, "--email", "n@n.org"]) == 0
    files = written(tmp_path / "new" / "terrain_tools")
    assert set(files) == FILES
    assert "name=Hills\n" in files["metadata.txt"] and "author=N. N.\n" in files["metadata.txt"]
    assert "email=n@n.org\n" in files["metadata.txt"] and "N. N." in files["LICENSE"]
    said = capsys.readouterr().out
    assert "terrain_tools: a QGIS plugin" in said and "terrain_tools test" in said


def test_the_title_is_made_of_the_name_where_none_is_given(plugin: Path) -> None:
    assert 'TITLE = "Terrain tools"\n' in (plugin / "plugin.py").read_text()


def test_awkward_texts_arrive_as_they_are_in_every_file(tmp_path: Path) -> None:
    folder = generate.write(AWKWARD, tmp_path)
    for name, text in written(folder).items():
        if name.endswith(".py"):
            ast.parse(text)
    assert AWKWARD.title is not None
    constants = [
        node.value.value
        for node in ast.walk(ast.parse((folder / "plugin.py").read_text("utf-8")))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    ]
    assert AWKWARD.title in constants
    metadata = configparser.ConfigParser()
    metadata.read(folder / "metadata.txt", "utf-8")
    assert metadata["general"]["name"] == AWKWARD.title
    assert metadata["general"]["author"] == AWKWARD.author
    icon = xml.dom.minidom.parse(str(folder / "icon.svg"))
    assert icon.getElementsByTagName("title")[0].firstChild.data == AWKWARD.title
    assert AWKWARD.title in (folder / "README.md").read_text("utf-8")


def test_the_loader_is_the_one_that_is_tested(plugin: Path) -> None:
    loader = ROOT / "plugin" / "ringbridge_loader.py"
    assert (plugin / "ringbridge_loader.py").read_bytes() == loader.read_bytes()


def test_what_is_installed_carries_the_templates() -> None:
    """In the wheel too, where the loader is a file and no link."""
    templates = ROOT / "python" / "ringbridge" / "new_plugin" / "template"
    sources = sorted(path.relative_to(templates) for path in templates.rglob("*.tmpl"))
    here = PACKAGE / "new_plugin" / "template"
    assert len(sources) == len(FILES)
    for source in sources:
        assert (here / source).read_bytes() == (templates / source).read_bytes()


def test_lines_are_short_enough_and_no_placeholder_is_left(plugin: Path) -> None:
    for name, text in written(plugin).items():
        assert not generate._PLACEHOLDER.search(text), name
        assert max(map(len, text.splitlines()), default=0) <= 120, name
        if name.endswith(".py"):
            assert max(map(len, text.splitlines())) <= 100, name


def test_its_algorithms_are_described_without_an_error(plugin: Path) -> None:
    pytest.importorskip("numpy")
    told = service.describe(str(plugin / "compute"))
    assert [(each["module"], each["error"]) for each in told] == [
        ("neighbours", ""),
        ("scores", ""),
    ]
    labels = [one["label"] for each in told for one in each["algorithms"]]
    assert labels == ["Focal mean", "Standard score"]


def test_its_own_tests_of_the_algorithms_pass(plugin: Path) -> None:
    pytest.importorskip("numpy")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/test_compute.py"],
        cwd=plugin,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "6 passed" in done.stdout, done.stdout + done.stderr


def make(plugin: Path, verb: str, plugins: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    command = ["make", "-C", str(plugin), verb, f"PLUGINS={plugins}"]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_is_linked_into_a_profile_and_taken_out_again(plugin: Path, tmp_path: Path) -> None:
    plugins = tmp_path / "profile of mine" / "plugins"
    for _ in range(2):
        done = make(plugin, "link", plugins)
        assert done.returncode == 0, done.stderr
        assert (plugins / "terrain_tools" / "metadata.txt").samefile(plugin / "metadata.txt")
    assert make(plugin, "unlink", plugins).returncode == 0
    assert not list(plugins.iterdir()) and (plugin / "metadata.txt").is_file()


def test_an_installed_plugin_of_that_name_stays_untouched(plugin: Path, tmp_path: Path) -> None:
    installed = tmp_path / "plugins" / "terrain_tools"
    installed.mkdir(parents=True)
    (installed / "metadata.txt").write_text("theirs")
    done = make(plugin, "link", tmp_path / "plugins")
    assert done.returncode != 0 and "is an installed plugin: remove it in QGIS first" in done.stdout
    assert make(plugin, "unlink", tmp_path / "plugins").returncode != 0
    assert [each.name for each in installed.iterdir()] == ["metadata.txt"]


def test_importing_it_imports_nothing_of_qgis(plugin: Path) -> None:
    """QGIS imports every plugin that is installed, and a test its algorithms where QGIS is not."""
    spec = importlib.util.spec_from_file_location("terrain_tools", plugin / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.classFactory)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "Terrain",
        "terrain tools",
        "2d",
        "_x",
        "tür",
        "a-b",
        "../x",
        "a/b",
        "lambda",
        "x" * 51,
    ],
)
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be a plugin's name: 2 to 50 lower case letters"):
        generate.write(Plugin(name), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["json", "sys", "email", "math", "qgis", "processing", "numpy"])
def test_a_name_that_would_hide_a_module_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="QGIS's Python has already"):
        generate.write(Plugin(name), tmp_path)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Plugin("terrain", title=" "), "title is one line"),
        (Plugin("terrain", title="a\nb"), "title is one line"),
        (Plugin("terrain", title="a" * 101), "title is one line"),
        (Plugin("terrain", author=""), "author is one line"),
        (Plugin("terrain", author="a/b"), "no slash"),
        (Plugin("terrain", email="nobody"), "no e-mail address"),
    ],
)
def test_texts_that_the_repository_would_refuse_are_refused(
    plugin: Plugin, message: str, tmp_path: Path
) -> None:
    with pytest.raises(PluginError, match=message):
        generate.write(plugin, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for there in ("terrain_one", "terrain_two"):
        place = tmp_path / there
        place.mkdir() if there == "terrain_one" else place.write_text("mine")
        assert main(["new-plugin", there, "--folder", str(tmp_path)]) == 1
        assert f"{place} is there already: take another name" in capsys.readouterr().err
    assert not list((tmp_path / "terrain_one").iterdir())
    assert (tmp_path / "terrain_two").read_text() == "mine"


def test_nothing_is_left_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generate, "_filled", full)
    with pytest.raises(OSError, match="No space"):
        generate.write(Plugin("terrain"), tmp_path)
    assert not list(tmp_path.iterdir())
