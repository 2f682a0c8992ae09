"""The facts that records keep: what has no say in them takes no room."""

from presence.record_codec import encode
from presence.rules.fact import MemberFact
from presence.rules.negotiated import NOTHING
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import SessionId


def test_a_record_without_facts_is_hardly_longer_than_before() -> None:
    assert len(encode(NOTHING)) <= 12


def test_a_fact_of_all_rooms_does_not_grow_with_them() -> None:
    assert len(encode(MemberFact("member.joined", NOW, SessionId("s"), 1))) < 40
