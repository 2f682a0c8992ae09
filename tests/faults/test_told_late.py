"""A presence process stops amid telling of a change.

It goes on when the broker does not know that any more, which recognizes what it had for 75 s; here for less
(`tests/support/stopping_itself`). Or it never does, and the next one begins when the user would be forgotten.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support import frames
from tests.support.partitions import partitions
from tests.support.people import People, Person
from tests.support.system import Service, System
from tests.support.waiting import until, until_true
from tieline.runtime.broker import Broker
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.subjects import Subjects

STOPPED_S: Final = 1.0
"""Longer than the broker recognizes here what it had."""

RETENTION_S: Final = 1
"""How long a user is remembered here who is gone; else five minutes."""

STOPPED: Final = "T"
"""The state of a stopped process, as /proc says it."""


@pytest.fixture
def stops_if(tmp_path: Path) -> Path:
    """The file that has the next process stop which tells that somebody has left."""
    return tmp_path / "stop"


@pytest.fixture
def system(nats_url: str, tmp_path: Path, stops_if: Path) -> Iterator[System]:
    with System(nats_url, tmp_path, presences=2, stops_if=stops_if) as running:
        yield running


@pytest.fixture
def with_one(nats_url: str, tmp_path: Path, stops_if: Path) -> Iterator[System]:
    """A system with a single presence process, where users are soon forgotten."""
    settings = {"OFFLINE_RETENTION": str(RETENTION_S)}
    with System(nats_url, tmp_path, settings=settings, stops_if=stops_if) as running:
        yield running


def let_one_stop(stops_if: Path) -> None:
    stops_if.touch()


def stopped(system: System) -> Service | None:
    """Find the presence process that has stopped."""
    for process in system.all("presence"):
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == STOPPED:
            return process
    return None


async def insists(person: Person, cmd: str, room: str) -> None:
    """Ask until it is answered: all copies of a request may come to the process that has stopped."""
    answer = None
    while answer is None:
        person.connection.send(frames.command(cmd, {"room": room}))
        answer = (await person.hear())["data"]


async def last_told(broker: Broker, system: System, room: str, user: str) -> str:
    """Say of which kind the last change of a user in the log of a room is."""
    subjects = Subjects(system.namespace, partitions())
    part = subjects.parts()[subjects.place_of(UserId(user))]
    stored = await broker.client.jetstream().get_last_msg(
        part.mailbox(), part.room(RoomId(room), UserId(user))
    )
    return codec.decode_room_change(stored.data or b"").kind


async def test_who_is_back_does_not_leave_once_more(system: System, broker: Broker, stops_if: Path) -> None:
    async with People(system) as people:
        alice, bob = await people.two()
        let_one_stop(stops_if)
        async with asyncio.TaskGroup() as leaving:
            leaving.create_task(insists(alice, "LEAVE", people.room))
            process = await until(lambda: stopped(system))
        try:
            await bob.hears_left(people.room, alice.user, "left")
            await insists(alice, "JOIN", people.room)
            await bob.hears_joined(people.room, alice.user)
            await asyncio.sleep(STOPPED_S)
            assert await last_told(broker, system, people.room, alice.user) == "joined"
        finally:
            process.unfreeze()

        async def is_told_late() -> bool:
            return await last_told(broker, system, people.room, alice.user) == "left"

        await until_true(is_told_late)
        await people.hear_nothing(alice, bob)
        members = (await bob.asks("MEMBERS", {"room": people.room}))["members"]
        assert [member["userId"] for member in members[:2]] == [bob.user, alice.user]


async def test_who_has_left_is_no_ghost_though_none_lives_for_long(with_one: System, stops_if: Path) -> None:
    async with People(with_one) as people:
        alice, bob = await people.two()
        let_one_stop(stops_if)
        await alice.connection.drop()
        process = await until(lambda: stopped(with_one))
        await asyncio.sleep(2 * RETENTION_S)
        process.kill()
        await asyncio.to_thread(with_one.add, "presence")
        await bob.hears_left(people.room, alice.user, "disconnected")
