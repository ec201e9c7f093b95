# SPDX-License-Identifier: MIT
"""The command line as a whole, and `ringbridge run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_arguments_are_json_or_else_text() -> None:
    ended = run("rbr_testing.basics:echo", '[1, null, "a", {"b": true}]')
    assert ended.stdout == '[1, null, "a", {"b": true}]\n'
    assert run("rbr_testing.basics:echo", "some text").stdout == '"some text"\n'
    assert run("rbr_testing.basics:echo", "--", "-x").stdout == '"-x"\n'
    assert run("rbr_testing.basics:echo", "-3").stdout == "-3\n"


def test_keywords_and_a_file_give_arguments_too(tmp_path: Path) -> None:
    add = "rbr_testing.basics:add"
    assert run(add, "1", "--keyword", "right=2", "--keyword", "scale=0.5").stdout == "1.5\n"
    file = tmp_path / "arguments.json"
    file.write_text("[1, 2]")
    assert run(add, "--input", str(file)).stdout == "3.0\n"
    assert run("rbr_testing.basics:add", "3", "--input", str(file)).returncode == 1, "too many"
    file.write_text('{"left": 1, "right": 4}')
    assert run(add, "--input", str(file)).stdout == "5.0\n"
    assert run(add, "--input", str(file), "--keyword", "right=6").stdout == "7.0\n"
    file.write_text("{")
    assert f"--input {file} is no JSON" in run(add, "--input", str(file)).stderr
    file.write_text("3")
    ended = run(add, "--input", str(file))
    assert (ended.returncode, "list of arguments or an object" in ended.stderr) == (2, True)
    assert run(add, "--keyword", "nonsense").returncode == 2


def test_what_json_does_not_have_becomes_what_it_has_or_is_told() -> None:
    numpy = pytest.importorskip("numpy")
    assert run("numpy:arange", "3").stdout == f"{numpy.arange(3).tolist()}\n"
    assert run("os:urandom", "2").stderr.endswith(
        "the result has a bytes in it, which JSON does not have\n"
    )


def test_a_remote_exception_is_shown_as_its_traceback() -> None:
    ended = run("rbr_testing.basics:fail", "KeyError", "key")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Traceback (most recent call last):\n")
    assert ended.stderr.endswith("KeyError: 'key'\n")


def test_what_the_function_prints_goes_to_stderr() -> None:
    ended = run("rbr_testing.basics:say", "hello")
    assert (ended.stdout, ended.stderr) == ("null\n", "hello\n")


def test_a_call_that_takes_too_long_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    ended = run("--timeout", "0.3", "rbr_testing.basics:block_for_ever", str(tmp_path / "fifo"))
    assert ended.returncode == 1
    assert "CallTimeout" in ended.stderr


def test_folders_of_modules_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(): return 'here'\n")
    assert run("--path", str(tmp_path), "mine:f").stdout == '"here"\n'


def test_what_cannot_be_called_is_told() -> None:
    assert run("rbr_testing.basics:ANSWER").returncode == 1
    assert "no function" in run("rbr_testing.basics:nope").stderr
    missing = ringbridge_command("run", "/no/such/env", "m:f")
    assert missing.returncode == 2
    assert missing.stderr.startswith("ringbridge run: no interpreter at /no/such/env")


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


def test_the_result_is_json_whatever_the_locale_is() -> None:
    command = [sys.executable, "-m", "ringbridge", "run", sys.executable]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = subprocess.check_output(
        [*command, "rbr_testing.basics:echo", '"\u00e4\U0001f389"'], cwd=HERE, env=environ
    )
    assert json.loads(told) == "\u00e4\U0001f389"


def test_a_closed_stdout_is_no_error() -> None:
    command = f"'{sys.executable}' -m ringbridge.cli.main ps >&-"
    ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_help_names_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in ("bench", "clean", "doctor", "env", "ps", "run"))
