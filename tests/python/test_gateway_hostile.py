# SPDX-License-Identifier: MIT
"""What an HTTP gateway refuses, a test for each refusal; and what no request may do to it."""

from __future__ import annotations

import contextlib
import random
import socket

import pytest
from rbr_testing import lent
from rbr_testing.eventually import until
from rbr_testing.http_served import (
    LENT,
    TOKEN,
    Reply,
    ServedHere,
    all_of,
    asked,
    called,
    connected,
    exchanged,
    gateway_of,
    parsed,
    spoiled,
    written,
)

from ringbridge.host.gateway import Gateway
from ringbridge.host.http_request import HEAD_BYTES_MAX

pytest_plugins = ["rbr_testing.http_fixtures"]

ADD = f"/call/{LENT}/add"
BODY = b'{"args": [1]}'

# -------------------------------------------------------------------------------------- the token


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        TOKEN,
        f"Digest {TOKEN}",
        "Basic",
        "Basic ????",
        "Basic YTpi",
        f"Basic {TOKEN}",
        "Bearer \xe9\xff",
    ],
)
def test_without_the_token_nothing_is_told_and_nothing_runs(
    gateway: Gateway, given: str | None
) -> None:
    headers = {"Authorization": given}
    for request in (("GET", "/about"), ("GET", "/x"), ("POST", "/"), ("POST", ADD), ("POST", "/x")):
        body = {"args": [1]} if request[0] == "POST" else None
        reply = asked(gateway, *request, body, headers)
        assert (reply.status, reply.headers["WWW-Authenticate"].split()[0]) == (401, "Bearer")
        assert "Authorization: Bearer TOKEN" in reply.reason
        assert LENT not in reply.reason


def test_the_token_in_the_address_serves_a_get_alone(gateway: Gateway) -> None:
    nothing: dict[str, str | None] = {"Authorization": None}
    assert asked(gateway, "GET", f"/about?token={TOKEN}", None, nothing).status == 200
    assert asked(gateway, "GET", "/about?token=wrong", None, nothing).status == 401
    assert asked(gateway, "GET", f"/about?token=&token={TOKEN}", None, nothing).status == 401
    assert asked(gateway, "POST", f"{ADD}?token={TOKEN}", {"args": [1]}, nothing).status == 401


def test_a_wrong_header_is_not_made_good_by_the_address(gateway: Gateway) -> None:
    wrong: dict[str, str | None] = {"Authorization": "Bearer wrong"}
    assert asked(gateway, "GET", f"/about?token={TOKEN}", None, wrong).status == 401


def test_a_password_that_a_browser_adds_by_itself_does_not_serve_a_get(gateway: Gateway) -> None:
    basic = {"Authorization": "Basic " + "YTphLXRva2VuLW9mLXRoZS10ZXN0cw=="}  # a:TOKEN
    assert asked(gateway, "POST", ADD, {"args": [1]}, basic).status == 200
    assert asked(gateway, "GET", "/about", None, basic).status == 401


@pytest.mark.parametrize("token", ["short", "fifteen-letters", "with a space in it", "é" * 20])
def test_a_token_that_protects_nothing_is_refused(served: ServedHere, token: str) -> None:
    with pytest.raises(ValueError, match="at least 16 characters"):
        Gateway(served, token=token)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.168.0.7", "127.0.0.1.example.org", "::"])
def test_other_machines_are_never_let_in_without_a_token(served: ServedHere, host: str) -> None:
    with pytest.raises(ValueError, match="needs a token"):
        Gateway(served, host=host, token=None)


def test_tokens_that_are_made_differ_and_are_long(served: ServedHere) -> None:
    tokens = {Gateway(served).token for _ in range(20)}
    assert len(tokens) == 20 and all(token and len(token) >= 43 for token in tokens)


# -------------------------------------------------------------------------------------- web pages


