# SPDX-License-Identifier: MIT
"""The command line: `ringbridge doctor` and `ringbridge run`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ringbridge
from ringbridge.cli.main import main

HERE = Path(__file__).resolve().parent


def ringbridge_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ringbridge.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=HERE,
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return ringbridge_command("run", sys.executable, *arguments)


def test_run_prints_the_result() -> None:
    ended = run("rbr_testing.basics:add", "1", "4")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "5.0\n", "")


def test_arguments_are_literals_or_else_text() -> None:
    ended = run("rbr_testing.basics:echo", "[1, None, 'a']")
    assert ended.stdout == "[1, None, 'a']\n"
    assert run("rbr_testing.basics:echo", "some text").stdout == "'some text'\n"
    assert run("rbr_testing.basics:echo", "--", "-x").stdout == "'-x'\n"
    assert run("rbr_testing.basics:echo", "-3").stdout == "-3\n"


def test_a_remote_exception_is_shown_as_its_traceback() -> None:
    ended = run("rbr_testing.basics:fail", "KeyError", "key")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Traceback (most recent call last):\n")
    assert ended.stderr.endswith("KeyError: 'key'\n")


def test_what_the_function_prints_goes_to_stderr() -> None:
    ended = run("rbr_testing.basics:say", "hello")
    assert (ended.stdout, ended.stderr) == ("None\n", "hello\n")


def test_a_call_that_takes_too_long_ends(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo")
    ended = run("--timeout", "0.3", "rbr_testing.basics:block_for_ever", str(tmp_path / "fifo"))
    assert ended.returncode == 1
    assert "CallTimeout" in ended.stderr


def test_folders_of_modules_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(): return 'here'\n")
    assert run("--path", str(tmp_path), "mine:f").stdout == "'here'\n"


def test_what_cannot_be_called_is_told() -> None:
    assert run("rbr_testing.basics:ANSWER").returncode == 2
    assert "no function" in run("rbr_testing.basics:nope").stderr
    missing = ringbridge_command("run", "/no/such/env", "m:f")
    assert missing.returncode == 2
    assert missing.stderr.startswith("ringbridge run: no interpreter at /no/such/env")


def test_doctor_shows_this_interpreter(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert ringbridge.__version__ in out
    assert sys.executable in out
    assert "/dev/shm" in out


def test_doctor_measures_an_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", sys.executable]) == 0
    out = capsys.readouterr().out
    assert "small call" in out
    assert "16 MiB back" in out
    assert main(["doctor", "/no/such/env"]) == 1
    assert "no interpreter at" in capsys.readouterr().out


def test_output_that_nobody_takes_ends_the_command_without_a_traceback() -> None:
    command = [sys.executable, "-m", "ringbridge.cli.main", "doctor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "ringbridge: [Errno 28] No space left on device\n"


def test_help_names_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in ("bench", "clean", "doctor", "ps", "run"))
