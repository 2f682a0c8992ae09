"""What is asked for one session, and asked again when presence has forgotten it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from gateway.client.actions import AskKeys, AskPresence, AskRouter
from gateway.client.session import Session
from gateway.limits.rates import Rates
from gateway.limits.user_budget import UserBudget
from gateway.rooms.memberships import NOT_THERE
from gateway.sessions.heavy_lane import AT_ONCE
from gateway.sessions.questions import AboutSession, Questions
from gateway.sessions.signals import Answered
from tests.unit.gateway.client.alice import room_ask, signal_ask
from tests.unit.gateway.client.harness import event
from tests.unit.gateway.sessions.scene import Scene
from tieline.runtime.patience import PATIENCE_S
from tieline.wire.ids import RoomId
from tieline.wire.internal.answers import Done, Outdated, Refused, SessionGone
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.rooms import JoinRoom, ListMembers
from tieline.wire.internal.sessions import Register, Regrant, Tell
from tieline.wire.internal.signals import Accepted, Answers, Signal

RELAYED, FORGOTTEN, REPLACED = Accepted("relayed"), SessionGone(replaced=False), SessionGone(replaced=True)
FULL = Refused("ROOM_FULL")


class Asking:
    """A session's questions, a router that answers as told, and what was answered."""

    def __init__(self, scene: Scene, patience_s: float = PATIENCE_S) -> None:
        self.scene = scene
        self.signals: list[tuple[str, Signal]] = []
        self.router_replies: list[RouterReply | Answers | None] = []
        self.answers: list[object] = []
        self.are_keys_fresh = True
        self.on_question: Callable[[object], None] = lambda _: None
        """Called before a question about a room, or for keys, is answered."""
        self.questions = Questions(
            ask_signal=self._ask_signal,
            presence=scene.presence,
            refresh_keys=self._refresh_keys,
            registrations=scene.registrations,
            notices=scene.notices,
            answer_about_room=self._answer_about_room,
            tasks=scene.tasks,
            patience_s=patience_s,
        )
        session = scene.here("alice").connection.session
        assert session is not None
        self.session: Session = session

    def _ask_signal(self, cmd: str, signal: Signal, answered: Answered) -> None:
        self.signals.append((cmd, signal))
        answered(self.router_replies.pop(0))

    async def _answer_about_room(
        self,
        session: Session,
        ask: AskPresence,
        asks: Callable[[Session, AboutSession], Awaitable[PresenceReply | None]],
    ) -> PresenceReply | None:
        self.on_question(ask)
        return await asks(session, ask.request)

    async def _refresh_keys(self) -> bool:
        await asyncio.sleep(0)
        self.on_question("keys")
        return self.are_keys_fresh

    def note(self, ask: AskRouter | AskPresence | AskKeys, reply: object) -> None:
        self.answers.append((ask, reply))

    def numbered(self, ask: AskPresence, number: int) -> AboutSession:
        """What presence is asked for this, with the number that it has among what the connection asks."""
        assert not isinstance(ask.request, ListMembers)
        return msgspec.structs.replace(ask.request, connection=self.session.connection, number=number)

    async def router_says(self, *replies: RouterReply | None) -> AskRouter:
        """Ask a router, which answers so, one time after the other."""
        self.router_replies += replies
        ask = signal_ask(self.session)
        self.questions.ask_router(self.session, ask, self.note)
        await self.scene.settles()
        return ask

    async def presence_says(self, *replies: PresenceReply | None) -> AskPresence:
        """Ask presence about a room, which answers so, one time after the other."""
        self.scene.presence.reply(JoinRoom, *replies)
        ask = room_ask(self.session)
        self.questions.ask_presence(self.session, ask, self.note)
        self.scene.presence.answer_begun()
        await self.scene.settles()
        return ask

    async def presence_says_to_copies(
        self, *replies: PresenceReply, is_ordered: bool = False, after_s: float = 0
    ) -> AskPresence:
        """Ask presence so that it answers the first time when it was asked twice, and so long ago."""
        presence = self.scene.presence
        presence.reply(JoinRoom, *replies)
        presence.may_answer.clear()
        ask = room_ask(self.session)
        assert isinstance(ask.request, JoinRoom)
        ask = ask._replace(request=msgspec.structs.replace(ask.request, is_ordered=is_ordered))
        self.questions.ask_presence(self.session, ask, self.note)
        await asyncio.sleep(0)
        for _ in range(2):
            presence.is_wanted[0]()  # it is sent once more
        await asyncio.sleep(after_s)
        presence.may_answer.set()
        await self.scene.settles()
        return ask


@pytest.fixture
def asking(scene: Scene) -> Asking:
    return Asking(scene)


