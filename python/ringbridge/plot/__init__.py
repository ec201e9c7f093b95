# SPDX-License-Identifier: MIT
"""Plotting beside the computation: a window that lives in a process and interpreter of its own."""

from __future__ import annotations

from ringbridge.plot.emitting import emit, frame_number

__all__ = ["emit", "frame_number"]
