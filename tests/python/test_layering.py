# SPDX-License-Identifier: MIT
"""The arrows of docs/architecture: who may include and import whom; and how large a file may be.

Reads the source tree only; nothing is built or run here, but for one `import ringbridge`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
CORE = CSRC / "core"
PACKAGE = ROOT / "python" / "ringbridge"

# ------------------------------------------------------------------------------------- C: layers

#: header -> its layer. A file sees headers of its own room, and of rooms in lower layers.
HEADER_LAYER = {
    "base.h": 0,
    "defined.h": 0,
    "layout.h": 0,
    "os.h": 1,
    "ring.h": 1,
    "arena.h": 1,
    "ringbridge_latest.h": 1,  # public: its room has no other
    "ringbridge_publication.h": 2,  # the same
    "wire_tables.h": 1,
    "segment.h": 2,
    "wake.h": 2,
    "control.h": 2,
    "message.h": 3,
    "blocks.h": 3,
    "output.h": 3,
    "call_progress.h": 3,
    "watcher.h": 3,
    "exchange.h": 4,
    "channel.h": 5,
}

#: The channel's parts: headers of their own, but their .c files see the whole channel.
CHANNEL_PARTS = {
    *("message.h", "blocks.h", "output.h", "call_progress.h", "watcher.h", "exchange.h"),
}

#: file -> its room, where it is not its own. Every other file of csrc/core belongs to the channel.
ROOM = {
    "error": "base",
    "os_linux": "os",
    "os_linux_memory": "os",
    "latest": "ringbridge_latest",
    "publication": "ringbridge_publication",
    "flatbuf_build": "wire_tables",
    "flatbuf_verify": "wire_tables",
}

#: Rooms that are handed memory: no system calls, no malloc, no sleeping.
MEMORY_ROOMS = {"ring", "arena", "ringbridge_latest", "wire_tables"}
#: What such a room may include of the system, and all of it is only declarations and memcpy.
HARMLESS = {
    *("assert.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h"),
    *("string.h",),
}

OS_NAMES = re.compile(r"__linux__|__ANDROID__|__APPLE__|_BSD|__FreeBSD__|_WIN32|__unix|SYS_|MADV_")


def c_files(*folders: Path) -> list[Path]:
    return sorted(file for folder in folders for file in folder.rglob("*.[ch]"))


def includes(file: Path) -> list[tuple[str, str]]:
    """("<" or '"', name) of each #include."""
    return re.findall(r'^\s*#\s*include\s+([<"])([^>"]+)', file.read_text(), re.MULTILINE)


def own_headers(file: Path) -> set[str]:
    return {name for kind, name in includes(file) if kind == '"'}


def room_of(file: Path) -> str:
    if file.suffix == ".c" and f"{file.stem}.h" in CHANNEL_PARTS:
        return "channel"
    room = ROOM.get(file.stem, file.stem)
    return room if f"{room}.h" in HEADER_LAYER else "channel"


def public_headers() -> set[str]:
    return {file.name for file in c_files(CSRC / "include")}


def test_every_header_of_the_core_has_its_layer() -> None:
    assert {file.name for file in CORE.glob("*.h")} == set(HEADER_LAYER) - public_headers()


def test_a_room_of_the_core_includes_only_itself_and_lower_layers() -> None:
    wrong = []
    for file in c_files(CORE):
        room = room_of(file)
        for name in own_headers(file) - public_headers() - {f"{room}.h"}:
            if HEADER_LAYER.get(name, 99) >= HEADER_LAYER[f"{room}.h"]:
                wrong.append(f"{file.name} ({room}) includes {name}")
    assert not wrong


def test_rooms_that_are_handed_memory_know_no_operating_system() -> None:
    wrong = []
    for file in c_files(CORE):
        if room_of(file) in MEMORY_ROOMS:
            system = {name for kind, name in includes(file) if kind == "<"}
            wrong += [f"{file.name} includes {name}" for name in system - HARMLESS]
            wrong += [f"{file.name} includes {name}" for name in own_headers(file) & {"os.h"}]
    assert not wrong


def test_public_headers_need_no_private_one() -> None:
    wrong = {f.name: own_headers(f) - public_headers() for f in c_files(CSRC / "include")}
    assert not any(wrong.values()), wrong


def test_the_extension_sees_only_the_public_headers() -> None:
    allowed = public_headers() | {file.name for file in (CSRC / "ext").glob("*.h")}
    wrong = {file.name: own_headers(file) - allowed for file in c_files(CSRC / "ext")}
    assert not any(wrong.values()), wrong


