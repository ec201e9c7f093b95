# SPDX-License-Identifier: MIT
"""Our own wire over HTTP: what is served, and calls of it.

    GET  /about                         -> what the server tells of itself
    POST /call/<module>/<function>      {"args": [...], "kwargs": {...}, "timeout": seconds}
                                        -> {"value": ...}

    anything that fails                 -> {"error": {"type", "message", "traceback"}}

Knows values only: it is handed bodies that are parsed, and gives what is to be written.
"""

from __future__ import annotations

from typing import Any

from ringbridge.host.http_calls import Answer, Calls, Failure
from ringbridge.host.http_rules import Refused
from ringbridge.host.json_values import carried

_KEYS = {"args", "kwargs", "timeout"}


def about(calls: Calls) -> Answer:
    return Answer(200, carried(calls.served.about()))


def call(calls: Calls, module: str, function: str, body: Any) -> Answer:
    """Raises Refused for what cannot be called so; what the function raised is an answer."""
    args, kwargs, timeout_s = _arguments(body, calls.timeout_s)
    try:
        exposed = calls.find(module, function)
        value = calls.run(exposed, args, kwargs, timeout_s)
    except Refused:
        raise
    except Exception as error:
        value = Failure.of(error)
    return failed(value) if isinstance(value, Failure) else Answer(200, {"value": value})


def failed(failure: Failure) -> Answer:
    told = {
        "type": failure.type,
        "message": failure.message,
        "traceback": failure.traceback,
    }
    return Answer(failure.status, {"error": told})


def refused(refusal: Refused) -> Answer:
    return failed(Failure(refusal.status, "Refused", refusal.reason, ""))


def _arguments(body: Any, timeout_max: float) -> tuple[list[Any], dict[str, Any], float]:
    if not isinstance(body, dict) or not body.keys() <= _KEYS:
        raise Refused(400, 'the body is an object with "args", "kwargs" and "timeout" at most')
    args = body.get("args", [])
    kwargs = body.get("kwargs", {})
    timeout = body.get("timeout", timeout_max)
    if not isinstance(args, list):
        raise Refused(400, '"args" is a list')
    if not isinstance(kwargs, dict):
        raise Refused(400, '"kwargs" is an object')
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise Refused(400, '"timeout" is a number of seconds, more than 0')
    return args, kwargs, min(timeout, timeout_max)
