"""How a client is let in: in what order, as whom, and what is undone when it cannot be."""

import asyncio
import math
from collections import Counter

import msgspec
import pytest

from gateway.client.deliveries import Missed
from gateway.client.duplicates import name_of
from gateway.client.mail import Had
from gateway.limits import prices
from gateway.sessions.arrival_pace import LONGEST_SPREAD_S, SHORTEST_SPREAD_S
from gateway.sessions.arrival_queue import AT_ONCE, MAX_WAITING, OF_A_USER
from gateway.sessions.arrivals import OPENING_PATIENCE_S
from tests.support.waiting import until
from tests.unit.gateway.client.harness import event
from tests.unit.gateway.sessions.scene import ALICE, GATEWAY, Arriving, Scene, admitted
from tieline.wire.codes import CloseCode
from tieline.wire.ids import AdmissionToken, ResumeToken, RoomId, SecretHash, SessionId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.directions import GatewayRequest
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession
from tieline.wire.resume_tokens import secret_hash

OLDER, HALL = SessionId("older"), RoomId("hall")
RESUMED = Opened(OLDER, resumed=True, rooms={HALL: 5})


async def let_in(
    scene: Scene, resume: str | None = None, last: str = "", last_place: str = "", *, places: bool = False
) -> Arriving:
    harness = Arriving()
    await scene.arrivals.let_in(
        harness.connection, harness.response, admitted(resume, last, last_place=last_place, places=places)
    )
    await scene.settles()  # what could not be opened is undone
    return harness


def opening(scene: Scene) -> OpenSession:
    """The one request to begin or resume a session."""
    (request,) = scene.requests(OpenSession)
    assert isinstance(request, OpenSession)
    return request


# A new session.


async def test_presence_is_given_the_token_that_has_admitted_the_client(scene: Scene) -> None:
    harness = Arriving()
    its = admitted()._replace(token=AdmissionToken("e.y.J"))
    await scene.arrivals.let_in(harness.connection, harness.response, its)
    assert opening(scene).token == "e.y.J"


@pytest.mark.parametrize("resume", [None, "older"])
async def test_whose_token_presence_does_not_take_is_told_so(scene: Scene, resume: str | None) -> None:
    scene.presence.reply(OpenSession, Refused("BAD_TOKEN"))
    harness = await let_in(scene, resume)
    assert harness.http_status() == 401
    assert scene.delivery.dropped == [opening(scene).connection]
    (end,) = scene.ends()
    assert end.connection == opening(scene).connection


@pytest.mark.parametrize("resume", [None, "older"])
async def test_who_is_banned_is_told_so(scene: Scene, resume: str | None) -> None:
    scene.presence.reply(OpenSession, Refused("BANNED"))
    harness = await let_in(scene, resume)
    assert harness.http_status() == 403
    assert scene.delivery.dropped == [opening(scene).connection]
    (end,) = scene.ends()
    assert end.connection == opening(scene).connection


async def test_a_new_session_is_followed_before_presence_begins_it(scene: Scene) -> None:
    followed: list[list[SessionId]] = []
    scene.presence.on_ask = lambda _: followed.append(list(scene.delivery.followed))

    await let_in(scene)

    ask = opening(scene)
    assert followed == [[ask.session]]
    assert (ask.user, ask.gateway, ask.join, ask.resume) == (ALICE, GATEWAY, (HALL,), b"")
    assert scene.presence.patience == [OPENING_PATIENCE_S]


async def test_the_welcome_says_what_the_client_may_rely_on(scene: Scene) -> None:
    harness = await let_in(scene, resume="")

    ask = opening(scene)
    welcome = harness.welcomed()
    token = ResumeToken(welcome.pop("resumeToken"))
    assert secret_hash(token) == ask.secret
    assert welcome == {
        "userId": "alice",
        "sessionId": ask.session,
        "resumed": False,
        "rooms": [],
        "resumeWindow": 7.5,
        "pingInterval": 20,
        "maxMessageBytes": 65_536,
    }


async def test_a_welcome_names_a_place_to_who_asks(scene: Scene) -> None:
    begun = await let_in(scene, resume="", places=True)
    scene.presence.reply(OpenSession, RESUMED)
    scene.delivery.mailbox = Missed([], [], newest=9, position=5)
    resumed = await let_in(scene, resume="the older's secret", last="e-1", last_place="5", places=True)
    scene.delivery.mailbox = Missed([], [], newest=9)
    unknown = await let_in(scene, resume="the older's secret", last="e-1", places=True)

    places = [harness.messages()[0]["place"] for harness in (begun, resumed, unknown)]
    assert places == ["700", "5", "0"]
    assert scene.delivery.asked_after == [Had("e-1", "5"), Had("e-1")]


async def test_a_client_that_cannot_resume_has_no_secret(scene: Scene) -> None:
    await let_in(scene, resume=None)
    assert opening(scene).secret == SecretHash(b"")


