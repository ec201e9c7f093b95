# SPDX-License-Identifier: MIT
"""Folders of compute modules in a worker: described, run, and loaded anew when they change."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from textwrap import dedent
from threading import Event
from typing import Any

import numpy as np
import pytest

import ringbridge
from ringbridge.compute import Column, Declaration, Raster, Vector, module_folder, service

HEAD = """
    from typing import Annotated, Any, NamedTuple, Optional
    import numpy as np
    import ringbridge as rb
    from ringbridge.compute import *
"""
PLUS = """
    @algorithm()
    def plus(dem: Raster, number: float = 1.0) -> Raster:
        return dem.like(dem.values + number, nodata=-1)
"""
GRID = (500.0, 10.0, 0.0, 900.0, 0.0, -20.0)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a module: a file's name and its code below HEAD."""

    def written(name: str, code: str, head: str = HEAD) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(head) + dedent(code))
        return file

    return written


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that a test has loaded in this process go away."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("ringbridge_modules"):
            del sys.modules[name]
    module_folder._stamps.clear()


@pytest.fixture(scope="module")
def there(worker: ringbridge.Worker) -> Any:
    return worker.load("ringbridge.compute.service")


def plain(values: Any = ((1.0, 2.0), (3.0, 4.0))) -> dict[str, Any]:
    return Raster(np.array(values), GRID, "EPSG:32617").to_plain()


# --------------------------------------------------------------------------------- what there is


def test_a_folder_is_described_for_json(tmp_path: Path, write: Write, there: Any) -> None:
    write("terrain.py", PLUS)
    write("_hidden.py", PLUS)
    write("helpers.py", "def algorithmic(): pass", head="")
    write("notes.txt", "@algorithm()", head="")
    described = json.loads(json.dumps(there.describe(str(tmp_path))))
    assert [each["module"] for each in described] == ["terrain"]
    [declared] = map(Declaration.from_plain, described[0]["algorithms"])
    assert (declared.name, declared.label, declared.group) == ("plus", "Plus", "Terrain")
    assert (described[0]["error"], described[0]["traceback"]) == ("", "")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import not_to_be_found", "ModuleNotFoundError: No module named 'not_to_be_found'"),
        ("def f(:\n    pass", "SyntaxError: "),
        ("raise ValueError('no\\nmore')", "ValueError: no"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("@algorithm()\ndef f(dem) -> Raster: ...", "TypeError: f: the annotation of 'dem' does"),
        (
            "@algorithm()\ndef f(dem: Raster, n: int = 'x') -> Raster: ...",
            "TypeError: f: n: the default 'x' is no number",
        ),
    ],
)
def test_a_module_that_cannot_be_used_is_described_and_the_others_too(
    code: str, said: str, tmp_path: Path, write: Write
) -> None:
    write("broken.py", dedent(HEAD) + "# @algorithm\n" + code + "\n@algorithm()\ndef g(): ...", "")
    write("terrain.py", PLUS)
    broken, whole = service.describe(str(tmp_path))
    assert broken["error"].startswith(said)
    assert broken["algorithms"] == []
    assert "Traceback" in broken["traceback"]
    assert (whole["error"], len(whole["algorithms"])) == ("", 1)


def test_files_and_folders_that_cannot_be_read_do_not_hide_the_others(
    tmp_path: Path, write: Write
) -> None:
    # An editor's link to nowhere, or a folder that was gone, ended the description of all.
    write("good.py", PLUS)
    (tmp_path / ".#good.py").symlink_to("someone@somewhere.1234")
    (tmp_path / "lost.py").symlink_to(tmp_path / "nothing")
    found = {each["module"]: each for each in service.describe(str(tmp_path))}
    assert set(found) == {"good", "lost"} and found["lost"]["error"] and not found["good"]["error"]
    [told] = service.describe(str(tmp_path / "gone"))
    assert told["module"] == "gone" and told["error"].startswith("FileNotFoundError")


def test_a_package_file_that_fails_does_so_each_time(tmp_path: Path, write: Write) -> None:
    """The second module once found the half of it that the first had left behind."""
    write("__init__.py", "raise ValueError('not yet')", head="")
    write("a.py", PLUS)
    write("b.py", PLUS)
    assert [each["error"] for each in service.describe(str(tmp_path))] == [
        *("ValueError: not yet", "ValueError: not yet")
    ]


