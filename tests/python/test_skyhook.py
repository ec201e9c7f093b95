# SPDX-License-Identifier: MIT
"""SkyHook's clients, unchanged: their bytes, their commands, their replies."""

from __future__ import annotations

import concurrent.futures
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import lent
from rbr_testing.http_served import (
    LENT,
    TOKEN,
    Reply,
    ServedHere,
    asked,
    exchanged,
    gateway_of,
    parsed,
    written,
)

from ringbridge.host.gateway import Gateway
from ringbridge.host.skyhook import PORTS

pytest_plugins = ["rbr_testing.http_fixtures"]


@pytest.fixture
def loaded(gateway: Gateway) -> Gateway:
    assert commanded(gateway, "SKY_HOTLOAD", _Module=[LENT])["ReturnValue"] == [LENT]
    return gateway


@pytest.fixture
def changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that can be written again."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "sky_changing.py"
    file.write_text("def first():\n    return 1\n")
    yield file
    sys.modules.pop("sky_changing", None)


def commanded(gateway: Gateway, name: str, **parameters: Any) -> dict[str, Any]:
    reply = asked(gateway, "POST", "/", {"FunctionName": name, "Parameters": parameters})
    assert reply.status == 200
    answer: dict[str, Any] = reply.json
    assert list(answer) == ["Time", "Success", "ReturnValue", "Command"]
    assert re.fullmatch(r"\d\d:\d\d:\d\d", answer["Time"])
    assert answer["Command"] == name
    return answer


def as_requests_writes_it(gateway: Gateway, body: bytes, authorization: str = "") -> bytes:
    """A request of SkyHook's client, byte for byte: its library is requests."""
    lines = [
        "POST / HTTP/1.1",
        f"Host: 127.0.0.1:{gateway.port}",
        "User-Agent: python-requests/2.28.1",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        *([f"Authorization: {authorization}"] if authorization else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_the_ports_are_those_of_skyhooks_clients() -> None:
    assert PORTS == {
        "undefined": 65500,
        "maya": 65501,
        "houdini": 65502,
        "blender": 65504,
        "substance_painter": 65505,
    }


def test_the_bytes_of_a_client_without_a_token_are_answered(served: ServedHere) -> None:
    with gateway_of(served, token=None) as gateway:
        body = b'{"FunctionName": "is_online", "Parameters": {}}'
        reply = parsed(exchanged(gateway, as_requests_writes_it(gateway, body)))
        assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
        assert reply.json["Success"] is reply.json["ReturnValue"] is True
        assert reply.json["Command"] == "is_online"


CLIENT = """
import json, sys
import requests

def execute(address, port, command, parameters={}, timeout=1):
    url = "http://%s:%s" % (address, port)
    payload = {"FunctionName": command, "Parameters": parameters}
    return requests.post(url, json=payload, timeout=timeout).json()

address, port = sys.argv[1:]
for command, parameters in json.load(sys.stdin):
    print(json.dumps(execute(address, port, command, parameters, timeout=30)))
"""


def with_requests(gateway: Gateway, address: str, home: Path, *commands: Any) -> list[Any]:
    """What SkyHook's client does, by the library that it uses."""
    for python in (sys.executable, "/usr/bin/python3"):
        probe = [python, "-c", "import requests"]
        if shutil.which(python) and not subprocess.run(probe, capture_output=True).returncode:
            break
    else:
        pytest.skip("no Python with requests here")
    said = subprocess.run(
        [python, "-c", CLIENT, address, str(gateway.port)],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        env={"HOME": str(home)},
    )
    return [json.loads(line) for line in said.stdout.splitlines()]


CALLS = [("is_online", {}), ("SKY_HOTLOAD", {"_Module": [LENT]}), ("add", {"a": 1, "b": 2})]


@pytest.mark.parametrize("how", ["without a token", "in the address", "in the file .netrc"])
def test_a_client_of_the_library_that_skyhook_uses_calls_unchanged(
    served: ServedHere, tmp_path: Path, how: str
) -> None:
    address = f"skyhook:{TOKEN}@127.0.0.1" if how == "in the address" else "127.0.0.1"
    if how == "in the file .netrc":
        netrc = tmp_path / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login skyhook password {TOKEN}\n")
        netrc.chmod(0o600)
    with gateway_of(served, token=None if how == "without a token" else TOKEN) as gateway:
        replies = with_requests(gateway, address, tmp_path, *CALLS)
    assert [reply["ReturnValue"] for reply in replies] == [True, [LENT], 3]


def test_a_client_without_the_token_reads_why_it_is_not_let_in(
    gateway: Gateway, tmp_path: Path
) -> None:
    (reply,) = with_requests(gateway, "127.0.0.1", tmp_path, ("is_online", {}))
    assert reply["Success"] is False  # which is what its is_host_online() gives
    assert "no token" in reply["ReturnValue"]


# ------------------------------------------------------------------------------------------ calls


def test_a_function_is_found_by_its_name_alone_and_with_its_module(loaded: Gateway) -> None:
    assert commanded(loaded, "add", a=1, b=2)["ReturnValue"] == 3
    assert commanded(loaded, "add", a=1, _Module=LENT)["ReturnValue"] == 2
    assert commanded(loaded, f"{LENT}.add", a=5)["ReturnValue"] == 6


def test_parameters_may_be_missing(loaded: Gateway) -> None:
    for body in ({"FunctionName": "where"}, {"FunctionName": "where", "Parameters": None}):
        assert asked(loaded, "POST", "/", body).json["ReturnValue"] == "main here"


def test_what_fails_is_a_reply_with_the_traceback(loaded: Gateway) -> None:
    for name, parameters, told in (
        ("fail", {"text": "no such mesh"}, "ValueError: no such mesh"),
        ("add", {"c": 1}, "unexpected keyword argument"),
        ("make", {"expression": "{1, 2}"}, "is of type set, which JSON has no form for"),
        ("leave", {}, "SystemExit"),
    ):
        answer = commanded(loaded, name, **parameters)
        assert (answer["Success"], told in answer["ReturnValue"]) == (False, True), answer
    assert commanded(loaded, "fail", text="x")["ReturnValue"].startswith("Traceback")


def test_a_call_that_takes_too_long_has_skyhooks_words(served: ServedHere) -> None:
    with gateway_of(served, timeout_s=0.2) as gateway:
        commanded(gateway, "SKY_HOTLOAD", _Module=[LENT])
        answer = commanded(gateway, "hold")
        assert answer["ReturnValue"].startswith("ERROR 0x5: The command timed out")
        assert commanded(gateway, "is_online")["ReturnValue"] is True
        lent.release.set()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hidden", "is not exposed"),
        ("nothing_like_it", "no function 'nothing_like_it'"),
        ("os.system", "is not served by"),
        ("run_python_script", "no function"),
        ("eval", "no function"),
        ("__import__", "no function"),
        ("__class__", "no function"),
        ("SKY_NOTHING", "no function"),
        ("", "no function"),
    ],
)
def test_what_was_not_exposed_is_refused(loaded: Gateway, name: str, told: str) -> None:
    answer = commanded(loaded, name)
    assert (answer["Success"], told in answer["ReturnValue"]) == (False, True), answer


