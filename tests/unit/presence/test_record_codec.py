"""What is stored under each kind of key, and what is found where it cannot be understood."""

import pytest

from presence.record_codec import (
    encode,
    entry_in,
    negotiation_in,
    rosters_in,
    user_alone,
    user_in,
    users_in,
)
from presence.rules.negotiated import Negotiation, WaitingOffer
from presence.rules.room import StoredEntry
from presence.rules.user import Membership, RosterEntry, Session, User
from presence.store import Record
from tests.unit.presence.requests import NO_SECRET
from tests.unit.presence.rules.frames import NOW, named
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.subjects import Keys

ALICE, BOB, ODD = UserId("alice"), UserId("bob"), UserId("用户 *.>")
HALL, CELLAR, ATTIC = RoomId("hall"), RoomId("cellar .*"), RoomId("attic")
S1 = SessionId("s1")
ONLINE = User(
    (Session(S1, GatewayId("g1"), ConnectionId("c1"), NO_SECRET, "online"),),
    True,
    {HALL: Membership(NOW, 3)},
)
OFFERED = Negotiation(offers=(WaitingOffer(ALICE, named("offer"), NOW),))
INSIDE = RosterEntry(S1, NOW)
KEY, PAIR, ENTRY = Keys.user(ALICE), Keys.pair(ALICE, BOB), Keys.room(HALL, ALICE)


def test_what_is_absent_reads_as_nothing_to_be_replaced() -> None:
    assert user_in({}, KEY) == negotiation_in({}, PAIR) == entry_in({}, ENTRY) == (None, 0)
    assert users_in({}, [ALICE]) == {}
    assert rosters_in({}, [HALL]) == {HALL: []}


def test_what_was_removed_reads_as_nothing_with_its_revision() -> None:
    assert user_in({KEY: Record(b"", 8)}, KEY) == (None, 8)


def test_each_is_found_as_it_was_encoded() -> None:
    found = {
        KEY: Record(encode(ONLINE), 3),
        PAIR: Record(encode(OFFERED), 5),
        ENTRY: Record(encode(INSIDE), 7),
    }
    assert user_in(found, KEY) == (ONLINE, 3)
    assert user_alone(found, KEY) == ONLINE
    assert users_in(found, [ALICE, BOB]) == {ALICE: ONLINE}
    assert negotiation_in(found, PAIR) == (OFFERED, 5)
    assert entry_in(found, ENTRY) == (INSIDE, 7)


def test_rosters_are_told_apart_by_room_and_users_by_name() -> None:
    found = {
        Keys.room(HALL, ALICE): Record(encode(INSIDE), 3),
        Keys.room(CELLAR, ODD): Record(encode(INSIDE), 4),
        Keys.room(HALL, BOB): Record(b"", 5),
        PAIR: Record(encode(OFFERED), 6),
    }
    assert rosters_in(found, [CELLAR, HALL, ATTIC]) == {
        CELLAR: [StoredEntry(ODD, INSIDE, 4)],
        HALL: [StoredEntry(ALICE, INSIDE, 3)],
        ATTIC: [],
    }


async def test_an_entry_of_a_user_who_cannot_be_named_is_left_out() -> None:
    stored = Record(encode(INSIDE), 3)
    odd = f"{Keys.roster(HALL).removesuffix('*')}=zz"
    assert [each.user for each in rosters_in({ENTRY: stored, odd: stored}, [HALL])[HALL]] == [ALICE]


@pytest.mark.parametrize(
    "garbage",
    [
        b'{"stream":"MAILBOX_t","seq":3}',  # how JetStream answers a publish
        b"\xc1",
        b"\x93\x90\xc3\x80",  # a user without a session
        b"\x93\xa1\xff",
    ],
)
async def test_what_cannot_be_understood_is_none_with_its_revision(
    caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    found = {KEY: Record(garbage, 9)}
    assert user_in(found, KEY) == entry_in(found, KEY) == negotiation_in(found, KEY) == (None, 9)
    assert not any(record.exc_info for record in caplog.records)
