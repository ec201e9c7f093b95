# SPDX-License-Identifier: MIT
"""What the user does in a view's windows, as events: clicks and keys.

    click  {x, y, button, double, modifiers, figure, axes, xdata, ydata}
    key    {key, modifiers, figure}; not for a modifier alone

x and y are pixels from the left and from the top, as in a snapshot. Knows no letters: `send(name,
dict)` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringbridge.plot.viewer_windows import Windows

#: No event of their own: they stand in `modifiers`.
_ALONE = {"control", "ctrl", "shift", "alt", "super", "meta", "cmd", "win", "iso_level3_shift"}
_TK_MODIFIERS = {1: "shift", 4: "ctrl", 8: "alt"}  # X11's bits of `state`


def connect(windows: Windows, send: Callable[..., None]) -> object:
    """Tells of them from now on, as long as what it returns is held."""
    for figure in windows.figures:
        connect_figure(windows, figure, send)
    canvases = [figure.canvas for figure in windows.figures]  # which tell more
    if windows.widget is not None:
        from ringbridge.plot.qt_windows import InputFilter

        return InputFilter(windows.widget, canvases, send)
    if windows.root is not None:
        _connect_tk(windows.root, [canvas.get_tk_widget() for canvas in canvases], send)
    return None


def connect_figure(windows: Windows, figure: Any, send: Callable[..., None]) -> None:
    """The same of one of its figures, which need not be held."""
    number = windows.figures.index(figure)

    def clicked(event: Any) -> None:
        told = {"button": int(event.button), "double": bool(event.dblclick)}
        send("click", {**told, **_place(event, figure, number)})

    def typed(event: Any) -> None:
        if event.key is None:  # matplotlib knows no name for it
            return
        *held, key = event.key.split("+") if event.key != "+" else ["+"]
        if key in _ALONE:
            return
        send("key", {"key": key or "+", "modifiers": sorted(filter(None, held)), "figure": number})

    figure.canvas.mpl_connect("button_press_event", clicked)
    figure.canvas.mpl_connect("key_press_event", typed)


def _place(event: Any, figure: Any, number: int) -> dict[str, Any]:
    height = round(figure.bbox.height)
    axes = event.inaxes
    known = axes is not None and axes in figure.axes
    held = getattr(event, "modifiers", None) or ()  # older matplotlibs tell only of keys
    return {
        "x": round(event.x),
        "y": height - round(event.y),
        "modifiers": sorted(held),
        "figure": number,
        "axes": figure.axes.index(axes) if known else None,
        "xdata": None if event.xdata is None else float(event.xdata),
        "ydata": None if event.ydata is None else float(event.ydata),
    }


def _connect_tk(root: Any, but: list[Any], send: Callable[..., None]) -> None:
    window = root.winfo_toplevel()

    def clicked(event: Any, double: bool) -> None:
        if event.widget in but:
            return
        at = (event.x_root - window.winfo_rootx(), event.y_root - window.winfo_rooty())
        told = {"x": at[0], "y": at[1], "button": int(event.num), "double": double}
        send("click", {**told, "modifiers": _held(event)})

    window.bind("<Button>", lambda event: clicked(event, False), "+")
    window.bind("<Double-Button>", lambda event: clicked(event, True), "+")

    def typed(event: Any) -> None:
        name = event.keysym if len(event.keysym) == 1 else event.keysym.lower()
        alone = name.removesuffix("_l").removesuffix("_r") in _ALONE
        if not alone and event.widget not in but:
            send("key", {"key": name, "modifiers": _held(event)})

    window.bind("<Key>", typed, "+")


def _held(event: Any) -> list[str]:
    state = event.state if isinstance(event.state, int) else 0
    return sorted(word for bit, word in _TK_MODIFIERS.items() if state & bit)
