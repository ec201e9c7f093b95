# SPDX-License-Identifier: MIT
"""Which binding is taken: in processes of their own, since one is taken for good."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from conftest import BINDING

NAME = "from ringbridge.qt import binding; print(binding.NAME)"
#: None of them can be imported.
NOT_INSTALLED = "import sys; sys.modules.update({each: None for each in %s})\n"
ALL = ["PyQt6", "PySide6", "PyQt5", "PySide2"]


def said(code: str, qt_api: str | None) -> str:
    """What the code prints, or the last line of what it raises."""
    environ = {key: value for key, value in os.environ.items() if key != "QT_API"}
    if qt_api is not None:
        environ["QT_API"] = qt_api
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return (done.stdout or done.stderr.strip().splitlines()[-1]).strip()


def test_the_one_that_was_imported_wins() -> None:
    assert said(f"import {BINDING}.QtCore; {NAME}", None) == BINDING
    other = "PyQt6" if BINDING != "PyQt6" else "PySide6"
    assert said(f"import {BINDING}.QtCore; {NAME}", other) == BINDING


def test_else_the_one_that_qt_api_names() -> None:
    assert said(NAME, BINDING) == BINDING
    assert said(NAME, BINDING.lower()) == BINDING


def test_else_the_first_that_is_installed() -> None:
    installed = [each for each in ALL if importlib.util.find_spec(each)]
    assert said(NAME, None) == installed[0]
    others = [each for each in ALL if each != BINDING]
    assert said(NOT_INSTALLED % others + NAME, None) == BINDING


def test_without_any_it_is_told_what_is_missing() -> None:
    told = said(NOT_INSTALLED % ALL + NAME, None)
    assert told.startswith("ImportError: ringbridge.qt needs a Qt binding: PyQt6, PySide6, PyQt5,")
    told = said(NOT_INSTALLED % ALL + NAME, BINDING)
    assert told.startswith(f"ImportError: ringbridge.qt needs a Qt binding: {BINDING} cannot be")
    told = said(NAME, "GTK")
    assert told == (
        "ImportError: QT_API is 'GTK'; ringbridge.qt knows pyqt6, pyside6, pyqt5, pyside2"
    )


def test_of_two_the_one_with_the_application_wins_or_qt_api_does() -> None:
    other = "PyQt5" if BINDING.endswith("6") else "PyQt6"
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not here")
    both = f"import {other}.QtCore, {BINDING}.QtCore\n"
    app = f"app = {BINDING}.QtCore.QCoreApplication([])\n"
    assert said(both + app + NAME, None) == BINDING
    assert said(both + NAME, other) == other
    assert "make the application object first, or set QT_API" in said(both + NAME, None)


def test_importing_ringbridge_imports_none() -> None:
    code = f"import sys, ringbridge as rb; rb.Worker; print(*sorted(set({ALL}) & set(sys.modules)))"
    assert said(code + "; print('none')", BINDING) == "none"
