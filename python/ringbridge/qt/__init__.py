# SPDX-License-Identifier: MIT
"""Qt: calls as QObjects with signals, and asyncio on Qt's own event loop.

    job = Job(terrain.hillshade, dem); job.finished.connect(add_layer)

    with using_asyncio_from_qt():              asyncio in a program that Qt runs
        app.exec()
    asyncio.run(main(), loop_factory=new_event_loop)     Qt in one that asyncio runs

Importing it chooses the Qt binding; which one, binding.py says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringbridge.qt.jobs import Job
from ringbridge.qt.loop import (
    QiBaseEventLoop,
    QiDefaultEventLoop,
    QiLoopMode,
    QiSelectorEventLoop,
    new_event_loop,
)
from ringbridge.qt.modes import using_asyncio_from_qt, using_qt_from_asyncio
from ringbridge.qt.signals import asyncsignal, asyncsignalstream, multisignal
from ringbridge.qt.slots import asyncslot, modal, run_task

if TYPE_CHECKING:
    from ringbridge.qt.policy import QiDefaultEventLoopPolicy, QiSelectorEventLoopPolicy
    from ringbridge.qt.progress_widgets import ProgressDialog, ProgressWidget

__all__ = [
    "Job",
    "ProgressDialog",
    "ProgressWidget",
    "QiBaseEventLoop",
    "QiDefaultEventLoop",
    "QiDefaultEventLoopPolicy",
    "QiLoopMode",
    "QiSelectorEventLoop",
    "QiSelectorEventLoopPolicy",
    "asyncsignal",
    "asyncsignalstream",
    "asyncslot",
    "modal",
    "multisignal",
    "new_event_loop",
    "run_task",
    "using_asyncio_from_qt",
    "using_qt_from_asyncio",
]

# What needs QtWidgets, or what asyncio is about to drop: loaded when it is asked for.
_LATE = {
    "ProgressDialog": "progress_widgets",
    "ProgressWidget": "progress_widgets",
    "QiDefaultEventLoopPolicy": "policy",
    "QiSelectorEventLoopPolicy": "policy",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
