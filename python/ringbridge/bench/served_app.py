# SPDX-License-Identifier: MIT
"""An application that serves, for peers_into; it ends with its input.

python -m ringbridge.bench.served_app NAME script|qt
"""

from __future__ import annotations

import sys
import threading

import ringbridge.host
from ringbridge.errors import RingbridgeError

READY = "serves\n"  # any other first line is a reason
SERVED = ("ringbridge.bench.far_side", "ringbridge.bench.queued_signals")


def script(name: str) -> None:
    """Serves on its main thread, and does nothing else."""
    with ringbridge.host.serve(name, modules=SERVED, pump="script") as server:

        def stop_with_input() -> None:
            sys.stdin.read()
            server.stop()

        threading.Thread(target=stop_with_input, daemon=True).start()
        print(READY, end="", flush=True)
        server.run()


def qt(name: str) -> None:
    """Serves within Qt's loop."""
    from ringbridge.qt import binding

    core = binding.QtCore
    app = core.QCoreApplication(["served"])
    input_ends = core.QSocketNotifier(0, binding.enum(core.QSocketNotifier, "Type", "Read"))
    binding.connect_bare(input_ends.activated, app.quit)
    with ringbridge.host.serve(name, modules=SERVED, pump="qt"):
        print(READY, end="", flush=True)
        binding.run(app)


if __name__ == "__main__":
    try:
        {"script": script, "qt": qt}[sys.argv[2]](sys.argv[1])
    except RingbridgeError as error:
        print(error, flush=True)
        sys.exit(1)
