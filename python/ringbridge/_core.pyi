"""The C extension: channels, remote functions, the worker's loop."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, SupportsFloat, SupportsIndex, final

from typing_extensions import Buffer, disjoint_base

from ringbridge.stream import Stream
from ringbridge.task import Task

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
    def join(
        cls, socket: int, pickle: bool = False, told: tuple[str, str, str] | None = None
    ) -> Channel:
        """The worker's end, over the inherited socket; the handshake follows. pickle: this side
        agrees to pickled values. told: the version, abi and executable of a worker elsewhere that
        a relay speaks for."""

    @classmethod
    def connect(
        cls,
        socket: int,
        *,
        name: str,
        ring_bytes: int = 0,
        arena_bytes: int = 0,
        pickle: bool = False,
    ) -> Channel:
        """A client's end, over a socket that an application has accepted; the handshake follows.
        The host's end on the wire, but the process at the other end is not ours to end."""

    @classmethod
    def accept(
        cls, socket: int, *, name: str, arena_bytes: int = 0, pickle: bool = False
    ) -> Channel:
        """That application's end. The client may be killed, stopped or hostile: its memory must be
        of the sealed kind, and nothing of it interrupts or ends this process."""

    def handshake(self, timeout: float) -> None:
        """Meets the peer. Raises WorkerStartFailed (version refused, or what the child's
        bootstrap said), WorkerDied, CallTimeout, KeyboardInterrupt."""

    @property
    def peer(self) -> dict[str, Any]:
        """After the handshake: pid, python, abi, version, executable."""

    #: What gives whoever sees to the process (`gave_up(channel, call_id)`, `replace(reason)`), or
    #: None; None: nobody.
    owner: Callable[[], Any] | None
    #: Coroutines answer its callbacks: in which of them code runs is asked of answering.parent_on.
    coroutines: bool
    #: Who takes from its inboxes: readers.py's.
    readers: Any
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str:
        """What the peer is, and its name: for messages."""

    @property
    def alive(self) -> bool:
        """True until the peer has ended, this end is closed or retired, or the protocol was
        broken."""

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

    def retire(self, why: str) -> None:
        """No call and no load begins here any more; those under way go on. why: for those that
        end with the process, where it is made to; "" where it has ended by itself."""

    def kill(self, signal: int, group: bool) -> bool:
        """Signals the peer (or its whole session); False when it has ended already."""

    def wait_end(self, timeout: float) -> tuple[bool, bool, int, bool] | None:
        """Waits until the peer has ended: (known, signalled, code, core dumped), or None."""

    def read_output(self, timeout: float) -> tuple[int, bytes, int] | None:
        """The child's next output: stream (1 stdout, 2 stderr), bytes, bytes lost before. Empty
        bytes: nothing within timeout. None: the end."""

    def error_tail(self) -> bytes:
        """The last bytes of the child's stderr (at most 8 KiB)."""

    def runs(self, call: int) -> bool:
        """Whether the worker runs the call of this id, or ran it when it ended. Its word."""

    def close(self) -> None:
        """Lets go of everything; never waits for the peer. Idempotent."""

@final
class Target:
    """What a remote function is bound to; its options() copies share it."""

    def __new__(cls, channel: Channel, id: int | None, name: str, owner: object = None) -> Target:
        """name: "terrain.hillshade". owner: a call that finds the channel dead, closed or retired
        asks `owner.revived(target, timeout)` (timeout: the seconds that it has left, or None), and
        goes on when that is true, with what the target is bound to by then. Where it is false, the
        call raises what it would raise without an owner."""

    def rebind(self, channel: Channel, id: int | None) -> None:
        """From the next call on it is this function there; None: there is none any more, and a call
        raises AttributeError. Safe while calls are under way: they end where they began."""

    @property
    def name(self) -> str: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def id(self) -> int | None: ...

