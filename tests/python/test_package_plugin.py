# SPDX-License-Identifier: MIT
"""`ringbridge package-plugin`: what goes into the zip, and what is said. (The rules are in
test_package_rules.)"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from ringbridge.cli.main import main
from ringbridge.new_plugin import PluginError, code_rules, generate, package
from ringbridge.new_plugin.generate import Plugin

TRANSLATION = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de"><context><name>Plugin</name><message>
<source>Workers</source><translation>Arbeiter</translation></message></context></TS>
"""
PACKED = {
    *("LICENSE", "README.md", "__init__.py", "icon.svg", "metadata.txt", "plugin.py"),
    *("ringbridge_loader.py", "compute/__init__.py", "compute/neighbours.py", "compute/scores.py"),
}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return generate.write(Plugin("terrain_tools"), tmp_path / "source")


@pytest.fixture
def without_bandit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own rules alone: they hold where Bandit is not installed."""
    monkeypatch.setattr(code_rules, "bandit_is_there", lambda: False)


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def refused(packed: package.Packed) -> list[str]:
    return list(map(str, packed.findings))


# -------------------------------------------------------------------------------------- the zip


def test_a_new_plugin_is_packed_untouched_and_breaks_no_rule(
    plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package-plugin", str(plugin), "-o", str(tmp_path / "out")]) == 0
    made = tmp_path / "out" / "terrain_tools-0.1.0.zip"
    assert set(names(made)) == {f"terrain_tools/{name}" for name in PACKED}
    said = capsys.readouterr().out
    assert f"{made}: {len(PACKED)} files" in said
    assert "metadata.txt:12: tracker is still an example: put your own there" in said


def test_without_an_output_it_goes_to_the_current_folder(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["package-plugin", str(plugin)]) == 0
    assert (tmp_path / "terrain_tools-0.1.0.zip").is_file()


def test_check_writes_nothing(
    plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package-plugin", "--check", str(plugin), "-o", str(tmp_path / "a.zip")]) == 0
    assert "the repository's rules are kept: 10 files" in capsys.readouterr().out
    assert not (tmp_path / "a.zip").exists()


def test_the_same_files_are_the_same_bytes(plugin: Path, tmp_path: Path) -> None:
    first = package.pack(plugin, tmp_path / "first.zip").path
    for path in plugin.rglob("*"):
        os.utime(path, (1e9, 1e9))
    (plugin / "plugin.py").chmod(0o600)
    moved = tmp_path / "elsewhere" / plugin.name
    shutil.copytree(plugin, moved)
    second = package.pack(moved, tmp_path / "second.zip").path
    assert first.read_bytes() == second.read_bytes()


def test_what_is_for_developers_is_left_out_and_the_rest_stays(plugin: Path) -> None:
    for name in (".hidden", "old.zip", "plugin.py~", "plugin.py.orig", "x.pyc", ".git/config"):
        (plugin / name).parent.mkdir(exist_ok=True)
        (plugin / name).write_bytes(b"x")
    for name in ("build/a.py", "dist/b.zip", "compute/__pycache__/c.pyc", "compute/tests/d.txt"):
        (plugin / name).parent.mkdir(parents=True, exist_ok=True)
        (plugin / name).write_bytes(b"x")
    packed = package.pack(plugin, plugin.parent)
    assert refused(packed) == []
    extra = {"compute/tests/d.txt"}  # only at the top are tests the plugin's own
    assert set(names(packed.path)) == {f"terrain_tools/{name}" for name in PACKED | extra}


def test_links_are_followed_and_a_linked_folder_keeps_the_links_name(
    plugin: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "more.py").write_text("MORE = 1\n")
    (plugin / "shared").symlink_to(shared)
    (plugin / "one.py").symlink_to(shared / "more.py")
    link = tmp_path / "other_name"
    link.symlink_to(plugin)
    packed = package.pack(link, tmp_path / "a.zip")
    with zipfile.ZipFile(packed.path) as archive:
        for name in ("other_name/shared/more.py", "other_name/one.py"):
            assert archive.read(name) == b"MORE = 1\n"
            assert not stat.S_ISLNK(archive.getinfo(name).external_attr >> 16)


def test_a_link_to_a_folder_around_it_is_an_error_and_no_endless_walk(plugin: Path) -> None:
    (plugin / "compute" / "loop").symlink_to(plugin)
    with pytest.raises(PluginError, match="loop is a link to a folder that it lies in"):
        package.pack(plugin, plugin.parent)


def test_what_is_no_plugin_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package-plugin", str(tmp_path)]) == 1
    assert "is no QGIS plugin: it has no metadata.txt" in capsys.readouterr().err


def test_a_refused_plugin_is_told_by_line_and_leaves_no_zip(
    plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (plugin / "LICENSE").unlink()
    (plugin / "bad.py").write_text("import os\n\nos.system('ls')\n")
    assert main(["package-plugin", str(plugin), "-o", str(tmp_path / "a.zip")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("terrain_tools/LICENSE: missing: ")
    assert said[1].startswith("terrain_tools/bad.py:3: os.system starts a shell")
    assert said[2] == "ringbridge package-plugin: 2 violations of the repository's rules"
    assert not (tmp_path / "a.zip").exists()


# --------------------------------------------------------------------------------- translations


def test_translations_are_compiled_and_their_sources_stay_at_home(
    plugin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, without_bandit: None
) -> None:
    lrelease = tmp_path / "bin" / "lrelease"
    lrelease.parent.mkdir()
    lrelease.write_text('#!/bin/sh\ntest "$3" = -qm && { echo compiled; cat "$2"; } > "$4"\n')
    lrelease.chmod(0o755)
    monkeypatch.setattr(package, "_LRELEASES", ("lrelease",))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    (plugin / "i18n").mkdir()
    (plugin / "i18n" / "de.ts").write_text(TRANSLATION)
    packed = package.pack(plugin, tmp_path / "a.zip")
    added = {name for name in names(packed.path) if "i18n" in name}
    assert added == {"terrain_tools/i18n/de.qm"}
    with zipfile.ZipFile(packed.path) as archive:
        content = archive.read("terrain_tools/i18n/de.qm").decode()
    assert content == f"compiled\n{TRANSLATION}"


def test_a_real_lrelease_makes_a_file_that_qt_reads(plugin: Path, tmp_path: Path) -> None:
    if package._lrelease() is None:
        pytest.skip("no lrelease here")
    (plugin / "de.ts").write_text(TRANSLATION)
    packed = package.pack(plugin, tmp_path / "a.zip")
    compiled = [note for note in packed.notes if "de.ts" in note]
    if compiled:
        pytest.skip(f"the lrelease here does not work: {compiled}")
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.read("terrain_tools/de.qm").startswith(b"\x3c\xb8\x64\x18")


@pytest.mark.parametrize("there", [True, False])
def test_without_lrelease_it_says_so_and_takes_what_is_there(
    plugin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool
) -> None:
    monkeypatch.setattr(package, "_lrelease", lambda: None)
    (plugin / "de.ts").write_text(TRANSLATION)
    if there:
        (plugin / "de.qm").write_bytes(b"old")
    packed = package.pack(plugin, tmp_path / "a.zip")
    assert ("terrain_tools/de.qm" in names(packed.path)) is there
    what = "the .qm beside it goes in" if there else "it is left out"
    assert f"de.ts: not compiled: no lrelease was found; {what}" in packed.notes[0]


# --------------------------------------------------------------------------------------- bandit


def test_bandit_finds_what_we_do_not_know(plugin: Path, tmp_path: Path) -> None:
    pytest.importorskip("bandit")
    text = "import hashlib\n\n\ndef f(b):\n    return hashlib.md5(b).hexdigest()\n"
    (plugin / "compute" / "weak.py").write_text(text)
    found = refused(package.pack(plugin, tmp_path / "a.zip"))
    assert len(found) == 1 and found[0].startswith("terrain_tools/compute/weak.py:5: ")
    assert found[0].endswith("(Bandit B324)")


def test_what_both_find_is_told_once(plugin: Path, tmp_path: Path) -> None:
    pytest.importorskip("bandit")
    (plugin / "a.py").write_text("import subprocess\n\nsubprocess.run('ls', shell=True)\n")
    found = refused(package.pack(plugin, tmp_path / "a.zip"))
    assert [each[:24] for each in found] == ["terrain_tools/a.py:3: sh"]


def test_without_bandit_it_says_how_to_have_it(
    plugin: Path,
    tmp_path: Path,
    without_bandit: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["package-plugin", str(plugin), "-o", str(tmp_path)]) == 0
    assert "note: without Bandit; " in capsys.readouterr().out


def test_a_bandit_that_fails_is_a_violation_and_not_silence(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_folder: Path) -> list[tuple[str, int, str]]:
        raise RuntimeError("Bandit failed: no memory")

    monkeypatch.setattr(code_rules, "bandit_is_there", lambda: True)
    monkeypatch.setattr(code_rules, "bandit_findings", fails)
    assert refused(package.pack(plugin, tmp_path / "a.zip")) == ["a.zip: Bandit failed: no memory"]
