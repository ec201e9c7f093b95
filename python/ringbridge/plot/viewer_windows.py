# SPDX-License-Identifier: MIT
"""What a view shows: figures of matplotlib, a QWidget, a window of Tk; or nothing.

`make_ready` before the view is made: which toolkits want something done first.
`Windows` after it: shown without blocking, titled, brought up to date, closed; who closes them.

Knows no letters and no frames. matplotlib, Qt and tkinter are looked at where a view brings them
along, and imported by nobody else.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from ringbridge.plot.view_loading import ViewError, wants_pyplot, wants_qt

_logger = logging.getLogger("ringbridge.plot")
_kept: list[Any] = []  # the QApplication, which nobody else may hold


# ---------------------------------------------------------------------------------- beforehand


def has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def choose_without_screen() -> None:
    """Before anything of the view is imported. What the user has chosen stays as it is."""
    if has_screen() or os.environ.get("QT_QPA_PLATFORM"):
        return
    os.environ["QT_QPA_PLATFORM"] = "offscreen"  # Qt ends the process otherwise
    if "MPLBACKEND" not in os.environ:
        os.environ["MPLBACKEND"] = "Agg"
        _logger.warning("no screen here (DISPLAY is not set): the view draws without a window")


def make_ready(make: Callable[[], Any]) -> None:
    """Between loading the view and making it: a QApplication, where one is needed first; a
    pyplot.show() that comes back.

    A widget needs the former. So does matplotlib without a screen: it believes in no window of Qt's
    there, whatever platform Qt is told to take, unless there is a QApplication already.
    """
    offscreen = os.environ.get("QT_QPA_PLATFORM") and not has_screen()
    backend = os.environ.get("MPLBACKEND", "qt").lower()
    if wants_qt(make) or (offscreen and backend.startswith("qt")):
        with contextlib.suppress(ImportError):  # without Qt: the view says so, if it needs it
            _have_application()
    if wants_pyplot(make):
        with contextlib.suppress(Exception):  # the view says so, when it imports it
            importlib.import_module("matplotlib.pyplot")
    let_show_return()


def _have_application() -> None:
    from ringbridge.qt import binding

    widgets = binding.module("QtWidgets")
    if widgets.QApplication.instance() is None:
        _kept.append(widgets.QApplication(["ringbridge"]))


def let_show_return() -> None:
    """pyplot.show() blocks neither the view's __init__ nor its draw: the viewer runs the loop.

    Marks it as IPython's %pylab does; show(block=True) blocks as ever.
    """
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.show._needmain = False


def print_what_slots_raise() -> None:
    """PyQt ends the process for what a slot raises, unless somebody has a hook for it."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = lambda kind, error, trace: traceback.print_exception(kind, error, trace)


def pyplot_managers() -> list[Any]:
    """Of pyplot's figures. pyplot itself would give them only one by one, as its current figure."""
    helpers: Any = sys.modules.get("matplotlib._pylab_helpers")
    return sorted(helpers.Gcf.figs.values(), key=lambda each: each.num) if helpers else []


@contextlib.contextmanager
def no_drawing_behind() -> Iterator[None]:
    """pyplot in interactive mode draws once more for each change; meanwhile it does not."""
    matplotlib = sys.modules.get("matplotlib")
    was = matplotlib is not None and matplotlib.is_interactive()
    if matplotlib is not None and was:
        matplotlib.interactive(False)
    try:
        yield
    finally:
        if matplotlib is not None and was:
            matplotlib.interactive(True)


# ------------------------------------------------------------------------------------- windows


