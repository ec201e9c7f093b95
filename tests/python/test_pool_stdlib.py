# SPDX-License-Identifier: MIT
"""The standard library's own tests of executors, with a Pool in the place of theirs.

What is run, and the table of what is not, with reasons: rbr_testing/executor_contract.py. Where
this interpreter has no package `test`, they run in the others that have it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

try:
    from rbr_testing import executor_contract
    from rbr_testing.executor_contract import (  # noqa: F401 - pytest collects them
        PoolAsCompletedTest,
        PoolDeadlockTest,
        PoolExecutorTest,
        PoolFailingInitializerTest,
        PoolInitializerTest,
        PoolShutdownTest,
        PoolWaitTest,
    )

    IS_HERE = True
except ImportError:
    IS_HERE = False

HERE = Path(__file__).resolve().parent


@pytest.mark.skipif(IS_HERE, reason="they ran in this interpreter")
@pytest.mark.seconds(400)
@pytest.mark.timeout(420)
def test_a_pool_keeps_the_contract_as_other_interpreters_test_it(other_pythons: list[str]) -> None:
    ran = 0
    for python in other_pythons:
        has = subprocess.run([python, "-c", "import test.test_concurrent_futures"], timeout=50)
        if has.returncode == 0:
            ended = subprocess.run(
                [python, "-m", "unittest", "rbr_testing.executor_contract"],
                env={**os.environ, "PYTHONPATH": str(HERE)},
                cwd=HERE,
                capture_output=True,
                text=True,
                timeout=380,
            )
            assert ended.returncode == 0, ended.stderr
            ran += 1
    if not ran:
        pytest.skip("no interpreter here has the standard library's tests (the package `test`)")


@pytest.mark.skipif(not IS_HERE, reason="the standard library's tests are not installed here")
@pytest.mark.skipif(sys.version_info < (3, 13), reason="the table knows newer tests, too")
def test_all_that_the_table_leaves_out_is_there() -> None:
    names = {
        f"{cls.__name__}.{test}"
        for case in vars(executor_contract).values()
        if isinstance(case, type)
        for cls in case.__mro__
        for test in vars(cls)
    }
    assert set(executor_contract.NOT_OURS) <= names
