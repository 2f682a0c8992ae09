"""The answers to one pack of signals leave together, or are counted as unanswered."""

import logging
from collections.abc import Callable
from typing import cast

import pytest

from router.answering import UNANSWERED, PackAnswers, tell
from router.parcels import NO_ROOM, RELAYED, Outcome
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.tally import Tally
from tieline.wire.internal import codec
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.signals import Answers


class FakeBroker:
    """A broker whose turn of the event loop ends when a test says so."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.is_away = False
        self._at_the_end: list[Callable[[], None]] = []

    def on_flush(self, callback: Callable[[], None]) -> None:
        self._at_the_end.append(callback)

    def send(self, subject: str, payload: bytes) -> None:
        if self.is_away:
            raise BrokerAway
        self.sent.append((subject, payload))

    def end_turn(self) -> None:
        ends, self._at_the_end = self._at_the_end, []
        for end in ends:
            end()


def answers(broker: FakeBroker) -> PackAnswers:
    return PackAnswers(cast("Broker", broker), "reply", Tally(logging.getLogger("router"), lambda *_: None))


def test_the_answers_of_one_turn_leave_together() -> None:
    broker = FakeBroker()
    pack = answers(broker)

    pack.give(2, RELAYED)
    pack.give(0, Answers((NO_ROOM,)))
    assert broker.sent == []
    broker.end_turn()
    pack.give(1, RELAYED)
    broker.end_turn()

    assert [(subject, codec.decode_answers(payload)) for subject, payload in broker.sent] == [
        ("reply", [(2, RELAYED), (0, Answers((NO_ROOM,)))]),
        ("reply", [(1, RELAYED)]),
    ]


def test_answers_without_a_broker_are_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    broker = FakeBroker()
    pack = answers(broker)
    broker.is_away = True

    pack.give(0, RELAYED)
    broker.end_turn()

    assert caplog.messages == [UNANSWERED]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.STORED, [RELAYED]),
        (Outcome.NO_ROOM, [NO_ROOM]),
        (Outcome.UNKNOWN, []),
        (Outcome.OVERTAKEN, []),
    ],
)
def test_a_frame_of_which_nothing_is_known_is_not_answered(
    outcome: Outcome, expected: list[RouterReply]
) -> None:
    told: list[RouterReply | Answers] = []

    tell(told.append, outcome)

    assert told == expected
