# SPDX-License-Identifier: MIT
"""A runner: the process in which one peer lives. Reads commands, does turns, writes answers.

    python -m ringbridge.bench.runner_child '{"home": "module:Class", ...}'

Commands are lines of JSON on descriptor 0, answers on descriptor 1.

It may block anywhere, for ever: the main process kills it and all below it. When the main process
is gone, it ends by itself.
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import select
import sys
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

from ringbridge.bench import processes
from ringbridge.bench.peer import Peer, Settings, Unable
from ringbridge.bench.turns import Counter, Turns

_TEXT_MAX = 10_000


def main() -> int:
    options = json.loads(sys.argv[1])
    commands, answers = _private(0, os.O_RDONLY), _private(1, os.O_WRONLY)
    threading.Thread(target=_watch, args=(commands,), daemon=True).start()
    counter = Counter(memoryview(mmap.mmap(options["counter_fd"], mmap.PAGESIZE)))
    turns = _guarded(lambda: Turns(_maker(options), counter, tuple(options["cpus"])))
    with os.fdopen(commands, "r") as reader, os.fdopen(answers, "w") as writer:
        for line in iter(reader.readline, ""):
            name, parameters = json.loads(line)
            answer = _guarded(lambda: getattr(turns[0], name)(**parameters))  # noqa: B023
            if turns[0] is None:
                answer = turns
            writer.write(json.dumps(answer) + "\n")
            writer.flush()
    return 0


def _maker(options: dict[str, Any]) -> Callable[[], Peer]:
    module, _, name = options["home"].partition(":")
    kind = getattr(importlib.import_module(module), name)
    numbers = count()
    host_cpu, far_cpu = options["cpus"]

    def make() -> Peer:
        token = f"{options['token']}{next(numbers)}-"
        peer: Peer = kind(Settings(options["env"], token, (host_cpu, far_cpu)))
        return peer

    return make


def _guarded(work: Callable[[], Any]) -> tuple[Any, str, bool]:
    """(what came of it, why it did not, whether it never could)."""
    try:
        return work(), "", False
    except Unable as error:
        return None, str(error), True
    except BaseException as error:
        return None, f"{type(error).__name__}: {error}"[:_TEXT_MAX], False


def _private(fd: int, mode: int) -> int:
    """Moves a descriptor to where no child of ours inherits it, and nobody prints to it."""
    moved = os.dup(fd)
    if mode == os.O_WRONLY:
        os.dup2(2, fd)
    else:
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), fd)
    return moved


def _watch(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, 0)  # only whether the other end is closed
    poll.poll()
    processes.kill_tree(os.getpid())


if __name__ == "__main__":
    sys.exit(main())
