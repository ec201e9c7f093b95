# SPDX-License-Identifier: MIT
"""Process: what is behind a Worker, apart from it: it can be ended when the Worker is no more.

Starts a process on first use, ends it, and puts another in its place. How a process is started
stands in launch, what the next one loads in loads, when it is left dead in crashes.

    none --start--> a child --dies, or is unwanted--> a thread replaces it --> the next child
      |                |                                    |
      +----------------+-------------- close() -------------+--> closed

A child is replaced when it has died and restart="on-crash" was asked for, or when somebody called
`restart` or `replace`. The loads are replayed in their order, and the targets of all functions are
bound to the new channel: functions that somebody holds go on working. A call that was under way is
never repeated.

The work is done by a thread of its own. Who needs the result waits for that thread, as long as his
timeout allows, and can be interrupted without harm to others who wait. `_lock` is held for all of a
start and of a replacement; close() makes them fail, then takes it, and so leaves nothing behind.
Nothing is logged with it held: a finaliser may close while it holds a log handler's lock.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
import weakref
from typing import TYPE_CHECKING

from ringbridge import plan
from ringbridge.attempts import Attempt, Attempts
from ringbridge.crashes import Crashes
from ringbridge.errors import Busy, CallTimeout, RingbridgeError
from ringbridge.event_loop import running_loop
from ringbridge.loads import Loads, module_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringbridge import launch
    from ringbridge._core import Channel, Target
    from ringbridge.output import OutputPump
    from ringbridge.remote import Loaded

_OUTPUT_JOIN_S = 1.0
_WHO = ("an event loop's thread", "the thread that starts it")


class Process:
    """The process of a Worker, and the one after it."""

    def __init__(self, wanted: plan.Plan, restart_on_crash: bool = False) -> None:
        self.plan = wanted
        self.child: launch.Child | None = None
        self.closed = False  # set by close() before all else, so that a start sees it
        self.restarts = 0  # how often a process took the place of another
        self._on_crash = restart_on_crash
        self._loads = Loads(self)
        self._crashes = Crashes()
        self._counted: launch.Child | None = None  # whose death is among the crashes
        self._answers = 0  # frames that had come from the child when it was ready
        self._unwanted: launch.Child | None = None  # to be replaced whatever the policy says
        self._reason = ""  # why it is unwanted
        self._attempts = Attempts(f"restart of {wanted.name}")  # by the pid of the old child
        self._news = ""  # what the last one has done
        self._ended: launch.Child | None = None  # by close()
        self._tried = False  # a use came before the thread of start_early, which then has no work
        self._start: launch.Start | None = None  # while it runs, in whichever thread
        self._failed_early: Exception | None = None  # for the first use to raise
        self._pump: OutputPump | None = None
        self._owner_pid = os.getpid()
        # Reentrant, since a signal handler or a finaliser may close while this thread starts.
        self._lock = threading.RLock()

    # ------------------------------------------------------------------------------------- in use

    def channel(self) -> Channel:
        """The channel, of a process that is started now if it has not been, or again if it died."""
        while True:
            child = self.child
            if child is not None and not self.closed and self._is_current(child):
                return child.channel
            self._check_open()
            if child is None:
                return self._started().channel
            self._await_replacement(child, None)

    def bind(self, channel: Channel, module: str, loaded: Loaded) -> Mapping[str, Target] | None:
        """The module's functions, as Channel.load gave them; None: load it again, since another
        process has taken that one's place."""
        with self._lock:
            if self.child is None or self.child.channel is not channel:
                return None
            return self._loads.bind(channel, module, loaded)

    def revived(self, target: Target, timeout: float | None) -> bool:
        """For a call that found its target's channel unusable: see Target in _core."""
        self._check_owner()
        child = self.child
        if self.closed:  # whatever this channel would say of itself
            name = self.plan.name
            raise RingbridgeError(
                f"worker {name!r} is closed: by close(), or since nothing held the Worker any more"
            )
        if child is None:
            return False
        if not self._is_current(child):
            self._await_replacement(child, timeout)
        elif target.channel is not child.channel:
            self._load_again(target, child, timeout)
        elif not child.channel.alive:
            return False  # and the policy is to leave it so
        return True  # bound anew, or else the call comes back here

    def stats(self) -> dict[str, int]:
        """The channel's counters, and ours; starts and replaces nothing."""
        child = self.child
        if self.closed:
            self._check_open()
        if child is None:
            return {}
        return {**child.channel.stats(), "restarts": self.restarts}

    def _is_current(self, child: launch.Child) -> bool:
        """False when another process is to take its place."""
        if child is self._unwanted:
            return False
        return not self._on_crash or child.channel.alive

    def _load_again(self, target: Target, child: launch.Child, timeout: float | None) -> None:
        """The target's module could not be loaded by the new process: says why, once; from then on
        each use tries again."""
        module = module_of(target)
        if running_loop() is not None:
            raise self._loads.failed.get(module) or Busy(
                f"worker {self.plan.name!r} must load {module!r} again, and an event loop's thread "
                "must not wait for that: call load() in another thread"
            )
        error = self._loads.failed.pop(module, None)
        if error is not None:
            raise error
        self.bind(child.channel, module, child.channel.load(module, False, timeout))

    # ------------------------------------------------------------------------------------ starting

    def start_early(self) -> None:
        """Starts it in a thread of its own. The first use starts it where that cannot be had."""
        with contextlib.suppress(RuntimeError):  # an isolated subinterpreter has no daemon threads
            threading.Thread(
                target=self._start_quietly, name=f"start of {self.plan.name}", daemon=True
            ).start()

    def _start_quietly(self) -> None:
        failure = None
        with self._lock:
            if self.child is None and not self.closed and not self._tried:
                try:
                    self._started()
                except Exception as error:
                    failure = self._failed_early = error
        if failure is not None and not self.closed:
            self._log("%s", failure)

    def _started(self) -> launch.Child:
        with self._lock:
            self._check_open()
            failure, self._failed_early = self._failed_early, None
            if failure is not None:
                raise failure
            child = self.child
            if child is None:
                self._tried = True
                child = self._put_in_place_of(None)
            self._check_open()
            return child

    def _put_in_place_of(self, old: launch.Child | None) -> launch.Child:
        """Starts a process, has it load what the old one had loaded, and lets go of the old one,
        which has ended. Where it raises, nothing has changed."""
        from ringbridge import launch, output  # with what a start takes: in the background

        start = self._start = launch.Start(self.plan)
        if self.closed:  # since: close() has seen no start to abandon
            start.abandon()
        try:
            child = start.run()
            try:
                heard = functools.partial(self._heard, child) if self._on_crash else None
                pump = output.OutputPump(child.channel, self.plan.name, heard)
                replayed = self._loads.replay(child.channel)
                self._answers = child.channel.stats()["frames_received"]
            except BaseException:
                child.kill()
                child.close()
                raise
        except RingbridgeError:
            self._check_open()  # that it was closed is the reason then
            raise
        finally:
            self._start = None
        self._loads.take(child.channel, replayed)
        child.channel.owner = weakref.ref(self)
        self.child = child
        old_pump, self._pump = self._pump, pump
        if old is not None:
            self.restarts += 1
            if old_pump is not None:
                old_pump.join(_OUTPUT_JOIN_S)
            old.close()
        if self.closed:  # meanwhile, by a signal handler
            self._end(join_output=True)
        return child

    # ----------------------------------------------------------------------------------- replacing

    def restart(self) -> None:
        """Ends the process as close() does, and puts another in its place, whatever the policy."""
        self._check_open()
        child = self.child
        with self._lock:
            self._crashes.forget()
            if child is None or self.child is not child:
                self._started()  # that is all; or else another has replaced it while we waited
                return
            self._check_open()
            self._unwanted, self._reason = child, "restart() was called"
            child.channel.retire(self._reason)
            child.end()
            self._put_in_place_of(child)

    def replace(self, reason: str, channel: Channel | None = None) -> None:
        """Kills the process with all its children at once; another follows in the background,
        whatever the policy. From any thread. channel: not if this is its predecessor's."""
        child = self.child
        if child is None or self.closed or channel not in (None, child.channel):
            return
        self._check_owner()
        self._unwanted, self._reason = child, reason
        child.channel.retire(reason)
        with contextlib.suppress(RingbridgeError):  # closed, or replaced meanwhile
            child.channel.kill(signal.SIGKILL, True)
        self._begin(child, here=False)

    def gave_up(self, channel: Channel, call: int) -> None:
        """For a call that nobody waits for any more, and that was interrupted: where that does not
        end it, the process is replaced."""
        from ringbridge import giving_up, timers

        giving_up.kill_later(channel, call, timers.GRACE_S)

    def replaces(self, channel: Channel) -> bool:
        """Whether another process takes, or has taken, the place of this channel's."""
        child = self.child
        if child is None or self.closed:
            return False
        return channel is not child.channel or self._on_crash or child is self._unwanted

    def _heard(self, child: launch.Child) -> None:
        """The child's output has ended. Runs in the thread that read it."""
        if self.child is child and not self.closed:
            with contextlib.suppress(RingbridgeError):  # closed meanwhile
                if child.channel.wait_end(0) is not None:
                    self._begin(child, here=False)

    def _await_replacement(self, child: launch.Child, timeout: float | None) -> None:
        """Returns when the child has a successor; raises why it has none."""
        name = self.plan.name
        if self._crashes.given_up:
            raise self._crashes.error(name)
        loop = running_loop() is not None
        begun = self._begin(child, here=not loop)
        mine = begun.is_mine  # a finaliser, amid the start
        if (loop or mine) and not begun.done.is_set():
            raise Busy(
                f"worker {name!r} is being started again, and {_WHO[mine]} must not wait for that: "
                "try again a moment later, or call from another thread"
            )
        if not begun.done.wait(timeout):
            raise CallTimeout(
                f"worker {name!r} is being started again, and was not ready within the call's "
                "timeout"
            )
        if begun.error is not None:
            raise begun.error

    def _begin(self, child: launch.Child, *, here: bool) -> Attempt:
        """The attempt to replace this child. here: in this thread where no other can be had."""
        work = functools.partial(self._replace, child)
        return self._attempts.begin(child.pid, work, after=self._tell, here=here)

    def _tell(self, attempt: Attempt) -> None:
        if self.closed:
            return
        if attempt.error is not None:
            self._log("%s", attempt.error)
            return
        said, self._news = self._news, ""
        if said:
            self._log("%s", said)
            for module, reason in list(self._loads.failed.items()):
                self._log("module %r could not be loaded again: %r", module, reason)
        child = self.child
        if self._on_crash and child is not None:
            self._heard(child)  # it may have died before it was the current one

    def _replace(self, old: launch.Child) -> None:
        with self._lock:
            if self.child is not old or self.closed:
                return  # by restart() meanwhile
            old.channel.retire("")
            why = self._ending_of(old)
            if self._crashes.given_up:
                raise self._crashes.error(self.plan.name)
            try:
                child = self._put_in_place_of(old)
            except RingbridgeError as error:
                if not self.closed:
                    self._crashes.add(error, answered=False, now_s=time.monotonic())
                raise
            self._news = f"{why}; started again as pid {child.pid}"

    def _ending_of(self, old: launch.Child) -> str:
        """Ends what is left of it, and says in words how it ended. A death is counted, once."""
        from ringbridge import diagnosis

        status = old.channel.wait_end(0)  # None: it lives, but cannot be called any more
        old.kill()
        if old is self._unwanted:
            return f"worker {self.plan.name!r} was ended ({self._reason})"
        death = diagnosis.death(old.channel, self.plan.name, old.pid, status)
        if old is not self._counted:
            self._counted = old
            answered = old.channel.stats()["frames_received"] > self._answers
            self._crashes.add(death, answered=answered, now_s=time.monotonic())
        return str(death)

    # ----------------------------------------------------------------------------------------- end

    def close(self, *, join_output: bool = False) -> None:
        """join_output: until the last line is logged; not in a finaliser, which may run inside of
        a log handler, whose lock the last line waits for."""
        if os.getpid() != self._owner_pid:
            return  # a forked child: the worker is its parent's
        self.closed = True
        start = self._start
        if start is not None:  # or else the lock would be waited for until it has started
            start.abandon()
        with self._lock:
            self._end(join_output)

    def _end(self, join_output: bool) -> None:
        child, pump = self.child, self._pump
        if child is None or child is self._ended:
            return
        self._ended = child
        try:
            child.end()
            if join_output and pump is not None:
                pump.join(_OUTPUT_JOIN_S)
        finally:
            child.close()

    def _check_open(self) -> None:
        self._check_owner()
        if self.closed:
            raise RingbridgeError(f"worker {self.plan.name!r} is closed")

    def _check_owner(self) -> None:
        if os.getpid() != self._owner_pid:  # the lock may be held by a thread that is not here
            raise RingbridgeError(
                f"worker {self.plan.name!r} belongs to the process that this one was forked from: "
                "make one of its own here"
            )

    def _log(self, text: str, *values: object) -> None:
        import logging

        logging.getLogger(f"ringbridge.worker.{self.plan.name}").warning(text, *values)