@pytest.mark.parametrize("module", ["os", "skyhook.modules.core", "..os", "builtins", ""])
def test_a_module_that_was_not_named_cannot_be_loaded_nor_called(
    loaded: Gateway, module: str
) -> None:
    for name, modules in (("SKY_HOTLOAD", [module]), ("getcwd", module)):
        answer = commanded(loaded, name, _Module=modules)
        assert (answer["Success"], "is not served by" in answer["ReturnValue"]) == (False, True)


@pytest.mark.parametrize(
    "body",
    [[], "x", 3, None, {}, {"FunctionName": 3}, {"FunctionName": "add", "Parameters": [1]}],
)
def test_what_is_no_call_is_refused_as_a_reply(gateway: Gateway, body: Any) -> None:
    text = json.dumps(body).encode()
    reply: Reply = parsed(exchanged(gateway, written("POST", "/", text)))
    assert (reply.status, reply.json["Success"], reply.json["Command"]) == (400, False, None)


# --------------------------------------------------------------------------------------- commands


def test_ls_names_what_can_be_called(loaded: Gateway) -> None:
    names = commanded(loaded, "SKY_LS")["ReturnValue"]
    assert {"is_online", "add", "where_else"} <= set(names)
    assert not {"hidden", "_where_else", "threading", "expose"} & set(names)


