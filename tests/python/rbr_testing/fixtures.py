# SPDX-License-Identifier: MIT
"""The types of conftest.py's fixtures, for annotations."""

from __future__ import annotations

from collections.abc import Callable

import ringbridge

MakeWorker = Callable[..., ringbridge.Worker]
