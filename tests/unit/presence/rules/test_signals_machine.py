"""Any order of anything three users may do, and what must hold whatever the order is.

What must hold for what is delivered stands in `relays`, what presence must say in `oracle`.
"""

from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from presence.rules.negotiation import CandidatePolicy
from tests.support.examples import scaled
from tests.unit.presence.rules.world import ALICE, BOB, CAROL, CELLAR, HALL, ROOMS, USERS, Fate, Naming, World
from tieline.wire.ids import RoomId, UserId

COMMANDS: Final = (
    OFFER := "WEBRTC_OFFER",
    ANSWER := "WEBRTC_ANSWER",
    CANDIDATE := "WEBRTC_ICE_CANDIDATE",
    HANGUP := "WEBRTC_HANGUP",
)

pytestmark = pytest.mark.timeout(scaled(600))  # thousands of steps, on a machine that may do other things

some_users: Final = st.sampled_from((ALICE, BOB, ALICE, BOB, CAROL))
some_fate: Final = st.sampled_from(("done", "slow", "slow", 0, 1, 2))
some_naming: Final = st.sampled_from(("none", "none", "now", "now", "before", "long before"))
some_rooms: Final = st.sets(st.sampled_from(ROOMS))


class Signaling(RuleBasedStateMachine):
    """The users' rules; what they do to the world is the world's."""

    @initialize(
        policy=st.sampled_from(("hold", "hold", "hold", "hold", "hold", "hold", "forward", "reject")),
        voice=st.lists(st.sampled_from((True, True, True, False)), min_size=3, max_size=3),
        calls=st.lists(
            st.sampled_from(((ALICE, BOB), (BOB, ALICE), (ALICE, CAROL))), min_size=1, max_size=3, unique=True
        ),
        trickled=st.integers(1, 3),
    )
    def begin(
        self, policy: CandidatePolicy, voice: list[bool], calls: list[tuple[UserId, UserId]], trickled: int
    ) -> None:
        """Let everybody come, and some of them call others: the interesting things happen after that."""
        self.world = World(policy)
        for user, may_call in zip(USERS, voice, strict=True):
            if user != CAROL or may_call:  # Carol may be nobody at first
                self.world.open(user, {HALL}, may_call)
        for one, other in calls:
            if (one, other) in self.world.neighbours():
                self._say(one, other, OFFER, "done")
                for sender, to in [(one, other), (other, one)] * trickled:
                    self._say(sender, to, CANDIDATE, "done")

    def _say(
        self, sender: UserId, to: UserId, cmd: str, fate: Fate, padding: int = 0, naming: Naming = "none"
    ) -> None:
        self.world.signal(self.world.frame(sender, to, cmd, padding, naming), fate)

    @rule(
        data=st.data(),
        cmd=st.sampled_from((OFFER, OFFER, ANSWER, ANSWER, CANDIDATE, HANGUP)),
        fate=some_fate,
        trickled=st.integers(0, 2),
        naming=some_naming,
    )
    def talk(self, data: st.DataObject, cmd: str, fate: Fate, trickled: int, naming: Naming) -> None:
        """Say something that makes sense now, where there is something. Who calls trickles at once."""
        world = self.world
        chances = {ANSWER: world.answerers, OFFER: world.neighbours}.get(cmd, world.callers)()
        if not chances:
            return
        sender, to = data.draw(st.sampled_from(chances))
        self._say(sender, to, cmd, "done" if cmd == OFFER and trickled else fate, naming=naming)
        for _ in range(trickled if cmd == OFFER else 0):
            self._say(sender, to, CANDIDATE, "done")

    @precondition(lambda self: self.world.callers())
    @rule(
        data=st.data(),
        how_many=st.sampled_from((1, 1, 1, 2, 2, 3, 30)),
        padding=st.booleans(),
        fate=some_fate,
        naming=some_naming,
    )
    def trickle(self, data: st.DataObject, how_many: int, padding: bool, fate: Fate, naming: Naming) -> None:
        """Send one candidate after the other."""
        sender, to = data.draw(st.sampled_from(self.world.callers()))
        for _ in range(how_many - 1):
            self._say(sender, to, CANDIDATE, "done", 3000 * padding)
        self._say(sender, to, CANDIDATE, fate, 3000 * padding, naming)

    @precondition(lambda self: self.world.answerers())
    @rule(data=st.data(), fate=some_fate, naming=some_naming)
    def answer(self, data: st.DataObject, fate: Fate, naming: Naming) -> None:
        """Answer an offer that waits, or say that it is about an earlier one."""
        self._say(*data.draw(st.sampled_from(self.world.answerers())), ANSWER, fate, naming=naming)

    @precondition(lambda self: self.world.repeaters())
    @rule(data=st.data(), back=st.sampled_from((0, 0, 1, 1, 2, 3, 5, 8)), fate=some_fate)
    def send_again(self, data: st.DataObject, back: int, fate: Fate) -> None:
        """Send something that was sent before, answered or not, in this session or an earlier one."""
        sent = self.world.sent[data.draw(st.sampled_from(self.world.repeaters()))]
        frame = sent[-1 - back % len(sent)]
        if self.world.may_be_sent_again(frame):
            self.world.signal(frame, fate)

    @precondition(lambda self: self.world.under_way)
    @rule(data=st.data())
    def deliver_one(self, data: st.DataObject) -> None:
        """Let one of the routers that are at it go one step further."""
        self.world.deliver_one(data.draw(st.sampled_from(sorted(self.world.under_way))))

    @precondition(lambda self: self.world.under_way)
    @rule(data=st.data(), fate=some_fate)
    def ask_another_router_too_early(self, data: st.DataObject, fate: Fate) -> None:
        """Send what a slow router has to another one, which may be quicker."""
        self.world.ask_too_early(data.draw(st.sampled_from(sorted(self.world.under_way))), fate)

    @precondition(lambda self: self.world.strays)
    @rule(data=st.data())
    def deliver_a_stray(self, data: st.DataObject) -> None:
        """Let a slow router go one step further."""
        self.world.deliver_stray(data.draw(st.integers(0, len(self.world.strays) - 1)))

    @precondition(lambda self: self.world.unanswered)
    @rule(data=st.data(), fate=some_fate, is_hopeless=st.sampled_from((False, False, True)))
    def ask_another_router(self, data: st.DataObject, fate: Fate, is_hopeless: bool) -> None:
        """Send what a dead router had, or give up."""
        sender = data.draw(st.sampled_from(sorted(self.world.unanswered)))
        if is_hopeless:
            self.world.give_up(sender)
        else:
            self.world.ask_again(sender, fate)

    @precondition(lambda self: self.world.missing())
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        """Let somebody be where the others are."""
        world = self.world
        user = data.draw(st.sampled_from(world.missing()))
        if user not in world.oracle.live:
            world.connect(user, {HALL}, voice=True)
        elif world.users[user].session.status == "away":
            world.resume(user)
        elif world.may_send(user):
            world.join(user, HALL)

    @rule(
        user=st.sampled_from((CAROL, CAROL, ALICE, BOB)),
        to=some_users,
        how=st.sampled_from(
            ("connect", "disconnect", "lose", "join", "leave", "blurt", "wait", "wait", "wait")
        ),
        cmd=st.sampled_from(COMMANDS),
        rooms=some_rooms,
        ms=st.sampled_from((1, 400, 400, 4_000, 4_000, 14_000, 16_000, 45_000, 60_000)),
        at_once=st.sampled_from((True, True, False)),
    )
    def pass_time(
        self, user: UserId, to: UserId, how: str, cmd: str, rooms: set[RoomId], ms: int, at_once: bool
    ) -> None:
        """Let something happen that has nothing to do with anybody's call, but may end it."""
        world = self.world
        match how:
            case "connect":
                world.connect(user, rooms or {HALL}, voice=ms != 1, leaves_calls=not at_once)
            case "disconnect":
                world.disconnect(user)
            case "lose" if world.may_send(user):
                world.lose(user)
            case "join" if world.may_send(user):
                world.join(user, CELLAR)
            case "leave" if world.may_send(user) and world.users[user].rooms:
                world.leave(user, min(rooms & set(world.users[user].rooms), default=HALL))
            case "blurt" if user != to:
                world.blurt(user, to, cmd)
            case "wait":
                world.wait(ms)
        if at_once:
            world.conclude(user)

    @precondition(lambda self: self.world.endings)
    @rule(data=st.data())
    def conclude(self, data: st.DataObject) -> None:
        """Carry out what leaving, or the end of a session, means for the pairs."""
        self.world.conclude(data.draw(st.sampled_from(sorted(self.world.endings))))

    @precondition(lambda self: self.world.waiting())
    @rule(data=st.data())
    def let_an_offer_expire(self, data: st.DataObject) -> None:
        """Let nobody have answered."""
        self.world.expire(*data.draw(st.sampled_from(self.world.waiting())))

    @invariant()
    def pairs_are_what_the_oracle_knows(self) -> None:
        """Compare every pair with what the oracle has written down."""
        for users, pair in self.world.pairs.items():
            call = self.world.oracle.book(*users).call
            assert pair.is_active == (call is not None)
            assert pair.established == (call is not None and call.was_established)
            assert pair.call == (call.name if call is not None else "")
            assert {offer.sender for offer in pair.offers} == (set(call.offers) if call else set())

    def teardown(self) -> None:
        """Whatever is under way comes to its end, and so does what must be asked again."""
        for sender in sorted(self.world.unanswered):
            self.world.ask_again(sender, "done")
        self.world.settle()


TestSignaling = Signaling.TestCase
TestSignaling.settings = settings(
    max_examples=scaled(400),
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