# ------------------------------------------------------------------------------------------- run


def test_an_algorithm_runs_in_a_worker(tmp_path: Path, write: Write, there: Any) -> None:
    write("terrain.py", PLUS)
    [made] = there.run(str(tmp_path), "terrain", "plus", {"dem": plain(), "number": 5.0})
    raster = Raster.from_plain(made)
    assert raster.values.tolist() == [[6, 7], [8, 9]]
    assert (raster.geotransform, raster.crs, raster.nodata) == (GRID, "EPSG:32617", -1)
    [made] = there.run(str(tmp_path), "terrain", "plus", {"dem": plain()})
    assert made["values"].tolist() == [[2, 3], [4, 5]]


def test_arguments_and_results_of_every_sort_cross(
    tmp_path: Path, write: Write, there: Any
) -> None:
    write(
        "sorts.py",
        """
        from pathlib import Path

        class Made(NamedTuple):
            sum: Raster
            points: Annotated[Vector, VectorOutput()]
            table: Annotated[Any, TableOutput()]
            number: float
            note: str
            nothing: Optional[Raster]
            made: Path

        @algorithm()
        def all_sorts(
            layers: list[Annotated[np.ndarray, RasterLayer()]],
            given: Vector,
            mask: Optional[Raster] = None,
            file: Path = Path("x"),
            some: Annotated[list[str], Choice(options=("a", "b"))] = [],
        ) -> Made:
            assert mask is None and isinstance(file, Path), (mask, file)
            table = {"some": list(some)}
            return Made(sum(layers), given, table, np.float32(2.5), 7, None, file / "made")
        """,
    )
    points = Vector.points([(1, 2), (3, 4)], name=["a", None])
    made = there.run(
        *(str(tmp_path), "sorts", "all_sorts"),
        {
            "layers": [plain(), plain()],
            **{"given": points.to_plain(), "mask": None, "file": "folder", "some": ["b"]},
        },
    )
    total, back, table, number, note, nothing, file = made
    assert (total["values"].tolist(), total["geotransform"]) == ([[2, 4], [6, 8]], GRID)
    assert Vector.from_plain(back).xy().tolist() == [[1, 2], [3, 4]]
    assert Vector.from_plain(back)["name"].tolist() == ["a", None]
    assert Column.from_plain(table["columns"]["some"]).to_list() == ["b"]
    assert (number, note, nothing) == (2.5, "7", None)
    assert file == os.path.join("folder", "made")


