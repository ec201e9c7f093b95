# SPDX-License-Identifier: MIT
"""tqdm's bars in a worker: the progress of the call that they run in, instead of lines on stderr.

Never imports tqdm: it is patched when somebody else imports it, or has imported it. Of its class
three methods are replaced, in place, so that every alias and subclass has them: `__init__`, whose
`file` says where a bar is drawn; `display`, which tqdm offers for other ways to show a bar; and
`refresh`, which calls it. They, and the attributes n, total, desc and postfix, are documented, and
are the same in every version since 4.60. The class for notebooks loses its own methods, and is then
as the plain one.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from _weakref import ref  # weakref itself takes a millisecond

from ringbridge import current
from ringbridge.errors import RingbridgeError

TYPE_CHECKING = False  # type checkers know the name; importing typing takes 10 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Bar = Any  # of tqdm, which need not be there

#: current.show_tqdm's.
wanted = True

_MARK = "_ringbridge_shown"  # of a bar: its _Shown; of the class: that it is patched
_FILE_ARGUMENT = 4  # of tqdm(iterable, desc, total, leave, file), counted from 0


def watch_imports() -> None:
    """From now on, tqdm's bars are shown by us; those of a tqdm that is loaded already, too."""
    if _hook in sys.meta_path:
        return
    sys.meta_path.insert(0, _hook)
    for name, patch in _PATCHES.items():
        module = sys.modules.get(name)
        if module is not None:
            patch(module)


# ---------------------------------------------------------------------------------------- imports


class _Hook:
    """Finds nothing by itself: what the others find for a name of ours is patched once it ran."""

    def __init__(self) -> None:
        self._asking: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        patch = _PATCHES.get(name)
        if patch is None or name in self._asking:  # by another hook, which asks all others in turn
            return None
        self._asking.add(name)
        try:
            return _patched_spec(name, path, target, patch)
        finally:
            self._asking.discard(name)


def _patched_spec(
    name: str, path: Any, target: Any, patch: Callable[[ModuleType], None]
) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find(name, path, target) if find and finder is not _hook else None
        if spec is not None:
            _patch_after(spec.loader, name, patch)
            return spec
    return None


def _patch_after(loader: Any, name: str, patch: Callable[[ModuleType], None]) -> None:
    run = getattr(loader, "exec_module", None)
    if run is None:
        return

    def run_and_patch(module: ModuleType) -> None:
        run(module)
        if module.__name__ == name:  # some loaders load several modules
            patch(module)

    try:
        loader.exec_module = run_and_patch
    except AttributeError:  # its bars are drawn, then
        return


# ------------------------------------------------------------------------------------------- tqdm


class _Shown:
    """What we know of one bar."""

    def __init__(self, task: current.CurrentTask, draws: bool) -> None:
        self.task = task
        self.draws = draws  # to a file of its own
        self.thread = get_ident()
        self.cancelled = False


class _Nowhere:
    """The file that a bar is not drawn to."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


_nowhere = _Nowhere()
_bars: list[ref[Bar]] = []  # in the order in which they were made


def _patch_std(module: ModuleType) -> None:
    bars = getattr(module, "tqdm", None)
    if not isinstance(bars, type) or _MARK in vars(bars):
        return
    setattr(bars, _MARK, None)
    bars.__init__ = _patched_init(bars.__init__)  # type: ignore[misc]
    bars.display = _patched_display(bars.display)  # type: ignore[attr-defined]
    bars.refresh = _patched_refresh(bars.refresh)  # type: ignore[attr-defined]


def _patch_notebook(module: ModuleType) -> None:
    bars = getattr(module, "tqdm_notebook", None)
    if not isinstance(bars, type) or _MARK in vars(bars):
        return
    setattr(bars, _MARK, None)
    methods = (type(_patch_std), staticmethod)
    for name in [name for name, value in vars(bars).items() if isinstance(value, methods)]:
        if hasattr(bars.__mro__[1], name):
            delattr(bars, name)
    plain = bars.__init__  # type: ignore[misc]

    def __init__(self: Bar, *args: Any, display: bool = True, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)

    bars.__init__ = __init__  # type: ignore[misc]


_PATCHES = {"tqdm.std": _patch_std, "tqdm.notebook": _patch_notebook}
_hook: Any = _Hook()


def _patched_init(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Bar, *args: Any, **kwargs: Any) -> None:
        task = current.current_task()
        if wanted and task.id:
            file = args[_FILE_ARGUMENT] if len(args) > _FILE_ARGUMENT else kwargs.get("file")
            draws = file not in (None, sys.stdout, sys.stderr)
            setattr(self, _MARK, _Shown(task, draws))
            if not draws and len(args) <= _FILE_ARGUMENT:
                kwargs["file"] = _nowhere
            if kwargs.get("disable", False) is None:  # "unless stderr is a terminal"
                kwargs["disable"] = False
        original(self, *args, **kwargs)
        if getattr(self, _MARK) is not None:  # its attributes are there from now on
            _bars[:] = [each for each in _bars if each() is not None] + [ref(self)]

    return __init__


def _patched_display(original: Callable[..., Any]) -> Callable[..., Any]:
    def display(self: Bar, *args: Any, **kwargs: Any) -> Any:
        shown = getattr(self, _MARK)
        result = True
        if shown is None or shown.draws:
            result = original(self, *args, **kwargs)
        if shown is not None:
            _report(self, shown)
        return result

    return display


def _patched_refresh(original: Callable[..., Any]) -> Callable[..., Any]:
    def refresh(self: Bar, nolock: bool = False, lock_args: Any = None) -> Any:
        result = original(self, nolock=nolock, lock_args=lock_args)
        # Here, since display runs under tqdm's lock, which an exception would leave locked.
        if not nolock and _must_end(self, getattr(self, _MARK)):
            getattr(self, _MARK).task.check_cancelled()
        return result

    return refresh


def _must_end(bar: Bar, shown: _Shown | None) -> bool:
    """In the loop that the bar is of: not in tqdm's own thread, not in a bar that is closing."""
    if shown is None or bar.disable:
        return False
    return shown.cancelled and get_ident() == shown.thread


def _report(bar: Bar, shown: _Shown) -> None:
    """Tells of the outermost bar of the call; those inside it give the text."""
    outer, *inner = _open_bars(shown.task.id) or [bar]  # none: the last one is closing
    texts = [_title(outer), *(f"{_title(each)} {_count(each)}".lstrip() for each in inner)]
    try:
        shown.task.progress(outer.n, outer.total, ", ".join(text for text in texts if text))
    except RingbridgeError:  # Cancelled: refresh raises it
        shown.cancelled = True
    except (TypeError, OverflowError):  # counts of a kind that tqdm takes and we do not
        pass


def _open_bars(call: int) -> list[Bar]:
    bars = [each() for each in list(_bars)]
    return [
        bar
        for bar in bars
        # by identity: bars are compared, and true or false, by their counts
        if bar is not None and not bar.disable and getattr(bar, _MARK).task.id == call
    ]


def _title(bar: Bar) -> str:
    title = str(bar.desc or "").rstrip(": ")
    postfix = getattr(bar, "postfix", None)
    return f"{title} ({postfix})".lstrip() if postfix else title


def _count(bar: Bar) -> str:
    return f"{bar.n}/{bar.total}" if bar.total else str(bar.n)
