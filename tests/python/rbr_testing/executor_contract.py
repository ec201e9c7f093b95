# SPDX-License-Identifier: MIT
"""The standard library's own tests of executors, with a Pool as the executor.

    python -m unittest rbr_testing.executor_contract

Needs the package `test` of the interpreter, which some installations leave out: ImportError then.
Its tests of the Future class alone, and those of ThreadPoolExecutor, are not about the contract.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from ringbridge import CannotCross, Pool, RemoteError, WorkerDied

FOLDER = Path(__file__).resolve().parents[1]

_OWN_CLASS = "makes concurrent.futures' own class, in a script or by its name; ours: "
_INSIDE = "looks into ProcessPoolExecutor (_processes, its threads, its queues)"
_PRIMITIVES = "has multiprocessing's semaphores and managers as arguments"

#: Tests that do not apply, and why. Everything else is run.
NOT_OURS = {
    "ExecutorTest.test_max_workers_negative": "asks for the text 'max_workers': here it is `size`; "
    "ours: test_pool.py::test_a_wrong_option_is_told_at_once",
    "ExecutorShutdownTest.test_interpreter_shutdown": _OWN_CLASS
    + "test_what_was_submitted_is_done_before_the_interpreter_ends",
    "ExecutorShutdownTest.test_submit_after_interpreter_shutdown": _OWN_CLASS
    + "test_nothing_is_taken_when_the_interpreter_has_ended",
    "ExecutorShutdownTest.test_hang_gh83386": _OWN_CLASS
    + "test_what_was_submitted_is_done_before_the_interpreter_ends",
    "ProcessPoolShutdownTest.test_processes_terminate": _PRIMITIVES,
    "ProcessPoolShutdownTest.test_context_manager_shutdown": _OWN_CLASS
    + "test_an_ended_pool_leaves_nothing_behind",
    "ProcessPoolShutdownTest.test_del_shutdown": _OWN_CLASS
    + "test_a_pool_that_nobody_holds_does_its_work_and_ends",
    "ProcessPoolShutdownTest.test_shutdown_no_wait": _OWN_CLASS
    + "test_a_pool_that_nobody_holds_does_its_work_and_ends",
    "ProcessPoolExecutorTest.test_max_workers_too_large": "is about Windows",
    "ProcessPoolExecutorTest.test_killed_child": "a killed worker breaks a ProcessPoolExecutor; "
    "here it is replaced: test_of_a_crash_only_the_guilty_call_fails",
    "ProcessPoolExecutorTest.test_traceback": "asks for concurrent.futures' own class of the "
    "cause; ours: test_what_a_call_raises_comes_with_the_traceback_of_over_there",
    "ProcessPoolExecutorTest.test_ressources_gced_in_workers": _PRIMITIVES,
    "ProcessPoolExecutorTest.test_saturation": _PRIMITIVES
    + "; ours: test_there_are_never_more_workers_than_the_size",
    "ProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context": _INSIDE,
    "ProcessPoolExecutorTest.test_python_finalization_error": _INSIDE,
    "ExecutorDeadlockTest.test_shutdown_deadlock_pickle": _INSIDE,
    "ExecutorDeadlockTest.test_gh105829_should_not_deadlock_if_wakeup_pipe_full": _INSIDE,
    "ExecutorDeadlockTest.test_exit_during_result_unpickle_in_result_handler": "a pickle that ends "
    "the process that reads it: ProcessPoolExecutor's thread takes the SystemExit for its own end",
}

_PACKAGE = "test.test_concurrent_futures"
_PARTS = (
    *("util", "executor", "test_wait", "test_as_completed", "test_init", "test_shutdown"),
    *("test_process_pool", "test_deadlock"),
)


def _modules() -> list[ModuleType]:
    """One module up to Python 3.11, a package since."""
    package = importlib.import_module(_PACKAGE)
    if not hasattr(package, "__path__"):
        return [package]
    return [importlib.import_module(f"{_PACKAGE}.{part}") for part in _PARTS]


MODULES = _modules()


def _found(name: str) -> Any:
    return next(getattr(module, name) for module in MODULES if hasattr(module, name))


class Spawned:
    """What the tests ask of multiprocessing's context."""

    def get_start_method(self, allow_none: bool = False) -> str:
        return "spawn"


class ContractPool(Pool):
    """A Pool with the arguments of ProcessPoolExecutor."""

    def __init__(
        self, max_workers: int | None = None, mp_context: object = None, **options: Any
    ) -> None:
        super().__init__(sys.executable, max_workers, pickle=True, paths=[FOLDER], **options)
        self._max_workers = self.size

    @property
    def _broken(self) -> bool:
        return self._crew.state == "broken"

    @property
    def _processes(self) -> dict[int, object]:
        return dict(enumerate(self._crew._threads))


class PoolMixin(_found("ExecutorMixin")):  # type: ignore[misc]
    executor_type = ContractPool

    def get_context(self) -> Spawned:
        return Spawned()

    @contextlib.contextmanager
    def _assert_logged(self, text: str) -> Iterator[None]:
        with self.assertLogs("ringbridge.pool", "ERROR") as logged:
            yield
        self.assertTrue(any(text in line for line in logged.output), logged.output)


class OurErrors:
    """Where concurrent.futures breaks the whole pool, or raises pickle's errors and SystemExit, a
    Pool has these for the one call."""

    def setUp(self) -> None:
        module = sys.modules[_found("ExecutorDeadlockTest").__module__]
        for name, errors in {
            "BrokenProcessPool": (WorkerDied, CannotCross, RemoteError),
            "PicklingError": CannotCross,
            "SystemExit": (RemoteError, CannotCross),
        }.items():
            patch = mock.patch.object(module, name, errors, create=True)
            patch.start()
            self.addCleanup(patch.stop)  # type: ignore[attr-defined]
        super().setUp()  # type: ignore[misc]


def _with_a_pool(name: str, *mixins: type) -> type[unittest.TestCase]:
    tests = _found(name)
    hidden = {
        test: None
        for cls in tests.__mro__
        for test in vars(cls)
        if f"{cls.__name__}.{test}" in NOT_OURS
    }
    bases = (*mixins, PoolMixin, tests, _found("BaseTestCase"))
    return type(f"Pool{name}", bases, {"__module__": __name__, **hidden})


PoolExecutorTest = _with_a_pool("ProcessPoolExecutorTest")
PoolShutdownTest = _with_a_pool("ProcessPoolShutdownTest")
PoolWaitTest = _with_a_pool("WaitTests")
PoolAsCompletedTest = _with_a_pool("AsCompletedTests")
PoolDeadlockTest = _with_a_pool("ExecutorDeadlockTest", OurErrors)
PoolInitializerTest = _with_a_pool("InitializerMixin")
PoolFailingInitializerTest = _with_a_pool("FailingInitializerMixin")
