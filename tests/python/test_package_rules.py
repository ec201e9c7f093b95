# SPDX-License-Identifier: MIT
"""The rules of QGIS's plugin repository, each broken once; what Bandit adds is in
test_package_plugin."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ringbridge.new_plugin import code_rules, generate, package, rules
from ringbridge.new_plugin.generate import Plugin

Entries = dict[str, bytes]


@pytest.fixture(autouse=True)
def without_bandit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own rules alone: they hold where Bandit is not installed."""
    monkeypatch.setattr(code_rules, "bandit_is_there", lambda: False)


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    """A good zip's content."""
    plugin = generate.write(Plugin("terrain_tools"), tmp_path)
    with zipfile.ZipFile(package.pack(plugin, tmp_path / "good.zip").path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def checked(entries: Entries, tmp_path: Path, mode: int = 0o644) -> list[str]:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(info, content)
    return list(map(str, rules.check(path)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("terrain_tools/_core.so", b"", "a binary"),
        ("terrain_tools/lib.so.1.2", b"", "a binary"),
        ("terrain_tools/a.dll", b"", "a binary"),
        ("terrain_tools/a.pyd", b"", "a binary"),
        ("terrain_tools/a.EXE", b"", "a binary"),
        ("terrain_tools/elf", b"\x7fELF\2\1\1", "a binary"),
        ("terrain_tools/pe", b"MZ\x90\0\3\0", "a binary"),
        ("terrain_tools/mach-o", b"\xcf\xfa\xed\xfe\7", "a binary"),
        ("terrain_tools/fat", b"\xca\xfe\xba\xbe\0", "a binary"),
        ("terrain_tools/a.pyc", b"", "a cache of compiled code"),
        ("terrain_tools/__pycache__/a", b"", "a cache of compiled code"),
        ("terrain_tools/__MACOSX/a", b"", "a cache of compiled code"),
        ("terrain_tools/.hidden", b"", "a hidden file"),
        ("terrain_tools/.git/config", b"", "a hidden file"),
        ("other/a.txt", b"", "one folder holds everything"),
        ("a.txt", b"", "one folder holds everything"),
        ("terrain_tools/../a", b"", "a path may not lead out"),
        ("/terrain_tools/a", b"", "a path may not lead out"),
        ("terrain_tools/a\\b", b"", "a path may not lead out"),
    ],
)
def test_a_file_that_may_not_be_there_is_named(
    name: str, content: bytes, message: str, entries: Entries, tmp_path: Path
) -> None:
    found = checked({**entries, name: content}, tmp_path)
    assert any(message in each for each in found), found


def test_text_that_begins_like_a_program_is_text(entries: Entries, tmp_path: Path) -> None:
    assert checked({**entries, "terrain_tools/countries.csv": b"MZ,Mozambique\n"}, tmp_path) == []


@pytest.mark.parametrize("name", ["__init__.py", "metadata.txt", "LICENSE"])
def test_a_file_that_is_missing_is_named(name: str, entries: Entries, tmp_path: Path) -> None:
    del entries[f"terrain_tools/{name}"]
    assert [each.partition(":")[0] for each in checked(entries, tmp_path)] == [
        f"terrain_tools/{name}"
    ]


@pytest.mark.parametrize("top", ["tür", "2d", "a.b", "a b", "_a"])
def test_a_folder_that_is_not_plain_ascii_is_refused(
    top: str, entries: Entries, tmp_path: Path
) -> None:
    renamed = {name.replace("terrain_tools", top, 1): entries[name] for name in entries}
    assert any("the top folder's name is of ASCII" in each for each in checked(renamed, tmp_path))


def test_programs_zips_too_large_and_what_is_no_zip_are_refused(
    entries: Entries, tmp_path: Path
) -> None:
    assert all("marked as a program" in each for each in checked(entries, tmp_path, 0o755))
    noise = os.urandom(rules.BYTES_MAX)
    found = checked({**entries, "terrain_tools/noise.dat": noise}, tmp_path)
    assert found == ["made.zip: 25.0 MB: at most 25 MB are taken"]
    (tmp_path / "no.zip").write_text("no")
    assert "no zip" in str(rules.check(tmp_path / "no.zip")[0])


# ------------------------------------------------------------------------------ metadata.txt

Changed = Callable[[str, str], list[str]]


@pytest.fixture
def changed(entries: Entries) -> Changed:
    """What is said of metadata.txt with this line in place of that one's key."""

    def say(key: str, line: str) -> list[str]:
        lines = entries["terrain_tools/metadata.txt"].decode().splitlines()
        place = next(i for i, each in enumerate(lines) if each.startswith(key))
        while place + 1 < len(lines) and lines[place + 1].startswith(" "):  # a value of several
            del lines[place + 1]
        lines[place] = line
        content = "\n".join(lines).encode("utf-8", "surrogateescape")
        return list(map(str, rules.of_metadata("terrain_tools/metadata.txt", content, [*entries])))

    return say


@pytest.mark.parametrize("key", rules.REQUIRED)
@pytest.mark.parametrize("left", ["", "{key}=", "{key}=  "])
def test_a_required_key_that_is_missing_is_named(key: str, left: str, changed: Changed) -> None:
    found = changed(f"{key}=", left.format(key=key) or "# nothing")
    assert len(found) == 1 and found[0].endswith(f"{key} is missing")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("version=one", "a version is like 1.0.2"),
        ("version=1.0/2", "a version is like 1.0.2"),
        ("qgisMinimumVersion=3", "a version of QGIS is like 3.22"),
        ("qgisMaximumVersion=4.x", "a version of QGIS is like 3.22"),
        ("author=a/b", "an author's name has no slash"),
        ("email=nobody", "no e-mail address"),
        ("tracker=http://bugs", "no address of a page"),
        ("repository=http://repo", "no address of a page"),
        ("homepage=example.org", "no address of a page"),
        ("homepage=ftp://example.org", "no address of a page"),
        ("experimental=perhaps", "True or False"),
        ("hasProcessingProvider=ja", "True or False"),
        ("icon=missing.svg", "there is no such file"),
    ],
)
def test_a_value_that_is_wrong_is_told_with_its_line(
    line: str, message: str, changed: Changed
) -> None:
    key, _, value = line.partition("=")
    (found,) = changed(f"{key}=", line)
    assert f"{key} = {value!r}: {message}" in found
    assert found.split(":")[1].isdigit()


