# SPDX-License-Identifier: MIT
"""wire.fbs as csrc/schema/generate_wire.py reads it, and what our verifier says of frames."""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

SCHEMA_FILE = Path(__file__).resolve().parents[3] / "csrc" / "schema" / "wire.fbs"


def _load_generator() -> Any:
    script = SCHEMA_FILE.with_name("generate_wire.py")
    spec = importlib.util.spec_from_file_location("generate_wire", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate_wire"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


generate_wire = _load_generator()
SCHEMA = generate_wire.Parser(SCHEMA_FILE.read_text(encoding="utf-8")).parse()


def verdicts(wire_dump: Path, frames: list[bytes]) -> list[tuple[int, int]]:
    """The defect and the offset of each frame; (0, 0) for a right one."""
    sent = b"".join(struct.pack("<I", len(frame)) + frame for frame in frames)
    done = subprocess.run(
        [wire_dump, "--verify-all"], input=sent, capture_output=True, timeout=60, check=True
    )
    answers = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(answers) == len(frames)
    return answers  # type: ignore[return-value]
