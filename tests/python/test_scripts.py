# SPDX-License-Identifier: MIT
"""Activation scripts: run in bash, followed to their end, and what a broken one leads to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringbridge import ActivationFailed
from ringbridge.activation import scripts
from ringbridge.activation.process import Patience
from ringbridge.activation.recipe import Recipe

PATH = "/usr/bin:/bin"


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def run(*paths: str, timeout_s: float = 20.0, **environ: str) -> dict[str, str]:
    recipe = Recipe(scripts=list(paths))
    return scripts.variables_after(recipe, {"PATH": PATH, **environ}, Patience.of(timeout_s))[0]


def failure(*paths: str, timeout_s: float = 20.0) -> str:
    with pytest.raises(ActivationFailed) as caught:
        run(*paths, timeout_s=timeout_s)
    return str(caught.value)


def test_what_a_script_exports_is_seen_and_what_it_only_sets_is_not(tmp_path: Path) -> None:
    script = write(tmp_path, "a.sh", "export A='1 2'\nB=3\nunset C\nexport PATH=/x:$PATH\n")
    assert run(script, C="host", D="same") == {"A": "1 2", "D": "same", "PATH": f"/x:{PATH}"}


def test_scripts_run_in_their_order_in_one_shell(tmp_path: Path) -> None:
    first = write(tmp_path, "1.sh", "helper() { export A=${A}x; }\nhelper\n")
    second = write(tmp_path, "2.sh", "helper\nexport B=$A\n")
    assert run(first, second)["B"] == "xx"


def test_any_value_comes_back_as_it_is(tmp_path: Path) -> None:
    value = "a\nb = 'c' \"d\" \\ $e \u00e4 \U0001f40d="
    raw = os.fsdecode(b"\xff\xfe")
    script = write(tmp_path, "a.sh", 'export A="$IN" B="$RAW"\n')
    result = run(script, IN=value, RAW=raw)
    assert (result["A"], result["B"]) == (value, raw)


def test_odd_names_of_scripts_are_no_trouble(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a "folder"\n$(touch x) \u00e4'
    folder.mkdir()
    assert run(write(folder, "a b.sh", "export A=1"))["A"] == "1"


def export(exports: dict[str, str], *paths: str, **environ: str) -> dict[str, str]:
    made = {name: (value, "/p/pixi.toml") for name, value in exports.items()}
    recipe = Recipe(scripts=list(paths), exports=made)
    return scripts.variables_after(recipe, {"PATH": PATH, **environ}, Patience.of(20.0))[0]


def test_exports_see_what_came_before_them(tmp_path: Path) -> None:
    script = write(tmp_path, "a.sh", "export FROM=script A=script\n")
    after = export({"A": "$ROOT/a", "B": '${A} "b" \\ c', "C": "$FROM"}, script, ROOT="/r")
    assert (after["A"], after["B"], after["C"]) == ("/r/a", '/r/a "b" \\ c', "script")


def test_an_export_that_is_no_shell_is_named() -> None:
    with pytest.raises(ActivationFailed, match=r"^B in /p/pixi.toml failed") as caught:
        export({"A": "$PATH", "B": "$(nope"})
    assert "unexpected EOF" in str(caught.value)


def test_what_scripts_print_is_not_taken_for_variables(tmp_path: Path) -> None:
    script = write(
        tmp_path, "a.sh", "echo A=1; printf 'B=2\\0C=3\\0'; echo warning >&2; export D=4\n"
    )
    assert run(script) == {"D": "4", "PATH": PATH}


def test_the_shells_own_variables_are_not_told(tmp_path: Path) -> None:
    script = write(tmp_path, "a.sh", "cd /tmp\nexport A=1")
    assert run(script, SHLVL="7", PWD="/host") == {
        "A": "1",
        "PATH": PATH,
        "SHLVL": "7",
        "PWD": "/host",
    }


def test_neither_an_unset_name_nor_a_false_test_is_a_failure(tmp_path: Path) -> None:
    script = write(
        tmp_path, "a.sh", 'false\n: "$NOT_SET"\nexport A=1\n[ -n "$NOT_SET" ] && export B=2\n'
    )
    assert run(script) == {"A": "1", "PATH": PATH}


def test_a_warning_of_a_script_that_goes_well_is_no_failure(tmp_path: Path) -> None:
    assert run(write(tmp_path, "a.sh", "no-such-command\nexport A=1\n"))["A"] == "1"


def test_a_script_that_ends_the_shell_is_named_with_its_output(tmp_path: Path) -> None:
    good = write(tmp_path, "1.sh", "echo fine")
    bad = write(tmp_path, "2.sh", "echo 'no licence found' >&2\nexit 3\n")
    text = failure(good, bad)
    assert text.startswith(f"{bad} ended the shell with exit code 3; it printed:\n")
    assert "    | no licence found" in text
    assert "fine" not in text


def test_a_script_whose_last_command_fails_is_named_with_its_output(tmp_path: Path) -> None:
    bad = write(tmp_path, "a.sh", "cat /no/such/file\n")
    text = failure(bad)
    assert f"{bad} failed, its last command with status 1" in text
    assert "| cat: /no/such/file" in text


def test_a_syntax_error_is_a_failure_with_its_line(tmp_path: Path) -> None:
    text = failure(write(tmp_path, "a.sh", "export A=1\nif true; then\n"))
    assert "line 3: syntax error" in text


def test_a_script_that_is_killed_says_by_what(tmp_path: Path) -> None:
    assert "ended the shell by signal 9" in failure(write(tmp_path, "a.sh", "kill -9 $$\n"))


def test_a_script_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, nothing_left: None
) -> None:
    pids = tmp_path / "pids"
    bad = write(tmp_path, "a.sh", f"sleep 600 &\necho $$ $! > '{pids}'\necho waiting\nwait\n")
    text = failure(bad, timeout_s=0.5)
    assert f"{bad} did not end within 0.5 s" in text
    assert "| waiting" in text
    deadline = time.monotonic() + 10
    for pid in pids.read_text().split():
        while Path(f"/proc/{pid}").exists() and "Z" not in state(pid):
            assert time.monotonic() < deadline, f"{pid} still runs"
            time.sleep(0.01)


def state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_script_that_reads_finds_no_input(tmp_path: Path) -> None:
    assert run(write(tmp_path, "a.sh", "read -r answer\nexport A=1\n"))["A"] == "1"


def test_a_process_left_behind_with_the_pipes_is_not_waited_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = write(tmp_path, "a.sh", f"sleep 600 & echo $! > '{pid}'\nexport A=1\n")
    before = time.monotonic()
    try:
        assert run(script, timeout_s=60.0)["A"] == "1"
        assert time.monotonic() - before < 30
    finally:
        os.kill(int(pid.read_text()), 9)


def test_endless_output_is_a_failure_and_not_held(tmp_path: Path) -> None:
    script = write(tmp_path, "a.sh", "while :; do echo yyyyyyyyyyyyyyyyyyyy; done\n")
    assert f"{script} printed more than 16 MiB" in failure(script, timeout_s=50.0)


def test_it_can_be_given_up_from_outside(tmp_path: Path, nothing_left: None) -> None:
    script = write(tmp_path, "a.sh", "sleep 600\n")
    looks = iter([False, False])
    patience = Patience.of(60.0, lambda: next(looks, True))
    with pytest.raises(ActivationFailed, match="given up"):
        scripts.variables_after(Recipe(scripts=[script]), {"PATH": PATH}, patience)


def test_what_a_host_sets_for_its_own_shells_is_not_obeyed(tmp_path: Path) -> None:
    trap = write(tmp_path, "trap.sh", "export TRAPPED=1\n")
    script = write(tmp_path, "a.sh", "false\nexport A=1\n")
    host = {"BASH_ENV": trap, "ENV": trap, "SHELLOPTS": "braceexpand:errexit"}
    assert run(script, **host) == {"A": "1", "PATH": PATH, **host}


def test_a_broken_path_of_the_scripts_own_is_no_trouble(tmp_path: Path) -> None:
    assert run(write(tmp_path, "a.sh", "export PATH=/nowhere\n"))["PATH"] == "/nowhere"


@pytest.mark.parametrize(
    "text",
    [
        "exec 2>/dev/null",
        "exec >/dev/null 2>&1",
        "trap 'echo bye' EXIT",
        "printf() { echo mine; }",
        "set -u",
        "set -f",
        "IFS=x",
    ],
)
def test_what_a_script_does_to_the_shell_does_not_break_the_protocol(
    tmp_path: Path, text: str
) -> None:
    scripts_ = [write(tmp_path, "a.sh", text + "\n"), write(tmp_path, "b.sh", "export A=1\n")]
    assert run(*scripts_) == {"A": "1", "PATH": PATH}


def test_functions_that_the_host_exports_are_not_ours(tmp_path: Path) -> None:
    host = {"BASH_FUNC_printf%%": "() { echo mine; }"}
    assert run(write(tmp_path, "a.sh", "export A=1\n"), **host)["A"] == "1"


def test_a_variable_that_only_other_shells_obey_is_one_like_any(tmp_path: Path) -> None:
    assert run(write(tmp_path, "a.sh", "export ENV=production\n"))["ENV"] == "production"


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    script = str(tmp_path / "gone.sh")
    assert not scripts.names_in(Recipe(scripts=[script]))
    assert f"{script} failed" in failure(script)


def test_the_names_in_scripts_are_what_they_may_look_at(tmp_path: Path) -> None:
    script = write(tmp_path, "a.sh", 'export A="${B:-$C}"; eval "D_1=x" # E\n')
    recipe = Recipe(scripts=[script], exports={"F": ("$G", "/p")})
    assert scripts.names_in(recipe) >= {"A", "B", "C", "D_1", "E", "F", "G"}


def test_a_host_with_an_old_locale_passes_any_letter(tmp_path: Path) -> None:
    script = write(tmp_path, "a.sh", "export A=$IN\n")
    code = f"""
from ringbridge.activation import scripts
from ringbridge.activation.process import Patience
from ringbridge.activation.recipe import Recipe
environ = {{"PATH": {PATH!r}, "IN": chr(0xe4)}}
after = scripts.variables_after(Recipe(scripts=[{script!r}]), environ, Patience.of(20.0))[0]
print(ascii(after["A"]))
"""
    old = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": PATH}
    done = subprocess.run([sys.executable, "-c", code], env=old, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (
        "'\\udcc3\\udca4'\n",
        "",
    )  # its two bytes, as ASCII has it
