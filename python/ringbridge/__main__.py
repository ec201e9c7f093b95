# SPDX-License-Identifier: MIT
"""`python -m ringbridge`: the command line, where its script is not on PATH."""

from __future__ import annotations

from ringbridge.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