@final
class Function:
    """A function of a module that is loaded in a worker; calling it calls there, and waits."""

    def __new__(
        cls,
        target: Target,
        *,
        doc: str | None = None,
        signature: str | None = None,
        timeout: float | None = None,
        copy: bool = False,
        label: str | None = None,
        handle: Handle | None = None,
        method: str | None = None,
    ) -> Function:
        """handle, method: calls this method of an object over there; the target's id means nothing
        then."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls it over there with these arguments, and waits for its result. Raises what it
        raised, or WorkerDied, CallTimeout, CannotCross, ArenaFull, ProtocolError. A callable
        argument is a callback: code over there calls it, and it runs on this thread."""

    def submit(self, /, *args: Any, **kwargs: Any) -> Task:
        """Calls it without waiting. Raises CannotCross, WorkerDied; on an event loop's thread Busy
        where it would have to wait."""

    def stream(self, /, *args: Any, **kwargs: Any) -> Stream:
        """Calls it, and gives what it yields, item by item."""

    def options(
        self,
        *,
        timeout: float | None = ...,
        copy: bool = ...,
        label: str | None = ...,
        keep: bool = ...,
        callbacks_on: Any = ...,
        latest: bool = ...,
        on: str | None = ...,
    ) -> Function:
        """The same function with these options: seconds to wait for a result (None: no limit),
        results as private copies, a label for messages, results that stay over there (a
        RemoteObject comes), the executor that runs its callbacks, streams whose newest item wins
        (for stream() only), the thread of an application that runs it: "main" or "thread"."""

    def start(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        inbox: Inbox | None = None,
        credit: int = 0,
        may_wait: bool = True,
        parent: int = 0,
        owner: object = None,
    ) -> Call:
        """Calls it without waiting for the answer. inbox: where its events go (LookupError: it is
        another channel's than the function's now); without one, take(). credit: a stream, so many
        items of which may be under way. may_wait False: raises Busy where it would have to. parent:
        the call whose callback makes this one, where the thread does not tell."""
    _target: Target
    _timeout: float | None
    _title: str
    _callbacks_on: Any
    __name__: str
    __qualname__: str
    __module__: str
    __text_signature__: str | None
    @property
    def __signature__(self) -> Any: ...

@final
class Call:
    """A call that no thread blocks for; made by Function.start()."""

    id: int
    owner: Any
    channel: Channel
    #: What is called, for messages.
    title: str
    @property
    def running(self) -> bool:
        """Whether the worker says that it runs it now, or ran it when it ended."""

    @property
    def begun(self) -> bool:
        """Whether the worker has begun it, or may have; False: surely not."""

    @property
    def ended(self) -> bool:
        """Whether nothing comes for it any more."""

    def take(self, timeout: float | None) -> tuple[int, Any]:
        """Waits for its next event, (kind, payload): see enum event_kind in csrc/ext/call.h.
        Without an inbox only. Raises CallTimeout, WorkerDied, KeyboardInterrupt."""

    def newest(self) -> tuple[int, Any]:
        """After NEWER: the newest item now, as an event; NOTHING where it has been taken already.
        Returns the credit."""

    @property
    def dropped(self) -> int:
        """Items of a stream that nobody saw, since a newer one won."""

    def cancel(self, hard: bool) -> bool:
        """Asks the worker to end; hard: interrupts it. True: it had not been sent, nor will be."""

    def credit(self, items: int, bytes: int) -> None:
        """The stream may send so many items more."""

    def close_stream(self) -> None:
        """Asks the worker to close the generator; END follows."""

    def end(self) -> None:
        """Forgets it: what comes later is dropped. Idempotent."""

@final
class Inbox:
    """Where the events of calls arrive that no thread blocks for; it holds the calls."""

    channel: Channel
    calls: dict[int, Call]
    def __new__(cls, channel: Channel, event: bool = False) -> Inbox:
        """The channel's own; event: one with a descriptor, for an event loop."""

    def take(self, timeout: float | None) -> tuple[Call, int, Any] | None:
        """The next event, (call, kind, payload); None: none came in time. 0 never waits. After
        RESULT, ERROR and END the call has ended. Raises the channel's end, and the inbox's. An
        event that a Ctrl-C cuts short is taken again by the next one."""

    def fileno(self) -> int: ...
    def clear(self) -> None:
        """The descriptor is not readable any more: then take until there is nothing, then arm."""

    def arm(self) -> None:
        """The next event makes the descriptor readable, once; also one that is there already."""

    def close(self) -> None:
        """Ends its calls, the waits in take(), and lets go of the descriptor. Idempotent."""

@disjoint_base
class Handle:
    """An object that stays in a worker; the base of RemoteObject."""

@final
class Array:
    """Memory of a block with shape, strides and format: the buffer behind received arrays."""

class _ExportTable(Protocol):
    functions: list[Callable[..., Any]]
    def load(
        self, module_name: str, reload: bool
    ) -> tuple[int, list[_Function], dict[str, Any], str | None]: ...
    def bind(self, thing: object, name: str) -> Callable[..., Any]: ...
    def describe(self, thing: object, name: str, value: Any) -> _Function | None: ...
    def iterate(self, result: object) -> Iterator[Any]: ...

