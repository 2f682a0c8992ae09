from tests.unit.wire.internal.messages import (
    CHANGE,
    CLOSING,
    PRESENCE_REPLIES,
    REQUESTS,
    ROUTER_REPLIES,
    SEVERAL,
    SIGNALS,
)
from tieline.wire.internal.message import Message
from tieline.wire.internal.signals import Delivery


def test_no_message_is_missing_in_these_tests() -> None:
    sampled: set[type] = {
        type(message)
        for message in (*REQUESTS, *PRESENCE_REPLIES, *ROUTER_REPLIES, SEVERAL, *SIGNALS, CLOSING, CHANGE)
    }
    sampled.add(Delivery)  # travels inside Relay

    assert sampled == set(Message.__subclasses__())
