# SPDX-License-Identifier: MIT
"""pytest_plugins of the gateway's tests: a server and its gateway, for each test its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rbr_testing import lent
from rbr_testing.http_served import ServedHere, gateway_of
from ringbridge.host.gateway import Gateway


@pytest.fixture
def served() -> Iterator[ServedHere]:
    lent.entered.clear()
    lent.inside.clear()
    lent.release.clear()
    server = ServedHere()
    yield server
    lent.release.set()
    server.close()


@pytest.fixture
def gateway(served: ServedHere) -> Iterator[Gateway]:
    with gateway_of(served) as started:
        yield started
