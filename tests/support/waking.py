"""A system in which offers are kept for members who are not connected, and two who use it."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, NamedTuple

from api.callers import entry
from tests.support.frames import new_id
from tests.support.http_get import HOST
from tests.support.system import SECRET, System
from tieline.api import Backend
from tieline.client import Client, connect
from tieline.tokens import make_token

WINDOW_S: Final = 8
"""For which an offer is kept: a slow machine lets somebody in within that time, and it is waited out once."""

KEY: Final = "a key for tests of waking, of which the API has the hash"


class Members(NamedTuple):
    """Two users who are members of a room by the backend's word."""

    alice: str
    bob: str
    room: str


def waking_system(nats_url: str, folder: Path, window_s: int = WINDOW_S) -> System:
    """Make a system of one router, two gateways and two presences, and an API."""
    settings = {
        "EVENTS": "on",
        "STORAGE": "memory",
        "WAKE_WINDOW": str(window_s),
        "API_KEYS": entry("tests", KEY),
    }
    return System(nats_url, folder, gateways=2, presences=2, apis=1, settings=settings)


def client(system: System, user: str, *, gateway: int = 0) -> AbstractAsyncContextManager[Client]:
    """Connect somebody whose token names no rooms: they are the backend's."""
    url = f"ws://{HOST}:{system.ports[gateway]}/ws"
    return connect(url, make_token(SECRET, user, []), resume=True)


def backend_of(system: System) -> Backend:
    """Speak to the system as its backend does."""
    return Backend(f"http://{HOST}:{system.all('api')[0].port}", KEY)


async def two_members(system: System) -> Members:
    """Make two users members by the backend's word, of whom nobody is connected."""
    members = Members(new_id("alice"), new_id("bob"), new_id("room"))
    async with backend_of(system) as backend:
        for user in (members.alice, members.bob):
            await backend.add_member(members.room, user)
    return members