@pytest.mark.parametrize("token", [TOKEN, None])
def test_a_web_page_that_was_not_named_is_refused(served: ServedHere, token: str | None) -> None:
    with gateway_of(served, token=token, origins=["https://tools.example"]) as gateway:
        for origin in ("https://evil.example", "null", "https://tools.example.evil", ""):
            page: dict[str, str | None] = {"Origin": origin}
            for method, path, body in (("GET", "/about", None), ("POST", ADD, {"args": [1]})):
                reply = asked(gateway, method, path, body, page)
                assert (reply.status, "name its origin" in reply.reason) == (403, True)
                assert "Access-Control-Allow-Origin" not in reply.headers
            assert asked(gateway, "OPTIONS", ADD, None, page).status == 403


def test_a_web_page_that_was_named_may_call_and_read(served: ServedHere) -> None:
    page: dict[str, str | None] = {"Origin": "https://tools.example"}
    with gateway_of(served, origins=["https://tools.example"]) as gateway:
        before = asked(gateway, "OPTIONS", ADD, None, {**page, "Authorization": None})
        assert (before.status, before.body) == (204, b"")
        assert "Authorization" in before.headers["Access-Control-Allow-Headers"]
        reply = asked(gateway, "POST", ADD, {"args": [1]}, page)
        assert reply.json == {"value": 2}
        assert reply.headers["Access-Control-Allow-Origin"] == "https://tools.example"
        refused = asked(gateway, "POST", ADD, {"args": [1]}, {**page, "Authorization": None})
        assert (refused.status, "Access-Control-Allow-Origin" in refused.headers) == (401, True)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:65504", 200),
        ("LOCALHOST", 200),
        ("[::1]:1", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:65504", 403),
        ("evil.example:127.0.0.1", 403),
        ("127.0.0.1@evil.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
        (None, 403),
    ],
)
def test_without_a_token_a_page_that_moves_its_name_to_this_machine_is_refused(
    served: ServedHere, host: str | None, status: int
) -> None:
    with gateway_of(served, token=None) as gateway:
        reply = asked(gateway, "POST", ADD, {"args": [1]}, {"Host": host, "Authorization": None})
        assert reply.status == status


def test_without_a_token_a_link_calls_nothing(served: ServedHere) -> None:
    with gateway_of(served, token=None) as gateway:
        reply = asked(gateway, "GET", "/%22hold%22&%7B%7D", None, {"Authorization": None})
        assert (reply.status, "as any link could" in reply.reason) == (403, True)
        assert not lent.entered.is_set()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_a_body_that_a_web_form_could_send_is_refused(gateway: Gateway, kind: str | None) -> None:
    reply = asked(gateway, "POST", ADD, {"args": [1]}, {"Content-Type": kind})
    assert (reply.status, "Content-Type: application/json" in reply.reason) == (415, True)


# ------------------------------------------------------------------- two requests in one, and heads


def raw(gateway: Gateway, *lines: str, body: bytes = BODY) -> Reply:
    usual = ["Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json"]
    head = "\r\n".join([f"POST {ADD} HTTP/1.1", *usual, *lines, "", ""])
    return parsed(exchanged(gateway, head.encode("latin-1") + body))


LENGTH = f"Content-Length: {len(BODY)}"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([LENGTH], 200),
        ([], 411),
        ([LENGTH, "Content-Length: 0"], 400),
        ([LENGTH, LENGTH], 400),
        ([f"{LENGTH}, {len(BODY)}"], 400),
        ([f"Content-Length: +{len(BODY)}"], 400),
        (["Content-Length: 1_3"], 400),
        (["Content-Length: 0x0d"], 400),
        (["Content-Length: -1"], 400),
        (["Content-Length: \xb9\xb3"], 400),  # digits to int(), in small print
        (["Content-Length:"], 400),
        (["Content-Length : 13"], 400),
        ([" Content-Length: 13"], 400),
        (["Transfer-Encoding: chunked"], 411),
        ([LENGTH, "Transfer-Encoding: chunked"], 411),
        ([LENGTH, "Transfer-Encoding: identity"], 411),
        ([LENGTH, "transfer-encoding:\tchunked"], 411),
        ([LENGTH, "X: a\rTransfer-Encoding: chunked"], 411),
        ([LENGTH, "no colon here"], 400),
        ([LENGTH, "Transfer-Encoding\x0b: chunked"], 400),
        ([LENGTH, "X(Y): a"], 400),
        ([LENGTH, "X: a", " Content-Length: 0"], 400),
        ([LENGTH, "Host: 127.0.0.1"], 400),
        ([LENGTH, "Authorization: Bearer x"], 400),
        ([LENGTH, "Content-Type: text/plain"], 400),
        ([LENGTH, "Origin: a", "Origin: b"], 400),
        (["Content-Length: 99999999999999999999999"], 400),
        (["Content-Length: 99999999999"], 413),
        ([LENGTH, *(f"X-{n}: y" for n in range(200))], 431),
    ],
)
def test_a_head_that_two_programs_could_read_differently_is_refused(
    gateway: Gateway, lines: list[str], status: int
) -> None:
    reply = raw(gateway, *lines)
    assert reply.status == status, reply
    assert reply.headers["Connection"] == "close"