def test_ringbench_does_not_look_into_the_channel() -> None:
    wrong = [f.name for f in c_files(CSRC / "ringbench") if "channel.h" in own_headers(f)]
    assert not wrong


def test_nothing_in_the_core_knows_who_uses_it() -> None:
    users = {file.name for file in c_files(CSRC / "ext", CSRC / "ringbench", ROOT / "tests" / "c")}
    wrong = {f.name: own_headers(f) & users - public_headers() for f in c_files(CORE)}
    assert not any(wrong.values()), wrong


def test_only_the_extension_includes_python() -> None:
    python = {"Python.h", "structmember.h"}
    files = c_files(CSRC, ROOT / "tests" / "c")
    wrong = [f for f in files if {name for _, name in includes(f)} & python]
    assert all(file.parent == CSRC / "ext" for file in wrong)


def test_operating_systems_are_told_apart_only_in_os_files() -> None:
    wrong = []
    for file in c_files(CSRC):
        conditions = re.findall(r"^\s*#\s*(?:el)?if.*", file.read_text(), re.MULTILINE)
        if not file.name.startswith("os_"):
            wrong += [f"{file.name}: {line}" for line in conditions if OS_NAMES.search(line)]
    assert not wrong


# -------------------------------------------------------------------------------- Python: layers

#: From the bottom to the top: a module imports from its own line and those above it.
PYTHON_LAYERS = (
    {"_core", "errors", "interrupts", "values", "signatures", "frames", "tables", "pickles"},
    {"threads", "event_loop", "compute"},
    {"sources", "shares", "timers"},
    {"giving_up"},
    {
        *("environment", "discovery", "plan", "activation", "diagnosis", "running", "builds"),
        "ssh_address",
    },
    {"rendezvous"},
    {"door", "running_hosts"},
    {"crashes", "attempts"},
    {"launch", "ssh_start", "output", "channel"},
    {"relay"},
    {"readers", "answering", "callbacks", "coroutines", "objects"},
    {
        *("worker", "worker_process", "loads", "remote", "task", "stream", "bars"),
        *("serve", "current", "exports", "tqdm_bars", "pooled"),
    },
    {"link"},
    {"connection", "seats"},
    {"crew"},
    {"pool"},
    {"_bootstrap", "host", "qt", "plot", "bench", "versions"},
    {"qgis", "new_plugin"},
    {"cli", "__main__"},
)
HOST_SIDE = {
    *("launch", "output", "worker", "worker_process", "loads", "remote", "task", "stream", "pool"),
    "bars",
    *(
        "threads",
        "event_loop",
        "timers",
        "giving_up",
        "readers",
        "answering",
        "objects",
        "attempts",
        "crashes",
    ),
    *("environment", "discovery", "activation", "ssh_address", "ssh_start"),
    *("sources", "shares", "seats", "crew"),
    *("link", "connection"),
}
WORKER_SIDE = {
    *("serve", "current", "exports", "callbacks", "coroutines", "pooled", "tqdm_bars"),
    "_bootstrap",
}
LEAVES = {"cli", "host", "qt", "qgis", "plot", "bench", "versions", "new_plugin", "__main__"}
#: leaf -> those that it may import: a served Qt application is one whose binding qt knows, and
#: bench measures calls into such ones.
LEAF_OF_LEAF = {"host": {"qt"}, "plot": {"qt"}, "bench": {"host", "plot", "qt"}}
#: What users import. It fetches the others when they are asked for.
FACADE = "__init__"

