"""The C extension: channels, remote functions, the worker's loop."""

from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, final

VERSION: str

#: A function as `load` describes it: id, name, signature text, doc, kind (0 plain, 1 generator,
#: 2 coroutine, 3 class).
_Function = tuple[int, str, str | None, str | None, int]

@final
class Channel:
    """One end of a channel to another process. Safe to use from several threads."""

    def __new__(
        cls,
        socket: int,
        pid: int,
        stdout: int,
        stderr: int,
        *,
        name: str,
        ring_bytes: int = 0,
        arena_bytes: int = 0,
        memory: int = 0,
        pickle: bool = False,
    ) -> Channel:
        """The host's end. Owns the three descriptors from here on (also when it raises), reaps
        the child. `socket` is a SOCK_SEQPACKET end; sizes of 0 mean the default; memory 0 auto,
        1 POSIX shared memory, 2 sealed memfd. pickle: this side agrees to pickled values."""

    @classmethod
    def join(cls, socket: int, pickle: bool = False) -> Channel:
        """The worker's end, over the inherited socket; the handshake follows. pickle: this side
        agrees to pickled values."""

    def handshake(self, timeout: float) -> None:
        """Meets the peer. Raises WorkerStartFailed (version refused, or what the child's
        bootstrap said), WorkerDied, CallTimeout, KeyboardInterrupt."""

    @property
    def peer(self) -> dict[str, Any]:
        """After the handshake: pid, python, abi, version, executable."""

    @property
    def alive(self) -> bool:
        """True until the peer has ended, this end is closed, or the protocol was broken."""

    def load(
        self, module: str, reload: bool, timeout: float | None
    ) -> tuple[int, list[_Function], dict[str, Any], str | None]:
        """Imports a module over there: generation, functions, plain values, doc. Raises what the
        import raised."""

    def empty(self, shape: SupportsIndex | Sequence[SupportsIndex], dtype: Any) -> Any:
        """A new array in this end's arena: numpy.ndarray, or a memoryview without numpy."""

    def stats(self) -> dict[str, int]:
        """Counters; see ringbridge.h rbr_stats."""

    def cancel(self, call_id: int, hard: bool) -> None: ...
    def say_goodbye(self) -> None:
        """Asks the peer to end after the call that it is in."""

    def kill(self, signal: int, group: bool) -> bool:
        """Signals the peer (or its whole session); False when it has ended already."""

    def wait_end(self, timeout: float) -> tuple[bool, bool, int, bool] | None:
        """Waits until the peer has ended: (known, signalled, code, core dumped), or None."""

    def read_output(self, timeout: float) -> tuple[int, bytes, int] | None:
        """The child's next output: stream (1 stdout, 2 stderr), bytes, bytes lost before. Empty
        bytes: nothing within timeout. None: the end."""

    def error_tail(self) -> bytes:
        """The last bytes of the child's stderr (at most 8 KiB)."""

    def close(self) -> None:
        """Lets go of everything; never waits for the peer. Idempotent."""

@final
class Function:
    """A function of a module that is loaded in a worker; calling it calls there, and waits."""

    def __new__(
        cls,
        channel: Channel,
        id: int,
        name: str,
        *,
        doc: str | None = None,
        signature: str | None = None,
        timeout: float | None = None,
        copy: bool = False,
        label: str | None = None,
    ) -> Function: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls it over there with these arguments, and waits for its result. Raises what it
        raised, or WorkerDied, CallTimeout, CannotCross, ArenaFull, ProtocolError."""

    def options(
        self,
        *,
        timeout: float | None = ...,
        copy: bool = ...,
        label: str | None = ...,
    ) -> Function:
        """The same function with these options: seconds to wait for a result (None: no limit),
        results as private copies, a label for messages."""
    __name__: str
    __qualname__: str
    __module__: str
    __text_signature__: str | None
    @property
    def __signature__(self) -> Any: ...

@final
class Array:
    """Memory of a block with shape, strides and format: the buffer behind received arrays."""

def serve(
    channel: Channel,
    functions: list[Callable[..., Any]],
    load: Callable[[str, bool], tuple[int, list[_Function], dict[str, Any], str | None]],
) -> None:
    """Runs the calls that arrive, one after another, until the peer closes or dies. `functions`
    is indexed by function id; `load` appends to it."""

def current_call() -> int:
    """The id of the call that the worker runs now; 0: none."""

def cancelled(channel: Channel, call_id: int) -> bool:
    """True when the host asked to cancel this call."""
