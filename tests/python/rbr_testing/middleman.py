# SPDX-License-Identifier: MIT
"""A worker's interpreter that is none: it stands between the host and the worker, and meddles.

python middleman.py BOOTSTRAP FD SETTINGS, started through a script that stands for a python. It
hands on all control messages, keeps a copy of every descriptor that they bring, and does what
MIDDLEMAN says:

resize       tries to resize what both have mapped, at random moments
punch        takes pages out of it
swap:NAME    offers the host another file in place of the worker's first arena segment (FILES)

Moments and places follow from MIDDLEMAN_SEED; what it counted stands in the file MIDDLEMAN_REPORT.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
KEEP_SIZE, PUNCH_HOLE = 1, 2
MESSAGE_BYTES = 65536

_libc = ctypes.CDLL(None, use_errno=True)


def fallocate(fd: int, mode: int, offset: int, size: int) -> None:
    result = _libc.fallocate(fd, mode, ctypes.c_longlong(offset), ctypes.c_longlong(size))
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def resize(fd: int, rng: random.Random) -> None:
    size = os.fstat(fd).st_size
    attempts: list[Callable[[], None]] = [
        lambda: os.ftruncate(fd, 0),
        lambda: os.ftruncate(fd, rng.randrange(size)),
        lambda: os.ftruncate(fd, size + 4096),
        lambda: fallocate(fd, 0, size, 4096),
    ]
    rng.choice(attempts)()


def punch(fd: int, rng: random.Random) -> None:
    size = os.fstat(fd).st_size
    fallocate(fd, PUNCH_HOLE | KEEP_SIZE, rng.randrange(size) & ~4095, 4096 << rng.randrange(8))


# -------------------------------------------------------------------------- what is offered instead


def memfd(size: int, seals: int) -> int:
    fd = os.memfd_create("other", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if size:
        os.posix_fallocate(fd, 0, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def with_holes(size: int) -> int:
    fd = memfd(0, 0)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


def of_shm(size: int) -> int:
    path = f"/dev/shm/middleman-{os.getpid()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)
    os.posix_fallocate(fd, 0, size)
    return fd


NOT_SEALED = "ProtocolError: the peer offers a segment that is not sealed"
NOT_MAPPED = "could not map"

#: name -> what makes a descriptor instead of one of so many bytes, and what the host says to it
FILES: dict[str, tuple[Callable[[int], int], str]] = {
    # Mapped, and found to hold nothing of what the worker says is there.
    "as it should be": (lambda size: memfd(size, SEALS), "ProtocolError: a payload reference is"),
    "not sealed": (lambda size: memfd(size, 0), NOT_SEALED),
    "sealed against growth only": (lambda size: memfd(size, fcntl.F_SEAL_GROW), NOT_SEALED),
    "sealed against seals only": (lambda size: memfd(size, fcntl.F_SEAL_SEAL), NOT_SEALED),
    "of /dev/shm": (of_shm, NOT_SEALED),
    "a device": (lambda _size: os.open("/dev/zero", os.O_RDWR), NOT_SEALED),
    "a pipe": (lambda _size: os.pipe()[0], NOT_SEALED),
    "too small": (lambda size: memfd(size - 4096, SEALS), NOT_MAPPED),
    "empty": (lambda _size: memfd(0, SEALS), NOT_MAPPED),
    "with holes": (with_holes, NOT_MAPPED),
    "not to be written": (lambda size: memfd(size, SEALS | fcntl.F_SEAL_WRITE), NOT_MAPPED),
}

# ----------------------------------------------------------------------------------- in the middle


class Middleman:
    def __init__(self, host: socket.socket, worker: socket.socket, what: str) -> None:
        self.host, self.worker = host, worker
        self.what, _, self.file = what.partition(":")
        self.kept: list[int] = []
        self.counts: Counter[str] = Counter()

    def pass_on(self, source: socket.socket, to: socket.socket) -> bool:
        message, fds, _flags, _address = socket.recv_fds(source, MESSAGE_BYTES, 8)
        if not message:
            return False
        given = list(fds)
        if given and source is self.worker and self.file:
            given = [FILES[self.file][0](os.fstat(given[0]).st_size)]
            self.file = ""
            self.counts["swapped"] += 1
            self.report()
        socket.send_fds(to, [message], given)
        self.kept += fds
        return True

    def report(self) -> None:
        """Whole or not at all: the host may kill us at any time."""
        path = os.environ["MIDDLEMAN_REPORT"]
        with open(path + ".new", "w") as report:
            json.dump(self.counts, report)
        os.replace(path + ".new", path)

    def meddle(self) -> None:
        rng = random.Random(os.environ["MIDDLEMAN_SEED"])
        act = {"resize": resize, "punch": punch}[self.what]
        while True:
            time.sleep(rng.random() * 0.002)
            if not self.kept:
                continue
            try:
                act(rng.choice(self.kept), rng)
                self.counts["done"] += 1
            except OSError as error:
                self.counts[errno.errorcode[error.errno or 0]] += 1
            self.report()

    def run(self) -> None:
        if self.what != "swap":
            threading.Thread(target=self.meddle, daemon=True).start()
        other = {self.host: self.worker, self.worker: self.host}
        with contextlib.suppress(OSError):  # one of them has gone
            while all(self.pass_on(each, other[each]) for each in select.select(other, [], [])[0]):
                pass


def main() -> None:
    bootstrap, fd, settings = sys.argv[1:4]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, bootstrap, str(theirs.fileno()), settings]
    worker = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    middleman = Middleman(socket.socket(fileno=int(fd)), ours, os.environ["MIDDLEMAN"])
    middleman.run()
    middleman.host.close()
    ours.close()
    sys.exit(worker.wait())


if __name__ == "__main__":
    main()
