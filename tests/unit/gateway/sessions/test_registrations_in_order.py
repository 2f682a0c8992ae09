"""A session is registered again in the order of what its connection asks."""

import asyncio

import pytest

from tests.unit.gateway.sessions.scene import Scene
from tieline.runtime.patience import PATIENCE_S
from tieline.wire.internal.answers import Done, Outdated
from tieline.wire.internal.sessions import Register


def registrations(scene: Scene) -> list[tuple[int, int]]:
    """As of which revisions, and with which numbers."""
    return [(ask.asked, ask.number) for ask in scene.requests(Register) if isinstance(ask, Register)]


async def test_it_is_registered_anew_while_something_has_come_in_between(scene: Scene) -> None:
    scene.presence.revision = 40
    scene.presence.reply(Register, Outdated(55), Outdated(), Done())
    session = scene.here("alice").connection.session
    assert session is not None

    assert await scene.registrations.register(session) is None

    assert registrations(scene) == [(40, 0), (40, 1), (40, 2)]


async def test_it_is_given_up_in_the_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.presence.reply(Register, Outdated(55))
    session = scene.here("alice").connection.session
    assert session is not None
    loop = asyncio.get_running_loop()
    began = loop.time
    scene.presence.on_ask = lambda _: monkeypatch.setattr(loop, "time", lambda: began() + PATIENCE_S)

    assert await scene.registrations.register(session) is None

    assert len(registrations(scene)) == 1
