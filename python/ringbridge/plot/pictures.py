# SPDX-License-Identifier: MIT
"""Pictures of what a view shows: as an array (`snapshot`) or as the bytes of a file (`picture`).

Of the view's figure, or of its widget where it has none; of a Tk window where there is Pillow and
the screen lets itself be read. numpy is imported by a snapshot only.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringbridge.plot.viewer_windows import Windows


class NoPicture(RingbridgeError):
    """Of this view no picture can be made, or none in that format."""


def snapshot(windows: Windows, options: Mapping[str, Any]) -> Any:
    """uint8 (height, width, 4): red, green, blue, alpha, from the top. options: figure (its index).

    Raises NoPicture.
    """
    import numpy

    if windows.figures:
        figure, _ = _chosen(windows, options)
        canvas = figure.canvas
        if not hasattr(canvas, "buffer_rgba"):  # one that draws with Cairo
            file = io.BytesIO()
            figure.savefig(file, format="rgba", dpi=figure.dpi)
            figure.stale = True
            width = int(figure.bbox.width)
            return numpy.frombuffer(file.getvalue(), "u1").reshape(-1, width, 4).copy()
        if figure.stale or not hasattr(canvas, "renderer"):
            canvas.draw()
        return numpy.array(canvas.buffer_rgba())
    if windows.is_closed:
        raise NoPicture("the view's window has been closed")
    if windows.widget is not None:
        from ringbridge.plot.qt_windows import rgba

        pixels, height, width = rgba(windows.widget)
        return numpy.frombuffer(pixels, "u1").reshape(height, width, 4).copy()
    return numpy.array(_of_tk(windows).convert("RGBA"))


def picture(windows: Windows, format: str, options: Mapping[str, Any]) -> bytes:
    """A file's content: png, pdf, svg and what else matplotlib's savefig can write, with its
    options; of a widget, png, jpg and what else Qt can write (options: quality).

    `figure` among the options is the index of the figure meant. Raises NoPicture, and what savefig
    raises.
    """
    file = io.BytesIO()
    if windows.figures:
        figure, left = _chosen(windows, options)
        figure.savefig(file, format=format, **left)
        # The canvas on the screen has drawn for the file, in its size.
        if windows.toolkit and not windows.is_closed:
            figure.canvas.draw()
        else:
            figure.stale = True
        return file.getvalue()
    if windows.is_closed:
        raise NoPicture("the view's window has been closed")
    if windows.widget is not None:
        from ringbridge.plot.qt_windows import encoded

        found = encoded(windows.widget, format, int(options.get("quality", -1)))
        if not found:
            raise NoPicture(f"Qt cannot write the picture of a widget as {format!r}; it can as png")
        return found
    _of_tk(windows).save(file, format, **options)
    return file.getvalue()


def _chosen(windows: Windows, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    left = dict(options)
    index = left.pop("figure", 0)
    if not isinstance(index, int) or not 0 <= index < len(windows.figures):
        raise NoPicture(f"the view has {len(windows.figures)} figures, and no number {index!r}")
    return windows.figures[index], left


def _of_tk(windows: Windows) -> Any:
    if windows.root is None:
        raise NoPicture("the view has no figure, no widget and no window")
    try:
        from PIL import ImageGrab
    except ImportError:
        raise NoPicture(
            "a picture of a Tk window needs Pillow, which the viewer's Python does not have"
        ) from None
    window = windows.root.winfo_toplevel()
    window.update_idletasks()
    x, y = window.winfo_rootx(), window.winfo_rooty()
    box = (x, y, x + window.winfo_width(), y + window.winfo_height())
    try:  # from the screen: what lies above the window is in it
        return ImageGrab.grab(box, xdisplay=os.environ.get("DISPLAY", ""))
    except OSError as error:
        raise NoPicture(f"the screen with the Tk window cannot be read: {error}") from None
