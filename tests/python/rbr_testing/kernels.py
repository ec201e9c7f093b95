# SPDX-License-Identifier: MIT
"""A real kernel of Jupyter's, whose cells are run as a notebook runs them."""

from __future__ import annotations

import base64
import io
import os
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CELL_S = 60.0


class Kernel:
    """`run` gives what a cell shows: its outputs, by their display ids where they have one."""

    def __init__(self, client: Any, manager: Any) -> None:
        self._client = client
        self.manager = manager
        self.updates: list[Any] = []  # pictures that have replaced others, of all cells

    def run(self, code: str) -> list[dict[str, Any]]:
        """Runs a cell to its end. Fails where it raises."""
        asked = self._client.execute(code)
        shown = []
        deadline = time.monotonic() + CELL_S
        while True:
            message = self._client.get_iopub_msg(timeout=max(deadline - time.monotonic(), 0.1))
            kind, content = message["msg_type"], message["content"]
            if kind == "update_display_data":
                self.updates.append(content["data"])
            if message["parent_header"].get("msg_id") != asked:
                continue
            assert kind != "error", "\n".join(content["traceback"])
            if kind in ("display_data", "execute_result"):
                shown.append(content["data"])
            if kind == "status" and content["execution_state"] == "idle":
                return shown

    def wait_for_updates(self, count: int) -> None:
        """Until so many pictures have replaced others."""
        deadline = time.monotonic() + CELL_S
        while len(self.updates) < count:
            assert time.monotonic() < deadline, len(self.updates)
            try:
                message = self._client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                continue
            if message["msg_type"] == "update_display_data":
                self.updates.append(message["content"]["data"])


@contextmanager
def kernel(folder: Path) -> Iterator[Kernel]:
    """One in this interpreter, without a screen; skips where Jupyter's parts are not installed."""
    manager_module = pytest.importorskip("jupyter_client.manager")
    pytest.importorskip("ipykernel")
    environ = {key: value for key, value in os.environ.items() if not key.endswith("DISPLAY")}
    environ["IPYTHONDIR"] = str(folder / "ipython")
    manager, client = manager_module.start_new_kernel(
        kernel_name="python3", startup_timeout=60, env=environ, cwd=str(folder)
    )
    try:
        yield Kernel(client, manager)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def pixels(data: dict[str, Any]) -> Any:
    """Of an output that has a PNG: uint8 (h, w, channels)."""
    import numpy as np
    from matplotlib import image

    raw = base64.b64decode(data["image/png"])
    return (np.asarray(image.imread(io.BytesIO(raw))) * 255).astype("uint8")