@pytest.mark.parametrize("version", ["1", "1.0", "0.1.0", "1.0.0-beta1", "2.0rc1"])
def test_versions_as_people_write_them_are_taken(version: str, changed: Changed) -> None:
    assert changed("version=", f"version={version}") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("description=100 % sure", "metadata.txt:3: cannot be read (a % is written %%)"),
        ("description=a\nname=b", "cannot be read"),
        ("description=\udcff", "metadata.txt:3: it is not UTF-8"),
    ],
)
def test_metadata_that_qgis_could_not_read_are_told(
    line: str, message: str, changed: Changed
) -> None:
    (found,) = changed("description=", line)
    assert message in found


def test_metadata_without_their_section_are_told(changed: Changed) -> None:
    assert "cannot be read" in changed("[general]", "# nothing")[0]
    assert "no section [general]" in changed("[general]", "[other]")[0]


# ---------------------------------------------------------------------------------------- code


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("exec('1')", "exec() runs text as code"),
        ("import builtins\nbuiltins.eval('1')", "eval() runs text as code"),
        ("import pickle", "import of pickle"),
        ("from pickle import loads", "import of pickle"),
        ("import marshal as m", "import of marshal"),
        ("import shelve", "import of shelve"),
        ("import os\nos.system('ls')", "os.system starts a shell"),
        ("from os import popen as p\np('ls')", "os.popen starts a shell"),
        ("import subprocess as s\ns.getoutput('ls')", "subprocess.getoutput starts a shell"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "shell=True"),
        ("import subprocess\nsubprocess.Popen('ls', shell=1)", "shell=True"),
        ("import os\nos.chmod('a', 0o755)", "chmod 0o755"),
        ("from pathlib import Path\nPath('a').chmod(mode=0o777)", "chmod 0o777"),
        ("import tarfile\ntarfile.open('a').extractall()", "extractall() can write anywhere"),
        ("from tarfile import open as o\nwith o('a') as t: t.extractall('b')", "extractall()"),
        ("API_KEY = 'abc'", "a token or a password in the code"),
        ("self.password: str = 'abc'", "a token or a password in the code"),
        ("login(user='me', token='abc')", "a token or a password in the code"),
        ("x = 'AKIA" + "ABCDEFGHIJKLMNOP'", "a key or a password in the code"),
        ("x = ['gh" + "p_" + "a" * 36 + "']", "a key or a password in the code"),
        ("x = 'https://me:word@" + "example.org'", "a key or a password in the code"),
        ("x = '''-----BEGIN RSA PRIVATE" + " KEY-----'''", "a key or a password in the code"),
        ("def f(:", "no Python code"),
    ],
)
def test_code_that_the_repositorys_scans_block_is_told_by_line(code: str, message: str) -> None:
    found = code_rules.findings(code.encode())
    assert len(found) == 1, found
    assert message in found[0][1] and found[0][0] == len(code.splitlines())


def test_a_call_of_several_lines_is_told_by_its_first() -> None:
    assert code_rules.findings(b"\nrun(\n    'ls',\n    shell=True,\n)\n")[0][0] == 2


@pytest.mark.parametrize(
    "code",
    [
        "dialog.exec()",
        "model.eval()",
        "import json\njson.loads('1')",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "import os\nos.chmod('a', 0o644)",
        "import tarfile\ntarfile.open('a').extractall(filter='data')",
        "import zipfile\nzipfile.ZipFile('a').extractall()",
        "token = ''",
        "token = ask()",
        "tokens = 'abc'",
        "sorted(x, key='abc')",
        "x = 'https://example.org/a:b'",
        "exec('1')  # nosec",
        "run('ls',\n    shell=True,  # nosec B604: a constant\n)",
        "TOKEN = 'abc'  # pragma: allowlist secret",
    ],
)
def test_harmless_code_is_not_told(code: str) -> None:
    assert code_rules.findings(code.encode()) == []
