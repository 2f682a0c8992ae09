import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.runtime.logs import JsonLines, set_up

FORMATTER = JsonLines("gateway")


def line_of(message: str = "session opens", **extra: object) -> dict[str, Any]:
    """Format a record, which must be one line of JSON, and read it."""
    text = FORMATTER.format(
        logging.makeLogRecord({"msg": message, "levelname": "INFO", "created": 1.5, **extra})
    )
    assert "\n" not in text
    return dict(json.loads(text))


def test_a_line_says_when_how_bad_who_and_what() -> None:
    assert line_of() == {"at": 1.5, "level": "info", "service": "gateway", "event": "session opens"}


def test_the_time_is_unix_seconds_to_the_millisecond() -> None:
    assert line_of(created=1_700_000_000.123456)["at"] == 1_700_000_000.123


def test_arguments_are_put_into_the_event() -> None:
    assert line_of("%s of %d", args=("one", 2))["event"] == "one of 2"


def test_extra_fields_stand_beside_the_event_in_their_own_types() -> None:
    line = line_of(user="用户 一", ms=1.5, count=3, ok=True, none=None, list=[1, "a"])

    assert {
        "user": "用户 一",
        "ms": 1.5,
        "count": 3,
        "ok": True,
        "none": None,
        "list": [1, "a"],
    }.items() <= line.items()


@pytest.mark.parametrize("text", ["a\nb", "\r\n", '"}\n{"level":"error', "\x00", "\x1b[31m"])
def test_no_text_can_break_out_of_its_line(text: str) -> None:
    line = line_of(text, user=text)

    assert (line["event"], line["user"]) == (text, text)


def test_an_exception_stands_in_the_line_with_its_traceback() -> None:
    try:
        raise LookupError("no such thing")
    except LookupError as error:
        line = line_of(exc_info=(type(error), error, error.__traceback__))

    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("LookupError: no such thing")


@pytest.mark.parametrize("value", [object(), LookupError("x"), {("a", "b"): 1}, {"deep": [object()]}])
def test_a_field_that_has_no_json_does_not_cost_the_line(value: object) -> None:
    assert line_of(websocket=value).items() >= {"event": "session opens", "level": "info"}.items()


def test_text_that_is_no_utf_8_does_not_cost_the_line() -> None:
    assert line_of("path /\udcff", path="/\udcff")["event"] == "path /\udcff"


FIELDS = st.dictionaries(
    st.from_regex(r"field_[a-z]{1,5}", fullmatch=True),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=()))
    ),
)


@given(st.text(st.characters(exclude_categories=())), FIELDS)
def test_each_record_is_one_line_of_json(message: str, fields: dict[str, object]) -> None:
    line = line_of(message, **fields)

    assert line["event"] == message
    assert set(fields) <= set(line)


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Put the loggers back that `set_up` changes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    noisy = {name: logging.getLogger(name).level for name in ("asyncio", "websockets", "nats")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in noisy.items():
        logging.getLogger(name).setLevel(was)


@pytest.mark.usefixtures("untouched_logging")
def test_every_log_goes_to_standard_error_as_json_lines(
    capfd: pytest.CaptureFixture[str],
) -> None:
    writer = set_up("router", "info")

    logging.getLogger("router").info("router starts", extra={"instance": "r-1"})
    logging.getLogger("some.library").warning("beware")
    assert writer.end()

    output = capfd.readouterr()
    assert output.out == ""
    first, second = map(json.loads, output.err.splitlines())
    assert first | {"at": 0} == {
        "at": 0, "level": "info", "service": "router", "event": "router starts", "instance": "r-1"
    }  # fmt: skip
    assert (second["service"], second["level"], second["event"]) == ("router", "warning", "beware")


@pytest.mark.usefixtures("untouched_logging")
@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_logged(
    level: str, events: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    writer = set_up("router", level)
    log = logging.getLogger("router")

    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(number, logging.getLevelName(number).lower())
    assert writer.end()

    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == events


@pytest.mark.usefixtures("untouched_logging")
@pytest.mark.parametrize("library", ["asyncio", "websockets.server", "nats.aio.client"])
def test_libraries_are_heard_only_when_they_warn(library: str, capfd: pytest.CaptureFixture[str]) -> None:
    writer = set_up("router", "debug")

    logging.getLogger(library).info("connection open")
    logging.getLogger(library).warning("connection broken")
    assert writer.end()

    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "connection broken"


@pytest.mark.usefixtures("untouched_logging")
def test_set_up_twice_logs_once(capfd: pytest.CaptureFixture[str]) -> None:
    writers = set_up("router", "info"), set_up("router", "info")

    logging.getLogger("router").info("once")
    assert all(writer.end() for writer in writers)

    assert len(capfd.readouterr().err.splitlines()) == 1
