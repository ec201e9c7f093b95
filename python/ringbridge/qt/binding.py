# SPDX-License-Identifier: MIT
"""Which Qt binding this process uses, and in what the four differ. Nobody else asks.

The one whose QtCore has been imported wins (in QGIS, that of qgis.PyQt). Of several, the one that
the environment variable QT_API names, else the one that has the application object. Where none has
been imported: QT_API, else the first of PyQt6, PySide6, PyQt5, PySide2 that is installed.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def _asked_for() -> str | None:
    """What QT_API says, in the spelling of the package; None: nothing."""
    asked = os.environ.get("QT_API", "")
    by_name = {name.lower(): name for name in BINDINGS}
    if asked and asked.lower() not in by_name:
        raise ImportError(f"QT_API is {asked!r}; ringbridge.qt knows {', '.join(by_name)}")
    return by_name.get(asked.lower())


def _imported() -> list[str]:
    return [name for name in BINDINGS if f"{name}.QtCore" in sys.modules]


def _has_application(name: str) -> bool:
    return sys.modules[f"{name}.QtCore"].QCoreApplication.instance() is not None


def _choose() -> str:
    found = _imported()
    if len(found) == 1:
        return found[0]
    asked = _asked_for()
    if found:
        if asked in found:
            return asked
        owners = [name for name in found if _has_application(name)]
        if len(owners) == 1:
            return owners[0]
        raise ImportError(
            f"{' and '.join(found)} have both been imported, and which one ringbridge.qt is to use "
            "cannot be told: make the application object first, or set QT_API"
        )
    tried = [asked] if asked else BINDINGS
    for name in tried:
        try:
            importlib.import_module(f"{name}.QtCore")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(name):
                raise
        else:
            return name
    raise ImportError(
        f"ringbridge.qt needs a Qt binding: {', '.join(tried)} cannot be imported in "
        f"{sys.executable}"
    )


#: The binding's package: "PyQt5", "PyQt6", "PySide2" or "PySide6".
NAME = _choose()
QtCore: Any = importlib.import_module(f"{NAME}.QtCore")

_is_pyqt = NAME.startswith("PyQt")
Signal: Any = QtCore.pyqtSignal if _is_pyqt else QtCore.Signal
Slot: Any = QtCore.pyqtSlot if _is_pyqt else QtCore.Slot

if NAME == "PySide6" and QtCore.__version__ == "6.12.0" and sys.version_info < (3, 12):
    warnings.warn(
        "PySide6 6.12.0 ends the process after some hundred signals on Python 3.11 and older (each "
        "emit() drops a reference to True or False): use another version of PySide6",
        RuntimeWarning,
        stacklevel=2,
    )


def module(name: str) -> Any:
    """Another module of the binding, such as QtWidgets: imported only where it is needed."""
    return importlib.import_module(f"{NAME}.{name}")


def enum(owner: Any, name: str, member: str) -> Any:
    """A member of an enum: of the class that Qt 6 has for it, or of the one it is in."""
    return getattr(getattr(owner, name, owner), member)


def application() -> Any:
    """The QCoreApplication. RuntimeError: there is none yet."""
    found = QtCore.QCoreApplication.instance()
    if found is None:
        raise RuntimeError(
            f"there is no {NAME} application yet: make a QApplication (or a QCoreApplication) first"
        )
    return found


def timer_ms(seconds: float) -> int:
    """For a QTimer. Rounded up, as asyncio's own selectors do: who is woken too early turns for
    nothing. It takes no more than 24 days; who is woken then looks again."""
    return min(math.ceil(seconds * 1000), 2**31 - 1)


def run(loop: Any) -> int:
    """exec() of a QEventLoop, a dialog or an application: old bindings have it as exec_."""
    return int((getattr(loop, "exec", None) or loop.exec_)())


def is_connected(thing: Any, signal: str) -> bool:
    """Whether anything is connected to the signal of that name, of a class of ours."""
    meta = thing.metaObject()
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if bytes(method.name()) == signal.encode():
            return bool(thing.isSignalConnected(method))
    return False


def connect_bare(signal: Any, function: Callable[[], object]) -> None:
    """Connects a function that takes none of the signal's arguments, in the quickest way."""
    if _is_pyqt:  # tries with all of them first, and would catch a TypeError each time
        signal.connect(lambda *_: function())
    else:  # makes objects of those only that the function takes
        signal.connect(function)


