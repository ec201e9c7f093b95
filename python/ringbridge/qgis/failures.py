# SPDX-License-Identifier: MIT
"""What went wrong in a run, for people: a line that says what to do, and the details below it."""

from __future__ import annotations

import signal
import traceback

from ringbridge.compute import Declaration
from ringbridge.errors import RemoteTraceback, RingbridgeError, WorkerDied
from ringbridge.qgis.texts import tr


def told(error: Exception, declaration: Declaration) -> tuple[str, str]:
    """(one line, details: the traceback over there, or the rest of the message)."""
    label = declaration.label
    remote = error.__cause__ if isinstance(error.__cause__, RemoteTraceback) else None
    first, _, rest = str(error).partition("\n")
    if isinstance(error, WorkerDied):
        if error.signal == signal.SIGTERM:  # Stop in the dock, or whoever has closed the plugin
            return tr("{label}: the worker was stopped.").format(label=label), first
        line = tr("{label}: the worker has crashed ({reason}). The next run starts another one.")
        return line.format(label=label, reason=_reason(error)), str(error)
    if isinstance(error, MemoryError):  # ArenaFull, too
        advice = tr("It needs its layers whole: clip them, or raise the memory limit.")
        return f"{label}: {first or 'MemoryError'}. {advice}", str(remote or rest)
    if isinstance(error, ModuleNotFoundError):
        advice = tr("Install it in the environment.")
        return f"{label}: {first}. {advice}", str(remote or "")
    if remote is None and isinstance(error, RingbridgeError):
        return f"{label}: {first}", rest
    kind = type(error).__name__
    details = (
        str(remote)
        if remote
        else "".join(traceback.format_exception(None, error, error.__traceback__))
    )
    return f"{label}: {kind}: {first}" if first else f"{label}: {kind}", details


def _reason(death: WorkerDied) -> str:
    if death.signal == signal.SIGKILL:
        return tr("it was killed; perhaps the memory ran out")
    if death.signal is not None:
        return signal.strsignal(death.signal) or f"signal {death.signal}"
    if death.exit_code is not None:
        return tr("exit code {code}").format(code=death.exit_code)
    return str(death).partition("\n")[0]