def test_help_tells_a_functions_arguments(loaded: Gateway) -> None:
    help_of = {
        "add": {"function_name": "add", "arguments": ["a", "b"]},
        "echo": {
            "function_name": "echo",
            "arguments": [],
            "packed_args": "*values",
            "packed_kwargs": "**named",
        },
    }
    for name, told in help_of.items():
        answer = commanded(loaded, "SKY_FUNCTION_HELP", function_name=name)
        assert (answer["Success"], answer["ReturnValue"]) == (True, told)
    assert "hidden" in commanded(loaded, "SKY_FUNCTION_HELP", function_name="hidden")["ReturnValue"]
    assert commanded(loaded, "SKY_FUNCTION_HELP")["Success"] is False


def test_modules_are_loaded_reloaded_and_unloaded(changing: Path) -> None:
    server = ServedHere("sky_changing", LENT)
    with gateway_of(server) as gateway:
        given = {"modules": ["sky_changing"], "is_skyhook_module": False}  # as documented there
        assert commanded(gateway, "SKY_HOTLOAD", **given)["ReturnValue"] == ["sky_changing"]
        assert commanded(gateway, "first")["ReturnValue"] == 1
        changing.write_text("def first():\n    return 'changed, and longer'\n")
        assert commanded(gateway, "SKY_RELOAD_MODULES")["ReturnValue"] == ["sky_changing"]
        assert commanded(gateway, "first")["ReturnValue"] == "changed, and longer"
        commanded(gateway, "SKY_HOTLOAD", _Module=[LENT])
        assert commanded(gateway, "SKY_UNLOAD", _Module=["sky_changing"])["ReturnValue"] == [LENT]
        assert commanded(gateway, "first")["Success"] is False
        assert commanded(gateway, "SKY_UNLOAD", _Module=["sky_changing"])["ReturnValue"] == [LENT]
    server.close()


def test_a_module_of_the_package_skyhook_is_found_by_its_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "skyhook" / "modules"
    package.mkdir(parents=True)
    (package / "terrain.py").write_text("def make_hill():\n    return 'a hill'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    server = ServedHere("skyhook.modules.terrain")
    with gateway_of(server) as gateway:
        assert commanded(gateway, "SKY_HOTLOAD", _Module=["terrain"])["ReturnValue"] == ["terrain"]
        assert commanded(gateway, "make_hill")["ReturnValue"] == "a hill"
        assert commanded(gateway, "make_hill", _Module="terrain")["ReturnValue"] == "a hill"
        assert commanded(gateway, "SKY_UNLOAD", _Module=["terrain"])["ReturnValue"] == []
    server.close()
    for name in ("skyhook", "skyhook.modules"):
        sys.modules.pop(name, None)


def test_shutdown_answers_and_then_stops_the_server(served: ServedHere, gateway: Gateway) -> None:
    assert commanded(gateway, "SKY_SHUTDOWN")["ReturnValue"] == "Server offline"
    assert served.stopped.wait(30)


def test_commands_are_answered_while_a_call_is_long(loaded: Gateway) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        long = pool.submit(commanded, loaded, "hold")
        assert lent.entered.wait(30)
        assert commanded(loaded, "is_online")["ReturnValue"] is True
        assert "add" in commanded(loaded, "SKY_LS")["ReturnValue"]
        help_given = commanded(loaded, "SKY_FUNCTION_HELP", function_name="add")
        assert help_given["Success"] is True
        lent.release.set()
        assert long.result()["ReturnValue"] == "held"


# ------------------------------------------------------------------------------------- by address


def test_a_call_in_the_address_of_a_get_runs_with_the_token_there(loaded: Gateway) -> None:
    nobody: dict[str, str | None] = {"Authorization": None}
    path = f"/%22add%22&%7B%22a%22:%202%7D?token={TOKEN}"
    reply = asked(loaded, "GET", path, None, nobody)
    assert (reply.json["ReturnValue"], reply.headers["Content-Type"]) == (3, "application/json")
    assert asked(loaded, "GET", path.partition("?")[0], None, nobody).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/%22add%22",
        "/%22add%22&",
        "/%22add%22&[1]",
        "/%22add%22&nonsense",
        "/%22add%22&" + "[" * 5000,
        "/%22%22&{}",
        "/%22add%22+__import__(%27os%27)&{}",
    ],
)
def test_an_address_that_is_no_call_is_refused(loaded: Gateway, path: str) -> None:
    """SkyHook evaluates what stands there; here it is read."""
    reply = asked(loaded, "GET", path)
    assert (reply.status, reply.json["Success"]) == (400, False)
