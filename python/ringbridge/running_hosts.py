# SPDX-License-Identifier: MIT
"""The served applications that run: each is asked, and says what it is. Plots are asked so, too.

Knows the knock, and no channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringbridge import rendezvous
from ringbridge.errors import CallTimeout, HostNotFound, RingbridgeError


@dataclass(frozen=True)
class RunningHost:
    """A served application, as it told of itself. One that did not tell: `application` is "?", and
    `busy` says why."""

    name: str
    pid: int
    application: str
    python: str | None
    document: str | None
    modules: tuple[str, ...]
    clients: int
    since_s: float | None
    busy: str | None
    path: str


def hosts(timeout_s: float = 1.0) -> list[RunningHost]:
    """The served applications of this user, by name and pid; each has that long to answer.

    The main thread of none is waited for. Raises RingbridgeError where their folder is not of this
    user alone. From any thread.
    """
    told = told_by_all(rendezvous.APPLICATION, timeout_s)
    return [_described(address, said) for address, said in told]


def told_by_all(
    kind: rendezvous.Kind, timeout_s: float
) -> list[tuple[rendezvous.Address, dict[str, Any]]]:
    """What each of that kind tells of itself, as it stands in its answer; all are asked at the same
    time. `busy` says why one has told nothing. Raises what `rendezvous.addresses` does."""
    there = rendezvous.addresses(kind)
    if not there:
        return []
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(there), "ringbridge hosts") as asking:
        told = asking.map(lambda address: _told(address, timeout_s), there)
        return [(at, said) for at, said in zip(there, told) if said is not None]


def _told(address: rendezvous.Address, timeout_s: float) -> dict[str, Any] | None:
    """None: it is there no more."""
    try:
        told, peer = rendezvous.knock(address, "about", timeout_s=timeout_s)
        peer.close()
    except HostNotFound:
        return None
    except CallTimeout:
        return {"busy": "does not answer"}
    except (RingbridgeError, OSError) as error:
        return {"busy": str(error)}
    return told


def _described(address: rendezvous.Address, told: dict[str, Any]) -> RunningHost:
    """What is not told, or not as it should be, counts as not known."""

    def text(key: str) -> str | None:
        value = told.get(key)
        return value if isinstance(value, str) else None

    modules, clients, since = told.get("modules"), told.get("clients"), told.get("since_s")
    names = modules if isinstance(modules, (list, dict)) else ()
    return RunningHost(
        name=address.name,
        pid=address.pid,
        application=text("application") or "?",
        python=text("python"),
        document=text("document"),
        modules=tuple(str(each) for each in names),
        clients=clients if isinstance(clients, int) else 0,
        since_s=float(since) if isinstance(since, (int, float)) else None,
        busy=text("busy"),
        path=address.path,
    )
