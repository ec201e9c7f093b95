# SPDX-License-Identifier: MIT
"""Objects with __dlpack__: they arrive as arrays; hostile structs are refused, and none is leaked.

The good producer wraps numpy's own; the hostile ones are made by hand, and count how often their
deleter is called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from rbr_testing.dlpack import DELETER, Handmade, Old, Versioned

import ringbridge as rb

np = pytest.importorskip("numpy")


class Exporter:
    """What is left of an ndarray when it is only a producer of DLPack."""

    def __init__(self, array: Any, old: bool = False) -> None:
        self.array, self.old = array, old

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def __dlpack__(self, **options: Any) -> Any:
        if self.old and options:
            raise TypeError("no such keyword")
        return self.array.__dlpack__(**options)


ARRAYS = [
    np.arange(6.0), np.arange(12).reshape(3, 4)[::-1, ::2], np.asfortranarray(np.ones((30, 40))),
    np.array(3), np.zeros((0, 3)), np.ones(3, bool), np.array([1j], "c8"), np.zeros(2, "c16"),
    np.arange(100_000, dtype="u2"), np.broadcast_to(np.arange(3), (2, 3)).copy(),
    *(np.arange(3).astype(code) for code in ("i1", "u1", "i2", "i4", "u4", "i8", "u8", "f2", "f4")),
]  # fmt: skip


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_what_has_dlpack_arrives_as_an_array(echo: Any, array: Any, old: bool) -> None:
    back = echo([Exporter(array, old)])[0]
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, array)


def test_read_only_memory_arrives_read_only(echo: Any) -> None:
    array = np.arange(3)
    array.flags.writeable = False
    if tuple(map(int, np.__version__.split(".")[:2])) < (2, 1):
        pytest.skip("this numpy exports no read-only memory")
    assert not echo(Exporter(array)).flags.writeable


def test_what_the_producer_raises_is_told_with_the_place(echo: Any) -> None:
    with pytest.raises(rb.CannotCross, match=r"args\[0\]\['k'\]: .*Exporter.*byte order"):
        echo({"k": Exporter(np.arange(3, dtype=">i4"))})


# --------------------------------------------------------------------------------- made by hand


@pytest.mark.parametrize("kind", [Old, Versioned])
def test_offset_and_strides_are_honoured_and_the_deleter_is_called_once(
    echo: Any, kind: type
) -> None:
    value = Handmade(kind, ndim=2, shape=[2, 3], strides=[-8, 2], byte_offset=20)
    assert echo(value).tolist() == [[20, 22, 24], [12, 14, 16]]
    assert value.deleted == 1


def test_pinned_memory_read_only_flag_and_missing_deleter_are_fine(echo: Any) -> None:
    for device in (3, 11):
        value = Handmade(device=device, device_type=device, flags=1)
        back = echo(value)
        assert back.tolist() == [0, 1] and not back.flags.writeable
        assert value.deleted == 1
    silent = Handmade()
    silent.made.deleter = DELETER()
    assert echo(silent).tolist() == [0, 1]


def test_empty_tensor_needs_no_memory(echo: Any) -> None:
    value = Handmade(shape=[0], data=None, byte_offset=1 << 40)
    assert echo(value).shape == (0,)
    assert value.deleted == 1


def test_bfloat16_of_a_producer_arrives_as_bfloat16(echo: Any) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    back = echo(Handmade(code=4, bits=16))
    assert back.dtype == ml_dtypes.bfloat16
    assert back.tobytes() == bytes([0, 1, 2, 3])


HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"ndim": -1}, "dimensions"), ({"ndim": 65}, "dimensions"), ({"ndim": 2**31 - 1}, "dimensions"),
    ({"shape": None}, "no shape"), ({"data": None}, "no memory"),
    ({"shape": [-1]}, "negative"), ({"ndim": 3, "shape": [2**40, 2**40, 2]}, "too large"),
    ({"ndim": 2, "shape": [2**62, 0], "code": 0, "bits": 64}, "too large"),
    ({"strides": [2**62], "code": 0, "bits": 64}, "strides"),
    ({"ndim": 2, "shape": [3, 3], "strides": [2**62, 2**62]}, "strides"),
    ({"lanes": 4}, "4 lanes"), ({"lanes": 0}, "0 lanes"), ({"code": 10, "bits": 8}, "code 10"),
    ({"bits": 4}, "4 bits"), ({"code": 3, "bits": 64}, "code 3"), ({"bits": 0}, "0 bits"),
    ({"device_type": 2}, "device"), ({"device_type": 13}, "device"),
]  # fmt: skip


@pytest.mark.parametrize("kind", [Old, Versioned])
@pytest.mark.parametrize(("change", "said"), HOSTILE, ids=str)
def test_hostile_struct_is_refused_and_deleted_once(
    echo: Any, kind: type, change: dict[str, Any], said: str
) -> None:
    value = Handmade(kind, **change)
    with pytest.raises(rb.CannotCross, match=rf"args\[0\]\[1\]: .*{said}"):
        echo([0, value])
    assert value.deleted == 1
    assert echo(1) == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a class in Python exports no buffer before")
def test_object_whose_buffer_fails_is_asked_for_dlpack(echo: Any) -> None:
    """jax exports buffers, but none of bfloat16."""

    class Both(Handmade):
        def __buffer__(self, _flags: int) -> memoryview:
            raise BufferError("no format for this")

    value = Both()
    assert echo(value).tolist() == [0, 1]
    assert value.deleted == 1


def test_another_major_version_is_deleted_unread(echo: Any) -> None:
    value = Handmade(major=2, ndim=-5)
    with pytest.raises(rb.CannotCross, match="version 2"):
        echo(value)
    assert value.deleted == 1


def test_what_is_not_ours_to_take_is_not_deleted(echo: Any) -> None:
    for value in (Handmade(name=b"used_dltensor"), Handmade(device=2)):
        with pytest.raises(rb.CannotCross, match=r"capsule|device"):
            echo(value)
        assert value.deleted == 0


def bad_device() -> Any:
    return "cpu"


def raising() -> Any:
    raise RuntimeError("out of order")


@pytest.mark.parametrize("device", [bad_device, raising])
def test_broken_device_is_refused(echo: Any, device: Callable[[], Any]) -> None:
    value = Handmade()
    value.__class__ = type("Broken", (Handmade,), {"__dlpack_device__": lambda _self: device()})
    with pytest.raises(rb.CannotCross, match=r"args\[0\]"):
        echo(value)
