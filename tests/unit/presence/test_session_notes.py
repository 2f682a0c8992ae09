"""Which user a session of a gateway is noted to belong to, and who may be noted instead."""

import msgspec
import pytest

from presence.record_codec import encode
from presence.rules.user import Session, User, with_session
from presence.session_notes import SessionNotes
from presence.store import MAX_TRIES, StoreUnavailable
from tests.contract.fake_store import FakeStore
from tests.unit.presence.lifetime import BusyStore, Clock
from tests.unit.presence.requests import NO_SECRET
from tieline.wire.ids import ConnectionId, GatewayId, SessionId, UserId
from tieline.wire.subjects import Keys

ALICE, BOB, ODD = UserId("alice"), UserId("bob"), UserId("用户 *.>")
G1, S1, S2 = GatewayId("g1"), SessionId("s1"), SessionId("s2")
ONLINE = User((Session(S1, G1, ConnectionId("c1"), NO_SECRET, "online"),), True, {})
KEY, NOTE = Keys.user(ALICE), Keys.session(G1, S1)


@pytest.fixture
def store() -> FakeStore:
    """An empty store."""
    return FakeStore(Clock().seconds)


@pytest.fixture
def notes(store: FakeStore) -> SessionNotes:
    """The notes in it."""
    return SessionNotes(store)


async def test_a_session_is_noted_once(store: FakeStore, notes: SessionNotes) -> None:
    first = await notes.note(G1, S1, ODD)
    assert await notes.note(G1, S1, ODD) == first
    assert store.contents() == {NOTE: ODD.encode()}


@pytest.mark.parametrize("renews", [False, True])
async def test_a_note_is_given_to_nobody_but_the_user_of_the_session(
    store: FakeStore, notes: SessionNotes, renews: bool
) -> None:
    first = await notes.note(G1, S1, ALICE)
    await store.write(KEY, encode(ONLINE), 0)
    with pytest.raises(StoreUnavailable, match="a session of another user"):
        await notes.note(G1, S1, BOB, renews=renews)
    assert (await store.read(NOTE))[NOTE].value == ALICE.encode()
    assert await notes.note(G1, S1, ALICE) == first


@pytest.mark.parametrize("noted", [b"nobody", ALICE.encode(), b"\xff", b'{"stream":"KV_tieline","seq":7}'])
async def test_a_note_that_names_nobody_who_has_the_session_is_replaced(
    store: FakeStore, notes: SessionNotes, noted: bytes
) -> None:
    await store.write(NOTE, noted, 0)
    await store.write(KEY, encode(with_session(ONLINE, msgspec.structs.replace(ONLINE.session, id=S2))), 0)
    revision = await notes.note(G1, S1, BOB)
    found = (await store.read(NOTE))[NOTE]
    assert (found.value, found.revision) == (BOB.encode(), revision)


async def test_a_session_that_comes_back_to_a_gateway_is_noted_again(
    store: FakeStore, notes: SessionNotes
) -> None:
    first = await notes.note(G1, S1, ALICE)
    await store.delete(NOTE, first)
    assert await notes.note(G1, S1, ALICE) > first


async def test_a_note_that_is_always_lost_is_given_up(store: FakeStore) -> None:
    busy = BusyStore(store, "session.")
    with pytest.raises(StoreUnavailable):
        await SessionNotes(busy).note(G1, S1, ALICE)
    assert busy.refused == MAX_TRIES
