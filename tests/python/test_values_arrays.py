# SPDX-License-Identifier: MIT
"""numpy's arrays and scalars through a real worker: exactly as they went, or refused."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from rbr_testing.equality import same_array

import ringbridge as rb

np = pytest.importorskip("numpy")

CODES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16",
         "M8[ns]", "M8[D]", "m8[25s]", "U5", "S3"]  # fmt: skip
SHAPES = [(), (0,), (3, 0, 2), (1,), (5,), (7, 3), (3, 4, 5), (300,), (50, 70)]


def made(code: str, shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    dtype = np.dtype(code)
    if dtype.kind == "U":
        return np.full(shape, "äb€", dtype)
    raw = np.random.default_rng(1).integers(0, 2, count * dtype.itemsize, dtype="u1")
    return np.frombuffer(raw.tobytes(), dtype).reshape(shape).copy()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("code", CODES)
def test_array_comes_back_exactly(echo: Any, code: str, order: str) -> None:
    for shape in SHAPES:
        whole = made(order + code if code[0] not in "?" and code[1:] != "1" else code, shape)
        views = [whole, np.asfortranarray(whole), whole.T]
        if shape:
            views += [whole[::-1], whole[..., ::2]]
        for view in views:
            assert same_array(view, echo(view)), (code, shape, view.strides)


def test_fortran_order_and_read_only_come_back(echo: Any) -> None:
    value = np.asfortranarray(np.zeros((30, 40)))
    value.flags.writeable = False
    back = echo(value)
    assert back.flags.f_contiguous and not back.flags.c_contiguous
    assert not back.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        back.flags.writeable = True


def test_array_of_another_memory_is_a_plain_array_over_there(worker_module: Any) -> None:
    seen = worker_module.describe(np.arange(6, dtype=">i4").reshape(2, 3)[:, ::2])
    assert (seen["type"], seen["dtype"], seen["shape"]) == ("ndarray", ">i4", (2, 2))
    assert seen["c"] and seen["aligned"] and seen["base"] == "Array"


def test_numpy_scalars_come_back_as_numpy_scalars(echo: Any) -> None:
    for value in [np.float64(1.5), np.float32(2), np.int8(-3), np.bool_(True), np.complex128(1j),
                  np.uint64(2**64 - 1), np.float16(1), np.datetime64("2020-01-01", "ns"),
                  np.timedelta64(5, "D"), np.str_("hä"), np.bytes_(b"ab")]:  # fmt: skip
        back = echo(value)
        assert type(back) is type(value) and back == value and back.dtype == value.dtype


def test_records_come_back(echo: Any) -> None:
    dtype = np.dtype(
        [("a", "<f8"), ("b", ">i4", (2,)), ("c", "U3"), ("n", [("x", "u1"), ("y", "f4")])]
    )
    aligned = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    for each in (dtype, aligned):
        value = np.zeros((4, 5), each)
        value["a"] = np.arange(20).reshape(4, 5)
        for sent in (value, value[::2]):
            back = echo(sent)
            # Not same_array: numpy leaves the padding of an aligned record undefined.
            assert back.dtype == sent.dtype and (back == sent).all()


def test_arrays_that_cannot_cross_are_refused_with_advice(echo: Any) -> None:
    for value, advice in [
        (np.array([object()]), "object"),
        (np.zeros(3, np.longdouble), "float64"),
        (np.zeros(2, [("a", "O")]), "objects"),
        (np.ma.zeros(3), "numpy.array"),
        (np.rec.array([(1, 2.0)]), "numpy.array"),
    ]:
        with pytest.raises(rb.CannotCross, match=advice):
            echo({"x": value})


def test_shared_array_is_used_in_place_over_there(worker: Any, worker_module: Any) -> None:
    shared = worker.empty((100, 50), "float32")
    shared[...] = 0
    worker_module.fill(shared[::2, ::-1], 3.0)
    assert (shared[::2] == 3).all() and (shared[1::2] == 0).all()
    seen = worker_module.describe(shared.T[5:, ::2])
    assert (seen["shape"], seen["strides"]) == ((45, 50), (4, 400))


def test_copy_option_gives_memory_of_our_own(worker_module: Any) -> None:
    worker_module.keep("a", np.zeros(10000))
    private = worker_module.kept.options(copy=True)("a")
    private[0] = 5
    assert worker_module.kept("a")[0] == 0
    worker_module.drop("a")


def test_received_arrays_give_their_blocks_back(worker: Any, worker_module: Any) -> None:
    worker_module.keep("b", np.zeros(100000))
    got = [worker_module.kept("b") for _ in range(5)]
    assert worker.stats()["peer_blocks"] >= 5
    del got
    gc.collect()
    assert worker.stats()["peer_blocks"] == 0
    worker_module.drop("b")


def test_empty_takes_what_numpy_takes_and_refuses_the_rest(worker: Any) -> None:
    assert worker.empty(3, None).dtype == np.float64
    assert worker.empty([np.int64(2), 3], ">i2").shape == (2, 3)
    assert worker.empty((), "M8[ns]").shape == ()
    with pytest.raises(TypeError, match="object"):
        worker.empty(3, "object")
    with pytest.raises(ValueError, match="negative"):
        worker.empty(-1, "f8")


# --------------------------------------------------------------------------------- every bit of it

UNITS = ["Y", "M", "W", "D", "h", "m", "s", "25s", "ms", "us", "ns", "ps", "fs", "as", "7D"]


@pytest.mark.parametrize("unit", UNITS)
def test_dates_of_every_unit_come_back_with_their_nat(echo: Any, unit: str) -> None:
    for kind in "mM":
        array = np.array([0, 1, -1, 2**63 - 1, -(2**63)], "i8").view(f"{kind}8[{unit}]")
        assert same_array(echo(array), array)
        assert same_array(echo(array[4]), array[4]) and np.isnat(echo(array[4]))


def test_nan_payloads_and_signs_of_zero_come_back_in_arrays(echo: Any) -> None:
    for bits, code in [("u2", "f2"), ("u4", "f4"), ("u8", "f8")]:
        size = np.dtype(bits).itemsize * 8
        quiet = int(np.array(np.nan, code).view(bits))
        raw = np.array([quiet | 5, quiet | 1 << (size - 1), 1 << (size - 1), 1], bits)
        array = raw.view(code)
        assert same_array(echo(array), array)
        assert all(same_array(echo(scalar), scalar) for scalar in array)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 5), (), (1,), (1, 1, 1)])
def test_empty_and_single_shapes_come_back_in_either_order(
    echo: Any, shape: tuple[int, ...]
) -> None:
    for order in "CF":
        for code in ("f8", "S3", "M8[s]", "V5"):
            array = np.zeros(shape, code, order=order)
            back = echo(array)
            assert same_array(back, array) and back.shape == shape


@pytest.mark.parametrize("count", [3, 5000])
def test_broadcast_array_comes_back_with_its_values(echo: Any, count: int) -> None:
    array = np.broadcast_to(np.arange(count, dtype="f8"), (4, count))
    back = echo(array)
    assert same_array(back, array) and not back.flags.writeable


def test_texts_with_nul_inside_come_back(echo: Any) -> None:
    for array in (np.array(["a\0b", "", "€"]), np.array([b"a\0b", b""])):
        assert same_array(echo(array), array)
    for scalar in (np.str_(""), np.str_("a\0b"), np.bytes_(b"\0b"), np.bytes_(b"")):
        assert same_array(echo(scalar), scalar)


@pytest.mark.parametrize("text", ["str_('a\\0')", "str_('\\0')", "bytes_(b'a\\0')"])
def test_numpy_text_that_ends_in_nul_is_refused(echo: Any, text: str) -> None:
    """It came back without its NUL: numpy takes one at the end of an array's text for padding."""
    with pytest.raises(rb.CannotCross, match=r"args\[0\]\[1\]: .*NUL"):
        echo([1, eval(f"np.{text}")])