#: id, whether it wants an answer, whether it is a stream of the newest, whether it is an item.
_Meant = tuple[int, bool, bool, bool]

@final
class Passage:
    """A channel's end that passes on what comes, to another machine, and sends what is from there.

    One thread takes, another feeds and puts, a third asks for cancels."""

    def __new__(cls, channel: Channel) -> Passage:
        """After the handshake, before the first frame: nobody else receives from it then."""

    def take(self, timeout: float | None) -> tuple[_Meant, int, int] | None:
        """The next frame: what it means, its bytes, those of its payloads. None: none in time.
        Raises EOFError (the peer has said goodbye) and the channel's end."""

    def piece(self, limit: int) -> bytes:
        """The next bytes of the frame taken, then of its payloads; b"" after the last."""

    def begin(self, frame_bytes: int, payload_bytes: int) -> None:
        """A frame follows, with so much of payloads."""

    def feed(self, data: bytes) -> bool:
        """Its next bytes; True: it is whole. Raises ProtocolError for what is malformed, ArenaFull
        where its payloads find no room."""

    def meant(self) -> _Meant:
        """Of the frame that is fed, once all of it but its payloads has come."""

    def put(self, timeout: float | None) -> bool:
        """Sends the frame that is whole; False: there was no room in time, it stays to be put."""

    def forget(self) -> None:
        """What was fed is let go of; another frame may begin."""

    def refusal(self, id: int, code: int, type: str, text: str) -> bytes:
        """The frame of an Error. From any thread."""

    def next_cancel(self, timeout: float | None) -> tuple[int, bool] | None:
        """A call that the peer wants cancelled, and whether it is to be interrupted."""

    def running(self) -> tuple[int, ...]:
        """Of a host's end: the calls that the worker runs now."""

    def set_running(self, ids: tuple[int, ...]) -> None:
        """Of a worker's end: what the host shall see of that."""

def serve(channel: Channel, table: _ExportTable) -> None:
    """Runs the calls that arrive, one after another, until the peer closes or dies. The table's
    `functions` is indexed by function id; its `load` appends to it."""

@final
class Lane:
    """The same for an application's own loop: the calls of one client, run when it comes by.

    serve, arm and spin are for one thread, the one that the calls run on."""

    def __new__(cls, channel: Channel, table: _ExportTable, callback_timeout: float | None) -> Lane:
        """After the handshake. callback_timeout: seconds that a call waits for an answer of the
        client's; None: for ever."""

    channel: Channel
    @property
    def requests(self) -> int:
        """How many it has taken."""

    @property
    def function(self) -> int | None:
        """The number of the function that runs now; None: none does."""

    def fileno(self) -> int:
        """What an event loop polls for reading, once it is armed."""

    def serve(self, until: float) -> bool:
        """Runs what waits, until there is nothing or time.monotonic() has come there; True: there
        may be more. On top of a call that runs already, too. Raises the channel's end, and
        KeyboardInterrupt where a call has ended so."""

    def arm(self) -> None:
        """The next request makes the descriptor readable, once; also one that is there already."""

    def close(self) -> None:
        """Nothing more is run, and what was kept for the client goes. Idempotent."""

def spin(lanes: tuple[Lane, ...]) -> bool:
    """Waits about as long as a wake-up takes, without the GIL; whether a lane has something."""

def on_idle(function: Callable[[], object] | None) -> None:
    """What this thread does, every few milliseconds, while it waits here for another process. One
    function for all threads that do something."""

def run_idle() -> bool:
    """Does that now; False: this thread has nothing to do."""

def current_call() -> int:
    """The id of the call that this thread, or this worker, runs now; 0: none."""

def current_channel() -> Channel | None:
    """The channel that it came through; None: no call runs."""

def interrupt_heard() -> None:
    """In the worker's handler of SIGINT: it need not come again."""

def cancelled(channel: Channel, call_id: int) -> int:
    """Whether the host asked to cancel this call: 0 no, 1 to end, 2 to be interrupted."""

def progress(
    channel: Channel | None,
    call_id: int,
    done: SupportsFloat | SupportsIndex | None,
    total: SupportsFloat | SupportsIndex | None,
    fraction: SupportsFloat | SupportsIndex | None,
    text: str | None,
) -> bool:
    """Tells the host what this call has come to (no number at all, text None: as before). True:
    nothing was told, since the host asked to cancel it. Without a channel, and of a call that has
    ended, the arguments are checked and nothing else."""

