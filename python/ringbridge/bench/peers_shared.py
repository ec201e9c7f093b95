# SPDX-License-Identifier: MIT
"""Peers that use shared memory themselves: Appose, iceoryx2, shm-rpc-bridge."""

from __future__ import annotations

import ctypes
import os
import pickle
import struct
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any

from ringbridge.bench import far_side
from ringbridge.bench.peer import Arrived, Peer, Settings, Thunk, Unable, answered, ended, spawned

# ---------------------------------------------------------------------------------------- Appose

_APPOSE_INIT = """
import appose, numpy
from ringbridge.bench import far_side as far
def put(array):
    shared = appose.NDArray(str(array.dtype), list(array.shape))
    shared.ndarray()[...] = array
    return shared
kept = {}
"""


class Appose(Peer):
    """Tasks for an Appose service; arrays as its NDArray, filled and read by both sides."""

    shares_memory = True
    note = "a thread over there for each task"

    def start(self) -> None:
        import appose

        self._array = appose.NDArray
        self._service = appose.custom().wrap(sys.prefix).python().init(_APPOSE_INIT).start()

    def _task(self, script: str, **inputs: Any) -> Any:
        return self._service.task(script, inputs).wait_for().outputs.get("result")

    def remote(self, name: str, *args: Any) -> Any:
        inputs = {f"a{number}": value for number, value in enumerate(args)}
        return self._task(f"far.{name}({', '.join(inputs)})", **inputs)

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        free, done = threading.Semaphore(window), threading.Semaphore(0)
        values = list(values)

        def listen(value: int, event: Any) -> None:
            if event.task.status.is_finished():
                arrived(value, event.task.outputs.get("result", -1))
                free.release()
                done.release()

        for value in values:
            free.acquire()
            task = self._service.task("far.increment(x)", {"x": value})
            task.listen(partial(listen, value))
            task.start()
        for _ in values:
            done.acquire()

    def _put(self, array: Any) -> Any:
        shared = self._array(str(array.dtype), list(array.shape))
        shared.ndarray()[...] = array
        return shared

    def _take(self, shared: Any) -> Any:
        """An ordinary array with the content of a result, whose memory is ours to remove."""
        array = shared.ndarray().copy()
        shared.shm.unlink_on_dispose(True)
        shared.shm.dispose()
        return array

    def argument(self, name: str, array: Any) -> Thunk:
        def call() -> Any:
            shared = self._put(array)
            try:
                return self._task(f"far.{name}(a.ndarray())", a=shared)
            finally:
                shared.shm.dispose()

        return call

    def result(self, name: str, size: int) -> Thunk:
        script = f"{{'result': put(far.{name}({size}))}}"
        return lambda: self._take(self._task(script))

    def shared(self, size: int) -> Any:
        self._placed = self._array("uint8", [size])
        return self._placed.ndarray()

    def shared_argument(self, name: str, array: Any) -> Thunk:
        script, placed = f"far.{name}(a.ndarray())", self._placed
        return lambda: self._task(script, a=placed)

    def keep_shared(self, size: int, seed: int) -> int:
        script = (
            "a = appose.NDArray('uint8', [size])\nfar.fill(a.ndarray(), seed)\n"
            "kept[size] = a\nfar.crc(a.ndarray())"
        )
        crc: int = self._task(script, size=size, seed=seed)
        return crc

    def shared_result(self, size: int) -> Thunk:
        return lambda: self._task(f"{{'result': kept[{size}]}}").ndarray()

    def exchange(self, arrays: dict[str, Any]) -> dict[str, Any]:
        shared = {f"a{number}": self._put(array) for number, array in enumerate(arrays.values())}
        names = dict(zip(arrays, shared))
        pairs = ", ".join(f"{name!r}: {key}.ndarray()" for name, key in names.items())
        script = f"{{k: put(v) for k, v in far.exchange({{{pairs}}}).items()}}"
        outputs = self._service.task(script, shared).wait_for().outputs
        for each in shared.values():
            each.shm.dispose()
        return {name: self._take(array) for name, array in outputs.items()}

    def forget(self) -> None:
        if hasattr(self, "_placed"):
            del self._placed
        super().forget()
        self._task("for a in kept.values():\n    a.shm.unlink()\nkept.clear()")

    def close(self) -> None:
        self._service.close()
        self._service.wait_for()


# -------------------------------------------------------------------------------------- iceoryx2

_ACTIVE = 16  # requests in flight that a client may have
_AWAKE_S, _DOZE_S = 0.2, 0.01
_HEAD = struct.Struct("<I")


