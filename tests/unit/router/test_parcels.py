"""What is told of signals that go together, as far as what they deliver was carried."""

import pytest

from router.parcels import NO_ROOM, RELAYED, Carried, Outcome, Parcel, Telling, parcels_of
from tieline.wire.ids import NO_CALL, CallId, SessionId, UserId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.signals import Accepted, Delivery, Relay

BOB, HIS = UserId("bob"), SessionId("his")
CALL, EARLIER = CallId("0123"), CallId("4567")
OWN = Parcel(BOB, HIS, b"own", CALL, is_own=True)
OTHER = Parcel(BOB, HIS, b"another", CALL)
HELD, REFUSED, GONE = Accepted("held"), Refused("TARGET_OFFLINE"), SessionGone(replaced=True)


def test_a_verdict_s_frames_are_of_its_call_unless_they_say_another() -> None:
    deliveries = (Delivery(BOB, HIS, b"released", EARLIER), Delivery(BOB, HIS, None))

    assert parcels_of(Relay("relayed", deliveries, call=CALL), b"own") == (
        Parcel(BOB, HIS, b"released", EARLIER),
        Parcel(BOB, HIS, b"own", CALL, is_own=True),
    )
    assert parcels_of(Relay("held", ()), b"own") == ()


def telling() -> Telling:
    """One that is relayed behind another frame, one that is held, one that is refused, and one more."""
    told = Telling()
    told.add(RELAYED, (OTHER, OWN))
    told.add(HELD)
    told.add(REFUSED)
    told.add(RELAYED, (OWN,))
    told.add(GONE)
    return told


@pytest.mark.parametrize(
    ("carried", "expected"),
    [
        (Carried(3, Outcome.STORED, (0, 1, 2)), [Accepted("relayed", 7), HELD, REFUSED, RELAYED, GONE]),
        (Carried(3, Outcome.STORED, (1, 2)), [RELAYED, HELD, REFUSED, RELAYED, GONE]),
        (Carried(2, Outcome.STORED, (0, 1)), [Accepted("relayed", 7), HELD, REFUSED]),
        (Carried(2, Outcome.UNKNOWN, (0, 1)), [Accepted("relayed", 7), HELD, REFUSED]),
        (Carried(2, Outcome.NO_ROOM, (0, 1)), [Accepted("relayed", 7), HELD, REFUSED, NO_ROOM]),
        (Carried(1, Outcome.UNKNOWN, (0,)), []),
        (Carried(1, Outcome.NO_ROOM, (0,)), [NO_ROOM]),
    ],
)
def test_as_much_is_told_as_is_known(carried: Carried, expected: list[RouterReply]) -> None:
    assert telling().after(carried) == expected


def test_all_that_is_to_be_carried_stands_in_its_order() -> None:
    assert telling().parcels == [OTHER, OWN, OWN]
    assert Parcel(BOB, HIS, b"own", NO_CALL) not in telling().parcels
