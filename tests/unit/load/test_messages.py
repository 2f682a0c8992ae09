"""`tieline.load.messages`: messages that Tieline takes, each a different one."""

import msgspec
import pytest

from tieline.load.messages import CANDIDATE_BYTES, MessageSeries, answers, candidates, hangups, offers
from tieline.wire import envelope


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        (offers("a", "b"), envelope.Offer),
        (answers("a", "b"), envelope.Answer),
        (candidates("a", "b"), envelope.Candidate),
        (hangups("a", "b"), envelope.Hangup),
    ],
)
def test_every_message_is_well_formed_and_names_its_users(series: MessageSeries, kind: type) -> None:
    message = envelope.decode(series.write(7))
    assert isinstance(message, kind)
    assert isinstance(message, envelope.Signal)
    assert (message.data.sender, message.data.to) == ("a", "b")
    assert msgspec.json.decode(message.data.data)
    assert message.request_id == series.name(7)


def test_a_candidate_has_the_length_that_is_measured() -> None:
    assert (
        len(candidates("load_0badcafe_17_a", "load_0badcafe_17_b").write(123_456)) == CANDIDATE_BYTES == 330
    )


def test_ids_too_long_for_that_length_make_a_longer_candidate() -> None:
    assert isinstance(envelope.decode(candidates("a" * 128, "b" * 128).write(1)), envelope.Candidate)


def test_no_two_messages_are_alike_and_each_is_recognized() -> None:
    series = candidates("a", "b")
    written = [series.write(number) for number in range(100)]
    assert len(set(written)) == 100
    assert [series.read(message) for message in written] == list(range(100))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{}",
        candidates("b", "a").write(1),
        offers("a", "b").write(1),
        candidates("a", "b").write(1) + b" ",
        candidates("a", "b").write(1).replace(b"000000000001", b"000000000002", 1),
    ],
    ids=["nothing", "other", "the other way", "an offer", "altered", "numbers that differ"],
)
def test_what_was_never_written_is_not_recognized(message: bytes) -> None:
    assert candidates("a", "b").read(message) is None
