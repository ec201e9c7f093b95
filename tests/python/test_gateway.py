# SPDX-License-Identifier: MIT
"""The HTTP gateway: calls, limits, many at once, TLS, and its life. Who is refused is said in
test_gateway_hostile."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import lent
from rbr_testing.eventually import until
from rbr_testing.http_served import (
    LENT,
    TOKEN,
    ServedHere,
    asked,
    called,
    connected,
    gateway_of,
    parsed,
    written,
)

from ringbridge import RingbridgeError
from ringbridge.host.gateway import Gateway

pytest_plugins = ["rbr_testing.http_fixtures"]

# ------------------------------------------------------------------------------------------ calls


def test_a_call_gives_its_value(gateway: Gateway) -> None:
    assert called(gateway, "add", 2, 3).json == {"value": 5}
    assert called(gateway, "add", 2, kwargs={"b": 40}).json == {"value": 42}
    assert asked(gateway, "POST", f"/call/{LENT}/add", {"kwargs": {"a": 1}}).json == {"value": 2}


def test_a_function_runs_where_it_belongs(gateway: Gateway) -> None:
    assert called(gateway, "where").json == {"value": "main here"}
    assert called(gateway, "where_else").json["value"] != "main here"


def test_what_a_generator_yields_and_an_async_function_returns_come_back(gateway: Gateway) -> None:
    assert called(gateway, "count", 3).json == {"value": [0, 1, 2]}
    assert called(gateway, "later", {"a": [1]}).json == {"value": {"a": [1]}}


def test_what_a_function_raises_is_told_with_its_traceback(gateway: Gateway) -> None:
    reply = called(gateway, "fail", "no such layer")
    error = reply.json["error"]
    assert (reply.status, error["type"], error["message"]) == (
        500,
        "builtins.ValueError",
        "no such layer",
    )
    assert error["traceback"].splitlines()[1].endswith("in fail")  # and nothing of ours above


def test_a_function_that_exits_ends_neither_the_application_nor_the_gateway(
    gateway: Gateway,
) -> None:
    assert called(gateway, "leave").json["error"]["type"] == "builtins.SystemExit"
    assert called(gateway, "add", 1).json == {"value": 2}


def test_about_tells_what_is_served_once_it_is_loaded(gateway: Gateway) -> None:
    called(gateway, "add", 1)
    about = asked(gateway, "GET", "/about").json
    assert about["modules"][LENT]["add"]["doc"] == "The sum."
    assert "hidden" not in about["modules"][LENT]


def test_text_of_any_language_crosses_both_ways(gateway: Gateway) -> None:
    text = 'é ß 日本 🐍 "\\ \n\x00'
    assert called(gateway, "echo", text).json == {"value": text}


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"/call/{LENT}/hidden", 403, "is not exposed"),
        (f"/call/{LENT}/ad", 404, "did you mean add"),
        ("/call/os/system", 403, "is not served by"),
        ("/call/rbr_testing.lent.add/x", 403, "is not served by"),
        (f"/call/{LENT}/__init__", 404, "no function"),
        (f"/call/{LENT}/add.__globals__", 403, "is not served by"),
        (f"/call/{LENT}/../os/getcwd", 404, "nothing is here"),
        ("/call/../lent/add", 404, "nothing is here"),
        ("/call/%2e%2e/add", 403, "is not served by"),
        ("/call/%2fetc%2fpasswd/add", 403, "is not served by"),
        (f"/call/{LENT}%00/add", 403, "is not served by"),
        ("/call/%ff/add", 400, "not UTF-8"),
        ("/etc/passwd", 404, "nothing is here"),
    ],
)
def test_a_path_leads_to_what_is_served_and_nowhere_else(
    gateway: Gateway, path: str, status: int, reason: str
) -> None:
    reply = asked(gateway, "POST", path, {})
    assert (reply.status, reason in reply.reason) == (status, True), reply.reason


def test_a_module_that_is_named_but_missing_is_not_found(served: ServedHere) -> None:
    with served_as("no_such_module_here") as gateway:
        reply = asked(gateway, "POST", "/call/no_such_module_here/f", {})
        assert (reply.status, "No module named" in reply.reason) == (404, True)


def test_a_module_whose_import_fails_tells_how() -> None:
    with served_as("rbr_testing.broken_import") as gateway:
        reply = asked(gateway, "POST", "/call/rbr_testing.broken_import/f", {})
        assert reply.status == 500
        assert "Traceback" in reply.json["error"]["traceback"]


@contextlib.contextmanager
def served_as(*what: str, **options: Any) -> Iterator[Gateway]:
    server = ServedHere(*what)
    with gateway_of(server, **options) as gateway:
        yield gateway
    server.close()


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"arguments": []},
        {"args": {}},
        {"kwargs": []},
        {"timeout": 0},
        {"timeout": "1"},
        {"timeout": True},
    ],
)
def test_a_body_of_another_form_is_refused(gateway: Gateway, body: Any) -> None:
    assert asked(gateway, "POST", f"/call/{LENT}/add", body).status == 400


# ----------------------------------------------------------------------------- many, and long ones


def test_while_a_call_is_long_others_are_answered(gateway: Gateway) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        long = pool.submit(called, gateway, "hold")
        assert lent.entered.wait(30)
        assert asked(gateway, "GET", "/about").json["name"] == "here"
        assert asked(gateway, "POST", "/", {"FunctionName": "is_online"}).json["ReturnValue"]
        many = [pool.submit(called, gateway, "where_else") for _ in range(40)]
        assert all(each.result().status == 200 for each in many)
        lent.release.set()
        assert long.result().json == {"value": "held"}


def test_many_calls_at_once_give_each_its_own_result(gateway: Gateway) -> None:
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        replies = list(pool.map(lambda n: called(gateway, "add", n, 0).json["value"], range(600)))
    assert replies == list(range(600))


def test_a_call_that_takes_too_long_is_told_and_one_that_has_not_begun_is_taken_back(
    gateway: Gateway,
) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        long = pool.submit(called, gateway, "hold")
        assert lent.entered.wait(30)
        late = called(gateway, "fail", "never runs", timeout=0.05)
        assert (late.status, late.json["error"]["type"]) == (504, "ringbridge.errors.CallTimeout")
        lent.release.set()
        assert long.result().status == 200


def test_calls_beyond_the_limit_are_refused_and_leave_room_for_what_is_quick(
    served: ServedHere,
) -> None:
    with gateway_of(served, threads_max=4) as gateway:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            held = [pool.submit(called, gateway, "hold_elsewhere") for _ in range(3)]
            until(lambda: len(lent.inside) == 3, "all places are taken")
            reply = called(gateway, "add", 1)
            assert (reply.headers["Retry-After"], "too many calls" in reply.reason) == ("1", True)
            assert asked(gateway, "GET", "/about").status == 200
            sky = asked(gateway, "POST", "/", {"FunctionName": "add", "Parameters": {"a": 1}})
            assert (sky.status, sky.json["Success"]) == (503, False)
            lent.release.set()
            assert all(each.result().status == 200 for each in held)
        assert called(gateway, "add", 1).status == 200


def test_a_crowd_beyond_all_places_waits_and_is_answered(served: ServedHere) -> None:
    pool = concurrent.futures.ThreadPoolExecutor(60)
    with gateway_of(served, threads_max=4) as gateway, pool:
        replies = list(pool.map(lambda n: called(gateway, "add", n), range(300)))
    assert {reply.status for reply in replies} <= {200, 503}
    values = [reply.json["value"] for reply in replies if reply.status == 200]
    assert values and values == [n + 1 for n, r in enumerate(replies) if r.status == 200]


# ----------------------------------------------------------------------------- other programs


def test_curl_calls_as_the_documentation_says(gateway: Gateway) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl here")
    large = json.dumps({"args": ["x" * 2_000_000]})  # curl asks first (Expect: 100-continue)
    for body, expected in (('{"args": [1, 2]}', 3), (large, "x" * 2_000_000)):
        function = "add" if expected == 3 else "echo"
        headers = ["-H", f"Authorization: Bearer {TOKEN}", "-H", "Content-Type: application/json"]
        said = subprocess.run(
            [curl, "-sS", *headers, "-d", "@-", f"{gateway.url}/call/{LENT}/{function}"],
            input=body,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert json.loads(said.stdout) == {"value": expected}


def test_javascript_calls_as_the_documentation_says(gateway: Gateway, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    script = tmp_path / "call.mjs"
    script.write_text(
        f"""
        const answer = await fetch("{gateway.url}/call/{LENT}/add", {{
          method: "POST",
          headers: {{
            "Authorization": "Bearer {TOKEN}", "Content-Type": "application/json"
          }},
          body: JSON.stringify({{ args: [1, 2] }}),
        }});
        console.log(answer.status, (await answer.json()).value);
        """
    )
    said = subprocess.run([node, script], capture_output=True, text=True, timeout=30)
    if "fetch is not defined" in said.stderr:
        pytest.skip("a node without fetch")
    assert said.stdout.split() == ["200", "3"], said.stderr


def test_a_client_that_is_told_to_go_on_before_it_sends_its_body_is_told(gateway: Gateway) -> None:
    body = b'{"args": [1, 2]}'
    head = written("POST", f"/call/{LENT}/add", body, {"Expect": "100-continue"})[: -len(body)]
    with connected(gateway) as sock:
        sock.sendall(head)
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert parsed(b"".join(iter(lambda: sock.recv(1000), b""))).json == {"value": 3}


# ------------------------------------------------------------------------------------- its life


def test_it_leaves_nothing_behind(served: ServedHere, nothing_left: None) -> None:
    for _ in range(3):
        with gateway_of(served) as gateway:
            assert called(gateway, "add", 1).status == 200
            idle = connected(gateway)
            until(lambda: len(gateway._listener._open) == 1, "it stands in the door")  # type: ignore[union-attr]
        assert idle.recv(1) == b""
        idle.close()
        gateway.stop()


def test_a_port_that_is_taken_is_told(served: ServedHere, gateway: Gateway) -> None:
    second = Gateway(served, port=gateway.port)
    with pytest.raises(RingbridgeError, match=f"port {gateway.port}: .*another program has"):
        second.start()
    second.stop()


def test_it_listens_at_this_machine_alone_unless_told_otherwise(gateway: Gateway) -> None:
    assert gateway.url == f"http://127.0.0.1:{gateway.port}"
    assert gateway._listener.socket.getsockname()[0] == "127.0.0.1"  # type: ignore[union-attr]


def test_at_an_address_of_ipv6_it_listens_too(served: ServedHere) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with (
            gateway_of(served, host="::1") as gateway,
            socket.create_connection(("::1", gateway.port), timeout=30) as sock,
        ):
            sock.sendall(written("GET", "/about"))
            assert sock.recv(12) == b"HTTP/1.1 200"
    except RingbridgeError as error:
        pytest.skip(str(error))


def test_without_tls_other_machines_are_warned_about(
    served: ServedHere, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), gateway_of(served, host="0.0.0.0"):
        pass
    assert "give tls=(cert, key)" in caplog.text


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_does_not_stop_its_parents_gateway(gateway: Gateway) -> None:
    child = os.fork()
    if child == 0:
        gateway.stop()
        os._exit(0)
    os.waitpid(child, 0)
    assert called(gateway, "add", 1).status == 200


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_parents_gateway_stops_and_starts_though_a_forked_child_has_its_descriptors(
    served: ServedHere,
) -> None:
    with gateway_of(served) as gateway:
        port = gateway.port
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        with gateway_of(served, port=port) as again:
            assert called(again, "add", 1).status == 200
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_client_that_knows_only_passwords_sends_the_token_as_one(gateway: Gateway) -> None:
    given = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    headers: dict[str, str | None] = {"Authorization": f"Basic {given}"}
    assert asked(gateway, "POST", f"/call/{LENT}/add", {"args": [1]}, headers).status == 200