class Iceoryx(Peer):
    """iceoryx2's requests and responses as slices of bytes; a pickled head, then the array."""

    shares_memory = True
    note = "both sides look without a pause; the far side dozes after 0.2 s of nothing"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._process: Any = None

    def start(self) -> None:
        import multiprocessing

        here, there = multiprocessing.Pipe(duplex=False)
        self._process = spawned(_serve_iceoryx, self.settings.token, os.getpid(), there)
        there.close()
        with here:
            here.recv()
        self._node, service = _iceoryx_service(self.settings.token)
        builder = service.client_builder().initial_max_slice_len(4096)
        self._client = builder.allocation_strategy(_power_of_two()).create()

    def _send(self, head: Any, array: Any = None, filled: bool = True) -> Any:
        loan = self._client.loan_slice_uninit(_frame_size(pickle.dumps(head, 5), array))
        _write_frame(loan, pickle.dumps(head, 5), array, filled)
        return loan.assume_init().send()

    def _receive(self, pending: Any, copied: bool = True) -> Any:
        while (response := pending.receive()) is None:
            if self._process.exitcode is not None:
                raise ConnectionError("the far side has ended")
        (good, answer), array = _read_frame(response)
        if not good:
            raise RuntimeError(answer)
        if array is not None:
            answer = array.copy() if copied else array
        del array
        response.delete()
        pending.delete()
        return answer

    def remote(self, name: str, *args: Any) -> Any:
        return self._receive(self._send((name, args)))

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        waiting: deque[tuple[int, Any]] = deque()
        for value in values:
            if len(waiting) == min(window, _ACTIVE):
                first, pending = waiting.popleft()
                arrived(first, self._receive(pending))
            waiting.append((value, self._send(("increment", (value,)))))
        for value, pending in waiting:
            arrived(value, self._receive(pending))

    def argument(self, name: str, array: Any) -> Thunk:
        return lambda: self._receive(self._send((name, ()), array))

    def result(self, name: str, size: int) -> Thunk:
        return lambda: self._receive(self._send(("@array", (name, size))))

    def shared(self, size: int) -> Any:
        return far_side.pattern(size, 0)

    def shared_argument(self, name: str, array: Any) -> Thunk:
        """A loan anew for each call, which only the check fills: what crosses is its place."""
        filled = name == "crc"
        return lambda: self._receive(self._send((name, ()), array, filled))

    def keep_shared(self, size: int, seed: int) -> int:
        raise Unable("a response is loaned anew for each call: what is kept cannot be one")

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
        ended(self._process)


def _power_of_two() -> Any:
    import iceoryx2

    return iceoryx2.AllocationStrategy.PowerOfTwo


def _iceoryx_service(token: str) -> tuple[Any, Any]:
    import iceoryx2 as iox2

    iox2.set_log_level(iox2.LogLevel.Fatal)
    config = iox2.config.default()
    config.global_cfg.prefix = iox2.FileName.new(token)
    config.global_cfg.root_path = iox2.Path.new(f"{tempfile.gettempdir()}/{token}iceoryx2")
    node = iox2.NodeBuilder.new().config(config).create(iox2.ServiceType.Ipc)
    slices = iox2.Slice[ctypes.c_uint8]
    builder = node.service_builder(iox2.ServiceName.new("bench")).request_response(slices, slices)
    builder = builder.max_active_requests_per_client(_ACTIVE).max_loaned_requests(1)
    builder = builder.max_clients(1).max_servers(1).max_response_buffer_size(1)
    return node, builder.open_or_create()


def _frame_size(head: bytes, array: Any) -> int:
    return _HEAD.size + len(head) + (0 if array is None else int(array.nbytes))


def _write_frame(loan: Any, head: bytes, array: Any, filled: bool = True) -> None:
    import numpy as np

    view = loan.payload().as_memory_view().cast("B")
    _HEAD.pack_into(view, 0, len(head))
    start = _HEAD.size + len(head)
    view[_HEAD.size : start] = head
    if array is not None and filled:
        np.frombuffer(view, "uint8", array.nbytes, start)[:] = array


def _read_frame(sample: Any) -> tuple[Any, Any]:
    import numpy as np

    view = sample.payload().as_memory_view().cast("B")
    start = _HEAD.size + _HEAD.unpack_from(view)[0]
    head = pickle.loads(view[_HEAD.size : start])
    return head, np.frombuffer(view, "uint8", -1, start) if start < view.nbytes else None


def _serve_iceoryx(token: str, parent: int, ready: Any) -> None:
    _node, service = _iceoryx_service(token)
    server = service.server_builder().initial_max_slice_len(4096)
    server = server.allocation_strategy(_power_of_two()).create()
    ready.send(True)
    busy = time.monotonic()
    while True:
        request = server.receive()
        if request is not None:
            _answer_iceoryx(request)
            busy = time.monotonic()
        elif time.monotonic() - busy > _AWAKE_S:
            if os.getppid() != parent:
                return
            time.sleep(_DOZE_S)


def _answer_iceoryx(request: Any) -> None:
    (name, args), array = _read_frame(request)
    answer: tuple[bool, Any]
    reply = None
    try:
        if name == "@array":
            function, size = args
            reply = getattr(far_side, function)(size)
            answer = True, None
        else:
            answer = True, answered(name, args if array is None else (array,))
    except Exception as error:
        answer = False, repr(error)
    del array
    head = pickle.dumps(answer, 5)
    loan = request.loan_slice_uninit(_frame_size(head, reply))
    _write_frame(loan, head, reply)
    loan.assume_init().send()
    request.delete()


# -------------------------------------------------------------------------------- shm-rpc-bridge


class ShmRpcBridge(Peer):
    """shm-rpc-bridge: JSON through two buffers and four semaphores."""

    _process = None

    def start(self) -> None:
        from shm_rpc_bridge import RPCClient

        self._process = spawned(_serve_shm_rpc_bridge, self.settings.token)
        self._client = RPCClient(self.settings.token, wait_for_server=10)

    def caller(self, name: str) -> Any:
        return self._increment if name == "increment" else super().caller(name)

    def _increment(self, number: int) -> Any:
        return self._client.call("increment", number=number)

    def remote(self, name: str, *args: Any) -> Any:
        if name == "forget":
            return None
        raise Unable("it carries only JSON: no arrays")

    def argument(self, name: str, array: Any) -> Thunk:
        raise Unable("it carries only JSON: no arrays")

    def result(self, name: str, size: int) -> Thunk:
        raise Unable("it carries only JSON: no arrays")

    def close(self) -> None:
        self._client.close()
        if self._process is not None:
            self._process.terminate()
        ended(self._process)


def _serve_shm_rpc_bridge(token: str) -> None:
    from shm_rpc_bridge import RPCServer

    server = RPCServer(token)
    server.register("increment", far_side.increment)
    server.start()
