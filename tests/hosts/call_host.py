# SPDX-License-Identifier: MIT
"""A program that calls into an application: NAME PID MODULE FUNCTION. Prints what comes, as JSON,
and stays connected until its standard input ends. PYTHONPATH has ringbridge."""

from __future__ import annotations

import json
import sys

import ringbridge

COUNT = 4


def main() -> None:
    name, pid, module, function = sys.argv[1:]
    with ringbridge.connect(name, pid=int(pid)) as application:
        tools = application.load(module)
        told = {"main": tools.is_main_thread(), "made": getattr(tools, function)(COUNT)}
        print(json.dumps(told), flush=True)
        sys.stdin.read()


main()
