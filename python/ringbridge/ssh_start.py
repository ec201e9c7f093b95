# SPDX-License-Identifier: MIT
"""What launch does otherwise for a worker on another machine: the process that it starts here is a
relay (relay/near.py), in this interpreter's own Python. Starts nothing itself.
"""

from __future__ import annotations

import json
import os
import sys

from ringbridge import _core, diagnosis, ssh_address
from ringbridge.activation.variables import matches
from ringbridge.errors import (
    ActivationFailed,
    CallTimeout,
    EnvironmentNotFound,
    RingbridgeError,
    WorkerDied,
    WorkerStartFailed,
)
from ringbridge.plan import Plan

#: As in relay/near.py, which is not for the host to import.
_VARIABLE = "RINGBRIDGE_RELAY"
_ERRORS: dict[int, type[RingbridgeError]] = {98: EnvironmentNotFound, 99: ActivationFailed}
_OUTPUT_BYTES_MAX = 64 << 10


def own_python() -> str:
    """An interpreter of this process's own Python: an application may have no program of that name
    as its sys.executable."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    candidates = [
        sys.executable or "",
        os.path.join(sys.prefix, "bin", version),
        os.path.join(sys.exec_prefix, "bin", version),
        os.path.join(sys.base_exec_prefix, "bin", version),
        os.path.join("/usr/bin", version),
    ]
    for path in candidates:
        if os.path.basename(path).startswith("python") and os.access(path, os.X_OK):
            return path
    raise WorkerStartFailed(
        f"no interpreter of this process's own Python was found for the relay: looked at "
        f"{', '.join(filter(None, candidates))}"
    )


def environ(plan: Plan) -> dict[str, str]:
    """The variables for the relay here: ours, and what is wanted over there."""
    address = ssh_address.parse(plan.environment.prefix)
    keep = plan.wishes.keep_environ
    wanted = {
        "address": plan.environment.prefix,
        "environment": address.environment,
        "name": plan.name,
        "paths": plan.paths,
        "cwd": plan.cwd,
        "environ": dict(plan.wishes.environ),
        "keep_environ": tuple(keep),
        "kept": {name: value for name, value in plan.base.items() if matches(name, keep)},
        "threads": plan.wishes.threads,
        "limits": plan.limits,
        "start_timeout": plan.start_timeout_s,
    }
    return {**plan.base, _VARIABLE: json.dumps(wanted)}


def failure(plan: Plan, channel: _core.Channel, error: RingbridgeError) -> RingbridgeError:
    """What to raise for a relay that has ended without becoming a worker."""
    said, printed = diagnosis.last_streams(channel, _OUTPUT_BYTES_MAX)
    status = channel.wait_end(0)
    code = status[2] if status is not None and status[0] and not status[1] else None
    kind = _ERRORS.get(code or 0, WorkerStartFailed)
    if isinstance(error, CallTimeout):
        what = f"no answer within {plan.start_timeout_s:g} s from {plan.environment.prefix}"
        said = "\n".join([what, *diagnosis.quoted(printed)])
    elif not said:
        what = "the relay ended" if isinstance(error, WorkerDied) else str(error)
        said = "\n".join([what, *diagnosis.quoted(printed)])
    return kind(f"worker {plan.name!r} did not start: {said}")
