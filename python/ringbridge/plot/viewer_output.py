# SPDX-License-Identifier: MIT
"""What a viewer's process prints, once nobody reads it: a held window outlives its computation, and
what its view prints must not end it."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
from typing import Any


class _Output(io.FileIO):
    """A pipe whose reader may have gone."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            let_go()
            return len(data)


def outlive_reader() -> None:
    """Has print write to stdout and stderr through such ones, where these are pipes."""
    for fd, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and stream is not None and _is_pipe(fd):
            stream.flush()
            raw = io.BufferedWriter(_Output(fd, "w", closefd=False))
            fresh = io.TextIOWrapper(
                raw,
                stream.encoding,
                stream.errors,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, fresh)
            setattr(sys, f"__{name}__", fresh)


def let_go() -> None:
    """What is printed from now on goes nowhere, where it went to a pipe."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):
        if _is_pipe(fd):
            os.dup2(nothing, fd)
    os.close(nothing)


def _is_pipe(fd: int) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    return False