@pytest.mark.parametrize("reply", [RELAYED, REPLACED, None])
async def test_what_a_router_says_is_the_answer(asking: Asking, reply: RouterReply | None) -> None:
    ask = await asking.router_says(reply)

    assert asking.answers == [(ask, reply)]
    assert asking.signals == [(ask.cmd, ask.signal)]


async def test_messages_of_heavy_users_wait_for_answers_and_others_do_not(asking: Asking) -> None:
    asking.session.budget = UserBudget(asking.session.user, Rates())
    asking.session.budget.charge(50, 0.0)
    room, signal = room_ask(asking.session), signal_ask(asking.session)
    for _ in range(AT_ONCE):
        asking.questions.ask_presence(asking.session, room, asking.note)
    asking.router_replies += [RELAYED, RELAYED]
    asking.questions.ask_router(asking.session, signal, asking.note)
    assert not asking.signals
    light = asking.scene.here("bob").connection.session
    assert light is not None
    asking.questions.ask_router(light, signal, asking.note)
    assert len(asking.signals) == 1

    asking.scene.presence.reply(JoinRoom, *[Done()] * AT_ONCE)
    await asking.scene.settles()

    assert len(asking.signals) == 2
    assert len(asking.answers) == AT_ONCE + 2


@pytest.mark.parametrize("second", [RELAYED, FORGOTTEN, None])
async def test_a_router_is_asked_again_for_a_session_that_was_forgotten(
    asking: Asking, second: RouterReply | None
) -> None:
    ask = await asking.router_says(FORGOTTEN, second)

    assert asking.answers == [(ask, second)]
    assert len(asking.scene.requests(Register)) == 1
    assert asking.signals == [(ask.cmd, ask.signal)] * 2


async def test_a_router_is_not_asked_again_for_a_session_that_is_over(asking: Asking) -> None:
    asking.scene.presence.reply(Register, REPLACED)

    ask = await asking.router_says(FORGOTTEN)

    assert asking.answers == [(ask, REPLACED)]
    assert len(asking.signals) == 1


def asked_together(session: Session) -> AskRouter:
    """Three candidates that go together."""
    first, *then = (signal_ask(session, "WEBRTC_ICE_CANDIDATE") for _ in range(3))
    return msgspec.structs.replace(first, then=tuple(then))


async def test_candidates_that_go_together_are_one_signal(asking: Asking) -> None:
    ask = asked_together(asking.session)
    asking.router_replies.append(Answers((RELAYED, RELAYED, RELAYED)))

    asking.questions.ask_router(asking.session, ask, asking.note)

    ((_, signal),) = asking.signals
    assert signal.then == tuple(each.signal.frame for each in ask.then)
    assert asking.answers == [(ask, Answers((RELAYED, RELAYED, RELAYED)))]


async def test_a_session_forgotten_amid_a_series_is_found_out_with_the_rest(asking: Asking) -> None:
    ask = asked_together(asking.session)
    asking.router_replies += [Answers((RELAYED, FORGOTTEN, FORGOTTEN))]

    asking.questions.ask_router(asking.session, ask, asking.note)

    assert asking.answers == [(ask, Answers((RELAYED,)))]
    assert asking.scene.requests(Register) == []


async def test_a_series_is_asked_again_for_a_session_that_was_forgotten(asking: Asking) -> None:
    ask = asked_together(asking.session)
    asking.router_replies += [
        Answers((FORGOTTEN, FORGOTTEN, FORGOTTEN)),
        Answers((RELAYED, RELAYED, RELAYED)),
    ]

    asking.questions.ask_router(asking.session, ask, asking.note)
    await asking.scene.settles()

    assert asking.answers == [(ask, Answers((RELAYED, RELAYED, RELAYED)))]
    assert len(asking.scene.requests(Register)) == 1
    first, again = asking.signals
    assert first == again


@pytest.mark.parametrize("reply", [Done(), REPLACED, None])
async def test_what_presence_says_is_the_answer(asking: Asking, reply: PresenceReply | None) -> None:
    ask = await asking.presence_says(reply)

    assert asking.answers == [(ask, reply)]
    assert asking.scene.presence.asked == [asking.numbered(ask, 0)]


@pytest.mark.parametrize("second", [Done(), FORGOTTEN, None])
async def test_presence_is_asked_again_for_a_session_that_was_forgotten(
    asking: Asking, second: PresenceReply | None
) -> None:
    ask = await asking.presence_says(FORGOTTEN, second)

    assert asking.answers == [(ask, second)]
    first, registration, again = asking.scene.presence.asked
    assert (first, again) == (asking.numbered(ask, 0), asking.numbered(ask, 1))
    assert isinstance(registration, Register)


