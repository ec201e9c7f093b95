# SPDX-License-Identifier: MIT
"""The HTTP gateway with a certificate: calls are encrypted, and the limits are the same."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from rbr_testing.http_served import (
    LENT,
    Reply,
    ServedHere,
    all_of,
    connected,
    exchanged,
    gateway_of,
    parsed,
    written,
)

from ringbridge import RingbridgeError
from ringbridge.host.gateway import Gateway

pytest_plugins = ["rbr_testing.http_fixtures"]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost, signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here")
    folder = tmp_path_factory.mktemp("tls")
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [openssl, "req", "-x509", *options, *names, "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return files


def asked_by_tls(gateway: Gateway, context: ssl.SSLContext, request: bytes) -> Reply:
    with connected(gateway) as plain, context.wrap_socket(plain, server_hostname="localhost") as s:
        s.sendall(request)
        answer = b""
        with contextlib.suppress(ssl.SSLError, ConnectionResetError):  # an end without a goodbye
            while part := s.recv(1 << 16):
                answer += part
        return parsed(answer)


def test_with_a_certificate_calls_are_encrypted(
    served: ServedHere, certificate: tuple[str, str]
) -> None:
    context = ssl.create_default_context(cafile=certificate[0])
    with gateway_of(served, tls=certificate) as gateway:
        assert gateway.url.startswith("https://")
        request = written("POST", f"/call/{LENT}/add", b'{"args": [1, 2]}')
        assert asked_by_tls(gateway, context, request).json == {"value": 3}
        wrong = written("GET", "/about", headers={"Authorization": None})
        assert asked_by_tls(gateway, context, wrong).status == 401
        long = written("POST", "/", b"", {"Content-Length": str(1 << 40)})
        assert asked_by_tls(gateway, context, long).status == 413
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(ssl.SSLError), contextlib.suppress(ConnectionResetError):
            asked_by_tls(gateway, old, request)  # which trusts nobody
        assert exchanged(gateway, request)[:5] != b"HTTP/"  # not encrypted: no answer
        assert asked_by_tls(gateway, context, request).status == 200


def test_a_certificate_that_cannot_be_read_is_told(served: ServedHere, tmp_path: Path) -> None:
    with pytest.raises(RingbridgeError, match=r"tls: cannot use .*nothing\.pem"):
        Gateway(served, tls=(str(tmp_path / "nothing.pem"), "key.pem"))


def test_who_never_greets_is_put_out(served: ServedHere, certificate: tuple[str, str]) -> None:
    with gateway_of(served, tls=certificate, request_s=0.2) as gateway, connected(gateway) as sock:
        sock.sendall(b"\x16\x03")  # the first bytes of a greeting
        assert all_of(sock)[:5] != b"HTTP/"  # an alert at most


def test_the_handshake_of_one_keeps_nobody_waiting(
    served: ServedHere, certificate: tuple[str, str]
) -> None:
    context = ssl.create_default_context(cafile=certificate[0])
    with gateway_of(served, tls=certificate) as gateway, connected(gateway):
        assert asked_by_tls(gateway, context, written("GET", "/about")).status == 200
