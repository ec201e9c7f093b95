# SPDX-License-Identifier: MIT
"""The names of the tests and of the peers, for the command line. Imports none of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """A peer: where its class is, and what has to be installed for it ('' : nothing)."""

    key: str
    title: str
    home: str
    module: str = ""
    package: str = ""
    extra: str = "bench"

    @property
    def installed(self) -> bool:
        return not self.module or importlib.util.find_spec(self.module) is not None

    @property
    def advice(self) -> str:
        return f"pip install {self.package}, or 'ringbridge[{self.extra}]'"


_HERE = "ringbridge.bench"

OURS = Spec("ringbridge", "ringbridge", f"{_HERE}.peers_own:Ringbridge")
MEMCPY = Spec("memcpy", "numpy.copyto, warm", f"{_HERE}.peers_own:Memcpy")
SEMAPHORES = Spec("sem_t", "sem_t", f"{_HERE}.peers_own:Semaphores")
FIRST_START = Spec("first", "ringbridge, scripts run", f"{_HERE}.peers_own:FirstStart")
LOOP_WAKE = Spec("call_soon", "call_soon_threadsafe", f"{_HERE}.peers_loops:LoopWake")
LOOP_TURN = Spec("sleep0", "asyncio.sleep(0)", f"{_HERE}.peers_loops:LoopTurn")
OWN_WORKER = Spec("worker", "ringbridge, a worker", f"{_HERE}.peers_into:OwnWorker")
INTO_SCRIPT = Spec("into-script", "ringbridge, into a script", f"{_HERE}.peers_into:IntoScript")
INTO_QT = Spec("into-qt", "ringbridge, into Qt", f"{_HERE}.peers_into:IntoQt")
QUEUED_SIGNAL = Spec("signal", "queued signal and back", f"{_HERE}.peers_into:QueuedSignal")
PLOT = Spec("plot", "ringbridge, no viewer", f"{_HERE}.peers_plot:Plot")
PLOT_DRAWN = Spec("plot-drawn", "ringbridge, a viewer", f"{_HERE}.peers_plot:DrawnPlot")
PLOT_STOPPED = Spec("plot-stopped", "ringbridge, one stopped", f"{_HERE}.peers_plot:StoppedPlot")
PLOT_KILLED = Spec("plot-killed", "ringbridge, one killed", f"{_HERE}.peers_plot:KilledPlot")
PLOT_THREE = Spec("plot-three", "ringbridge, three", f"{_HERE}.peers_plot:ThreeDrawnPlot")
COPIES = Spec("copies", "numpy.copyto, one place", f"{_HERE}.peers_plot:Copies")
COPIES_IN_TURN = Spec("copies-2", "numpy.copyto, two places", f"{_HERE}.peers_plot:CopiesInTurn")
PLOT_QUEUE = Spec("plot-queue", "multiprocessing.Queue(1)", f"{_HERE}.peers_plot:QueuedPlot")
PLOT_PIPE = Spec("plot-pipe", "multiprocessing.Pipe", f"{_HERE}.peers_plot:PipedPlot")
BARE_PYTHON = Spec("python", "python -c pass", f"{_HERE}.peers_own:BarePython")

#: One of them is needed for the test with a Qt application.
QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")

#: In every run.
USUAL = (
    Spec("pipe", "multiprocessing.Pipe", f"{_HERE}.peers_standard:Pipe"),
    Spec("pool", "ProcessPoolExecutor", f"{_HERE}.peers_standard:ProcessPool"),
    Spec("loky", "loky", f"{_HERE}.peers_standard:Loky", "loky", "loky"),
    Spec("zmq", "pyzmq", f"{_HERE}.peers_network:ZeroMQ", "zmq", "pyzmq"),
    Spec("rpyc", "RPyC", f"{_HERE}.peers_network:RPyC", "rpyc", "rpyc"),
    Spec("appose", "Appose", f"{_HERE}.peers_shared:Appose", "appose", "appose"),
)
#: On request.
OTHERS = (
    Spec("manager", "multiprocessing.Manager", f"{_HERE}.peers_standard:Manager"),
    Spec("shared_memory", "shared_memory + Pipe", f"{_HERE}.peers_standard:SharedMemory"),
    Spec("execnet", "execnet", f"{_HERE}.peers_network:Execnet", "execnet", "execnet", "bench-all"),
    Spec("pyro5", "Pyro5", f"{_HERE}.peers_network:Pyro", "Pyro5", "Pyro5", "bench-all"),
    Spec(
        "iceoryx2", "iceoryx2", f"{_HERE}.peers_shared:Iceoryx", "iceoryx2", "iceoryx2", "bench-all"
    ),
    Spec(
        "shm-rpc-bridge",
        "shm-rpc-bridge",
        f"{_HERE}.peers_shared:ShmRpcBridge",
        "shm_rpc_bridge",
        "shm-rpc-bridge",
        "bench-all",
    ),
)
PEERS = {spec.key: spec for spec in (*USUAL, *OTHERS)}

#: Name -> what it is, in the order in which they run.
TESTS = {
    "call": "a small call, f(1) -> 2, with the CPU time of both sides",
    "submit": "f.submit(1).result() from a plain thread, beside the executors",
    "pipelined": "16 calls in flight",
    "flood": "submit 10,000 calls and count the right answers",
    "await": "`await f.submit(1)` in an asyncio loop, awake and asleep, beside a wake of that loop "
    "by call_soon_threadsafe; 10,000 awaits at once",
    "argument": "ordinary arrays as arguments, from 1 KB to 1 GB",
    "result": "ordinary arrays as results",
    "in-place": "arrays in shared memory, as arguments and as results",
    "dict": "a dict of 20 arrays there, another one back",
    "rhythm": "how late the ticks of a 60 Hz loop are while 1 GB of results arrives",
    "sleep": "a call when both sides sleep, beside a pair of sem_t",
    "into": "a call into a running application: a script, beside a worker; a Qt application, "
    "beside a queued signal from a thread of it and back; connect(); an array in shared memory",
    "plot": "Plotter.update of an image and of a number, with a viewer that draws, one stopped, "
    "one killed, none, three, beside copies by numpy; steps of a simulation with a viewer and "
    "without; frames through a Queue and a Pipe",
    "start": "from nothing to the first answer, beside `python -c pass`; with scripts too",
    "idle": "CPU time and context switches while nothing happens",
    "flat": "memory and descriptors after a million calls and 10 GB",
}


class UsageError(ValueError):
    """The command line asks for what there is not; the text says what there is."""


def tests_named(text: str | None) -> list[str]:
    """The tests of a comma-separated list, in their own order; None is all of them."""
    if text is None:
        return list(TESTS)
    names = _names(text)
    _refuse_unknown("test", names, list(TESTS))
    return [name for name in TESTS if name in names]


def peers_named(text: str | None) -> list[Spec]:
    """The peers of a comma-separated list; None is the usual ones."""
    if text is None:
        return list(USUAL)
    if text == "all":
        return list(PEERS.values())
    if text == "none":
        return []
    names = _names(text)
    _refuse_unknown("peer", names, [*PEERS, "all", "none"])
    return [spec for key, spec in PEERS.items() if key in names]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _refuse_unknown(what: str, names: list[str], allowed: list[str]) -> None:
    for name in names:
        if name not in allowed:
            raise UsageError(f"there is no {what} {name!r}; there are {', '.join(allowed)}")
