# SPDX-License-Identifier: MIT
"""What people read about an environment: a word for the list, and sentences that say what to do."""

from __future__ import annotations

import sys

from .environments import MINIMUM, OLDEST_PYTHON, Environment, State
from .texts import tr


def word(environment: Environment) -> str:
    """For the list."""
    return {
        State.USABLE: tr("usable"),
        State.NO_RINGBRIDGE: tr("no ringbridge"),
        State.TOO_OLD: tr("ringbridge too old"),
        State.NO_BUILD: tr("ringbridge does not fit"),
        State.NO_PYTHON: tr("no Python"),
        State.PYTHON_TOO_OLD: tr("Python too old"),
        State.NOTHING: tr("nothing there"),
    }[environment.state]


def packages(environment: Environment) -> str:
    """One line: what is installed of what computations need."""
    found = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return found or tr("none of the packages that computations usually need")


def sentence(environment: Environment) -> str:
    """What is wrong, and what to do; what a command is for stands before it."""
    if environment.usable:
        return _of_usable(environment)
    here = "{}.{}".format(*sys.version_info[:2])
    return {
        State.NO_RINGBRIDGE: tr(
            "No ringbridge was found for it. Run this command in a terminal, then press “Look "
            "again”:",
        ),
        State.TOO_OLD: tr(
            "Its ringbridge is older than {minimum}. Run this command in a terminal, then press "
            "“Look again”:",
        ),
        State.NO_BUILD: tr(
            "Its ringbridge was built for other Pythons: it has to fit QGIS's Python {here} and "
            "this environment's {there}. Install one that is built for all, then press “Look "
            "again”:",
        ),
        State.NO_PYTHON: tr(
            "There is an environment, but no Python in it. Install one there (for example with "
            "“conda install python”), or choose another environment.",
        ),
        State.PYTHON_TOO_OLD: tr(
            "Its Python {there} is older than {oldest}. Make a new environment, or choose another "
            "one.",
        ),
        State.NOTHING: tr(
            "There is no Python environment in this folder. Choose the folder that has "
            "“bin/python” in it.",
        ),
    }[environment.state].format(
        minimum=MINIMUM,
        here=here,
        there=environment.version or "?",
        oldest="{}.{}".format(*OLDEST_PYTHON),
    )


def _of_usable(environment: Environment) -> str:
    if "numpy" not in environment.packages:
        return tr(
            "Workers can run here, but numpy is missing: algorithms with rasters or layers "
            "need it.",
        )
    return tr("Workers can run here. “Test” starts one and tells what it says.")