#: Heavy or only there in one host: imported where they are used, never at the top of a module.
LATE = {
    *("numpy", "pyarrow", "pandas", "geopandas", "shapely", "asyncio", "bpy", "tqdm"),
    *("qgis", "osgeo"),
    *("PyQt5", "PyQt6", "PySide2", "PySide6", "qtpy", "pyqtgraph", "matplotlib", "tkinter", "PIL"),
    *("appose", "execnet", "iceoryx2", "loky", "Pyro5", "rpyc", "shm_rpc_bridge", "zmq"),
}
#: place -> what it is all about, and imports at once.
ABOUT = {"qt": {"asyncio"}, "qgis": {"qgis", "osgeo", "numpy"}}


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def place(file: Path) -> str:
    """The name in PYTHON_LAYERS: of a subpackage, its own."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names that are imported anywhere below, `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "no relative imports here: they hide the arrow"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(file: Path) -> set[str]:
    """The places of the package that the file imports; FACADE for the package itself."""
    found = set()
    for name in imported(ast.parse(file.read_text())):
        package, _, rest = name.partition(".")
        if package == "ringbridge":
            first = rest.partition(".")[0]
            is_module = any(first in layer for layer in PYTHON_LAYERS)
            found.add(first if is_module else FACADE)
    return found


def level(name: str) -> int:
    return next(i for i, layer in enumerate(PYTHON_LAYERS) if name in layer)


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run at import: not in functions, not for type checkers only."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from top_level(node.orelse)
            continue
        yield node
        for part in ("body", "orelse", "finalbody"):
            yield from top_level(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from top_level(handler.body)


def test_every_python_module_has_its_layer() -> None:
    known = set().union(*PYTHON_LAYERS) | {FACADE}
    assert not {place(file) for file in python_files()} - known


def test_a_python_module_imports_only_from_its_layer_and_lower_ones() -> None:
    wrong = []
    for file in python_files():
        if place(file) == FACADE:
            continue
        for name in arrows(file) - {place(file), FACADE}:
            if level(name) > level(place(file)):
                wrong.append(f"{file.name} imports {name}")
    assert not wrong


def test_only_leaves_import_the_package_itself() -> None:
    wrong = [f.name for f in python_files() if FACADE in arrows(f) and place(f) not in LEAVES]
    assert not wrong


def test_only_the_command_line_imports_a_leaf() -> None:
    wrong = []
    for file in python_files():
        if place(file) in ("cli", "__main__"):
            continue
        allowed = {place(file)} | LEAF_OF_LEAF.get(place(file), set())
        wrong += [f"{file.name} imports {name}" for name in arrows(file) & LEAVES - allowed]
    assert not wrong


def test_the_hosts_side_and_the_workers_side_do_not_know_each_other() -> None:
    wrong = []
    for file in python_files():
        for mine, theirs in ((HOST_SIDE, WORKER_SIDE), (WORKER_SIDE, HOST_SIDE)):
            if place(file) in mine:
                wrong += [f"{file.name} imports {name}" for name in arrows(file) & theirs]
    assert not wrong


def test_heavy_modules_are_imported_only_where_they_are_used() -> None:
    wrong = []
    for file in python_files():
        for node in top_level(ast.parse(file.read_text()).body):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {name.partition(".")[0] for name in imported(node)}
                late = LATE - ABOUT.get(place(file), set())
                wrong += [f"{file.name} imports {name} at its top" for name in names & late]
    assert not wrong


@pytest.mark.parametrize("module", ["ringbridge", "ringbridge.worker", "ringbridge.serve"])
def test_importing_the_package_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({LATE!r} & set(sys.modules)))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT / "tests"
    )
    assert said.stdout.split() == []


# ---------------------------------------------------------------------------------- sizes, names

C_LINES_MAX = 500
PRIVATE_HEADER_LINES_MAX = 180
PYTHON_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def all_c_files() -> list[Path]:
    return c_files(CSRC, ROOT / "tests" / "c")


def too_long(files: list[Path], limit: int) -> list[str]:
    counts = {file: len(file.read_text().splitlines()) for file in files}
    return [f"{file.relative_to(ROOT)}: {n} lines" for file, n in counts.items() if n > limit]


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """(name, lines) of each definition: its name begins a line, its braces stand in column 0."""
    name, start = "", 0
    for number, line in enumerate(file.read_text().splitlines()):
        begins = re.match(r"(\w+)\(", line)
        if begins:
            name, start = begins[1], number
        elif line == "}" and name:
            yield name, number - start + 1
            name = ""


def test_no_c_file_is_longer_than_500_lines() -> None:
    assert not too_long([f for f in all_c_files() if f.suffix == ".c"], C_LINES_MAX)


def test_no_private_header_is_longer_than_180_lines() -> None:
    headers = [f for f in all_c_files() if f.suffix == ".h" and f.parent.name != "include"]
    assert not too_long(headers, PRIVATE_HEADER_LINES_MAX)


def test_no_python_module_is_longer_than_400_lines() -> None:
    tests = sorted((ROOT / "tests").rglob("*.py"))
    assert not too_long(python_files() + tests, PYTHON_LINES_MAX)


def test_no_c_function_is_longer_than_70_lines() -> None:
    counted = [(file, *found) for file in all_c_files() for found in functions(file)]
    assert len(counted) > 300  # or the counter is blind
    assert not [f"{f.name}: {name}, {n} lines" for f, name, n in counted if n > FUNCTION_LINES_MAX]


def test_no_two_files_have_the_same_name() -> None:
    names = Counter(file.name for file in c_files(CSRC) + python_files())
    del names["__init__.py"]  # every package has one
    assert not [name for name, count in names.items() if count > 1]
