"""How a client is let in when something newer of its user may have come before it."""

import asyncio

import pytest

from gateway.client.connection import HANDSHAKE_S
from gateway.sessions.arrivals import ANEW_S
from tests.unit.gateway.sessions.scene import ALICE, Arriving, Scene, admitted
from tieline.wire.ids import ResumeToken, SessionId
from tieline.wire.internal.answers import Outdated, SessionGone
from tieline.wire.internal.directions import GatewayRequest
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession
from tieline.wire.resume_tokens import asked_of, resume_token

NEW = Opened(SessionId("new"), resumed=False, rooms={})


async def let_in(scene: Scene, resume: str | None = "") -> Arriving:
    harness = Arriving()
    await scene.arrivals.let_in(harness.connection, harness.response, admitted(resume))
    await scene.settles()
    return harness


def openings(scene: Scene) -> list[int]:
    """As of which revisions openings were asked."""
    return [ask.asked for ask in scene.requests(OpenSession) if isinstance(ask, OpenSession)]


async def test_an_opening_says_as_of_when_its_client_came(scene: Scene) -> None:
    scene.presence.revision = 40

    harness = await let_in(scene)

    assert openings(scene) == [40]
    assert asked_of(ResumeToken(harness.welcomed()["resumeToken"])) == 40


async def test_a_resume_token_tells_presence_when_its_session_was_begun(scene: Scene) -> None:
    await let_in(scene, resume_token("secret", 30))

    (ask,) = scene.requests(OpenSession)
    assert isinstance(ask, OpenSession)
    assert ask.resume_asked == 30


async def test_an_opening_that_may_be_outdated_is_asked_anew(scene: Scene) -> None:
    scene.presence.revision = 40
    scene.presence.reply(OpenSession, Outdated(55), NEW)

    harness = await let_in(scene)

    assert openings(scene) == [40, 55]
    assert harness.welcomed()["sessionId"] == "new"
    scene.leaves(harness)
    await scene.settles()
    (end,) = scene.requests(EndSession)
    assert isinstance(end, EndSession)
    assert end.asked == 55


async def test_without_a_lease_it_is_asked_anew_a_little_later(scene: Scene) -> None:
    scene.presence.revision = 40
    scene.presence.reply(OpenSession, Outdated(), NEW)

    harness = await let_in(scene)

    assert openings(scene) == [40, 40]
    assert harness.welcomed()["sessionId"] == "new"


async def test_a_client_that_came_long_ago_has_to_come_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.presence.revision = 40
    scene.presence.reply(OpenSession, Outdated(55))
    loop = asyncio.get_running_loop()
    began, late_s = loop.time, 0.0

    def pass_time(request: GatewayRequest) -> None:
        nonlocal late_s
        late_s = ANEW_S + (HANDSHAKE_S if isinstance(request, EndSession) else 0.0)

    scene.presence.on_ask = pass_time
    monkeypatch.setattr(loop, "time", lambda: began() + late_s)

    harness = await let_in(scene)

    assert openings(scene) == [40]
    assert harness.http_status() == 503


async def test_a_client_that_has_gone_asks_nothing_anew(scene: Scene) -> None:
    scene.presence.revision = 40
    scene.presence.reply(OpenSession, Outdated(55), NEW)
    harness = Arriving()
    scene.presence.on_ask = lambda _: harness.connection.abandon()

    await scene.arrivals.let_in(harness.connection, harness.response, admitted())

    assert openings(scene) == [40]


async def test_a_device_that_wakes_is_closed_and_leaves_an_end(scene: Scene) -> None:
    scene.presence.revision = 40
    scene.presence.reply(OpenSession, SessionGone(replaced=True))

    harness = await let_in(scene, resume_token("older", 30))

    assert harness.texts() == []
    assert harness.close_code == 4500
    (ask,) = scene.requests(OpenSession)
    assert isinstance(ask, OpenSession)
    assert scene.ends() == [EndSession(ALICE, ask.connection, resumable=True, asked=40)]
    assert len(scene.connections) == 0


async def test_one_that_has_gone_meanwhile_is_not_closed(scene: Scene) -> None:
    scene.presence.revision = 40
    scene.presence.reply(OpenSession, SessionGone(replaced=True))
    harness = Arriving()
    scene.presence.on_ask = lambda _: harness.connection.abandon()

    await scene.arrivals.let_in(harness.connection, harness.response, admitted(""))

    assert harness.socket.taken() == b""
