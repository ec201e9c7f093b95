# SPDX-License-Identifier: MIT
"""Views with windows of Tk's, for test_viewer_tk. A frame is the name of what a view is to do."""

from __future__ import annotations

from typing import Any

from ringbridge.plot import emit, frame_number

TICK_MS = 5


class Actor:
    """`target` is the widget that things happen to; `events` where the user's input goes."""

    target: Any

    def draw(self, what: str, *args: Any) -> None:
        getattr(self, what)(*args)

    @property
    def window(self) -> Any:
        return self.target.winfo_toplevel()

    def title(self) -> None:
        self.window.update()
        emit("title", self.window.title(), bool(self.window.winfo_viewable()))

    def click(self, x: int, y: int) -> None:
        self.window.update()
        self.target.event_generate(
            "<Button-1>", x=x, y=y, rootx=self._root("x") + x, rooty=self._root("y") + y
        )

    def _root(self, way: str) -> int:
        return int(getattr(self.target, f"winfo_root{way}")())

    def type(self, key: str) -> None:
        self.window.update()
        self.target.focus_force()
        self.window.update()
        self.target.event_generate(f"<Control-Key-{key}>")

    def close_it(self) -> None:
        """As the window manager does."""
        self.window.tk.call(self.window.tk.call("wm", "protocol", ".", "WM_DELETE_WINDOW"))

    def turn(self) -> None:
        self.window.update()
        emit("turned", frame_number())

    def close_when_the_computation_has_ended(self) -> None:
        if "ended" in self.window.title():
            self.title()
            self.close_it()
        else:
            self.window.after(TICK_MS, self.close_when_the_computation_has_ended)


class Figure(Actor):
    def __init__(self) -> None:
        from matplotlib import pyplot

        self.figure, self.axes = pyplot.subplots(figsize=(4, 3), dpi=100)
        self.axes.set_position((0, 0, 1, 1))
        self.target = self.figure.canvas.get_tk_widget()

    def colour(self, red: float, green: float, blue: float) -> None:
        self.axes.set_facecolor((red, green, blue))

    def count_draws(self) -> None:
        self.draws = 0
        self.figure.canvas.mpl_connect("draw_event", self._count)

    def _count(self, _event: object) -> None:
        self.draws += 1

    def drawn(self) -> None:
        self.window.update()  # and what matplotlib has put off until then
        emit("drawn", self.draws)

    def on_screen(self) -> None:
        """The colour that the photo of the canvas has, which Tk has painted from."""
        red, green, blue = self.figure.canvas._tkphoto.get(50, 50)
        emit("on screen", red, green, blue)


class Interactive(Figure):
    """pyplot draws after each change, by itself."""

    def __init__(self) -> None:
        from matplotlib import pyplot

        pyplot.ion()
        super().__init__()


class Bare(Figure):
    """A Figure() that pyplot has never seen."""

    def __init__(self) -> None:
        from matplotlib.figure import Figure as PlainFigure

        self.figure = PlainFigure(figsize=(4, 3), dpi=100)
        self.axes = self.figure.add_axes((0, 0, 1, 1))

    @property
    def target(self) -> Any:  # type: ignore[override]
        return self.figure.canvas.get_tk_widget()


class TwoFigures(Actor):
    def __init__(self) -> None:
        from matplotlib import pyplot

        self.first, self.second = pyplot.figure("one"), pyplot.figure("two")
        self.target = self.first.canvas.get_tk_widget()

    def next_one(self) -> None:
        self.target = self.second.canvas.get_tk_widget()


class Lost:
    """Its window has gone before it is shown."""

    def __init__(self) -> None:
        import tkinter

        self.root = tkinter.Tk()
        self.root.destroy()

    def draw(self) -> None:
        raise AssertionError


class Panel(Actor):
    """A window of the view's own."""

    def __init__(self) -> None:
        import tkinter

        self.root = tkinter.Tk()
        self.root.geometry("200x100")
        self.target = tkinter.Label(self.root, text="?", background="#00ff00", takefocus=1)
        self.target.pack(fill="both", expand=True)
        self.idle = 0

    def close_it(self) -> None:
        self.root.destroy()

    def text(self, text: str) -> None:
        self.target["text"] = text
        number = frame_number()
        self.root.after_idle(lambda: emit("idle", number))
