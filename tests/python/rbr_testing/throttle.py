# SPDX-License-Identifier: MIT
"""A slow line, as ssh's ProxyCommand: throttle.py HOST PORT BYTES_PER_SECOND."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

_PART = 16 << 10


def copy(source: int, to: int, rate: float) -> None:
    while data := os.read(source, _PART):
        time.sleep(len(data) / rate)
        view = memoryview(data)
        while view:
            view = view[os.write(to, view) :]


def main() -> None:
    host, port, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with socket.create_connection((host, port)) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * _PART)
        back = threading.Thread(target=copy, args=(line.fileno(), 1, rate), daemon=True)
        back.start()
        copy(0, line.fileno(), rate)


if __name__ == "__main__":
    main()
