# SPDX-License-Identifier: MIT
"""A worker that lies: it forges answers in the shared memory, behind the back of its own core.

Knows the layout that csrc/core/layout.h draws; works while the ring has not wrapped.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from typing import Any

from ringbridge import _core, empty

MAGIC = b"rbrring1"
DATA_OFFSET = 65536
RING_BYTES_AT = 16
WAKE_HOST_HINT_AT = 128 + 8
TAIL_AT = 3 * 128 + 256  # of ring 1, which carries our answers
HEADER = struct.Struct("<II")


def echo(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def zeros(count: int) -> Any:
    import numpy as np

    return np.zeros(count, np.uint8)


def backwards() -> Any:
    """Three rows, the last one first: in shared memory, with a stride of -32768."""
    array = empty((3, 4096), "int64")
    array[:] = 0
    return array[::-1]


def forge(old: bytes, new: bytes) -> None:
    """Answers this call with the last answer that we gave, `old` in it replaced by `new`."""
    ((base, data),) = rings(1).items()
    tail = _number(base + TAIL_AT, "<Q")
    frame = bytearray(_last_record(data, tail))
    assert frame.count(old) == 1 and len(old) == len(new), bytes(frame)
    at = frame.index(old)
    frame[at : at + len(old)] = new
    struct.pack_into("<Q", frame, _id_at(frame), _core.current_call())
    room = -(-len(frame) // 8) * 8
    record = HEADER.pack(len(frame), 0) + bytes(frame).ljust(room, b"\0")
    ctypes.memmove(data + tail, record, len(record))
    ctypes.c_uint64.from_address(base + TAIL_AT).value = tail + len(record)
    ctypes.c_uint32.from_address(base + WAKE_HOST_HINT_AT).value = 1  # or it looks in 100 ms
    time.sleep(3600)  # whatever we answered now would be torn


def rings(which: int) -> dict[int, int]:
    """Where ring segments are mapped, and the data of that ring of each: 0 carries requests."""
    mapped: dict[tuple[str, int], int] = {}
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, mode, offset, _device, inode = line.split()[:5]
            if mode == "rw-s":
                mapped.setdefault((inode, int(offset, 16)), int(span.split("-")[0], 16))
    found = {}
    for (inode, offset), base in mapped.items():
        if offset == 0 and ctypes.string_at(base, len(MAGIC)) == MAGIC:
            ring_bytes = _number(base + RING_BYTES_AT, "<I")
            found[base] = mapped[inode, DATA_OFFSET + which * ring_bytes]
    return found


def _number(address: int, form: str) -> int:
    return int(struct.unpack(form, ctypes.string_at(address, struct.calcsize(form)))[0])


def _last_record(data: int, tail: int) -> bytes:
    position, last = 0, b""
    while position < tail:
        size, _zero = HEADER.unpack(ctypes.string_at(data + position, HEADER.size))
        last = ctypes.string_at(data + position + HEADER.size, size)
        position += HEADER.size + -(-size // 8) * 8
    return last


def _id_at(frame: bytearray) -> int:
    """FlatBuffers: the first field of the root table."""
    (root,) = struct.unpack_from("<I", frame)
    (back,) = struct.unpack_from("<i", frame, root)
    (field,) = struct.unpack_from("<H", frame, root - back + 4)
    return int(root + field)