def test_progress_and_log_lines_of_a_run_arrive(
    tmp_path: Path, write: Write, there: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write(
        "telling.py",
        """
        @algorithm()
        def tell(dem: Raster) -> Raster:
            rb.current_task().progress(1, 4, "first part")
            rb.current_task().log("a line", "WARNING")
            return dem
        """,
    )
    told = []
    with caplog.at_level(logging.INFO):
        task = there.run.submit(str(tmp_path), "telling", "tell", {"dem": plain()})
        task.on_progress(told.append)
        task.result(30)
    assert (0.25, "first part") in [(each.fraction, each.text) for each in told]
    assert ("WARNING", "a line") in [(each.levelname, each.getMessage()) for each in caplog.records]


def test_a_run_is_cancelled_and_the_next_one_works(
    tmp_path: Path, write: Write, there: Any
) -> None:
    write(
        "long.py",
        """
        @algorithm()
        def run_on(dem: Raster) -> Raster:
            while True:
                rb.current_task().progress(text="on and on")
        """,
    )
    write("terrain.py", PLUS)
    running = Event()
    task = there.run.submit(str(tmp_path), "long", "run_on", {"dem": plain()})
    task.on_progress(lambda told: running.set())
    assert running.wait(30)
    task.cancel()
    with pytest.raises(CancelledError):
        task.result(30)
    [made] = there.run(str(tmp_path), "terrain", "plus", {"dem": plain()})
    assert made["values"].tolist() == [[2, 3], [4, 5]]


def test_what_an_algorithm_raises_arrives_with_its_line(
    tmp_path: Path, write: Write, there: Any
) -> None:
    write(
        "failing.py",
        """
        @algorithm()
        def fail(dem: Raster) -> Raster:
            raise ValueError("too steep here")
        """,
    )
    with pytest.raises(ValueError, match="too steep here") as caught:
        there.run(str(tmp_path), "failing", "fail", {"dem": plain()})
    assert f'{tmp_path / "failing.py"}", line' in str(caught.value.__cause__)


# -------------------------------------------------------------------------------------- folders


def values_of(folder: Path, name: str = "plus") -> list[list[float]]:
    [made] = service.run(str(folder), "terrain", name, {"dem": plain()})
    found: list[list[float]] = made["values"].tolist()
    return found


def test_two_folders_with_modules_of_the_same_name_do_not_meet(
    tmp_path: Path, write: Write
) -> None:
    for folder, number in (("one/compute", "10"), ("two/compute", "20")):
        write(f"{folder}/_shared.py", f"NUMBER = {number}", head="")
        code = PLUS.replace("dem.values + number", "dem.values + NUMBER")
        write(f"{folder}/terrain.py", "from ._shared import NUMBER\n" + dedent(code))
    path = list(sys.path)
    one, two = tmp_path / "one" / "compute", tmp_path / "two" / "compute"
    assert values_of(one)[0] == [11, 12]
    assert values_of(two)[0] == [21, 22]
    assert values_of(one)[0] == [11, 12]
    assert sys.path == path
    assert "terrain" not in sys.modules


def test_a_package_file_is_run_once_and_its_names_are_there(tmp_path: Path, write: Write) -> None:
    write("__init__.py", "runs = []\nruns.append(1)", head="")
    code = PLUS.replace("dem.values + number", "dem.values + len(runs)")
    write("terrain.py", "from . import runs\n" + dedent(code))
    assert [values_of(tmp_path)[0] for _ in range(2)] == [[2, 3], [2, 3]]


def test_a_changed_module_is_loaded_anew(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the same second and with the same size Python took its .pyc for fresh."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for number in "1234":
        write("terrain.py", PLUS.replace("1.0", f"{number}.0"))
        assert values_of(tmp_path)[0] == [1 + int(number), 2 + int(number)]


def test_a_changed_helper_is_loaded_anew(tmp_path: Path, write: Write) -> None:
    code = PLUS.replace("dem.values + number", "dem.values + parts.deep.NUMBER")
    write("parts/__init__.py", "", head="")
    write("terrain.py", "from . import parts\nfrom .parts import deep\n" + dedent(code))
    for number in "12":
        write("parts/deep.py", f"NUMBER = {number}", head="")
        assert values_of(tmp_path)[0] == [1 + int(number), 2 + int(number)]


def test_a_helper_that_was_changed_after_a_failed_import_is_loaded_anew(
    tmp_path: Path, write: Write
) -> None:
    """What a module had imported before it failed was not looked at again."""
    write("terrain.py", "from . import helper\nhelper.number\n" + dedent(PLUS))
    write("helper.py", "numbre = 1", head="")
    with pytest.raises(AttributeError, match="number"):
        values_of(tmp_path)
    write("helper.py", "number = 1", head="")
    assert values_of(tmp_path)[0] == [2, 3]


def test_a_module_that_is_new_or_gone_is_noticed(tmp_path: Path, write: Write) -> None:
    write("other.py", PLUS)
    service.describe(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="terrain"):
        values_of(tmp_path)
    file = write("terrain.py", PLUS)
    assert values_of(tmp_path)[0] == [2, 3]
    file.unlink()
    with pytest.raises(ModuleNotFoundError, match="terrain"):
        values_of(tmp_path)


def test_what_a_notebook_has_compiled_does_not_disturb(tmp_path: Path, write: Write) -> None:
    """numba's cache names the module: that of a notebook said "No module named 'terrain'" here."""
    pytest.importorskip("numba")
    code = """
        import numba

        @numba.njit(cache=True)
        def _plus(values, number):
            return values + number

        @algorithm()
        def plus(dem: Raster, number: float = 1.0) -> Raster:
            return dem.like(_plus(dem.values, number))
    """
    write("terrain.py", code)
    notebook = "import numpy, terrain; print(terrain.plus(numpy.zeros((1, 2))).tolist())"
    said = subprocess.run(
        [sys.executable, "-c", notebook], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert said.stdout == "[[1.0, 1.0]]\n"
    assert values_of(tmp_path)[0] == [2, 3]
