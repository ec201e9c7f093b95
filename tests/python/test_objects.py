# SPDX-License-Identifier: MIT
"""Remote objects: instances and kept results, their attributes and methods, and their end."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal
import weakref
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.eventually import LONG_S, Gate, collected, until
from rbr_testing.fixtures import MakeWorker

import ringbridge


@pytest.fixture
def models(worker: ringbridge.Worker) -> ringbridge.RemoteModule:
    """rbr_testing.models, where no object is gone yet."""
    module = worker.load("rbr_testing.models")
    module.take_gone()
    return module


# ------------------------------------------------------------------------------------- what they do


def test_a_class_is_instantiated_over_there_and_stays(models: ringbridge.RemoteModule) -> None:
    model = models.Model("first", weight=3.0)
    assert model.predict(2.0) == 6.0
    assert model.predict(2.0, scale=0.5) == 3.0
    assert model.name == "first" and model.weight == 3.0
    assert model.kind == "linear" and model.double == 6.0
    assert repr(model).startswith("<remote rbr_testing.models.Model ")
    assert model(5.0) == 8.0  # of its __call__


def test_an_attribute_is_set_over_there(models: ringbridge.RemoteModule) -> None:
    model = models.Model("a")
    model.weight = 10.0
    model.new = [1, 2]
    assert model.predict(1.0) == 10.0 and model.new == [1, 2]
    with pytest.raises(AttributeError):
        model.double = 1.0  # a property without a setter
    with pytest.raises(ringbridge.CannotCross):
        model.weight = object()
    with pytest.raises(AttributeError, match="cannot delete 'weight'"):
        del model.weight


def test_methods_are_submitted_streamed_and_awaited(models: ringbridge.RemoteModule) -> None:
    model = models.Model("a", 2.0)
    assert model.predict.submit(4.0).result(LONG_S) == 8.0
    assert list(model.items.stream(5)) == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert model.later(3.0) == 6.0
    assert model.predict.options(timeout=LONG_S)(1.0) == 2.0

    async def main() -> tuple[Any, list[Any]]:
        items = [each async for each in model.items.stream(3)]
        return await model.predict.submit(1.0), items

    assert asyncio.run(main()) == (2.0, [0.0, 2.0, 4.0])


def test_two_types_of_one_name_do_not_share_their_methods(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    # They were told apart by the bare name: the second one's `run` was called with the first's.
    (tmp_path / "one_thing.py").write_text("class Thing:\n    def run(self): return 'method'\n")
    (tmp_path / "other_thing.py").write_text("class Thing:\n    run = 7\n")
    worker = make_worker(paths=[tmp_path])
    one, other = worker.load("one_thing").Thing(), worker.load("other_thing").Thing()
    assert one.run() == "method" and other.run == 7
    assert repr(one).startswith("<remote one_thing.Thing ")


def test_methods_describe_themselves(models: ringbridge.RemoteModule) -> None:
    import inspect

    model = models.Model("a")
    assert model.predict.__name__ == "predict"
    assert model.predict.__doc__ == "value times weight."
    assert list(inspect.signature(model.predict).parameters) == ["value", "scale"]
    assert repr(model.predict)


def test_instances_are_made_by_submit_too(models: ringbridge.RemoteModule) -> None:
    model = models.Model.submit("later", 5.0).result(LONG_S)
    assert model.predict(2.0) == 10.0
    names = [each.name for each in models.many.options(keep=True).stream(5)]
    assert names == ["0", "1", "2", "3", "4"]


def test_a_handle_as_an_argument_is_the_object_itself(models: ringbridge.RemoteModule) -> None:
    first, second = models.Model("first"), models.Model("second")
    assert models.name_of(first) == "first"
    assert models.same(first, first) and not models.same(first, second)
    assert models.names_in([first, second]) == ["first", "second"]
    assert models.names_in({"a": second}) == ["second"]
    first.child = second  # an attribute's value, too
    assert models.same(models.child_of(first), second)
    assert models.name_of.submit(second).result(LONG_S) == "second"


def test_a_result_that_stays_already_is_a_handle(models: ringbridge.RemoteModule) -> None:
    model = models.Model("a")
    again = models.number(model)  # gives back what it got
    assert again is not model and models.same(again, model)
    del model
    assert again.name == "a"
    model = models.Model("parent")
    model.grow("child")
    with pytest.raises(ringbridge.CannotCross, match="Model"):
        models.child_of(model)  # it does not stay by itself
    child = models.child_of.options(keep=True)(model)
    assert child.name == "child" and model.child.name == "child"
    assert models.number([again, child])[1].name == "child"


def test_keep_gives_a_handle_to_any_result(models: ringbridge.RemoteModule) -> None:
    model = models.make.options(keep=True)("kept")
    assert model.name == "kept"
    values = models.number.options(keep=True)([3, 1, 2])
    assert repr(values).startswith("<remote list ")
    values.sort()
    assert models.number(values) == [1, 2, 3] or models.same(models.number(values), values)
    nothing = models.number.options(keep=True)(None)
    assert models.same(nothing, None)


def test_a_callback_may_be_given_a_handle(models: ringbridge.RemoteModule) -> None:
    model = models.Model("a")
    got: list[str] = []
    models.call(lambda given: got.append(given.name), model)
    assert got == ["a"]
    assert models.same(models.call(lambda: model), model)


# -------------------------------------------------------------------------------------- python asks


def test_dir_lists_what_the_object_has(models: ringbridge.RemoteModule) -> None:
    model = models.Model("a")
    names = dir(model)
    assert {"name", "weight", "predict", "items", "double", "kind"} <= set(names)
    assert "__class__" in names


def test_a_missing_attribute_is_an_attribute_error(models: ringbridge.RemoteModule) -> None:
    model = models.Model("a")
    with pytest.raises(AttributeError, match="no attribute 'wieght'"):
        _ = model.wieght
    assert not hasattr(model, "wieght") and hasattr(model, "weight")
    assert getattr(model, "wieght", 5) == 5
    with pytest.raises(RuntimeError, match="no such luck"):
        _ = model.broken
    with pytest.raises(ValueError, match="a"):
        model.fail()


def test_a_handle_is_no_copy_and_cannot_be_one(models: ringbridge.RemoteModule) -> None:
    model = models.Model("a")
    for refused in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"models\.Model lives in worker 'session'"):
            refused(model)


def test_a_handle_is_true_equal_to_itself_and_hashable(models: ringbridge.RemoteModule) -> None:
    first, second = models.Model("a"), models.Model("a")
    assert first and first == first and first != second
    assert {first: 1}[first] == 1
    empty = models.number.options(keep=True)([])
    assert empty  # it is there, whatever it would say of itself


def test_what_only_the_type_can_do_is_told(models: ringbridge.RemoteModule) -> None:
    model = models.Model("a")
    with pytest.raises(TypeError):
        len(model)
    plain = models.Plain()
    with pytest.raises(AttributeError, match=r"Plain.*__call__"):
        plain()
    with pytest.raises(AttributeError):
        _ = model.__len__


# --------------------------------------------------------------------------------------------- ends


def test_an_object_goes_with_its_last_handle(models: ringbridge.RemoteModule) -> None:
    model = models.Model("dropped")
    again = models.number(model)
    reference = weakref.ref(model)
    del model
    assert collected(reference)
    assert models.take_gone() == [] and again.name == "dropped"
    del again
    until(lambda: models.take_gone() == ["dropped"])


def test_a_method_keeps_its_object(models: ringbridge.RemoteModule) -> None:
    predict = models.Model("a", 4.0).predict
    assert predict(2.0) == 8.0
    task = models.Model("b", 4.0).predict.submit(2.0)
    assert task.result(LONG_S) == 8.0
    stream = models.Model("c", 2.0).items.stream(30)
    assert list(stream) == [2.0 * each for each in range(30)]


def test_a_result_that_nobody_took_is_released(make_worker: MakeWorker) -> None:
    models = make_worker().load("rbr_testing.models")
    task = models.Model.submit("nobody's")
    task.result(LONG_S)
    del task
    late = models.Model.submit("given up")
    late.cancel()
    del late
    until(lambda: models.kept_count() == 0)


def test_items_that_nobody_took_are_released(make_worker: MakeWorker) -> None:
    """They stayed for ever: what came for a stream that was let go is dropped unread."""
    models = make_worker().load("rbr_testing.models")
    kept: list[Any] = []
    for count in (2, 4, 6):
        stream = models.many.options(keep=True).stream(100)
        kept += [next(stream), next(stream)]
        until(lambda there=count + 8: models.kept_count() == there)  # as many are under way
        del stream
        until(lambda there=count: models.kept_count() == there)
    assert [each.name for each in kept] == ["0", "1"] * 3
    short = models.many.options(keep=True).stream(3)
    kept = [next(short)]
    until(lambda: models.kept_count() == 3)  # the generator has ended, over there
    del short
    until(lambda: models.kept_count() == 1)
    assert kept[0].name == "0"


def test_a_result_that_came_too_late_is_released(make_worker: MakeWorker, gate: Gate) -> None:
    """It stayed for ever, as what comes for a call that has ended is dropped unread."""
    models = make_worker().load("rbr_testing.models")
    call = models.make_late.options(keep=True).start((gate.started, gate.release, "late"), {})
    gate.entered()
    call.end()
    gate.open()
    until(lambda: models.take_gone() == ["late"])
    with pytest.raises(ringbridge.CallTimeout):
        models.make_when_interrupted.options(keep=True, timeout=0.2)("interrupted")
    until(lambda: models.kept_count() == 0)


def test_objects_in_an_answer_that_cannot_be_read_are_released(make_worker: MakeWorker) -> None:
    """Those behind the place that could not be read stayed for ever."""
    worker = make_worker(pickle=True)
    models, pickled = worker.load("rbr_testing.models"), worker.load("rbr_testing.pickled")
    model = models.Model("unread")
    with pytest.raises(ringbridge.RingbridgeError):
        pickled.unreadable_before(model)
    with pytest.raises(ringbridge.RingbridgeError):
        pickled.unreadable_before.submit(model).result(LONG_S)
    assert model.name == "unread"
    del model
    until(lambda: models.take_gone() == ["unread"])


@pytest.mark.parametrize("how", ["result", "item", "argument"])
def test_an_object_in_what_could_not_be_sent_goes_with_its_last_handle(
    worker: ringbridge.Worker, models: ringbridge.RemoteModule, how: str
) -> None:
    """It had got a number more, which nobody here knew."""
    module = worker.load("rbr_testing.in_vain")
    model = models.Model("sent in vain")
    for _ in range(3):
        if how == "argument":
            module.argument(model, lambda given: None)
            continue
        with pytest.raises(ringbridge.CannotCross):
            module.result(model) if how == "result" else list(module.items.stream(model))
    del model
    until(lambda: models.take_gone() == ["sent in vain"])


@pytest.mark.seconds(120)
def test_ten_thousand_objects_leave_nothing(make_worker: MakeWorker) -> None:
    models = make_worker().load("rbr_testing.models")
    for each in range(5000):
        assert models.Model(str(each)) is not None
    kept = [models.Model.submit(str(each)) for each in range(5000)]
    made = [task.result(LONG_S) for task in kept]
    assert models.name_of(made[-1]) == "4999"
    del kept, made
    until(lambda: models.kept_count() == 0)
    assert len(models.take_gone()) == 10_000


def test_an_object_of_a_dead_worker_says_that_it_is_gone(make_worker: MakeWorker) -> None:
    worker = make_worker(name="mortal")
    model = worker.load("rbr_testing.models").Model("a")
    predict = model.predict
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: not worker.alive)
    gone = "models.Model is gone: it lived in a process of worker mortal that has ended"
    for use in (
        lambda: model.name,
        lambda: setattr(model, "name", "b"),
        lambda: predict(1.0),
        lambda: predict.submit(1.0),
        lambda: predict.stream(1.0),
    ):
        with pytest.raises(ringbridge.WorkerDied, match=gone):
            use()
    assert repr(model).startswith("<remote rbr_testing.models.Model ")
    assert "name" not in dir(model)  # and no error
    worker.close()
    with pytest.raises(ringbridge.WorkerDied, match=gone):
        _ = model.name


def test_a_handle_of_another_worker_is_refused(
    make_worker: MakeWorker, models: ringbridge.RemoteModule
) -> None:
    other = make_worker(name="other").load("rbr_testing.models")
    model = other.Model("theirs")
    with pytest.raises(ringbridge.CannotCross, match=r"args\[0\].*models.Model lives in a process"):
        models.name_of(model)
    assert other.name_of(model) == "theirs"
