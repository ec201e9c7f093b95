# SPDX-License-Identifier: MIT
"""`ringbridge serve`: a server that is a process of its own, called from here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbr_testing.eventually import until

import ringbridge

END_S = 30

TOOLS = """
import threading
from ringbridge.host import expose

@expose
def add(a, b=1):
    return a + b

@expose
def on_main():
    return threading.current_thread() is threading.main_thread()

@expose
def block():
    import time
    print("blocks", flush=True)
    time.sleep(60)

def hidden():
    return "nobody marked this"
"""


class Serve:
    """One such process; its lines are read as they come."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ringbridge", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            # A shell's `&` has it ignored, and so would this one.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def until(self, beginning: str) -> str:
        """The rest of the first line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line[len(beginning) :].strip()
        raise AssertionError(f"no line {beginning!r}; {self.process.communicate()}")

    def end(self, number: int = signal.SIGTERM) -> str:
        """Tells it to end, in good order; what it has said since."""
        self.process.send_signal(number)
        said, complaints = self.process.communicate(timeout=END_S)
        assert (self.process.returncode, complaints) == (0, "")
        return said

    def fail(self) -> str:
        """Waits for it to end with code 1; its complaint."""
        _, complaints = self.process.communicate(timeout=END_S)
        assert self.process.returncode == 1
        return complaints


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a module `tools`; applications are met below it."""
    meeting = tmp_path / "run"
    meeting.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(meeting))
    (tmp_path / "tools.py").write_text(TOOLS)
    return tmp_path


@pytest.fixture
def started(folder: Path) -> Iterator[list[Serve]]:
    """What is in it is killed at the end."""
    served: list[Serve] = []
    yield served
    for each in served:
        each.process.kill()
        each.process.communicate(timeout=END_S)


