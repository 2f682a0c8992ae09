"""Headers as NATS writes them."""

import pytest

from tieline.runtime.message import NO_RESPONDERS, Message, block


def message(headers: bytes) -> Message:
    return Message("a.b", "", b"", headers)


def test_headers_are_read_as_they_were_written() -> None:
    read = message(block({"Nats-Msg-Id": "7", "Nats-TTL": "2s"}))

    assert (read.header(b"Nats-Msg-Id"), read.header(b"Nats-TTL"), read.status) == ("7", "2s", "")


@pytest.mark.parametrize("name", [b"Msg-Id", b"Nats-Msg", b"nats-msg-id", b"7"])
def test_a_header_is_found_by_its_whole_name_alone(name: bytes) -> None:
    assert message(block({"Nats-Msg-Id": "7"})).header(name) == ""


def test_a_message_without_headers_has_no_status() -> None:
    assert (message(b"").header(b"Nats-Msg-Id"), message(b"").status) == ("", "")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"NATS/1.0 503\r\n\r\n", NO_RESPONDERS),
        (b"NATS/1.0 404 Message Not Found\r\n\r\n", "404"),
        (b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n\r\n", "204"),
        (b"NATS/1.0\r\nA: 503\r\n\r\n", ""),
    ],
)
def test_a_status_of_the_broker_is_told_from_headers(headers: bytes, status: str) -> None:
    assert message(headers).status == status


def test_no_headers_are_an_empty_block() -> None:
    assert block({}) == b"NATS/1.0\r\n\r\n"