def test_records_with_titles_padding_and_depth_come_back(echo: Any) -> None:
    titled = np.dtype({"names": ["a", "b"], "formats": ["i4", "f8"], "titles": ["AA", None]})
    padded = np.dtype({"names": ["a"], "formats": ["i4"], "offsets": [8], "itemsize": 32})
    deep = np.dtype([("n", [("m", [("x", ">f2", (2, 3)), ("y", "U3")])], (2,)), ("v", "V3")])
    for dtype in (titled, padded, deep):
        array = np.zeros(3, dtype)
        back = echo(array)
        assert back.dtype == dtype and (back == array).all()
        scalar = echo(array[0])
        assert type(scalar) is np.void and scalar.dtype == dtype


@pytest.mark.parametrize("offsets", [[8, 0], [0, 2]])
def test_record_whose_fields_overlap_or_are_out_of_order_is_refused(
    echo: Any, offsets: list[int]
) -> None:
    """numpy's own ValueError came through, without the place."""
    dtype = np.dtype({"names": ["a", "b"], "formats": ["i4", "i8"], "offsets": offsets})
    with pytest.raises(rb.CannotCross, match=r"args\[0\].*repack_fields"):
        echo(np.zeros(2, dtype))


def test_scalar_of_each_type_comes_back_as_that_type(echo: Any) -> None:
    # longlong is int64 by another name of C's: as a dtype the two are equal, and int64 arrives.
    for code in "?bBhHiIlLefdFD":
        scalar = np.dtype(code).type(1)
        assert same_array(echo(scalar), scalar)
    assert type(echo(np.longlong(1))) is np.int64
    assert echo(np.bool_(True)) is not True and echo(True) is True
    for scalar in (np.longdouble(1), np.clongdouble(1)):
        with pytest.raises(rb.CannotCross, match="astype"):
            echo(scalar)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_of_ndarray_are_refused_with_advice(echo: Any) -> None:
    for value in (np.matrix([[1]]), np.ma.zeros(3), np.rec.array([(1, 2.0)])):
        with pytest.raises(rb.CannotCross, match=r"args\[0\]\['x'\].*numpy\.array"):
            echo({"x": value})
