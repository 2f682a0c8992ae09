from tests.unit.wire.internal.messages import (
    CHANGE,
    CLOSING,
    JOINING,
    PRESENCE_REPLIES,
    REQUESTS,
    ROUTER_REPLIES,
    SEVERAL,
    SIGNALS,
    leaves,
)
from tieline.wire.internal.backend import CallSeen, MemberSeen
from tieline.wire.internal.message import Message
from tieline.wire.internal.signals import Delivery, GrantBack


def test_no_message_is_missing_in_these_tests() -> None:
    sampled: set[type] = {
        type(message)
        for message in (
            *REQUESTS,
            *PRESENCE_REPLIES,
            *ROUTER_REPLIES,
            SEVERAL,
            *SIGNALS,
            CLOSING,
            CHANGE,
            JOINING,
        )
    }
    sampled |= {Delivery, GrantBack, CallSeen, MemberSeen}  # travel inside others

    assert sampled == set(leaves(Message))
