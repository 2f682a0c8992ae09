"""What the backend decides about rooms while a gateway is cut off, or beside a newer token."""

import pytest

from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.test_moderation import ALICE, CELLAR, GATEWAY, HALL, forget, rooms_of
from tieline.wire.internal.answers import Done
from tieline.wire.internal.backend import AddMember, RemoveMember
from tieline.wire.internal.directions import PresenceReply

FOR_EVER = 1_000_000
SECRETS = pytest.mark.parametrize("secret", ["", "alice's"], ids=["ended", "away"])
"""Presence ends a session whose gateway is taken for dead, unless it can be resumed."""


async def cut_off(secret: str) -> PresenceProcess:
    """Alice is in the hall, and her gateway is taken for dead."""
    process = PresenceProcess()
    process.do_all_hear = True
    await process.open(opening("alice", "hall", secret=secret, hears=True))
    await process.gateways.lease_ran_out(GATEWAY, before=FOR_EVER)
    process.log.entries.clear()
    return process


async def is_back(process: PresenceProcess, secret: str, *rooms: str) -> PresenceReply:
    """Let the gateway register Alice, who is in these rooms as far as it knows, or in the hall."""
    alice = opening("alice", "hall", secret=secret, hears=True)
    return await process.ask(registering(alice, dict.fromkeys(rooms or ("hall",), NOW)))


def told(process: PresenceProcess) -> list[tuple[str, str, bool]]:
    """List what the rooms have heard of Alice since: the change, the room, and whether she is told."""
    return [(each.change.kind, each.room, each.change.tells_user) for each in process.log.entries]


@SECRETS
async def test_who_was_put_out_meanwhile_stays_out_and_is_told(secret: str) -> None:
    process = await cut_off(secret)
    await process.ask(RemoveMember("1", 60.0, ALICE, HALL))
    assert await is_back(process, secret) == Done()
    assert await rooms_of(process, "alice") == set()
    assert told(process) == [("left", HALL, True)]
    assert await is_back(process, secret) == Done()
    assert told(process) == [("left", HALL, True)], "once"


@SECRETS
async def test_of_rooms_that_it_was_given_meanwhile_its_gateway_hears(secret: str) -> None:
    process = await cut_off(secret)
    await process.ask(AddMember("1", 60.0, ALICE, CELLAR))
    assert await is_back(process, secret) == Done(also_in=(CELLAR,))
    assert await rooms_of(process, "alice") == {HALL, CELLAR}
    assert ("joined", CELLAR, False) in told(process)
    assert await is_back(process, secret, "hall", "cellar") == Done()


async def test_what_is_decided_of_who_was_forgotten_replaces_nobody() -> None:
    process = await cut_off("alice's")
    await forget(process)
    await process.ask(AddMember("1", 60.0, ALICE, CELLAR))
    assert await is_back(process, "alice's") == Done(also_in=(CELLAR,))
    assert await rooms_of(process, "alice") == {HALL, CELLAR}


async def test_who_may_not_come_back_into_a_room_is_told() -> None:
    process = await cut_off("")
    await forget(process)
    await process.ask(RemoveMember("1", 60.0, ALICE, HALL, kept_out_s=60.0))
    assert await is_back(process, "", "hall", "cellar") == Done()
    assert await rooms_of(process, "alice") == {CELLAR}
    assert [entry for entry in told(process) if entry[0] == "left"] == [("left", HALL, True)]


async def test_a_newer_token_takes_no_room_that_the_backend_gives() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall", granted=("hall",)))
    await process.ask(AddMember("1", 60.0, ALICE, CELLAR))
    assert await process.regrant("alice", "hall", rooms=("hall", "cellar")) == Done(also_in=(CELLAR,))
    assert await process.regrant("alice", rooms=("hall", "cellar")) == Done(also_in=(CELLAR,))
    assert await process.regrant("alice", "*") == Done()
    assert await rooms_of(process, "alice") == {CELLAR}
