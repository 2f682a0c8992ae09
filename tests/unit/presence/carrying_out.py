"""Effects that are carried out for Alice and Bob, who are in a call."""

from typing import Final

import msgspec

from presence.record_codec import negotiation_in, user_in
from presence.rules.change import Change
from presence.rules.effects import CallEffect, UserEffect
from presence.rules.negotiated import NOTHING
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL, HALL, CELLAR = (
    UserId("alice"),
    UserId("bob"),
    UserId("carol"),
    RoomId("hall"),
    RoomId("cellar"),
)

G1, HERS, HIS = GatewayId("g1"), SessionId("alice-s1"), SessionId("bob-s1")

KEY, ENTRY, NOTE = Keys.user(ALICE), Keys.room(HALL, ALICE), Keys.session(G1, HERS)

LATER: Final = 1_000_000
"""A revision that nothing has yet."""


async def with_both() -> PresenceProcess:
    """Alice and Bob are in the hall, in a call."""
    process = PresenceProcess()
    for user in ("alice", "bob"):
        await process.open(opening(user, "hall", secret=user))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("bob", "alice", "ANSWER", "answer")
    process.recorder.sent.clear()
    return process


async def carry_out(process: PresenceProcess, *effects: UserEffect, status: str = "online") -> None:
    """Let effects be pending in Alice's record, and another process carry them out."""
    record, revision = user_in(await process.store.read(KEY), KEY)
    assert record is not None
    session = msgspec.structs.replace(record.session, status=status)
    pending = msgspec.structs.replace(record, sessions=(session,), pending=effects)
    await process.records.write_user(KEY, pending, revision)
    process.over(process.store)
    await process.changes.user(ALICE, lambda _user, _beside, _facts: Change(Done()))


async def carry_out_of_call(process: PresenceProcess, *effects: CallEffect) -> None:
    """Let effects be pending in the call's record, and another process carry them out."""
    key = Keys.pair(ALICE, BOB)
    record, revision = negotiation_in(await process.store.read(key), key)
    pending = msgspec.structs.replace(record or NOTHING, pending=effects)
    await process.records.write_negotiation(key, pending, revision)
    process.over(process.store)
    await process.changes.negotiation(ALICE, BOB, lambda _stored, _users, _facts: Change(Done()))


def events(process: PresenceProcess) -> list[str]:
    """The kinds of what backends were told."""
    return [sent.subject.rpartition(".")[2] for sent in process.heard_elsewhere("events")]
