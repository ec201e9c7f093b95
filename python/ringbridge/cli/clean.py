# SPDX-License-Identifier: MIT
"""`ringbridge clean`: removes what dead processes left behind.

Each kind of thing is a function from the options to a list of `Item`; _KINDS has them all. An item
says what it is and how it goes away; telling about it and going on after a failure is done here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ringbridge import rendezvous, running
from ringbridge.activation import cache
from ringbridge.cli import plain
from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_FAILED = 1
_KILL_S = 5.0  # SIGKILL needs no time, unless the process is stuck in the kernel
_NAP_S = 0.005


@dataclass(frozen=True)
class Item:
    """A thing that is left over. `remove` raises OSError; None: it is only told about.

    `why` says why it may go, `done` is the word for it when it has gone, `left` the one
    for it when it is only told about.
    """

    what: str
    name: str
    bytes: int | None
    why: str
    remove: Callable[[], None] | None
    pid: int | None = None
    done: str = "removed"
    left: str = "left"


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "clean",
        help="remove what dead processes left behind",
        description="Removes the shared memory of this user whose makers were killed before they "
        "could take its name away, sockets of applications that ended without doing so, and what "
        "is kept of the activation of environments that are gone; and tells of workers that still "
        "run though their host has gone. "
        "What belongs to a process that lives is not touched. Exit code 1: something could not be "
        "removed; the rest was.",
    )
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    parser.add_argument(
        "--kill",
        action="store_true",
        help="end the workers whose host has gone, with SIGKILL and with what they have started",
    )
    parser.add_argument("--json", action="store_true", help="a list of objects instead of lines")
    parser.set_defaults(verb=clean, folder=running.SHARED_MEMORY, workers=running.workers)


def clean(options: argparse.Namespace) -> int:
    documents = []
    for item in (item for kind in _KINDS for item in kind(options)):
        document = _clean(item, options.dry_run)
        documents.append(document)
        if not options.json:
            _tell(item, document)
    if options.json:
        print(json.dumps(documents, indent=1))
    elif not documents:
        plain.say("Nothing is left over.")
    return _FAILED if any(each["error"] for each in documents) else 0


def _clean(item: Item, dry_run: bool) -> dict[str, Any]:
    result, error = "left", None
    if item.remove is not None and not dry_run:
        try:
            item.remove()
            result = item.done
        except OSError as refusal:
            error = refusal.strerror or str(refusal)
    return {
        "what": item.what,
        "name": item.name,
        "pid": item.pid,
        "bytes": item.bytes,
        "why": item.why,
        "result": result,
        "error": error,
    }


def _tell(item: Item, document: dict[str, Any]) -> None:
    pid = "" if item.pid is None else f"pid {item.pid}, "
    name = f"{item.what} {plain.printable(item.name)}"
    thing = f"{name} ({pid}{plain.size(item.bytes)}): {item.why}"
    if document["error"]:
        sys.stdout.flush()  # so that the two stand in their order where they go to the same file
        print(
            f"ringbridge clean: not {item.done}: {thing}: {plain.printable(document['error'])}",
            file=sys.stderr,
        )
    elif document["result"] == "left":
        plain.say(f"{f'would be {item.done}' if item.remove else item.left}: {thing}")
    else:
        plain.say(f"{item.done}: {thing}")


# -------------------------------------------------------------------------------------- segments


def _segments(options: argparse.Namespace) -> list[Item]:
    return [
        Item("segment", left.path, left.bytes, left.why, partial(_unlink, left.path))
        for left in running.leftovers(options.folder)
    ]


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # somebody else cleans, too
        if not running.is_ours(os.lstat(path)):
            raise OSError("it is not a file of this user any more")
        os.unlink(path)


# --------------------------------------------------------------------------------------- sockets


def _sockets(_options: argparse.Namespace) -> list[Item]:
    try:
        found = rendezvous.dead_sockets()
    except RingbridgeError:  # a folder that is not ours alone: whoever serves or connects is told
        return []
    return [Item("socket", each.path, 0, each.why, partial(_remove_socket, each)) for each in found]


def _remove_socket(dead: rendezvous.DeadSocket) -> None:
    if dead in rendezvous.dead_sockets():  # somebody else cleans, too, or serves there by now
        os.unlink(dead.path)


# --------------------------------------------------------------------------------------- workers


def _orphans(options: argparse.Namespace) -> list[Item]:
    found = []
    for worker in options.workers():
        if worker.host_gone:
            why = f"it is {worker.state}, and its host has gone"
            why += "" if options.kill else "; --kill ends it"
            kill = partial(_kill, worker) if options.kill else None
            name = "-" if worker.name is None else worker.name
            item = Item(
                "worker", name, worker.memory_bytes, why, kill, worker.pid, "killed", "still runs"
            )
            found.append(item)
    return found


def _kill(worker: running.RunningWorker) -> None:
    """Ends the worker and what it has started, as its host would have done."""
    if running.start_of(worker.pid) != worker.start:
        return  # it has ended by itself
    members = running.group_of(worker.pid)
    for pid, start in members:
        _kill_one(pid, start)
    until = time.monotonic() + _KILL_S
    for pid, start in members:
        while running.start_of(pid) == start:
            if time.monotonic() > until:
                raise OSError(f"process {pid} has not ended within {_KILL_S:g} s")
            time.sleep(_NAP_S)


def _kill_one(pid: int, start: int) -> None:
    """By a pidfd where there is one: a pid may be somebody else's between a look and a kill."""
    with contextlib.suppress(ProcessLookupError), contextlib.ExitStack() as stack:
        kill = partial(os.kill, pid)
        with contextlib.suppress(AttributeError, OSError):  # before Linux 5.3, or a sandbox
            handle = os.pidfd_open(pid)
            stack.callback(os.close, handle)
            kill = partial(signal.pidfd_send_signal, handle)
        if running.start_of(pid) == start:
            kill(signal.SIGKILL)


# ----------------------------------------------------------------------------------- activations


def _activations(_options: argparse.Namespace) -> list[Item]:
    found = []
    for path, why, by_hand in cache.forgotten():
        with contextlib.suppress(OSError):  # somebody else has just removed it
            size = os.lstat(path).st_size
            # A person's work stays: the environment may lie on a disk that is not mounted now.
            remove = None if by_hand else partial(os.unlink, path)
            found.append(Item("activation", path, size, why, remove))
    return found


_KINDS: tuple[Callable[[argparse.Namespace], list[Item]], ...] = (
    _segments,
    _sockets,
    _orphans,
    _activations,
)
