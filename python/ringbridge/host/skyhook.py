# SPDX-License-Identifier: MIT
"""SkyHook's wire: its commands, its calls and its replies, so that its clients find what they know.

    {"FunctionName": str, "Parameters": {...}}
    -> {"Time": "HH:MM:SS", "Success": bool, "ReturnValue": any, "Command": str}

Knows values only, no HTTP. SkyHook runs whatever a loaded module holds, and loads any module; here
stays served what was named, whatever a client sends.
"""

from __future__ import annotations

import inspect
import re
import time
from typing import TYPE_CHECKING, Any

from ringbridge.host.http_calls import Answer, Calls, Failure
from ringbridge.host.http_rules import Refused
from ringbridge.host.json_values import NotJson, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge.host.exposure import Exposed

#: Where SkyHook's clients look for their applications.
PORTS = {
    "undefined": 65500,
    "maya": 65501,
    "houdini": 65502,
    "blender": 65504,
    "substance_painter": 65505,
}

_MODULE = "_Module"
_PREFIX = "skyhook.modules."
_BY_GET = re.compile(r'"(?P<name>[^"]+)"&(?P<parameters>.+)', re.DOTALL)
_TIMEOUT = "ERROR 0x5: The command timed out"


def reply(success: bool, value: Any, command: Any) -> dict[str, Any]:
    return {
        "Time": time.strftime("%H:%M:%S"),
        "Success": success,
        "ReturnValue": value,
        "Command": command,
    }


def refused(refusal: Refused) -> Answer:
    """Its clients read each answer as a reply, whatever the status says."""
    return Answer(refusal.status, reply(False, refusal.reason, None))


def asked_by_get(text: str) -> dict[str, Any]:
    """The body that the address of a GET stands for: "name"&{...}. Raises Refused."""
    call = _BY_GET.fullmatch(text)
    try:
        parameters = parse(call["parameters"].encode()) if call else None
    except (NotJson, UnicodeEncodeError):
        parameters = None
    if call is None or not isinstance(parameters, dict):
        raise Refused(400, 'a call by GET is /"name"&{"parameter": value}')
    return {"FunctionName": call["name"], "Parameters": parameters}


class SkyHook:
    """Answers commands and calls; each command may come from any thread."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._commands: dict[str, Callable[[dict[str, Any]], Any]] = {
            "is_online": lambda _parameters: True,
            "SKY_SHUTDOWN": lambda _parameters: "Server offline",
            "SKY_LS": self._names,
            "SKY_RELOAD_MODULES": self._reload,
            "SKY_HOTLOAD": self._load,
            "SKY_UNLOAD": self._unload,
            "SKY_FUNCTION_HELP": self._help,
        }

    def answer(self, body: Any) -> Answer:
        """Raises Refused for what is no call at all; else each failure is a reply."""
        name, parameters = _asked(body)
        try:
            command = self._commands.get(name)
            value = self._call(name, parameters) if command is None else command(parameters)
        except Refused as refusal:
            if refusal.status == 503:
                raise
            return Answer(200, reply(False, refusal.reason, name))
        except Exception as error:
            value = Failure.of(error)
        if isinstance(value, Failure):
            return Answer(200, reply(False, _told(value), name))
        afterwards = self._calls.served.stop if name == "SKY_SHUTDOWN" else None
        return Answer(200, reply(True, value, name), afterwards)

    # ------------------------------------------------------------------------------------- calls

    def _call(self, name: str, parameters: dict[str, Any]) -> Any:
        given = {key: value for key, value in parameters.items() if key != _MODULE}
        exposed = self._find(name, parameters.get(_MODULE))
        return self._calls.run(exposed, [], given, self._calls.timeout_s)

    def _find(self, name: str, module: Any) -> Exposed:
        if isinstance(module, str):
            name = f"{self._load_one(module, is_skyhook_module=True)}.{name}"
        return self._calls.find_loaded(name)

    def _load_one(self, name: str, *, is_skyhook_module: bool) -> str:
        """Gives its full name: SkyHook's own modules are known by the last part of theirs."""
        try:
            self._calls.load(name)
        except Refused as refusal:
            if not is_skyhook_module or refusal.status == 503:
                raise
            try:
                self._calls.load(_PREFIX + name)
            except Refused:
                raise refusal from None
            return _PREFIX + name
        return name

    # ---------------------------------------------------------------------------------- commands

    def _names(self, _parameters: dict[str, Any]) -> list[str]:
        functions = self._calls.served.exposure.about().values()
        return list(dict.fromkeys(["is_online", *(name for names in functions for name in names)]))

    def _reload(self, _parameters: dict[str, Any]) -> list[str]:
        return self._calls.on_main(self._calls.served.exposure.reload_all)

    def _load(self, parameters: dict[str, Any]) -> list[str]:
        names = _modules(parameters)
        is_skyhook_module = parameters.get("is_skyhook_module", True) is not False
        for name in names:
            self._load_one(name, is_skyhook_module=is_skyhook_module)
        return names

    def _unload(self, parameters: dict[str, Any]) -> list[str]:
        """Gives what is still loaded."""
        names = _modules(parameters)
        exposure = self._calls.served.exposure

        def unload_all() -> list[str]:
            for name in names:
                loaded = exposure.loaded()
                if name in loaded or _PREFIX + name in loaded:
                    exposure.unload(name if name in loaded else _PREFIX + name)
            return exposure.loaded()

        return self._calls.on_main(unload_all)

    def _help(self, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters.get("function_name")
        if not isinstance(name, str):
            raise Refused(400, 'SKY_FUNCTION_HELP takes the parameter "function_name"')
        spec = inspect.getfullargspec(self._find(name, parameters.get(_MODULE)).function)
        told: dict[str, Any] = {"function_name": name, "arguments": spec.args + spec.kwonlyargs}
        if spec.varargs is not None:
            told["packed_args"] = f"*{spec.varargs}"
        if spec.varkw is not None:
            told["packed_kwargs"] = f"**{spec.varkw}"
        return told


def _asked(body: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(body, dict) or not isinstance(body.get("FunctionName"), str):
        raise Refused(400, 'the body is {"FunctionName": "name", "Parameters": {...}}')
    parameters = body.get("Parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise Refused(400, '"Parameters" is an object')
    return body["FunctionName"], parameters


def _modules(parameters: dict[str, Any]) -> list[str]:
    """SkyHook's code reads "_Module"; its documentation says "modules"."""
    names = parameters.get(_MODULE, parameters.get("modules"))
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused(400, f'this command takes the parameter "{_MODULE}", a list of names')
    return names


def _told(failure: Failure) -> str:
    if failure.status == 504:
        return f"{_TIMEOUT}: {failure.message}"
    return failure.traceback or f"{failure.type}: {failure.message}"