def test_what_stands_behind_a_request_is_never_another_one(gateway: Gateway) -> None:
    second = written("POST", f"/call/{LENT}/hold", b"{}")
    answer = exchanged(gateway, written("POST", ADD, BODY) + second)
    assert (parsed(answer).json, answer.count(b"HTTP/1.1")) == ({"value": 2}, 1)
    for refused in (413, 401):
        headers = {"Authorization": None} if refused == 401 else {"Content-Length": "99999999"}
        answer = exchanged(gateway, written("POST", ADD, b"", headers) + second)
        assert (parsed(answer).status, answer.count(b"HTTP/1.1")) == (refused, 1)
    assert called(gateway, "add", 1).status == 200
    assert not lent.entered.is_set()


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET /about", 400),  # HTTP/0.9, which has no headers
        ("GET /about HTTP/2.0", 505),
        ("GET /about HTTP/1.1 x", 400),
        ("GET  HTTP/1.1", 400),
        ("GET http://127.0.0.1/about HTTP/1.1", 400),
        ("GET about HTTP/1.1", 400),
        ("DELETE /about HTTP/1.1", 501),
        ("CONNECT 127.0.0.1:22 HTTP/1.1", 501),
        ("PUT /remote/object/call HTTP/1.1", 501),
        ("\x00\x01\x02", 400),
        ("GET /" + "a" * HEAD_BYTES_MAX + " HTTP/1.1", 431),
    ],
)
def test_a_first_line_that_is_none_is_refused(gateway: Gateway, first: str, status: int) -> None:
    rest = f"\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    answer = exchanged(gateway, first.encode() + rest.encode())
    assert parsed(answer).status == status
    assert b"<" not in answer  # no page, in which a request could stand as HTML


def test_a_head_without_end_is_refused_before_it_fills_the_memory(gateway: Gateway) -> None:
    line = b"X: " + b"y" * 4000 + b"\r\n"
    answer = exchanged(gateway, b"GET /about HTTP/1.1\r\n" + line * 1000)
    assert parsed(answer).status == 431


def test_a_head_that_ends_in_its_midst_is_no_request(gateway: Gateway) -> None:
    whole = written("GET", "/about")
    with connected(gateway) as sock:
        sock.sendall(whole[:-2])
        sock.shutdown(socket.SHUT_WR)
        assert parsed(all_of(sock)).status == 400


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x=1", "a\nX-Injected: 1", "\r\n\r\n<script>"])
def test_no_text_of_a_request_becomes_a_header(served: ServedHere, text: str) -> None:
    quoted = "".join(f"%{ord(letter):02x}" for letter in text)
    with gateway_of(served, origins=["https://tools.example"]) as gateway:
        for path in (f"/call/{quoted}/f", f"/call/{LENT}/{quoted}", f"/{quoted}"):
            reply = asked(gateway, "POST", path, {})
            assert reply.status in (403, 404)
            assert not {"Set-Cookie", "X-Injected"} & reply.headers.keys()
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
        reply = called(gateway, "fail", text)
        assert reply.json["error"]["message"] == text
        assert not {"Set-Cookie", "X-Injected"} & reply.headers.keys()


