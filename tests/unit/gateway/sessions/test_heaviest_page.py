"""The page that says who costs most."""

import asyncio
import json

from gateway.delivery.connections import Connections
from gateway.limits.rates import NO_LIMITS
from gateway.limits.users import Users
from gateway.sessions.heaviest_page import COUNT, PART, heaviest_page
from tests.unit.gateway.client.harness import connected, session
from tieline.wire.ids import ConnectionId, RoomId, UserId


async def test_a_room_whose_members_have_gone_is_still_named() -> None:
    now = asyncio.get_running_loop().time()
    users = Users(NO_LIMITS)
    alice = session()
    alice.budget = users.of(alice.user, now)
    alice.budget.charge(50, now)
    alice.rooms = {RoomId("hall"): 1}
    alice.ending(1000, now)
    page = json.loads(await heaviest_page(users, Connections()))
    assert [share["name"] for share in page["users"]] == ["alice"]
    assert [share["name"] for share in page["rooms"]] == ["hall"]


async def test_the_page_names_the_heaviest_users_and_rooms() -> None:
    now = asyncio.get_running_loop().time()
    users, connections = Users(NO_LIMITS), Connections()
    budgets = [users.of(UserId(f"user{number}"), now) for number in range(3 * PART)]
    for number, budget in enumerate(budgets):
        budget.charge(number, now)
    alice = session()
    alice.budget.charge(50, now)
    alice.rooms = {RoomId("hall"): 1}
    connections.add(connected(alice).connection, alice)
    bare = connected(session()).connection
    bare.session = None
    another = session()
    another.connection = ConnectionId("c-2")
    connections.add(bare, another)
    page = json.loads(await heaviest_page(users, connections))
    assert [share["name"] for share in page["users"]] == [
        f"user{number}" for number in range(3 * PART - 1, 3 * PART - 1 - COUNT, -1)
    ]
    assert [share["name"] for share in page["rooms"]] == ["hall"]
    assert page["rooms"][0]["cpuSeconds"] > 0
    assert page["seconds"] == 60