async def test_a_client_that_is_let_in_is_here_and_released(scene: Scene) -> None:
    harness = await let_in(scene)

    assert list(scene.connections) == [harness.connection]
    assert [missed.fresh for _, missed in scene.delivery.released] == [[]]
    assert scene.arrivals.under_way == 0


@pytest.mark.parametrize(
    ("resumed", "price"), [(False, prices.CONNECT + 2 * prices.CONNECT_ROOM), (True, prices.RESUME)]
)
async def test_who_comes_into_many_rooms_is_charged_for_each(
    scene: Scene, resumed: bool, price: float
) -> None:
    rooms = {HALL: 5, RoomId("cellar"): 5}
    scene.presence.reply(OpenSession, Opened(OLDER, resumed=resumed, rooms=rooms))

    harness = await let_in(scene, resume="the older's secret")

    assert harness.connection.session is not None
    assert harness.connection.session.budget.usage.units == price


# A session that is resumed.


async def test_a_resumed_session_is_followed_when_presence_has_named_it(scene: Scene) -> None:
    scene.presence.reply(OpenSession, msgspec.structs.replace(RESUMED, lost_at=7))
    scene.delivery.mailbox = Missed([name_of(event("e-1"))], [event("e-2")], newest=9)

    harness = await let_in(scene, resume="the older's secret", last="e-1")

    assert opening(scene).resume == secret_hash(ResumeToken("the older's secret"))
    assert scene.delivery.followed == [OLDER]
    assert scene.delivery.asked_after == [Had("e-1", lost_at=7)]
    welcome, missed = harness.messages()
    assert missed["requestId"] == "e-2"
    assert welcome["data"]["resumed"] is True
    assert welcome["data"]["sessionId"] == OLDER
    assert welcome["data"]["rooms"] == ["hall"]
    assert welcome["data"]["resumeToken"] == "the older's secret"
    assert [missed.newest for _, missed in scene.delivery.released] == [9]


async def test_a_session_that_presence_cannot_resume_is_a_new_one(scene: Scene) -> None:
    harness = await let_in(scene, resume="of nothing", last="e-1")

    welcome = harness.welcomed()
    assert welcome["resumed"] is False
    assert secret_hash(welcome["resumeToken"]) == opening(scene).secret
    assert scene.delivery.asked_after == [Had()]


# What cannot be opened.


@pytest.mark.parametrize("reply", [None, SessionGone(replaced=True)], ids=["none", "gone"])
@pytest.mark.parametrize(("resume", "resumable"), [("", False), ("secret", True)])
async def test_without_an_answer_a_client_is_denied_and_the_opening_undone(
    scene: Scene, reply: SessionGone | None, resume: str, resumable: bool
) -> None:
    scene.presence.reply(OpenSession, reply)

    harness = await let_in(scene, resume)

    ask = opening(scene)
    assert harness.http_status() == 503
    assert scene.requests(EndSession) == [EndSession(ALICE, ask.connection, resumable)]
    assert scene.delivery.dropped == [ask.connection]
    assert (len(scene.connections), scene.arrivals.under_way) == (0, 0)


async def test_a_bug_met_by_one_client_denies_that_client_alone(scene: Scene) -> None:
    scene.delivery.problem = ZeroDivisionError()
    assert (await let_in(scene)).http_status() == 503

    scene.delivery.problem = None
    assert (await let_in(scene)).welcomed()["resumed"] is False


async def test_a_loss_suspected_meanwhile_denies_the_client(scene: Scene) -> None:
    def lose(request: GatewayRequest) -> None:
        if isinstance(request, OpenSession):
            scene.delivery.suspected_losses += 1

    scene.presence.on_ask = lose

    harness = await let_in(scene)

    assert harness.http_status() == 503
    assert len(scene.requests(EndSession)) == 1


async def test_a_client_that_could_not_wait_is_asked_about_nowhere(scene: Scene) -> None:
    harness = Arriving()
    harness.socket.close()

    await scene.arrivals.let_in(harness.connection, harness.response, admitted())

    assert scene.presence.asked == []
    assert scene.delivery.followed == []
    assert harness.socket.is_aborted


async def test_a_client_that_left_before_presence_is_asked_is_dropped(scene: Scene) -> None:
    harness = Arriving()
    scene.delivery.on_follow = harness.socket.close

    await scene.arrivals.let_in(harness.connection, harness.response, admitted())

    assert scene.presence.asked == []
    assert len(scene.delivery.dropped) == 1


async def test_a_client_that_left_while_presence_began_is_undone(scene: Scene) -> None:
    harness = Arriving()
    scene.presence.on_ask = lambda _: harness.socket.close()

    await scene.arrivals.let_in(harness.connection, harness.response, admitted())
    await scene.settles()

    ask = opening(scene)
    assert scene.requests(EndSession) == [EndSession(ALICE, ask.connection, resumable=False)]
    assert len(scene.connections) == 0


