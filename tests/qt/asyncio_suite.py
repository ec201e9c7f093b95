# SPDX-License-Identifier: MIT
"""Runs CPython's own asyncio tests on loops of ringbridge.qt.

    asyncio_suite.py BINDING MODE [MODULE...]

    BINDING  PyQt5, PyQt6, PySide2 or PySide6
    MODE     owner, guest or native; or plain: asyncio's own loops, to compare with
    MODULE   of test.test_asyncio, such as test_tasks, or test_tasks.CTaskSubclass_Task_Tests;
             default: all

Each loop that the tests make as asyncio.SelectorEventLoop or by the default policy is ours. In
guest mode run_forever() starts the loop as a guest, and runs a Qt loop until it has stopped. No
test is left out but those that skip themselves, which the summary lists. Exit code 0: none failed.
"""

from __future__ import annotations

import asyncio
import asyncio.unix_events
import collections
import importlib
import os
import platform
import sys
import time
import unittest
from typing import Any

MODES = ("plain", "owner", "guest", "native")


def make_loop_class(mode: str) -> Any:
    """What stands for asyncio.SelectorEventLoop."""
    from ringbridge.qt import QiLoopMode, QiSelectorEventLoop, binding

    pid = os.getpid()

    class NativeLoop(QiSelectorEventLoop):
        def __init__(self, selector: Any = None) -> None:
            super().__init__(selector)
            self.set_mode(QiLoopMode.NATIVE)

    class GuestLoop(QiSelectorEventLoop):
        _around: Any = None

        def run_forever(self) -> None:
            if os.getpid() != pid:  # forked, without Qt
                super().run_forever()
                return
            self.set_mode(QiLoopMode.GUEST)
            self.start()
            self._around = binding.QtCore.QEventLoop()
            try:
                binding.run(self._around)
            finally:
                self._around = None
                self.leave()
            self.raise_broken_off()

        def _end(self) -> None:
            super()._end()
            if self._around is not None:
                self._around.exit()

        def _break_off(self, error: BaseException) -> None:
            super()._break_off(error)
            if self._around is not None:
                self._around.exit()

    return {"owner": QiSelectorEventLoop, "guest": GuestLoop, "native": NativeLoop}[mode]


def patch(loop_class: Any) -> None:
    """Whoever asks asyncio for its selector loop or its default policy gets ours."""
    from ringbridge.qt.policy import QiSelectorEventLoopPolicy

    policy = type("Policy", (QiSelectorEventLoopPolicy,), {"_loop_factory": loop_class})
    for module in (asyncio, asyncio.unix_events):
        for name in ("SelectorEventLoop", "_UnixSelectorEventLoop", "EventLoop"):
            if name in vars(module):
                setattr(module, name, loop_class)
        for name in ("DefaultEventLoopPolicy", "_UnixDefaultEventLoopPolicy"):
            if name in vars(module):
                setattr(module, name, policy)


def tell(result: unittest.TestResult, what: str) -> None:
    """The summary: what failed, and what was skipped, by reason."""
    by_reason = collections.defaultdict(list)
    for test, reason in result.skipped:
        by_reason[" ".join(reason.split())].append(_name(test))
    print(f"\n{what}")
    print(f"  failed   {len(result.failures)}, errors {len(result.errors)}")
    print(f"  skipped  {len(result.skipped)}")
    for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        shown = names[0] if len(names) == 1 else f"{names[0]}, ..."
        print(f"  {len(names):7}  {reason}  ({shown})")
    for test, _traceback in (*result.failures, *result.errors):
        print(f"  FAILED   {_name(test)}")


def _name(test: unittest.TestCase) -> str:
    return test.id().replace("test.test_asyncio.", "")


def main() -> int:
    """The tests' children, which import this file, get no further than to its end."""
    if len(sys.argv) < 3 or sys.argv[2] not in MODES:
        print(__doc__, file=sys.stderr)
        return 2
    name, mode, *modules = sys.argv[1:]
    QtCore = importlib.import_module(f"{name}.QtCore")
    application = QtCore.QCoreApplication([])
    if mode != "plain":
        patch(make_loop_class(mode))
    names = [f"test.test_asyncio.{module}" for module in modules] or ["test.test_asyncio"]
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    begun = time.monotonic()
    verbosity = 2 if "RBR_VERBOSE" in os.environ else 1
    result = unittest.TextTestRunner(verbosity=verbosity).run(suite)
    took = time.monotonic() - begun
    tell(
        result,
        f"{mode} mode, Python {platform.python_version()}, {name} on Qt {QtCore.qVersion()}: "
        f"ran {result.testsRun} in {took:.0f} s",
    )
    del application
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
