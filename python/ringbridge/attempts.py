# SPDX-License-Identifier: MIT
"""Attempts: work that many may want and one thread does, each at its own pace of waiting.

Knows nothing of workers. Whoever waits for an attempt can give up without harm to the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Attempt:
    """Done when `done` is set; `error` says why it failed."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: Exception | None = None
        self._thread = 0

    @property
    def is_mine(self) -> bool:
        """Whether this very thread makes it, and so must not wait for it."""
        return self._thread == threading.get_ident()

    def make(self, work: Callable[[], None]) -> None:
        self._thread = threading.get_ident()
        try:
            work()
        except Exception as error:
            self.error = error


class Attempts:
    """At most one at a time for each key."""

    def __init__(self, thread_name: str) -> None:
        self._thread_name = thread_name
        self._under_way: dict[int, Attempt] = {}

    def begin(
        self, key: int, work: Callable[[], None], *, after: Callable[[Attempt], None], here: bool
    ) -> Attempt:
        """The attempt for this key, which is begun now if it is not under way.

        after: called behind it, when nobody waits any more. here: in this thread where no other can
        be had; or else not at all then.
        """
        made = Attempt()
        begun = self._under_way.setdefault(key, made)  # atomic, and so without a lock
        if begun is not made:
            return begun

        def run() -> None:
            try:
                made.make(work)
            finally:
                self._finish(key, made)
            after(made)

        try:
            threading.Thread(target=run, name=self._thread_name, daemon=True).start()
        except RuntimeError:  # an isolated subinterpreter, or one that ends
            if here:
                run()
            else:
                self._finish(key, made)
        except BaseException:  # Ctrl-C: perhaps it runs, perhaps not; nobody shall wait for it
            self._finish(key, made)
            raise
        return made

    def _finish(self, key: int, made: Attempt) -> None:
        if self._under_way.get(key) is made:
            del self._under_way[key]
        made.done.set()