async def test_a_gateway_that_began_to_drain_lets_no_more_in(scene: Scene) -> None:
    def drain(_request: GatewayRequest) -> None:
        scene.departures.draining = True

    scene.presence.on_ask = drain

    harness = await let_in(scene)

    assert harness.http_status() == 503
    assert len(scene.requests(EndSession)) == 1


async def test_a_client_replaced_before_its_welcome_is_told_by_a_close(scene: Scene) -> None:
    def replace(request: GatewayRequest) -> None:
        if isinstance(request, OpenSession):
            scene.departures.note_ended(request.connection, CloseCode.REPLACED)

    scene.presence.on_ask = replace

    harness = await let_in(scene)

    assert harness.welcomed()["resumed"] is False
    assert harness.close_code == 4500


# Many at once.


def comes(scene: Scene, user: str, address: str = "192.0.2.1") -> tuple[Arriving, asyncio.Task[None]]:
    """Let a client come, and wait for its turn."""
    harness = Arriving()
    who = admitted(user=user, address=address)
    return harness, scene.tasks.create_task(scene.arrivals.let_in(harness.connection, harness.response, who))


async def fill(scene: Scene, count: int = AT_ONCE) -> None:
    """Let clients come whom presence does not answer yet, all from addresses of their own."""
    scene.presence.may_answer.clear()
    for number in range(count):
        comes(scene, f"user-{number}", f"198.51.100.{number}")
    await scene.settles()


async def test_of_many_clients_some_wait_until_others_are_let_in(scene: Scene) -> None:
    await fill(scene, AT_ONCE + 5)
    assert len(scene.presence.asked) == AT_ONCE
    assert scene.arrivals.under_way == AT_ONCE + 5

    scene.presence.may_answer.set()
    await scene.settles()

    assert len(scene.connections) == AT_ONCE + 5
    assert scene.arrivals.under_way == 0


async def test_one_user_or_address_keeps_nobody_else_waiting(scene: Scene) -> None:
    scene.presence.may_answer.clear()
    for _ in range(300):
        comes(scene, "eve", "203.0.113.1")
    for number in range(300):
        comes(scene, f"mallory-{number}", "203.0.113.2")

    comes(scene, "bob")
    await scene.settles()

    asked = Counter(
        str(request.user) for request in scene.requests(OpenSession) if isinstance(request, OpenSession)
    )
    assert asked["bob"] == 1
    assert asked["eve"] == OF_A_USER
    assert sum(asked.values()) <= AT_ONCE
    scene.presence.may_answer.set()


async def test_a_client_whose_turn_does_not_come_is_told_when_to_come_back(scene: Scene) -> None:
    scene.arrivals = scene.arrivals_within(0)
    await fill(scene)
    asked = list(scene.presence.asked)
    assert len(asked) == AT_ONCE

    harness, letting_in = comes(scene, "bob")
    await letting_in

    assert harness.refusal() == ("BUSY", math.ceil(0.5 * SHORTEST_SPREAD_S))
    assert scene.presence.asked == asked
    assert scene.arrivals.under_way == AT_ONCE
    scene.presence.may_answer.set()


async def test_of_too_many_the_oldest_waits_no_more(scene: Scene) -> None:
    await fill(scene)
    first, letting_in = comes(scene, "first", "203.0.113.1")
    for number in range(MAX_WAITING - 1):
        comes(scene, f"crowd-{number}", "203.0.113.1")
    await scene.settles()
    assert not letting_in.done()

    comes(scene, "last", "203.0.113.1")
    await letting_in

    assert first.refusal() == ("BUSY", math.ceil(0.5 * LONGEST_SPREAD_S))
    scene.presence.may_answer.set()


async def test_a_client_that_went_while_it_waited_is_asked_about_nowhere(scene: Scene) -> None:
    await fill(scene)
    asked = list(scene.presence.asked)
    gone, _ = comes(scene, "gone")
    await scene.settles()
    gone.socket.close()

    scene.presence.may_answer.set()
    await scene.settles()

    assert scene.presence.asked == asked
    assert gone.socket.is_aborted


async def test_the_place_of_a_client_that_has_gone_is_another_one_s(scene: Scene) -> None:
    scene.presence.may_answer.clear()
    gone, letting_in = comes(scene, "gone")
    await fill(scene, AT_ONCE - 1)
    comes(scene, "bob")
    await scene.settles()
    assert "bob" not in {request.user for request in scene.presence.asked if isinstance(request, OpenSession)}

    gone.socket.close()
    await until(lambda: len(scene.requests(OpenSession)) == AT_ONCE + 1)

    assert not letting_in.done()
    scene.presence.may_answer.set()
    await letting_in
    await scene.settles()
    assert [ask.user for ask in scene.requests(EndSession) if isinstance(ask, EndSession)] == ["gone"]
    assert gone.socket.is_aborted, "and it is not refused, as if the gateway drained"


async def test_presence_is_asked_again_only_while_the_client_is_there(scene: Scene) -> None:
    harness = await let_in(scene)
    (is_wanted,) = scene.presence.is_wanted
    assert is_wanted()

    harness.socket.close()

    assert not is_wanted()