async def test_what_may_be_older_than_a_decision_is_asked_anew(asking: Asking) -> None:
    asking.scene.presence.revision = 7
    ask = await asking.presence_says(Outdated(9), Done())

    assert asking.answers == [(ask, Done())]
    first, again = asking.scene.presence.asked
    assert first == msgspec.structs.replace(asking.numbered(ask, 0), asked=7)
    assert again == msgspec.structs.replace(asking.numbered(ask, 0), asked=9)


@pytest.mark.parametrize("is_ordered", [False, True])
async def test_a_copy_of_a_join_is_not_asked_anew_for_who_was_put_out_since(
    asking: Asking, is_ordered: bool
) -> None:
    ask = await asking.presence_says_to_copies(Outdated(9), Done(), is_ordered=is_ordered)
    assert asking.answers == [(ask, Done() if is_ordered else NOT_THERE)]
    assert len(asking.scene.presence.asked) == 1 + is_ordered


@pytest.mark.parametrize("now", [FULL, Done()])
async def test_of_what_was_sent_twice_and_is_refused_no_copy_counts(
    asking: Asking, now: PresenceReply
) -> None:
    ask = await asking.presence_says_to_copies(FULL, now)
    assert asking.answers == [(ask, now)]
    assert asking.scene.presence.asked == [asking.numbered(ask, number) for number in range(2)]


async def test_who_has_asked_waits_no_longer_for_all_copies_than_for_one(scene: Scene) -> None:
    asking = Asking(scene, patience_s=0.05)
    ask = await asking.presence_says_to_copies(FULL, Done(), after_s=0.1)
    assert asking.answers == [(ask, None)]
    assert asking.scene.presence.asked == [asking.numbered(ask, 0)]


async def test_who_was_forgotten_waits_no_longer_than_others(scene: Scene) -> None:
    asking = Asking(scene, patience_s=1.0)
    ask = await asking.presence_says(FORGOTTEN, Done())
    assert asking.answers == [(ask, Done())]
    registering = [isinstance(each, Register) for each in scene.presence.asked]
    assert registering == [False, True, False]
    assert max(scene.presence.patience) <= 1.0


async def test_presence_is_not_asked_again_for_a_session_that_is_over(asking: Asking) -> None:
    asking.scene.presence.reply(Register, REPLACED)

    ask = await asking.presence_says(FORGOTTEN)

    assert asking.answers == [(ask, REPLACED)]
    assert len(asking.scene.requests(JoinRoom)) == 1


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_keys_are_fetched_for_a_newer_token(asking: Asking, is_fresh: bool) -> None:
    asking.are_keys_fresh = is_fresh
    ask = AskKeys("r-1", "REFRESH_TOKEN", "a token")

    asking.questions.ask_keys(ask, asking.note)
    await asking.scene.settles()

    assert asking.answers == [(ask, is_fresh)]


def meets_a_bug(_: object) -> None:
    raise ZeroDivisionError


async def test_a_bug_in_what_is_known_of_a_room_leaves_nobody_waiting(asking: Asking) -> None:
    asking.on_question = meets_a_bug
    room, keys = room_ask(asking.session), AskKeys("r-1", "REFRESH_TOKEN", "a token")

    asking.questions.ask_presence(asking.session, room, asking.note)
    asking.questions.ask_keys(keys, asking.note)
    await asking.scene.settles()

    assert asking.answers == [(room, None), (keys, False)]


async def test_a_bug_in_asking_presence_leaves_nobody_waiting(asking: Asking) -> None:
    regrant = Regrant(asking.session.user, asking.session.session, True, None, ())
    ask = AskPresence("r-1", "REFRESH_TOKEN", RoomId(""), regrant, asking.session.claims)
    asking.scene.presence.on_ask = meets_a_bug

    asking.questions.ask_presence(asking.session, ask, asking.note)
    await asking.scene.settles()

    assert asking.answers == [(ask, None)]


async def test_a_bug_met_by_one_question_is_not_met_by_others(asking: Asking) -> None:
    def fail(_ask: AskKeys, _is_fresh: bool) -> None:
        raise ZeroDivisionError

    ask = AskKeys("r-1", "REFRESH_TOKEN", "a token")

    asking.questions.ask_keys(ask, fail)
    asking.questions.ask_keys(ask, asking.note)
    await asking.scene.settles()

    assert asking.answers == [(ask, True)]


async def test_an_event_of_the_gateway_s_own_is_sent_through_presence(asking: Asking) -> None:
    asking.questions.tell(asking.session, event("own"))

    (tell,) = asking.scene.requests(Tell)
    assert isinstance(tell, Tell)
    assert tell.frame == event("own")