def log(channel: Channel, call_id: int, level: int, logger: str, text: str) -> bool:
    """Sends a log record to the host; waits for room. False: that call has ended."""

def call_back(
    held: object,
    call: int,
    index: int,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait: bool,
) -> Any:
    """In a worker: calls a function that came with a call. Raises what it raised, RingbridgeError
    when the call has ended."""

def run_callback(
    channel: Channel,
    call: int,
    request: int,
    callable: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> None:
    """Runs a callback as part of that call, on this thread, and answers the request. Raises only
    what is no Exception."""

def attribute(handle: Handle, name: str) -> tuple[bool, Any]:
    """(False, its value), or (True, [how the method looks])."""

def set_attribute(handle: Handle, name: str, value: object) -> None: ...
def pack(number: int, parent: int, values: tuple[Any, ...], named: dict[str, Any], /) -> bytes:
    """A frame of no channel: what a plot shows, or what is written beside it.

    It holds what a call may hold, arrays included, but nothing that stays in a process. Raises
    CannotCross, with the place of what cannot.
    """

def unpack(frame: Buffer, /) -> tuple[int, int, tuple[Any, ...], dict[str, Any]]:
    """(number, parent, values, named) of a packed frame, verified; its arrays are copies.

    Raises ProtocolError for what is none.
    """

def about(handle: Handle) -> tuple[Channel, int, str]:
    """Its channel, its number, its type as module.name."""

@final
class Publisher:
    """The computation's end of a plot: the newest frame, in memory of its own. From any thread;
    those that update take turns. wake: a socket, to which one byte is sent, without waiting, when a
    frame is there for `take_kept`, and when `moves` has changed; it is duplicated.

    In a forked child what publishes, and `close`, raises RingbridgeError.
    """

    @property
    def number(self) -> int:
        """How many frames `update` and `update_kept` have published."""

    @property
    def kept(self) -> int:
        """How many of these `update_kept` has."""

    @property
    def kept_bytes(self) -> int:
        """Of the frames that `take_kept` has not taken yet."""

    @property
    def moves(self) -> int:
        """How often the frames have outgrown the memory: each reader is to be added anew then."""

    def __new__(cls, wake: int) -> Publisher: ...
    def update(self, /, *values: Any, **named: Any) -> int:
        """Makes these the newest frame, and returns its number, from 1. Waits for no reader.

        Raises CannotCross, MemoryError; then nothing has been published. RuntimeError within an
        update of the same thread.
        """

    def update_kept(self, /, *values: Any, **named: Any) -> int:
        """The same; the packed frame is for `take_kept` as well. The `parent` of a frame is how
        many of those up to it, itself included, were published by this."""

    def take_kept(self) -> bytes | None:
        """The next packed frame to be kept: all of them, in order, each once. None: there is none.
        By one thread."""

    def keep(self, frame: bytes, /) -> None:
        """Has `take_kept` give this one, which another publisher packed."""

    def republish(self, frame: Buffer, /) -> None:
        """Makes a frame that another publisher packed the newest one here, as it is."""

    def add_reader(self) -> tuple[int, int, int, int]:
        """(ticket, memory, reader, wait): all but the ticket are for its Subscriber; the
        descriptors are the caller's to close. It finds the newest frame, if there is one.

        Raises Busy when 16 are there.
        """

    def drop_reader(self, ticket: int, /) -> None:
        """That reader has gone. Does nothing for one that was added before the last move."""

    def close(self) -> None:
        """Readers keep what they have mapped. Idempotent."""

@final
class Subscriber:
    """A viewer's end of a plot. Owns both descriptors, also when it raises ProtocolError for what
    is none. By one thread at a time: RuntimeError tells another."""

    def __new__(cls, memory: int, reader: int, wait: int) -> Subscriber: ...
    def take(self) -> tuple[int, int, tuple[Any, ...], dict[str, Any]] | None:
        """(number, parent, values, named) of the newest frame, a copy; None: it was taken before.

        Raises ProtocolError for a frame that is malformed; the next one may be taken all the same.
        """

    def arm(self) -> bool:
        """Makes `fileno` readable at the next frame, once. False: there is one to take already."""

    def fileno(self) -> int:
        """What to poll while it is armed."""

    def forget(self) -> bool:
        """Makes `fileno` not readable. False: the plot has moved or ended, and it stays readable:
        do not poll it any more."""

    def close(self) -> None:
        """Frames that were taken stay. Idempotent."""
