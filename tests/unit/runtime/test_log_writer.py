"""Log lines are written by a thread, and dropped when nobody reads them."""

import json
import logging
import os
from collections.abc import Iterator

import pytest

from tests.support.metrics import value_of
from tieline.runtime.log_writer import LogWriter
from tieline.runtime.logs import JsonLines
from tieline.runtime.metrics import LOG_LINES_DROPPED

PIPE_BYTES = 65_536
"""What a pipe holds that nobody reads."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:  # the test has closed it
            continue


def logger() -> logging.Logger:
    """Make one that passes nothing on."""
    made = logging.Logger("sample")
    made.setLevel(logging.INFO)
    return made


def events(reading: int) -> list[dict[str, object]]:
    """Read all that was written until now, which must be whole lines."""
    return [json.loads(line) for line in os.read(reading, 10 * PIPE_BYTES).splitlines()]


def test_lines_come_in_the_order_in_which_they_were_logged(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log, writer = logger(), LogWriter(JsonLines("sample"), writing)
    writer.begin(log)
    for number in range(100):
        log.info("%d", number)

    assert writer.end()
    assert [event["event"] for event in events(reading)] == [str(number) for number in range(100)]


def test_lines_that_wait_together_are_written_in_one_go() -> None:
    reading, writing = os.pipe2(os.O_DIRECT)  # each write is read by itself
    log, writer = logger(), LogWriter(JsonLines("sample"), writing)
    writer.begin(log)
    log.info("x" * 2 * PIPE_BYTES)  # the thread waits until some of it is read
    for number in range(3):
        log.info("%d", number)

    first = b""
    while not first.endswith(b"\n"):
        first += os.read(reading, PIPE_BYTES)

    assert [event["event"] for event in events(reading)] == ["0", "1", "2"]
    assert writer.end()
    os.close(reading)
    os.close(writing)


def test_what_waits_is_written_without_a_pause(pipe: tuple[int, int]) -> None:
    """When a process ends at once, there is not the time for many."""
    reading, writing = pipe
    pauses: list[float] = []
    log, writer = logger(), LogWriter(JsonLines("sample"), writing, pause=pauses.append)
    writer.begin(log)
    log.info("x" * 2 * PIPE_BYTES)  # the thread waits until some of it is read
    for _ in range(1000):
        log.info("y" * 1000)

    assert not writer.end(0)
    read = 0
    while read < 1001:
        read += os.read(reading, PIPE_BYTES).count(b"\n")
    assert len(pauses) <= 1  # behind the last of them


def test_a_traceback_comes_with_its_line(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log, writer = logger(), LogWriter(JsonLines("sample"), writing)
    writer.begin(log)
    try:
        raise LookupError("a bug of ours")
    except LookupError:
        log.exception("failed")

    assert writer.end()
    (event,) = events(reading)
    assert str(event["exception"]).endswith("LookupError: a bug of ours")


def test_what_nobody_reads_is_dropped_counted_and_said(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log, writer = logger(), LogWriter(JsonLines("sample"), writing, most=10)
    writer.begin(log)
    before = value_of(LOG_LINES_DROPPED)

    log.info("x" * 2 * PIPE_BYTES)
    for _ in range(50):
        log.info("one of many")
    dropped = value_of(LOG_LINES_DROPPED) - before

    assert dropped >= 39  # the thread may have taken one from the queue already
    assert not writer.end(0)
    said = b""
    while said.count(b"\n") < 51 - dropped + 1:  # with the line that says so
        said += os.read(reading, PIPE_BYTES)
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["lines"] for line in lines if line["event"] == "log lines dropped"] == [dropped]


@pytest.mark.parametrize("way", ["no such descriptor", "no descriptor at all"])
def test_whatever_a_line_fails_of_the_next_one_is_tried(way: str, pipe: tuple[int, int]) -> None:
    """Nobody else would write it, nor say that nobody does."""
    _reading, writing = pipe
    descriptor = writing if way == "no such descriptor" else -1  # an OSError, and a ValueError
    log, writer = logger(), LogWriter(JsonLines("sample"), descriptor)
    writer.begin(log)
    before = value_of(LOG_LINES_DROPPED)
    os.close(writing)
    for _ in range(3):
        log.info("to nobody")
    assert writer.end()
    assert value_of(LOG_LINES_DROPPED) == before + 3


def test_lines_that_could_not_be_written_are_said_when_they_can(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log, writer = logger(), LogWriter(JsonLines("sample"), writing)
    other = os.dup(writing)
    writer.begin(log)
    before = value_of(LOG_LINES_DROPPED)
    os.close(writing)
    log.info("to nobody")
    while value_of(LOG_LINES_DROPPED) == before:
        os.sched_yield()
    os.dup2(other, writing)
    os.close(other)
    log.info("to somebody")
    assert writer.end()
    told = {event["event"]: event.get("lines") for event in events(reading)}
    assert told == {"to somebody": None, "log lines dropped": 1}


def test_a_reader_that_has_gone_does_not_matter(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log, writer = logger(), LogWriter(JsonLines("sample"), writing)
    writer.begin(log)
    os.close(reading)
    log.info("to nobody")

    assert writer.end()


def test_a_descriptor_that_does_not_block_gets_whole_lines(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    log, writer = logger(), LogWriter(JsonLines("sample"), writing)
    writer.begin(log)
    log.info("x" * 3 * PIPE_BYTES)

    assert not writer.end(0)
    said = b""
    while not said.endswith(b"\n"):
        said += os.read(reading, PIPE_BYTES)
    assert json.loads(said)["event"] == "x" * 3 * PIPE_BYTES
