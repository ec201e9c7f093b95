# SPDX-License-Identifier: MIT
"""The plots of this user that run, as each tells; and the one that is meant by a name."""

from __future__ import annotations

from dataclasses import dataclass

from ringbridge import rendezvous
from ringbridge.errors import RingbridgeError
from ringbridge.plot.letters import entry
from ringbridge.running_hosts import told_by_all


@dataclass(frozen=True)
class RunningPlot:
    """A plot, as its computation tells. Of one that did not, `view` is "?", and `busy` says why."""

    name: str
    pid: int
    view: str
    since_s: float | None
    viewers: int
    busy: str | None
    path: str


def plots(timeout_s: float = 1.0) -> list[RunningPlot]:
    """The plots of this user, by name and pid; each has that long to answer.

    No computation is waited for. Raises RingbridgeError where the folder of their sockets is not of
    this user alone. From any thread.
    """
    return [
        RunningPlot(
            name=address.name,
            pid=address.pid,
            view=entry(told, "view", str, "?"),
            since_s=entry(told, "since_s", float, None),
            viewers=entry(told, "viewers", int, 0),
            busy=entry(told, "busy", str, None),
            path=address.path,
        )
        for address, told in told_by_all(rendezvous.PLOT, timeout_s)
    ]


def find_plot(name: str) -> rendezvous.Address:
    """Where the plot is that is meant by its name, or by name.pid where several have that name.

    Raises HostNotFound, which lists what there is; RingbridgeError where several fit.
    """
    there = rendezvous.addresses(rendezvous.PLOT)
    found = [each for each in there if name in (each.name, f"{each.name}.{each.pid}")]
    if not found:
        raise rendezvous.not_found(repr(name), rendezvous.PLOT)
    if len(found) > 1:
        several = ", ".join(f"{each.name}.{each.pid}" for each in found)
        raise RingbridgeError(f"several plots are called {name!r}: say which, one of {several}")
    return found[0]
