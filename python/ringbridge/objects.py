# SPDX-License-Identifier: MIT
"""RemoteObject: an object that was made in a worker and stays there, as the host holds it.

The extension makes these when a result names such an object, and releases the object when the last
of them goes. Knows neither workers nor processes: what it needs is in the channel.
"""

from __future__ import annotations

import contextlib
from typing import Any, NoReturn, SupportsIndex
from weakref import WeakKeyDictionary

from ringbridge import _core
from ringbridge.errors import RingbridgeError

# How the methods of a type look, by channel, type (as module.name) and name: asked once.
_methods: WeakKeyDictionary[_core.Channel, dict[tuple[str, str], tuple[Any, ...]]] = (
    WeakKeyDictionary()
)


class RemoteObject(_core.Handle):
    """Stands for an object in a worker.

    Methods are called, submitted and streamed as functions are; the object is called where it can
    be. Plain attributes come by value, each time they are asked for; setting one sets it
    over there. Passed to a function of the same worker, it is the object itself. The object goes
    when the last RemoteObject for it is collected, or with its process. What operators, len() and
    `with` ask of a type is not asked over there; == says whether it is this very RemoteObject.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # what copy, pickle and inspect look for is not over there
        channel, _number, type_name = _core.about(self)
        known = _methods.setdefault(channel, {})
        described = known.get((type_name, name))
        if described is None:
            is_method, found = _core.attribute(self, name)
            if not is_method:
                return found
            described = found[0]
            if described[0]:  # every object of the type has it
                known[type_name, name] = described
        return self.__method(channel, type_name, described)

    def __method(
        self, channel: _core.Channel, type_name: str, described: tuple[Any, ...]
    ) -> _core.Function:
        _of_type, name, signature, doc, _kind = described
        target = _core.Target(channel, 0, f"{type_name}.{name}")
        return _core.Function(target, doc=doc, signature=signature, handle=self, method=name)

    def __setattr__(self, name: str, value: object) -> None:
        _core.set_attribute(self, name, value)

    def __delattr__(self, name: str) -> NoReturn:
        _channel, _number, type_name = _core.about(self)
        raise AttributeError(
            f"cannot delete {name!r} of a remote {type_name}: call a function that does it there"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the object over there, where it can be called."""
        return self.__special("__call__")(*args, **kwargs)

    def __dir__(self) -> list[str]:
        names = set(object.__dir__(self))
        with contextlib.suppress(RingbridgeError):  # its process has ended: nothing to list
            names.update(self.__special("__dir__")())
        return sorted(names)

    def __special(self, name: str) -> _core.Function:
        channel, _number, type_name = _core.about(self)
        return self.__method(channel, type_name, (0, name, None, None, 0))

    def __reduce_ex__(self, _protocol: SupportsIndex) -> NoReturn:
        channel, _number, type_name = _core.about(self)
        raise TypeError(
            f"this {type_name} lives in worker {channel.name!r}, and cannot be copied or pickled "
            "here: pass it to functions of that worker"
        )

    def __repr__(self) -> str:
        _channel, number, type_name = _core.about(self)
        return f"<remote {type_name} {number}>"