class Windows:
    """Those of a view: `view.widget` or `view.root`, or else each figure has one of its own.

    figures  matplotlib's: `view.figure`, and pyplot's that the view has made
    toolkit  "qt", "tk", or "" where there is no window, and none to come
    """

    def __init__(self, view: Any, before: list[Any]) -> None:
        """before: the managers of pyplot's figures that are not the view's."""
        self.view = view
        self.widget: Any = getattr(view, "widget", None)
        self.root: Any = getattr(view, "root", None)
        self.figures: list[Any] = []
        self.is_closed = False
        self._before = before
        self._closed: Callable[[], None] = lambda: None
        self._title = ""
        self._own_title = ""  # of the widget, or the root
        self._filter: Any = None  # Qt does not hold it
        self._managers: dict[Any, str] = {}  # of the figures' windows, and their own titles
        self._unknown_to_pyplot: list[Any] = []
        self._named = _named_figures(view)
        self._add_figures(self._named)
        self._add_figures(self._new_figures())
        self.toolkit = self._find_toolkit()

    @property
    def _inside(self) -> bool:
        """Whether figures have no windows of their own."""
        return self.widget is not None or self.root is not None

    @property
    def on_screen(self) -> bool:
        """Whether there is a window now."""
        return bool(self.toolkit and (self._inside or self._managers) and not self.is_closed)

    def _add_figures(self, figures: list[Any]) -> None:
        self.figures += [each for each in figures if each not in self.figures]
        if not self._inside:
            self._managers.update((self._manager(each), "") for each in figures)

    def _new_figures(self) -> list[Any]:
        """pyplot's that are not here yet."""
        found = [each.canvas.figure for each in pyplot_managers() if each not in self._before]
        return [each for each in found if each not in self.figures]

    def _drop_closed(self) -> None:
        """Without windows nobody tells of figures that draw has closed. `view.figure` stays the
        view's, whatever pyplot knows of it."""
        stay = [*pyplot_managers(), *(each.canvas.manager for each in self._named)]
        for manager in [each for each in self._managers if each not in stay]:
            del self._managers[manager]
            self.figures.remove(manager.canvas.figure)

    def _find_toolkit(self) -> str:
        if self.widget is not None:
            return "qt"
        if self.root is not None:
            return "tk"
        if not self._managers:  # draw may make some
            return _toolkit_of_pyplot()
        return next(filter(None, map(_toolkit_of, self._managers)), "")

    def show(self, title: str, closed: Callable[[], None]) -> None:
        """Shows all of them. closed() when the user has closed the last one."""
        self._title = title
        self._closed = closed
        let_show_return()  # where __init__ has imported pyplot, and the view's text does not tell
        if self.toolkit == "":
            return
        if self.widget is not None:
            self._show_widget()
        elif self.root is not None:
            self._own_title = self.root.winfo_toplevel().title()
            self.root.winfo_toplevel().bind("<Destroy>", self._destroyed, "+")
        for manager in list(self._managers):
            self._show_figure(manager)
        self.add_to_title("")

    def adopt(self) -> list[Any]:
        """Shows pyplot's figures that draw has made, and returns them."""
        if self._inside or self.is_closed:
            return []
        if not self.toolkit:
            self._drop_closed()
        figures = self._new_figures()
        if figures:
            self._add_figures(figures)
            for figure in figures:
                shown = _toolkit_of(figure.canvas.manager)  # raises for one that cannot be
                if shown and self.toolkit:
                    self._show_figure(figure.canvas.manager)
            self.add_to_title("")
        return figures

    def _show_figure(self, manager: Any) -> None:
        self._managers[manager] = manager.get_window_title() or ""
        manager.canvas.mpl_connect("close_event", lambda _event: self._lost(manager))
        manager.show()
        if self.toolkit == "tk" and manager in self._unknown_to_pyplot:
            manager.window.protocol("WM_DELETE_WINDOW", manager.destroy)

    def _show_widget(self) -> None:
        from ringbridge.plot.qt_windows import CloseFilter

        window = self.widget.window()
        self._own_title = window.windowTitle()
        self._filter = CloseFilter(window, self._all_closed)
        window.show()

    def _destroyed(self, event: Any) -> None:
        if event.widget is self.root.winfo_toplevel():
            self._all_closed()

    def _lost(self, manager: Any) -> None:
        self._managers.pop(manager, None)
        if not self._managers:
            self._all_closed()

    def _all_closed(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._closed()

    def add_to_title(self, words: str) -> None:
        """Titles them: the plot's title, each one's own where there are several, and the words."""
        if self.is_closed:
            return
        title, several = self._title, len(self.figures) > 1
        if self.widget is not None:
            self.widget.window().setWindowTitle((title or self._own_title) + words)
        elif self.root is not None:
            self.root.winfo_toplevel().title((title or self._own_title) + words)
        for manager, name in self._managers.items():
            both = f"{title}: {name}" if title and several else title or name
            manager.set_window_title(both + words)

    def refresh(self) -> None:
        """Draws what has changed, now. Without windows it waits until somebody wants a picture."""
        if self.toolkit == "" or self.is_closed:
            return
        for figure in self.figures:
            if figure.stale:
                figure.canvas.draw()
        if self.toolkit == "tk":
            # Tk paints when it is idle, which it never is where descriptors are always ready.
            for window in [self.root] if self.root else [each.window for each in self._managers]:
                window.update_idletasks()

    def close(self) -> None:
        """view.close(), if it has that, then the windows. What they raise is logged."""
        steps: list[Callable[[], object]] = []
        if callable(getattr(self.view, "close", None)):
            steps.append(self.view.close)
        if not self.is_closed:
            steps += self._closing()
        self.is_closed = True
        for step in steps:
            try:
                step()
            except Exception:
                _logger.exception("while a view was closed")

    def _closing(self) -> list[Callable[[], object]]:
        if self.widget is not None:
            return [self.widget.window().close]
        if self.root is not None:
            return [self.root.winfo_toplevel().destroy]
        closing: list[Callable[[], object]] = [each.destroy for each in self._unknown_to_pyplot]
        if self._managers:
            from matplotlib import pyplot

            closing += [functools.partial(pyplot.close, each) for each in self.figures]
        return closing

    def _manager(self, figure: Any) -> Any:
        """What has the figure's window: made here for a Figure() that is not pyplot's."""
        if figure.canvas.manager is None:
            from matplotlib import pyplot

            number = max(pyplot.get_fignums(), default=0) + 1
            made = pyplot.new_figure_manager(number, FigureClass=lambda *_, **__: figure)
            self._unknown_to_pyplot.append(made)
        return figure.canvas.manager


def _named_figures(view: Any) -> list[Any]:
    named = getattr(view, "figure", None)
    those = named if isinstance(named, (list, tuple)) else [named]
    return [
        each if hasattr(each, "savefig") else each.canvas.figure
        for each in those
        if each is not None
    ]


def _toolkit_of(manager: Any) -> str:
    """Raises ViewError for one that a viewer has no loop for."""
    needs = getattr(manager.canvas, "required_interactive_framework", None)
    name = (needs or "")[:2]
    if needs in (None, "headless"):
        return ""
    if name not in ("qt", "tk"):
        raise ViewError(
            f"the view's figure wants the event loop of {needs}; a viewer has those of Qt and Tk: "
            "set MPLBACKEND to QtAgg, TkAgg or Agg"
        )
    return name


def _toolkit_of_pyplot() -> str:
    """That which pyplot's figures will have, where somebody has imported it; it is ready then."""
    if "matplotlib.pyplot" not in sys.modules:
        return ""
    name = sys.modules["matplotlib"].get_backend().lower()[:2]
    if name == "qt":
        _have_application()
    return name if name in ("qt", "tk") else ""
