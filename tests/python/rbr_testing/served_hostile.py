# SPDX-License-Identifier: MIT
"""Clients that lie to an application: they write into the shared memory behind their core's back.

python -m rbr_testing.served_hostile WHAT NAME ...
    frames NAME FOLDER COUNT SEED    bad frames, each over a channel of its own; how many ended it
    scribble NAME ROUNDS SEED        random words in the rings' header

Knows the layout that csrc/core/layout.h draws. May well end badly itself.
"""

from __future__ import annotations

import ctypes
import random
import sys
import threading
import time
from pathlib import Path

import ringbridge
from rbr_testing.bad_frames import Anatomy, bends
from rbr_testing.hostile import HEADER, rings
from rbr_testing.served import DUTIES
from ringbridge import _core

TAIL_AT = 3 * 128  # of ring 0, which carries our requests
HEADER_BYTES = 3 * 128 + 2 * 256 + 2 * 128
#: In which the calls of a good client have the application look at all lanes.
LONG_S = 20.0


def put(base: int, data: int, frame: bytes) -> None:
    """A record that no core has seen."""
    tail = ctypes.c_uint64.from_address(base + TAIL_AT)
    room = -(-len(frame) // 8) * 8
    record = HEADER.pack(len(frame), 0) + frame.ljust(room, b"\0")
    ctypes.memmove(data + tail.value, record, len(record))
    tail.value += len(record)


def bad_frames(folder: Path, count: int, chance: random.Random) -> list[bytes]:
    found = []
    for path in sorted(folder.glob("*.bin")):
        frame = path.read_bytes()
        places = list(bends(Anatomy(frame)))
        found += [bend.applied_to(frame) for bend in chance.sample(places, min(40, len(places)))]
    chance.shuffle(found)
    return found[:count]


def send_frames(name: str, folder: str, count: int, seed: int) -> None:
    good = ringbridge.connect(name)
    add = good.load(DUTIES).add
    ended = 0
    frames = bad_frames(Path(folder), count, random.Random(seed))
    for frame in frames:
        known = set(rings(0))
        with ringbridge.connect(name) as bad:
            ((base, data),) = ((b, d) for b, d in rings(0).items() if b not in known)
            put(base, data, frame)
            until = time.monotonic() + LONG_S
            while bad.alive and time.monotonic() < until:
                assert add(1) == 2
            ended += not bad.alive
    print(len(frames), ended)


def unowned(connection: ringbridge.Connection, name: str, timeout: float) -> _core.Function:
    """A function that ends with its channel: nobody connects again for it."""
    channel = connection._link.channel("main")
    _generation, functions, *_rest = channel.load(DUTIES, False, timeout)
    (number,) = (each[0] for each in functions if each[1] == name)
    return _core.Function(_core.Target(channel, number, f"{DUTIES}.{name}"), timeout=timeout)


def scribble(name: str, times: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(times):
        known = set(rings(0))
        bad = ringbridge.connect(name)
        text = unowned(bad, "text", 10.0).options(timeout=0.2)
        (base,) = set(rings(0)) - known
        over = threading.Event()

        def write(base: int = base, over: threading.Event = over) -> None:
            while not over.is_set():
                at = chance.randrange(0, HEADER_BYTES, 4)
                value = chance.choice((0, 1, 7, 1 << 31, 0xFFFFFFFF, chance.getrandbits(32)))
                ctypes.c_uint32.from_address(base + at).value = value

        writing = threading.Thread(target=write)
        writing.start()
        try:
            for size in range(20):
                text(size)
        except (ringbridge.RingbridgeError, OSError):
            pass
        finally:
            over.set()
            writing.join()
            bad.close()


if __name__ == "__main__":
    if sys.argv[1] == "frames":
        send_frames(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        scribble(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
