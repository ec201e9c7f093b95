# SPDX-License-Identifier: MIT
"""The documentation is whole: pages, links, names. (`make docs` builds it, with warnings as errors;
that its snippets run is in test_readme.)"""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ringbridge
from ringbridge import _core, compute, qgis

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
INCLUDE = ROOT / "csrc/include"
PACKAGE = ROOT / "python/ringbridge"
sys.path.insert(0, str(DOCS / "_sphinx"))

import headers  # noqa: E402
import names  # noqa: E402
import ringbridge_pages  # noqa: E402

LINK = re.compile(r"(?<!\\)\]\(([^()\s]+)\)")
TOCTREE = re.compile(r"^```\{toctree\}\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
BELOW = re.compile(r"^<!-- pages: (\S+) -->$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
CITED = re.compile(r"`(test_\w+\.(?:py|c))(?:::(\w+))?`")


def pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ------------------------------------------------------------------------------ pages and links


def below(page: Path) -> Iterator[Path]:
    """The pages that a page's tables of contents lead to."""
    text = page.read_text()
    for match in TOCTREE.finditer(text):
        for line in match["body"].splitlines():
            entry = re.sub(r".*<(.+)>$", r"\1", line.strip())
            if entry and not entry.startswith(":"):
                yield (page.parent / f"{entry}.md").resolve()
    for match in BELOW.finditer(text):
        yield from sorted(page.parent.glob(f"{match[1]}.md"))


def test_every_page_is_reached_from_the_front_page() -> None:
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting.extend(below(page))
    assert sorted(reached) == pages()


@pytest.mark.parametrize("page", [ROOT / "README.md", *pages()], ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text())
    targets = [target.partition("#")[0] for target in LINK.findall(text) if "://" not in target]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert not missing


def test_every_test_that_a_page_names_is_there() -> None:
    cited = {found for page in pages() for found in CITED.findall(page.read_text())}
    assert len(cited) > 20
    for file, test in sorted(cited):
        source = ROOT / "tests" / ("c" if file.endswith(".c") else "python") / file
        assert source.is_file(), file
        assert not test or re.search(rf"def {test}\(|TEST\w*\({test}\b", source.read_text()), test


# -------------------------------------------------------------------------------------------- C


@pytest.fixture(
    scope="module", params=["ringbridge.h", "ringbridge_flatbuf.h", "ringbridge_latest.h"]
)
def header(request: pytest.FixtureRequest) -> Path:
    return INCLUDE / str(request.param)


def declared(header: Path) -> set[str]:
    """The functions that a compiler sees, told apart from those of the headers that it includes."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    text = subprocess.run(
        [compiler, "-E", "-I", INCLUDE, header], capture_output=True, text=True, check=True
    ).stdout
    own = "".join(
        part.partition("\n")[2]
        for part in re.split(r"^# \d+ ", text, flags=re.MULTILINE)
        if part.startswith(f'"{header}"')
    )
    outside = re.sub(r"\{[^{}]*\}", "", re.sub(r"\{[^{}]*\}", "", own))
    return set(re.findall(r"\b(rbr_\w+)\s*\(", outside))


def test_every_c_function_is_in_the_reference(header: Path) -> None:
    found = headers.read(header.read_text())
    functions = {entry.name for entry in found.entries() if entry.kind == "function"}
    assert functions == declared(header)
    page = headers.render(found)
    assert not [name for name in functions if not re.search(rf"\{{c:function\}}.*\b{name}\(", page)]


def test_every_c_declaration_is_commented(header: Path) -> None:
    bare = [
        entry.name for entry in headers.read(header.read_text()).entries() if not entry.documented
    ]
    assert not set(bare) - {"RBR_VERSION"}


def test_the_c_example_compiles_and_runs(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    program = tmp_path / "echo"
    folders = ["-I", INCLUDE, "-I", ROOT / "csrc/core"]
    sources = [DOCS / "how-to/echo.c", *sorted((ROOT / "csrc/core").glob("*.c"))]
    strict = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
    libraries = ["-lpthread", "-lrt", "-ldl"]
    subprocess.run([compiler, *strict, *folders, "-o", program, *sources, *libraries], check=True)
    ended = subprocess.run([program], capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout) == (0, "42\n"), ended.stderr


# --------------------------------------------------------------------------------------- Python


def public_members(thing: type) -> list[str]:
    """Methods and properties that a class adds by itself."""
    described = (property, classmethod, staticmethod)
    return [
        name
        for name, value in vars(thing).items()
        if not name.startswith("_") and (inspect.isroutine(value) or isinstance(value, described))
    ]


def test_every_python_name_and_member_is_in_the_reference_with_its_docstring() -> None:
    documented = {name: doc for each in names.read(PACKAGE) for name, doc in each.all_names()}
    expected = list(ringbridge.__all__)
    for name in ringbridge.__all__:
        thing = getattr(ringbridge, name)
        if isinstance(thing, type):
            expected += [f"{name}.{member}" for member in public_members(thing)]
    shown = [name for name in documented if not name.endswith(".__call__")]
    assert sorted(shown) == sorted(expected)
    assert not [name for name, doc in documented.items() if not doc.strip()]


def test_every_name_of_compute_modules_is_in_the_reference_with_its_docstring() -> None:
    documented = {
        name: doc for each in names.read(PACKAGE / "compute") for name, doc in each.all_names()
    }
    assert {name for name in documented if "." not in name} == set(compute.__all__)
    for name in compute.__all__:
        thing = getattr(compute, name)
        if isinstance(thing, type):
            assert {f"{name}.{member}" for member in public_members(thing)} <= set(documented)
    assert not [name for name, doc in documented.items() if not doc.strip()]


def test_every_name_for_plugins_is_in_the_reference_with_its_docstring() -> None:
    documented = {
        name: doc for each in names.read(PACKAGE / "qgis") for name, doc in each.all_names()
    }
    assert {name for name in documented if "." not in name} == set(qgis.__all__)
    assert not [name for name, doc in documented.items() if not doc.strip()]


def test_the_remote_functions_own_members_are_in_the_reference() -> None:
    function = names.read_class(PACKAGE / "_core.pyi", "Function")
    documented = {member.name for member in function.members} - {"__call__"}
    assert documented == set(public_members(_core.Function))
    assert all(doc for _, doc in function.all_names())


def test_the_page_for_reading_names_everything_too() -> None:
    text = (DOCS / "reference/python.md").read_text()
    missing = [
        name for name in ringbridge.__all__ if f"`{name}`" not in text and f"rb.{name}" not in text
    ]
    assert not missing


def test_ringbenchs_help_is_quoted_as_it_is() -> None:
    program = Path(_core.__file__).parent / "bin/ringbench"
    if not program.exists():
        pytest.skip("installed without ringbench")
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    assert ringbridge_pages.ringbench_help() == said