#: What a slot fills in while the signal is emitted: a copy would not be read.
_TO_FILL_IN = frozenset({"QAuthenticator", "QSslPreSharedKeyAuthenticator"})

if _is_pyqt:
    _sip: Any = importlib.import_module(f"{NAME}.sip")

    def is_alive(thing: Any) -> bool:
        """Whether Qt has not yet deleted a QObject whose wrapper is still here."""
        return not (isinstance(thing, _sip.simplewrapper) and _sip.isdeleted(thing))

    def copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
        """A signal's arguments, fit to outlive it.

        PyQt hands out references to values of C++ that may be gone when the slot returns. What has
        an owner there, such as a tree's item, stays the one that it is.
        """
        return tuple(map(_copied, args))

    def _copied(argument: Any) -> Any:
        if (
            not isinstance(argument, _sip.simplewrapper)
            or isinstance(argument, _sip.wrapper)
            or _sip.ispyowned(argument)
            or type(argument).__name__ in _TO_FILL_IN
        ):
            return argument
        try:
            return type(argument)(argument)
        except TypeError:  # nothing that can be copied
            return argument

    def counted(slot: Callable[..., Any], most: int) -> Callable[..., Any]:
        """The slot as a function that says how many arguments it takes: PyQt tries."""
        return slot

    def make_known(slot: Any, method: Any) -> None:
        """That the slot is to be a method beside this one: PyQt believes it."""
else:
    _shiboken: Any = importlib.import_module(NAME.replace("PySide", "shiboken"))

    def is_alive(thing: Any) -> bool:
        """Whether Qt has not yet deleted a QObject whose wrapper is still here."""
        return bool(_shiboken.isValid(thing))

    def copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
        """A signal's arguments, fit to outlive it: PySide hands out copies."""
        return args

    def counted(slot: Callable[..., Any], most: int) -> Callable[..., Any]:
        """The slot as a function that says how many arguments it takes, at most.

        PySide looks there which of a signal's forms it connects, so that a slot of `*args` gets
        nothing from clicked(bool).
        """
        return _COUNTED[most](slot) if most < len(_COUNTED) else slot

    def make_known(slot: Any, method: Any) -> None:
        """That the slot is to be a method beside this one.

        PySide believes it of what the class has under its name. Any other it takes for a function
        without a receiver, and calls it on the sender's thread.
        """
        for each in type(method.__self__).__mro__:
            if any(value is method.__func__ for value in vars(each).values()):
                slot.__name__ = f"_ringbridge_{slot.__name__}"
                setattr(each, slot.__name__, slot)
                return

    _NONE = object()

    def _call(slot: Callable[..., Any], *args: Any) -> Any:
        return slot(*[each for each in args if each is not _NONE])

    _O: Any = _NONE
    _COUNTED: tuple[Any, ...] = (
        lambda slot: lambda: slot(),
        lambda slot: lambda a=_O: _call(slot, a),
        lambda slot: lambda a=_O, b=_O: _call(slot, a, b),
        lambda slot: lambda a=_O, b=_O, c=_O: _call(slot, a, b, c),
        lambda slot: lambda a=_O, b=_O, c=_O, d=_O: _call(slot, a, b, c, d),
        lambda slot: lambda a=_O, b=_O, c=_O, d=_O, e=_O: _call(slot, a, b, c, d, e),
        lambda slot: lambda a=_O, b=_O, c=_O, d=_O, e=_O, f=_O: _call(slot, a, b, c, d, e, f),
    )


def _nothing(_kept: object) -> None:
    pass


def keep_with(receiver: object, function: object) -> None:
    """The function lives as long as the receiver, of whom it is to be a method that is connected:
    PyQt5 keeps neither of them, and calls what is in their place by then."""
    weakref.finalize(receiver, _nothing, function)


def disconnect(signal: Any, connection: Any, slot: Any) -> None:
    """Undoes `connection = signal.connect(slot)`, also where the sender has been deleted."""
    if isinstance(connection, QtCore.QMetaObject.Connection):
        # Of a sender that was deleted only the connection may be touched: PyQt's signal holds
        # its bare address.
        was_there = QtCore.QObject.disconnect(connection)
        if not (was_there and _is_pyqt):
            return
    with contextlib.suppress(TypeError, RuntimeError):  # PyQt lets go of the slot, and complains
        signal.disconnect(slot)
