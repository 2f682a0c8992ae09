"""TLS between socket and connection: handshakes in turn, reading no faster than asked, and the ends."""

import logging
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.certificate import Files, load
from gateway.admission.entrance import Room
from gateway.client.connection import CLOSING_S, HANDSHAKE_S
from gateway.client.inbound import MAX_UNREAD
from gateway.client.tls import LONGEST_RECORD, MOST_EMPTY, MOST_HANDSHAKE_BYTES, MOST_RECORDS, READ_BYTES
from gateway.client.trickle import READS, RESTS_S
from tests.support.certificates import self_signed
from tests.support.metrics import value_of
from tests.unit.gateway.client.harness import ping, signals
from tests.unit.gateway.client.tls_line import TlsClient, TlsLine
from tests.unit.gateway.client.tls_records import (
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    CIPHER,
    Sealer,
    writing_down_secrets,
)
from tieline import metrics
from tieline.wire.codes import CloseCode

FAILED = metrics.TLS_HANDSHAKES.labels("failed")
DONE = metrics.TLS_HANDSHAKES.labels("ok")


def a_context() -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        pair = self_signed(Path(folder))
        return load(Files(pair.certificate, pair.key)).context


ANY_CONTEXT = a_context()


@pytest.fixture
def context() -> ssl.SSLContext:
    return ANY_CONTEXT


def test_what_both_ends_say_arrives(context: ssl.SSLContext) -> None:
    before = value_of(DONE)
    line = TlsLine(context).open()

    line.send(ping("p-1"), ping("p-2"))

    assert [message["requestId"] for message in line.messages()] == ["p-1", "p-2"]
    assert value_of(DONE) == before + 1


