# SPDX-License-Identifier: MIT
"""What a worker prints arrives as logging records, one a line, whatever it is."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Iterator

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge
from ringbridge.output import LINE_BYTES_MAX, Lines


class Records(logging.Handler):
    """Collects; `next` waits for one, so that no test has to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: queue.Queue[logging.LogRecord] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.queue.put(record)

    def next(self) -> tuple[str, str]:
        record = self.queue.get(timeout=20)
        return record.levelname, record.getMessage()

    def rest(self) -> list[tuple[str, str]]:
        found = []
        while not self.queue.empty():
            found.append(self.next())
        return found


@pytest.fixture
def records() -> Iterator[Records]:
    handler = Records()
    logger = logging.getLogger("ringbridge.worker.own")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


def test_prints_are_records_of_the_workers_logger(
    make_worker: MakeWorker, records: Records
) -> None:
    basics = make_worker().load("rbr_testing.basics")
    basics.say("one\ntwo")
    assert [records.next(), records.next()] == [("INFO", "one"), ("INFO", "two")]
    basics.say("careful, 100 % sure", "stderr")
    assert records.next() == ("WARNING", "careful, 100 % sure")


def test_native_writes_arrive_too(make_worker: MakeWorker, records: Records) -> None:
    basics = make_worker().load("rbr_testing.basics")
    basics.write(b"\xff\xe4 native\r\n", 2)
    assert records.next() == ("WARNING", "\\xff\\xe4 native")


def test_a_line_without_an_end_arrives_after_a_pause(
    make_worker: MakeWorker, records: Records
) -> None:
    basics = make_worker().load("rbr_testing.basics")
    basics.write(b"50 %")
    assert records.next() == ("INFO", "50 %")


def test_200_kb_without_a_line_end_are_split_and_harm_no_call(
    make_worker: MakeWorker, records: Records
) -> None:
    worker = make_worker()
    basics = worker.load("rbr_testing.basics")
    basics.write(b"x" * 200_000)
    basics.write(b"y" * 200_000, 2)
    assert basics.echo(1) == 1
    worker.close()
    texts = [text for _level, text in records.rest()]
    assert max(map(len, texts)) <= LINE_BYTES_MAX
    whole = "".join(texts)
    assert (whole.count("x"), whole.count("y")) == (200_000, 200_000)


def test_close_waits_for_the_last_line(make_worker: MakeWorker, records: Records) -> None:
    worker = make_worker()
    worker.load("rbr_testing.basics").write(b"the last words")
    worker.close()
    assert records.rest() == [("INFO", "the last words")]


def test_a_log_handler_may_close_the_worker(make_worker: MakeWorker, records: Records) -> None:
    worker = make_worker()

    class Closer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            worker.close()

    logger = logging.getLogger("ringbridge.worker.own")
    closer = Closer()
    logger.addHandler(closer)
    try:
        worker.load("rbr_testing.basics").say("end")
        assert records.next() == ("INFO", "end")
    finally:
        logger.removeHandler(closer)
        worker.close()


def test_a_filter_that_fails_does_not_stop_the_output(
    make_worker: MakeWorker, records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(record: logging.LogRecord) -> bool:
        if record.getMessage() == "bad":
            raise RuntimeError("filter")
        return True

    logger = logging.getLogger("ringbridge.worker.own")
    logger.addFilter(fail)
    try:
        basics = make_worker().load("rbr_testing.basics")
        basics.say("bad")
        basics.say("good")
        assert records.next() == ("INFO", "good")
    finally:
        logger.removeFilter(fail)


# ---------------------------------------------------------------------------------- cutting lines


def cut(*pieces: bytes) -> list[str]:
    lines = Lines()
    found = [line for piece in pieces for line in lines.feed(piece)]
    return found + list(lines.flush())


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b\nc"], ["ab", "c"]),
        ([b"a\r\n\r\n"], ["a", ""]),
        ([b"\n\n"], ["", ""]),
        ([b"10 %\r20 %\r"], ["10 %\r20 %\r"]),
        ([], []),
        (["\xe4\xf6".encode()[:1], "\xe4\xf6".encode()[1:]], ["\xe4\xf6"]),
    ],
)
def test_lines_are_cut_at_their_ends(pieces: list[bytes], lines: list[str]) -> None:
    assert cut(*pieces) == lines


@pytest.mark.parametrize("character", ["x", "\xe4", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("shift", range(4))
def test_a_long_line_is_never_cut_inside_a_character(character: str, shift: int) -> None:
    text = "." * shift + character * (3 * LINE_BYTES_MAX // len(character.encode()))
    for pieces in ([text.encode()], [text.encode(), b"\n"]):
        found = cut(*pieces)
        assert "".join(found) == text
        assert max(len(line.encode()) for line in found) <= LINE_BYTES_MAX


def test_bytes_that_are_no_text_are_cut_as_well() -> None:
    assert sum(line.count("\\x80") for line in cut(b"\x80" * 200_000)) == 200_000


def test_a_call_that_logs_without_pause_ends_at_its_deadline(make_worker: MakeWorker) -> None:
    # As long as records came, and a slow handler let some gather, nobody looked at the clock.
    begun: list[float] = []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            begun.append(time.monotonic())
            time.sleep(0.005)

    module = make_worker(name="flood").load("rbr_testing.duties")
    logger, handler = logging.getLogger("ringbridge.worker.flood"), Slow()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(ringbridge.CallTimeout):
            module.log_for_ever.options(timeout=0.5)()
    finally:
        logger.removeHandler(handler)
    deadline = begun[0] + 0.5  # or somewhat earlier
    assert len([each for each in begun if each > deadline]) <= 1