def start(started: list[Serve], folder: Path, *arguments: str) -> Serve:
    started.append(Serve(folder, *arguments))
    return started[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_client_calls_what_is_marked_until_the_server_is_told_to_end(
    started: list[Serve], folder: Path, number: int
) -> None:
    served = start(started, folder, "tools")
    assert served.until("serving as") == f"'python', pid {served.process.pid}"
    assert served.until("  tools: ") == "add, on_main, block"
    assert served.until("connect: ") == 'ringbridge.connect("python")'
    with ringbridge.connect("python") as there:
        tools = there.load("tools")
        assert tools.add(2, b=3) == 5
        assert tools.on_main()
        assert not tools.on_main.options(on="thread")()
        assert not hasattr(tools, "hidden")
        with pytest.raises(PermissionError, match="'os' is not served by 'python'"):
            there.load("os")
        assert "with 1 client" in served.end(number)
        assert not there.is_online
    with pytest.raises(ringbridge.HostNotFound):
        ringbridge.connect("python", timeout=1)
    assert list((folder / "run" / "ringbridge").iterdir()) == []


def test_a_call_that_runs_does_not_keep_it_from_ending(started: list[Serve], folder: Path) -> None:
    served = start(started, folder, "tools", "--name", "blocked")
    served.until("connect: ")
    with ringbridge.connect("blocked") as there:
        task = there.load("tools").block.submit()
        served.until("blocks")
        assert there.is_online
        assert "stopped after" in served.end()
        with pytest.raises(BaseException):  # noqa: B017 - that it ends is what matters
            task.result(END_S)


def test_name_path_thread_and_patterns(started: list[Serve], folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "pack").mkdir()
    (other / "pack" / "part.py").write_text("def f(): return 1\n")
    (other / "single.py").write_text(TOOLS)
    served = start(
        started,
        folder,
        *("single", "pack.*", "--path", str(other), "--path", ".", "--name", "mine"),
        *("--on", "thread"),
    )
    assert served.until("  pack.*: ") == "what clients load"
    served.until("connect: ")
    with ringbridge.connect("mine") as there:
        assert there.modules() == ["single"]
        assert not there.load("single").on_main()
        assert there.load("pack.part").f() == 1
        with pytest.raises(PermissionError, match="it serves single, pack"):
            there.load("tools")


def test_a_file_that_changes_is_reloaded_for_the_clients_that_are_there(
    started: list[Serve], folder: Path
) -> None:
    served = start(started, folder, "tools", "--reload")
    served.until("connect: ")
    with ringbridge.connect() as there:
        add = there.load("tools").add
        assert add(1) == 2
        (folder / "tools.py").write_text(TOOLS.replace("a + b", "a - b"))
        assert served.until("reloaded: ") == "tools"
        assert add(1) == 0
        (folder / "tools.py").write_text("def add(:\n")
        assert served.process.stderr is not None
        line = served.process.stderr.readline()
        assert line.strip().endswith("module tools was not reloaded, and is served as it was")
        assert add(1) == 0
        (folder / "tools.py").write_text(TOOLS)
        assert served.until("reloaded: ") == "tools"
        assert add(1) == 2


def test_a_token_is_wanted_of_clients_and_over_http(started: list[Serve], folder: Path) -> None:
    file = folder / "token"
    file.write_text("open-sesame-open-sesame\n")
    file.chmod(0o600)
    served = start(started, folder, "tools", "--token-file", str(file), "--http", "0")
    assert served.until("connect: ") == 'ringbridge.connect("python", token=...)'
    url, _, header = served.until("HTTP: ").partition(", ")
    assert header == "Authorization: Bearer ..."
    with pytest.raises(ringbridge.HostRefused, match="token"):
        ringbridge.connect("python")
    with ringbridge.connect("python", token="open-sesame-open-sesame") as there:
        assert there.load("tools").add(1) == 2
    request = urllib.request.Request(
        f"{url}/call/tools/add",
        json.dumps({"args": [3], "kwargs": {"b": 4}}).encode(),
        {"Authorization": "Bearer open-sesame-open-sesame", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=END_S) as answer:
        assert json.load(answer) == {"value": 7}


def test_http_has_a_token_of_its_own_which_is_told(started: list[Serve], folder: Path) -> None:
    served = start(started, folder, "tools", "--http", "0")
    url, _, token = served.until("HTTP: ").partition(", Authorization: Bearer ")
    assert url.startswith("http://127.0.0.1:")
    request = urllib.request.Request(f"{url}/about", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=END_S) as answer:
        assert "tools" in answer.read().decode()


def test_what_cannot_be_served_says_why_and_leaves_nothing(
    started: list[Serve], folder: Path
) -> None:
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "wide").write_text("token")
    (folder / "wide").chmod(0o644)
    (folder / "empty").touch(mode=0o600)
    for arguments, text in [
        (["nope"], "No module named 'nope' where 'python' runs"),
        (["broken"], "ringbridge serve: broken cannot be imported, see above"),
        (["a/b"], "'a/b' is no module's name"),
        (["tools", "--name", "a/b"], "ringbridge: "),
        (["tools", "--token-file", "wide"], "other users may read or write wide: chmod 600 wide"),
        (["tools", "--token-file", "empty"], "empty is empty"),
        (["tools", "--token-file", "gone"], "No such file"),
    ]:
        served = start(started, folder, *arguments)
        assert text in served.fail(), arguments
    meeting = folder / "run" / "ringbridge"
    assert not meeting.exists() or os.listdir(meeting) == []


def test_a_module_with_nothing_to_call_is_told(started: list[Serve], folder: Path) -> None:
    (folder / "bare.py").write_text("import os\n")
    served = start(started, folder, "bare")
    assert served.until("  bare: ") == "no functions"
    assert served.process.stderr is not None
    assert "bare has nothing to call: mark functions" in served.process.stderr.readline()


def test_one_that_was_killed_is_forgotten(started: list[Serve], folder: Path) -> None:
    served = start(started, folder, "tools")
    served.until("connect: ")
    served.process.kill()
    served.process.wait(END_S)
    until(lambda: ringbridge.hosts() == [], "the dead server is still listed")
    with pytest.raises(ringbridge.HostNotFound):
        ringbridge.connect("python", timeout=1)