def test_nothing_that_is_said_passes_in_the_clear(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.send(ping("p-1"))
    assert b"p-1" not in line.socket.taken()


# The handshake.


def test_a_handshake_waits_for_its_turn(context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    line.socket.arriving += line.client.hello()
    line.read()
    assert line.socket.taken() == b""
    assert line.turns.newcomers == 1

    line.clock.iterate()

    assert line.socket.taken() != b""
    assert line.turns.newcomers == 0


def test_who_has_gone_has_no_turn_any_more(context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    line.socket.arriving += line.client.hello()
    line.read()
    line.socket.abort()
    line.tls.connection_lost(None)

    line.clock.settle()

    assert line.socket.taken() == b""
    assert line.gone_with == [1006]


@pytest.mark.parametrize("size", [1, 100])
def test_a_handshake_may_come_in_pieces(size: int, context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    hello = line.client.hello()
    for start in range(0, len(hello), size):
        line.arrive(hello[start : start + size])
        line.clock.advance(0.001)
    line.clock.advance(max(RESTS_S))
    line.arrive(b"")
    line.client.incoming.write(line.socket.taken())
    line.arrive(line.client.hello())
    line.say(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(line.requests) == 1


def test_a_handshake_byte_by_byte_is_read_in_few_reads(context: ssl.SSLContext) -> None:
    line, reads = TlsLine(context), 0
    for byte in line.client.hello():
        reads += line.socket.is_reading()
        line.arrive(bytes((byte,)))
        line.clock.advance(0.001)
    assert reads < READS + 12
    line.clock.advance(max(RESTS_S))
    line.arrive(b"")
    assert line.socket.taken() != b""


def test_a_handshake_byte_by_byte_is_read_now_and_then(context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    hello = line.client.hello()
    for byte in hello[: READS - 1]:
        line.socket.arriving.append(byte)
        line.read()
        assert line.clock.is_at_rest  # a part of a record is nothing to be looked at
    assert line.socket.is_reading()

    line.arrive(hello[READS - 1 : READS])

    assert not line.socket.is_reading()
    line.arrive(hello[READS:])
    assert line.socket.taken() == b""
    line.clock.advance(max(RESTS_S))
    line.arrive(b"")
    assert line.socket.taken() != b""
    assert line.socket.is_reading()


def test_a_request_that_comes_with_the_handshake_is_read(context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    line.arrive(line.client.hello())
    line.client.incoming.write(line.socket.taken())
    line.arrive(line.client.hello() + line.client.encrypted(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert len(line.requests) == 1


def test_a_long_request_that_comes_with_the_handshake_is_read(context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    line.arrive(line.client.hello())
    line.client.incoming.write(line.socket.taken())
    request = b"GET /ws HTTP/1.1\r\nHost: x\r\n"
    for number in range(5):
        request += b"X-%d: %s\r\n" % (number, b"x" * 6_000)
    finished = line.client.hello()
    line.arrive(finished + b"".join(map(line.client.encrypted, (request, b"\r\n"))))
    assert len(line.requests) == 1


def test_who_speaks_no_tls_is_told_so_in_tls_and_the_log(
    context: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before, line = value_of(FAILED), TlsLine(context)

    line.arrive(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")

    assert line.socket.is_closing()
    assert value_of(FAILED) == before + 1
    (said,) = [vars(record) for record in caplog.records if record.message == "TLS handshake failed"]
    assert (said["why"], said["address"]) == ("HTTP_REQUEST", "203.0.113.1")
    assert line.requests == []


def test_a_handshake_without_an_end_is_not_read_for_long(context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    longest = b"\x01" + (100_000).to_bytes(3, "big")
    records = b"".join(b"\x16\x03\x01" + (8_000).to_bytes(2, "big") + longest.ljust(8_000) for _ in range(9))
    line.arrive(records)
    assert line.socket.is_closing()
    assert len(records) - len(line.socket.arriving) <= MOST_HANDSHAKE_BYTES + READ_BYTES


def test_a_handshake_has_the_time_of_the_whole_upgrade(context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    line.shake_hands()
    line.clock.advance(HANDSHAKE_S)
    assert line.socket.is_aborted


def test_who_has_not_shaken_hands_is_half_open(context: ssl.SSLContext) -> None:
    line = TlsLine(context, room=Room(half_open=1))
    line.shake_hands()
    line.entrance.enter(TlsLine(context).connection, "203.0.113.1")
    assert line.socket.is_aborted


def test_a_proxy_says_before_tls_for_whom_it_asks(context: ssl.SSLContext) -> None:
    header = b"PROXY TCP4 203.0.113.7 10.0.0.1 50000 8080\r\n"
    for size in (1, len(header) + 5, 10_000):
        line = TlsLine(context, peer="10.0.0.1")
        data = header + line.client.hello()
        for start in range(0, len(data), size):
            line.arrive(data[start : start + size])
        line.clock.advance(max(RESTS_S))
        line.arrive(b"")
        line.client.incoming.write(line.socket.taken())
        line.arrive(line.client.hello())
        line.say(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (line.connection.peer, len(line.requests)) == ("203.0.113.7", 1)


def test_a_proxy_that_begins_with_tls_is_cut(context: ssl.SSLContext) -> None:
    line = TlsLine(context, peer="10.0.0.1")
    line.arrive(line.client.hello())
    assert line.socket.is_aborted


# Reading no faster than asked.


def test_a_client_with_too_many_messages_is_not_read(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    messages = signals(200)

    line.send(*messages)

    assert not line.socket.is_reading()
    assert not line.tls.is_reading()
    assert line.socket.arriving
    unread = MAX_UNREAD + 3
    assert len(line.host.asked) == 1
    waiting = line.waiting.bytes_in
    assert waiting <= unread * len(messages[0]) + 2 * READ_BYTES
    while line.host.under_way:
        line.host.answer()
        line.arrive(b"")
    assert line.host.asked == [f"s-{number}" for number in range(200)]
    assert line.waiting.bytes_in == 0
    assert line.socket.is_reading()


def test_what_was_read_and_not_decrypted_counts_until_it_is_gone(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.tls.pause_reading()
    line.tls.get_buffer(-1)[:1000] = line.client.encrypted(b"x" * 978)
    line.tls.buffer_updated(1000)  # what was under way as it was paused
    assert line.waiting.bytes_in == 1000

    line.socket.abort()
    line.tls.connection_lost(None)

    assert line.waiting.bytes_in == 0


def test_many_small_records_are_shared_out(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.websocket.send_text(ping("p-1"))
    (frame,) = line.websocket.data_to_send()
    for byte in frame * 4:
        line.socket.arriving += line.client.encrypted(bytes((byte,)))
    assert len(frame) * 4 > 3 * MOST_RECORDS

    line.read()

    assert not line.socket.is_reading()
    assert len(line.messages()) * len(frame) <= MOST_RECORDS
    line.arrive(b"")
    assert line.socket.is_reading()
    rest = [message["requestId"] for message in line.messages()]
    assert set(rest) == {"p-1"}


def sealing(line: TlsLine, folder: Path) -> Sealer:
    """Have the client's records from now on sealed by the test."""
    line.client = TlsClient(writing_down_secrets(folder / "secrets"))
    line.open()
    assert line.client.tls.cipher() == (CIPHER, "TLSv1.3", 256)
    return Sealer(folder / "secrets", written=1)  # the request


def nothing_said(sealer: Sealer, kind: str) -> bytes:
    return sealer.key_update() if kind == "key update" else sealer.sealed(APPLICATION_DATA)


def pinged(line: TlsLine, sealer: Sealer, request_id: str) -> None:
    line.websocket.send_text(ping(request_id))
    (frame,) = line.websocket.data_to_send()
    line.arrive(sealer.sealed(APPLICATION_DATA, frame))


@pytest.mark.parametrize("kind", ["key update", "empty"])
def test_records_in_which_nothing_is_said_are_few(kind: str, context: ssl.SSLContext, tmp_path: Path) -> None:
    line = TlsLine(context)
    sealer = sealing(line, tmp_path)
    for request_id in ("p-1", "p-2"):
        for _ in range(MOST_EMPTY):
            line.arrive(nothing_said(sealer, kind))
        pinged(line, sealer, request_id)  # after which they are counted anew
    assert [message["requestId"] for message in line.messages()] == ["p-1", "p-2"]
    for _ in range(MOST_EMPTY):
        line.arrive(nothing_said(sealer, kind))
    assert not line.socket.is_aborted
    line.arrive(nothing_said(sealer, kind))
    assert line.socket.is_aborted


@pytest.mark.parametrize("at_once", [True, False])
def test_so_are_those_in_the_middle_of_a_handshake(at_once: bool, context: ssl.SSLContext) -> None:
    before = value_of(DONE), value_of(FAILED)
    patient, endless = TlsLine(context), TlsLine(context)
    for line in (patient, endless):
        line.arrive(line.client.hello())
    its_own = 1  # the library sends one, too
    for line, count in ((patient, MOST_EMPTY - its_own), (endless, MOST_EMPTY + 1)):
        records = [CHANGE_CIPHER_SPEC] * count
        for data in [b"".join(records)] if at_once else records:
            line.arrive(data)
    patient.client.incoming.write(patient.socket.taken())
    patient.arrive(patient.client.hello())
    assert endless.socket.is_closing()
    assert not patient.socket.is_closing()
    assert (value_of(DONE), value_of(FAILED)) == (before[0] + 1, before[1] + 1)


RECORD_HEADS = st.sampled_from(
    [b"\x14\x03\x03", b"\x15\x03\x03", b"\x16\x03\x01", b"\x17\x03\x03", b"\x19\x03\x03"]
)
"""Of records of each kind that there is, and of one that there is not."""


def record(head: bytes, body: bytes) -> bytes:
    return head + len(body).to_bytes(2, "big") + body


ANYTHING = st.lists(
    st.one_of(st.binary(max_size=200), st.builds(record, RECORD_HEADS, st.binary(max_size=200))), max_size=8
)


class Bugs(logging.Handler):
    """Fails on what is logged as an error: a guard has kept a bug from ending the gateway."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage()) from (record.exc_info or (None, None))[1]


@pytest.fixture(scope="module")
def no_bugs() -> Iterator[None]:
    handler, log = Bugs(logging.ERROR), logging.getLogger("gateway.client.tls")
    log.addHandler(handler)
    yield
    log.removeHandler(handler)


@pytest.mark.usefixtures("no_bugs")
@given(ANYTHING, st.booleans(), st.booleans())
def test_whatever_arrives_ends_the_client_at_most(parts: list[bytes], is_open: bool, goes_on: bool) -> None:
    line = TlsLine(ANY_CONTEXT)
    if is_open:
        line.open()
    for part in parts:
        line.arrive(part)
        if goes_on and not line.socket.is_closing():
            line.arrive(line.client.encrypted(ping("p-1")) if is_open else b"")
    assert line.waiting.bytes_in <= READ_BYTES + LONGEST_RECORD
    line.lose()
    assert line.waiting.bytes_in == 0
    assert len(line.gone_with) == 1


# The ends.


def test_a_client_that_ends_tls_has_left(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()

    line.arrive(line.client.goodbye())

    assert line.gone_with == [1006]
    assert line.socket.is_closing()
    line.heard()
    assert line.client.is_ended


def test_what_it_said_before_that_is_carried_out(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.websocket.send_text(signals(1)[0])
    (frame,) = line.websocket.data_to_send()
    line.arrive(line.client.encrypted(frame) + line.client.goodbye())
    assert line.host.asked == ["s-0"]


def test_a_client_that_ends_its_stream_has_left(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    assert line.tls.eof_received() is False
    line.clock.settle()
    assert line.gone_with == [1006]


def test_a_record_byte_by_byte_is_read_in_few_reads_and_heard(context: ssl.SSLContext) -> None:
    line, reads = TlsLine(context).open(), 0
    line.websocket.send_text(ping("p"))
    for byte in line.client.encrypted(b"".join(line.websocket.data_to_send())):
        reads += line.socket.is_reading()
        line.arrive(bytes((byte,)))
        line.clock.advance(0.001)
    assert reads < READS + 5
    line.clock.advance(max(RESTS_S))
    line.arrive(b"")
    assert [message["requestId"] for message in line.messages()] == ["p"]
    assert line.socket.is_reading()


def test_a_second_handshake_cuts_the_client(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.arrive(TlsClient().hello())
    assert line.socket.is_aborted


@pytest.mark.parametrize(
    "begins", [b"", b"\x16\x03\x01\x02", b"\x16\x03\x01\x3f\xff" * 200, b"\x16\x03\x01\xff\xff" * 9]
)
def test_a_handshake_that_is_not_done_is_counted_and_ends(begins: bytes, context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    line.arrive(begins)
    assert len(line.entrance) == len(line.entrance.half_open) == 1
    line.clock.advance(HANDSHAKE_S)
    assert line.socket.is_closing()
    line.lose()
    assert len(line.entrance) == len(line.entrance.half_open) == 0
    assert line.clock.is_idle


def test_of_handshakes_that_are_not_done_an_address_has_its_share(context: ssl.SSLContext) -> None:
    line = TlsLine(context, room=Room(half_open=2))
    line.arrive(TlsClient().hello()[:50])
    other = line.entrance.enter(TlsLine(context).connection, "203.0.113.9")
    line.entrance.enter(TlsLine(context).connection, "203.0.113.1")
    assert line.socket.is_aborted  # the oldest of the address that has most
    assert len(line.entrance.half_open) == 2
    other.over()


def test_bytes_that_are_no_tls_cut_the_client(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.arrive(b"GET / HTTP/1.1\r\n\r\n")
    assert line.socket.is_aborted


def test_a_record_that_was_changed_cuts_the_client(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    record = bytearray(line.client.encrypted(b"x" * 100))
    record[50] ^= 1
    line.arrive(bytes(record))
    assert line.socket.is_aborted
    assert line.host.asked == []


def test_a_close_is_said_in_both_protocols(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.connection.close(CloseCode.SERVICE_RESTART)
    line.messages()
    assert line.websocket.close_code is None
    for data in line.websocket.data_to_send():
        line.say(data)
    line.heard()
    assert line.client.is_ended
    assert line.socket.is_ended
    assert line.gone_with == [1012]
    line.tls.write(b"more")
    line.tls.write_eof()
    line.tls.close()
    assert line.socket.taken() == b""


def test_a_client_that_does_not_close_is_cut(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.connection.close(CloseCode.SERVICE_RESTART)
    line.clock.advance(CLOSING_S)
    assert line.socket.is_aborted


def test_nothing_is_written_before_the_handshake_nor_after_the_end(context: ssl.SSLContext) -> None:
    line = TlsLine(context)
    line.tls.write(b"too early")
    assert line.socket.taken() == b""
    line = TlsLine(context).open()
    line.tls.close()
    line.socket.taken()
    line.tls.write(b"too late")
    assert line.socket.taken() == b""
    assert line.tls.is_closing()


def test_a_socket_that_is_full_is_known_above(context: ssl.SSLContext) -> None:
    line = TlsLine(context).open()
    line.socket.waiting_bytes = 100_000
    line.tls.pause_writing()
    assert (line.connection.waiting_bytes, line.waiting.bytes_out) == (100_000, 100_000)
    line.socket.waiting_bytes = 0
    line.tls.resume_writing()
    assert line.waiting.bytes_out == 0
    assert line.tls.can_write_eof()
    assert line.socket.high is not None
