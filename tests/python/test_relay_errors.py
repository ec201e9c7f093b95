# SPDX-License-Identifier: MIT
"""What goes wrong before there is a worker on another machine, and what is said about it."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rbr_testing.eventually import until
from rbr_testing.fixtures import MakeWorker
from rbr_testing.sshd import Sshd

import ringbridge
from ringbridge import ssh_address
from ringbridge.discovery import find

HERE = Path(__file__).resolve().parent


def refused(over_ssh: MakeWorker, url: str, **options: object) -> str:
    with pytest.raises(ringbridge.WorkerStartFailed) as caught:
        over_ssh(url, **options)
    return str(caught.value)


# -------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ssh://box/gis", ("box", "gis", None, None, "python3")),
        ("ssh://me@Box.example:2222/gis", ("Box.example", "gis", "me", 2222, "python3")),
        ("ssh://box//opt/envs/gis", ("box", "/opt/envs/gis", None, None, "python3")),
        ("ssh://box//opt/my%20envs/gis", ("box", "/opt/my envs/gis", None, None, "python3")),
        ("ssh://box/~/envs/x?python=/opt/py", ("box", "~/envs/x", None, None, "/opt/py")),
        ("ssh://[::1]:22/gis", ("::1", "gis", None, 22, "python3")),
    ],
)
def test_an_address_is_taken_apart(text: str, wanted: tuple[object, ...]) -> None:
    assert tuple(ssh_address.parse(text)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("ssh://", "ssh://box", "ssh://box/", "ssh:///gis", "ssh://box:port/gis"),
        *("ssh://me:secret@box/gis", "ssh://-oProxyCommand=x/gis", "ssh://-l@box/gis"),
        *("ssh://box/gis?pyhton=x", "ssh://box/gis?python=", "ssh://box/gis?python=-c"),
        *("ssh://box/gis#x", "ssh://bo x/gis", "ssh://box/%00"),
    ],
)
def test_what_is_no_address_is_refused_before_ssh_is_started(text: str) -> None:
    with pytest.raises(ringbridge.EnvironmentNotFound, match="no address"):
        find(text)


def test_a_file_there_has_an_address() -> None:
    address = ssh_address.parse("ssh://me@box:2222/gis")
    assert address.of_file("/opt/a b") == "ssh://me@box:2222//opt/a%20b"
    assert ssh_address.parse(address.of_file("/opt/a b")).environment == "/opt/a b"


# ---------------------------------------------------------------------------------- the connection


def test_a_host_that_is_not_known(over_ssh: MakeWorker) -> None:
    text = refused(over_ssh, "ssh://no-such-host.invalid/gis", name=None)
    assert "worker 'gis@no-such-host.invalid' did not start" in text
    assert "Could not resolve hostname" in text  # ssh's own words
    assert "look at the address" in text


def test_a_login_that_is_refused(
    over_ssh: MakeWorker, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(sshd.config.read_text().replace(str(sshd.key), str(tmp_path / "no_key")))
    monkeypatch.setenv("RINGBRIDGE_SSH", f"ssh -F {shlex.quote(str(config))}")
    text = refused(over_ssh, sshd.url())
    assert "Permission denied" in text and "ssh-copy-id" in text


def test_a_machine_with_another_key(
    over_ssh: MakeWorker, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("")
    monkeypatch.setenv("RINGBRIDGE_SSH", f"{sshd.ssh} -oUserKnownHostsFile={known}")
    assert "connect once by hand" in refused(over_ssh, sshd.url())


def test_nobody_listens(over_ssh: MakeWorker, sshd: Sshd) -> None:
    url = sshd.url().replace("//box/", "//box:1/", 1)
    text = refused(over_ssh, url)
    assert "Connection refused" in text and "try the same address" in text


@pytest.mark.parametrize("given", ["/no/such/ssh", "'", " "])
def test_a_command_line_for_ssh_that_is_none(
    over_ssh: MakeWorker, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("RINGBRIDGE_SSH", given)
    assert "RINGBRIDGE_SSH" in refused(over_ssh, sshd.url())


# ---------------------------------------------------------------------------------- the other side


def test_no_python_there(over_ssh: MakeWorker, sshd: Sshd) -> None:
    text = refused(over_ssh, sshd.url(python="/no/such/python"))
    assert "no such Python there" in text and "?python=" in text


def test_no_ringbridge_there(over_ssh: MakeWorker, stand_in: Callable[[str], str]) -> None:
    text = refused(over_ssh, stand_in("sys.exit('python: No module named ringbridge')"))
    assert "has no ringbridge" in text and "?python=" in text


def test_an_environment_that_is_not_there(over_ssh: MakeWorker, sshd: Sshd) -> None:
    with pytest.raises(ringbridge.EnvironmentNotFound, match="on box: no environment 'no-such'"):
        over_ssh(sshd.url("no-such"))
    with pytest.raises(ringbridge.EnvironmentNotFound, match="/no/such/prefix"):
        over_ssh(sshd.url("/no/such/prefix"))


def test_the_environments_that_are_there_are_listed(over_ssh: MakeWorker, sshd: Sshd) -> None:
    with pytest.raises(ringbridge.EnvironmentNotFound) as caught:
        over_ssh(sshd.url("no-such"))
    assert "looked at:" in str(caught.value) and "over there" in str(caught.value)


def test_another_version_of_the_protocol(
    over_ssh: MakeWorker, stand_in: Callable[[str], str]
) -> None:
    text = refused(
        over_ssh,
        stand_in(
            'body = b\'{"protocol": 99, "version": "9.9"}\'\n'
            "head = len(body).to_bytes(4, 'little') + b'\\1\\0\\0\\0'\n"
            "os.write(1, b'\\nringbridge-relay\\n' + head + body)\nsys.stdin.read()"
        ),
    )
    assert "ringbridge 9.9 (relay protocol 99)" in text and "the same version" in text
    assert ringbridge.__version__ in text


def test_what_answers_is_no_relay(over_ssh: MakeWorker, stand_in: Callable[[str], str]) -> None:
    text = refused(over_ssh, stand_in("print('a menu: press 1'); sys.exit(3)"))
    assert "a menu: press 1" in text and "exit code 3" in text


def test_records_that_are_none(over_ssh: MakeWorker, stand_in: Callable[[str], str]) -> None:
    text = refused(
        over_ssh,
        stand_in("os.write(1, b'\\nringbridge-relay\\n' + b'\\xff' * 64)\nsys.stdin.read()"),
    )
    assert "broke the relays' protocol" in text


def test_a_shell_that_prints_before_is_no_trouble(
    over_ssh: MakeWorker, stand_in: Callable[[str], str]
) -> None:
    url = stand_in(
        "print('Welcome!', flush=True)\n"
        f"os.execv({sys.executable!r}, [{sys.executable!r}] + sys.argv[1:])"
    )
    assert over_ssh(url).load("rbr_testing.relayed").size_of("four") == 4


def test_no_answer_in_time(over_ssh: MakeWorker, stand_in: Callable[[str], str]) -> None:
    url = stand_in("os.write(2, b'a word of it\\n'); sys.stdin.read()")
    text = refused(over_ssh, url, start_timeout=3.0)
    assert "no answer within 3 s" in text and "a word of it" in text


def test_a_start_that_is_given_up_leaves_nothing(
    over_ssh: MakeWorker, stand_in: Callable[[str], str], sshd: Sshd, fifo: Path
) -> None:
    worker = over_ssh(stand_in(f"open({str(fifo)!r}, 'w').close(); sys.stdin.read()"), wait=False)
    fifo.open().close()
    closing = threading.Thread(target=worker.close)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    until(lambda: not sshd.sessions(), "the end of the session")


# -------------------------------------------------------------------------------- the command line


def test_doctor_only_starts_a_worker_that_is_elsewhere(
    over_ssh: MakeWorker, sshd: Sshd, capsys: pytest.CaptureFixture[str]
) -> None:
    from ringbridge.cli.main import main

    assert main(["doctor", sshd.url()]) == 0
    said = capsys.readouterr().out
    assert "ssh" in said and "architecture" not in said


def test_an_activation_is_captured_where_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    from ringbridge.cli.main import main

    assert main(["env", "capture", "ssh://box/gis"]) == 1
    assert "capture it there" in capsys.readouterr().err


# ------------------------------------------------------------------------------------- its options


def test_folders_are_looked_for_there(over_ssh: MakeWorker, sshd: Sshd) -> None:
    text = refused(over_ssh, sshd.url(), paths=["/no/such/folder"])
    assert "on box: paths: there is no /no/such/folder" in text
    assert "on box: its working folder" in refused(over_ssh, sshd.url(), cwd="/no/such/folder")


def test_pickles_are_refused_with_what_to_do(over_ssh: MakeWorker, sshd: Sshd) -> None:
    with pytest.raises(ValueError, match="no pickle crosses to another machine"):
        over_ssh(sshd.url(), pickle=True)
    with pytest.raises(ValueError, match="no pickle crosses to another machine"):
        ringbridge.Pool(sshd.url(), 1, pickle=True)


def test_a_secret_of_the_variables_is_on_no_command_line(over_ssh: MakeWorker) -> None:
    worker = over_ssh(environ={"RBR_SECRET": "xyzzy-of-this-test"})
    pids = [*worker.load("rbr_testing.relayed").family(), worker.pid]
    for pid in [*pids, *(int(name) for name in os.listdir("/proc") if name.isdecimal())]:
        try:
            text = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        assert b"xyzzy-of-this-test" not in text