# ------------------------------------------------------------------------------ too much, too slow


def test_a_body_over_the_limit_is_refused_before_it_is_read(served: ServedHere) -> None:
    with gateway_of(served, body_bytes_max=1000) as gateway:
        assert called(gateway, "echo", "x" * 900).status == 200
        with connected(gateway) as sock:
            sock.sendall(written("POST", ADD, b"", {"Content-Length": "1001"}))
            reply = parsed(all_of(sock))  # not a byte of it was sent
        assert (reply.status, "rb.connect()" in reply.reason) == (413, True)


def test_a_client_that_sends_a_body_over_the_limit_hears_the_reason(gateway: Gateway) -> None:
    size = 40 << 20
    with connected(gateway) as sock:
        sock.sendall(written("POST", ADD, b"", {"Content-Length": str(size)}))
        for _ in range(size >> 20):
            sock.sendall(bytes(1 << 20))
        assert parsed(all_of(sock)).status == 413


def answers(gateway: Gateway) -> bool:
    """Whether it does; where so little time is given, not each client on a busy machine is."""
    return exchanged(gateway, written("GET", "/about")).startswith(b"HTTP/1.1 200")


def slow_parts() -> list[list[bytes]]:
    request = written("POST", ADD, BODY)
    return [[request[:10]], [request[:-20]], [request[:-1]], []]


@pytest.mark.parametrize("parts", slow_parts(), ids=["line", "body", "last", "silent"])
def test_who_is_too_slow_is_put_out(served: ServedHere, parts: list[bytes]) -> None:
    with gateway_of(served, request_s=0.2) as gateway, connected(gateway) as sock:
        for part in parts:
            sock.sendall(part)
        answer = all_of(sock)
        assert answer == b"" if not parts else parsed(answer).status == 408
        until(lambda: answers(gateway), "it is as before")


def test_a_byte_now_and_then_does_not_lengthen_the_time(served: ServedHere) -> None:
    with gateway_of(served, request_s=0.2) as gateway, connected(gateway) as sock:
        sock.sendall(b"GET /about HTTP/1.1\r\n")
        sock.settimeout(0.02)

        def is_over() -> bool:
            with contextlib.suppress(TimeoutError, socket.timeout):
                sock.recv(1000)
                return True
            sock.send(b"X")
            return False

        with contextlib.suppress(ConnectionError):
            until(is_over, "it is put out")


def test_a_client_that_does_not_take_its_answer_is_put_out(served: ServedHere) -> None:
    with gateway_of(served, request_s=0.2) as gateway, connected(gateway) as sock:
        sock.sendall(written("POST", f"/call/{LENT}/make", b'{"args": ["\'x\' * 50000000"]}'))
        assert gateway._listener is not None
        until(lambda: gateway._listener._open, "it is in")  # type: ignore[union-attr]
        until(lambda: not gateway._listener._open, "it is out")  # type: ignore[union-attr]
        until(lambda: answers(gateway), "it is as before")


def test_silent_connections_keep_nobody_out(served: ServedHere) -> None:
    with gateway_of(served, threads_max=8) as gateway, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(gateway)) for _ in range(50)]
        for _ in range(20):
            assert called(gateway, "add", 1).status == 200
        assert silent[0].recv(1) == b""


# ------------------------------------------------------------------------------------- whatever


def test_a_thousand_malformed_requests_leave_it_as_it_was(gateway: Gateway) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    before = called(gateway, "add", 1).json
    for _ in range(1000):
        answer = exchanged_and_ended(gateway, spoiled(chance))
        if answer:  # some stay whole: what was spoiled was a space, or text
            reply = parsed(answer)
            assert reply.status == 204 or isinstance(reply.json, dict), answer
    assert called(gateway, "add", 1).json == before
    until(lambda: not gateway._listener._open, "all are out")  # type: ignore[union-attr]


def exchanged_and_ended(gateway: Gateway, request: bytes) -> bytes:
    with connected(gateway) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, OSError):
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
        return all_of(sock)
