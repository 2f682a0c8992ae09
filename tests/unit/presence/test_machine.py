"""Any order of anything three users may do, and what must hold whatever the order is.

Frames of one sender go one after the other, as its gateway sends them; those of different senders are judged,
relayed and delivered at the same time, by routers of which some die in the middle. What a router has begun it
ends, or dies, before half a second has passed: that is when gateways ask another one.
"""

from itertools import count, permutations
from typing import Final, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from presence import member, negotiation
from presence.decide import Situation, decide
from presence.member import User
from presence.negotiation import NOTHING, CandidatePolicy, Pair
from tests.unit.presence.oracle import Frame, Oracle
from tests.unit.presence.relays import Duty, Receivers, Relay
from tieline.wire.codes import Refusal
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal import Check, Delivery, OpenSession, Refused, SessionGone, digest
from tieline.wire.internal import Relay as RelayVerdict

ALICE, BOB, CAROL = USERS = (UserId("alice"), UserId("bob"), UserId("carol"))
HALL, CELLAR = ROOMS = (RoomId("hall"), RoomId("cellar"))
GATEWAY: Final = GatewayId("g")
NO_SECRET: Final = SecretHash(b"")

COMMANDS: Final = (
    OFFER := "WEBRTC_OFFER",
    ANSWER := "WEBRTC_ANSWER",
    CANDIDATE := "WEBRTC_ICE_CANDIDATE",
    HANGUP := "WEBRTC_HANGUP",
)

Fate = Literal["done", "slow"] | int
"""Of a relay: complete at once; carried out step by step between other things; or so many deliveries, and
then its router dies, and the gateway has no answer."""

some_users: Final = st.sampled_from((ALICE, BOB, ALICE, BOB, CAROL))
some_fate: Final = st.sampled_from(("done", "slow", "slow", 0, 1, 2))
some_rooms: Final = st.sets(st.sampled_from(ROOMS))


class Signaling(RuleBasedStateMachine):
    """Presence's records and pure rules, with gateways and routers played around them."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[UserId, User] = {}
        self.pairs: dict[frozenset[UserId], Pair] = {}
        self.under_way: dict[UserId, Relay] = {}
        """By the sender, who sends nothing else meanwhile."""
        self.unanswered: dict[UserId, Frame] = {}
        """By the sender: frames whose router died, which the gateway is about to send again."""
        self.endings: dict[UserId, tuple[Literal["left", "disconnected"], str]] = {}
        """Users whose record says that they left or are offline, and whose pairs do not know it yet."""
        self.sent: dict[UserId, list[Frame]] = {user: [] for user in USERS}
        self.old_sessions: dict[UserId, SessionId] = {}
        self.numbers = count(1)

    @initialize(
        policy=st.sampled_from(("hold", "hold", "hold", "forward", "reject")),
        voice=st.lists(st.sampled_from((True, True, True, False)), min_size=3, max_size=3),
        calls=st.lists(st.sampled_from(((ALICE, BOB), (BOB, ALICE), (ALICE, CAROL))), max_size=3),
        trickled=st.integers(0, 3),
    )
    def begin(
        self, policy: CandidatePolicy, voice: list[bool], calls: list[tuple[UserId, UserId]], trickled: int
    ) -> None:
        """Let everybody come, and some of them call others: the interesting things happen after that."""
        self.oracle = Oracle(policy)
        self.receivers = Receivers(self.oracle)
        for user, may_call in zip(USERS, voice, strict=True):
            if user != CAROL or may_call:  # Carol may be nobody at first
                self._open(user, {HALL}, may_call)
        for one, other in calls:
            if (one, other) in self._neighbours():
                self._signal(self._frame(one, other, OFFER), "done")
                for sender, to in [(one, other), (other, one)] * trickled:
                    self._signal(self._frame(sender, to, CANDIDATE), "done")

    # Signals. -----------------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        cmd=st.sampled_from((OFFER, OFFER, ANSWER, ANSWER, ANSWER, CANDIDATE, CANDIDATE, HANGUP, HANGUP)),
        fate=some_fate,
    )
    def talk(self, data: st.DataObject, cmd: str, fate: Fate) -> None:
        """Say something that makes sense now, where there is something."""
        chances = {ANSWER: self._answerers(), OFFER: self._neighbours()}.get(cmd, self._callers())
        if chances:
            self._signal(self._frame(*data.draw(st.sampled_from(chances)), cmd), fate)

    @precondition(lambda self: self._callers())
    @rule(data=st.data(), how_many=st.sampled_from((1, 1, 2, 3, 30)), padding=st.booleans(), fate=some_fate)
    def trickle(self, data: st.DataObject, how_many: int, padding: bool, fate: Fate) -> None:
        sender, to = data.draw(st.sampled_from(self._callers()))
        for _ in range(how_many - 1):
            self._signal(self._frame(sender, to, CANDIDATE, 3000 * padding), "done")
        self._signal(self._frame(sender, to, CANDIDATE, 3000 * padding), fate)

    @precondition(lambda self: self._answerers())
    @rule(data=st.data(), fate=some_fate)
    def answer(self, data: st.DataObject, fate: Fate) -> None:
        self._signal(self._frame(*data.draw(st.sampled_from(self._answerers())), ANSWER), fate)

    @precondition(lambda self: self._repeaters())
    @rule(data=st.data(), back=st.sampled_from((0, 0, 1, 1, 2, 3, 5, 8)), fate=some_fate)
    def send_again(self, data: st.DataObject, back: int, fate: Fate) -> None:
        sent = self.sent[data.draw(st.sampled_from(self._repeaters()))]
        frame = sent[-1 - back % len(sent)]
        if self._may_be_sent_again(frame):
            self._signal(frame, fate)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def deliver_one(self, data: st.DataObject) -> None:
        self._deliver_one(data.draw(st.sampled_from(sorted(self.under_way))))

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data(), fate=some_fate, is_hopeless=st.sampled_from((False, False, True)))
    def ask_another_router(self, data: st.DataObject, fate: Fate, is_hopeless: bool) -> None:
        sender = data.draw(st.sampled_from(sorted(self.unanswered)))
        if is_hopeless:
            self._give_up(sender)
        else:
            self._settle()
            self._signal(self.unanswered.pop(sender), fate)

    # What else happens. -------------------------------------------------------------------------------

    @precondition(lambda self: self._missing())
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        user = data.draw(st.sampled_from(self._missing()))
        if user not in self.oracle.live:
            self._connect(user, {HALL}, voice=True)
        elif self.users[user].status == "away":
            self.users[user] = member.resumed(
                self.users[user], self._opening(user, self.oracle.live[user], self.oracle.voice[user])
            )
        elif self._may_send(user):
            self._join(user, HALL)

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
        match how:
            case "connect":
                self._connect(user, rooms or {HALL}, voice=at_once)
            case "disconnect":
                self._disconnect(user)
            case "lose" if self._may_send(user):
                self.users[user] = member.away(self.users[user])
            case "join" if self._may_send(user):
                self._join(user, CELLAR)
            case "leave" if self._may_send(user) and self.users[user].rooms:
                self._leave(user, min(rooms & set(self.users[user].rooms), default=HALL))
            case "blurt" if user != to:
                self._blurt(user, to, cmd)
            case "wait":
                self._wait(ms)
        if at_once:
            self._conclude(user)

    @precondition(lambda self: self.endings)
    @rule(data=st.data())
    def conclude(self, data: st.DataObject) -> None:
        self._conclude(data.draw(st.sampled_from(sorted(self.endings))))

    @precondition(lambda self: self._waiting())
    @rule(data=st.data(), is_stale=st.booleans())
    def let_an_offer_expire(self, data: st.DataObject, is_stale: bool) -> None:
        one, other = data.draw(st.sampled_from(self._waiting()))
        pair = self.pairs[frozenset((one, other))]
        waiting = pair.offer_of(one)
        assert waiting is not None
        if is_stale:
            assert negotiation.expire(pair, one, "an offer of yesterday") is None
            return
        self._settle()
        expired = negotiation.expire(pair, one, waiting.generation)
        assert expired is not None
        self.pairs[frozenset((one, other))] = expired
        self.oracle.expire(one, other)

    # What holds. --------------------------------------------------------------------------------------

    @invariant()
    def pairs_are_what_the_oracle_knows(self) -> None:
        for users, pair in self.pairs.items():
            call = self.oracle.book(*users).call
            assert pair.is_active == (call is not None)
            assert pair.established == (call is not None and call.was_established)
            assert {offer.sender for offer in pair.offers} == (set(call.offers) if call else set())

    def teardown(self) -> None:
        """Whatever is under way comes to its end, and so does what must be asked again."""
        for sender in sorted(self.unanswered):
            self._settle()
            self._signal(self.unanswered.pop(sender), "done")
        self._settle()

    # How it is done. ----------------------------------------------------------------------------------

    def _frame(self, sender: UserId, to: UserId, cmd: str, padding: int = 0) -> Frame:
        frame = Frame(sender, to, cmd, f"{next(self.numbers)} {sender} {to} {cmd} ".encode() + b"." * padding)
        self.receivers.know(frame)
        return frame

    def _neighbours(self) -> list[tuple[UserId, UserId]]:
        """List who may talk to whom at all."""
        return [
            (one, to)
            for one, to in permutations(USERS, 2)
            if self._may_send(one) and to in self.oracle.live and self.oracle.share_a_room(one, to)
        ]

    def _callers(self) -> list[tuple[UserId, UserId]]:
        """List who may say something in a call, and to whom."""
        return [(one, to) for one, to in self._neighbours() if self.oracle.book(one, to).call]

    def _repeaters(self) -> list[UserId]:
        """List who may send something that was sent before."""
        return [user for user in USERS if self.sent[user] and self._may_send(user)]

    def _answerers(self) -> list[tuple[UserId, UserId]]:
        """List who may answer whose offer."""
        return [(one, to) for one, to in self._waiting(by_target=True) if self._may_send(one)]

    def _waiting(self, by_target: bool = False) -> list[tuple[UserId, UserId]]:
        """List whose offers wait, and for whom; or the other way round."""
        found = []
        for one, other in permutations(USERS, 2):
            call = self.oracle.book(one, other).call
            if call is not None and one in call.offers:
                found.append((other, one) if by_target else (one, other))
        return found

    def _missing(self) -> list[UserId]:
        """List who is not where the others are."""
        return [
            user
            for user in USERS
            if user not in self.oracle.live
            or self.users[user].status == "away"
            or HALL not in self.oracle.rooms[user]
        ]

    def _may_send(self, user: UserId) -> bool:
        """Say whether a user has a connection, and nothing under way on it."""
        has_connection = user in self.oracle.live and self.users[user].status == "online"
        return has_connection and not (
            user in self.under_way or user in self.unanswered or user in self.endings
        )

    def _signal(self, frame: Frame, fate: Fate) -> None:
        """Have a frame judged, and begin to carry out the verdict."""
        if frame.cmd == OFFER and self.oracle.book(frame.sender, frame.to).call is None:
            self._settle()
        if frame not in self.sent[frame.sender]:
            self.sent[frame.sender].append(frame)
        is_retry = self.oracle.is_retry(frame)
        verdict = self._judge(frame, self.oracle.live[frame.sender])
        if not isinstance(verdict, RelayVerdict):
            return
        if is_retry and frame.was_given_up:
            self.oracle.send_late(frame)
        relay = Relay(frame, [_addressed(line, frame) for line in verdict.deliveries], self._duties(frame))
        self.under_way[frame.sender] = relay
        match fate:
            case "done":
                while frame.sender in self.under_way:
                    self._deliver_one(frame.sender)
            case int(number) if number < len(relay.deliveries):
                for _ in range(number):
                    self._deliver_one(frame.sender)
                del self.under_way[frame.sender]
                self.unanswered[frame.sender] = frame

    def _judge(self, frame: Frame, session: SessionId) -> RelayVerdict | Refused | SessionGone:
        """Judge a frame, compare with what the oracle says, and commit."""
        pair_of = frozenset((frame.sender, frame.to))
        pair = self.pairs.get(pair_of, NOTHING)
        situation = Situation(self.users.get(frame.sender), self.users.get(frame.to), pair)
        held = frame.body if frame.is_candidate else b""
        check = Check(frame.sender, session, frame.to, frame.cmd, digest(frame.body), held)
        expected = self.oracle.expect(frame, session)
        judgement = decide(situation, check, self.oracle.now, self.oracle.policy)
        match judgement.verdict:
            case RelayVerdict(ack=ack):
                assert ack == expected
                if self.oracle.is_retry(frame):
                    assert judgement.pair is None, "a retry changed something"
                else:
                    self.oracle.accept(frame, ack)
            case Refused(reason=reason):
                assert isinstance(expected, Refusal), f"{frame}: {reason}, but expected {expected}"
                assert reason == expected.name
                assert judgement.pair is None, "a refusal changed something"
            case SessionGone():
                assert expected == "gone"
                assert judgement.pair is None, "a session that is gone changed something"
        if judgement.pair is not None:
            self.pairs[pair_of] = judgement.pair
        return judgement.verdict

    def _blurt(self, sender: UserId, to: UserId, cmd: str) -> None:
        """Say something whether it makes sense or not, in an old session if there was one."""
        frame = self._frame(sender, to, cmd)
        if sender in self.old_sessions:
            self._judge(frame, self.old_sessions[sender])
        if self._may_send(sender):
            self._signal(frame, "done")

    def _duties(self, frame: Frame) -> list[Duty]:
        """List what must have arrived, and where, when an accepted frame is relayed."""
        if frame.ack == "held" or frame.is_over or frame.to not in self.oracle.live:
            return []
        return [
            Duty(due, self.oracle.live[due.to])
            for due in (frame, *frame.released)
            if due.to in self.oracle.live and due.accepted_at is not None
        ]

    def _deliver_one(self, sender: UserId) -> None:
        relay = self.under_way[sender]
        if relay.deliveries:
            self.receivers.arrive(*relay.deliveries.popleft())
        if not relay.deliveries:
            del self.under_way[sender]
            for duty in relay.duties:
                self.receivers.fulfil(duty)

    def _settle(self) -> None:
        """Let all routers end what they have begun."""
        for sender in sorted(self.under_way):
            while sender in self.under_way:
                self._deliver_one(sender)

    def _give_up(self, sender: UserId) -> None:
        """Tell the sender that there was no answer; it may go on, or send the frame again itself."""
        self._settle()
        frame = self.unanswered.pop(sender)
        frame.was_given_up = True

    def _may_be_sent_again(self, frame: Frame) -> bool:
        """Leave out what is promised to nobody.

        A candidate that was acknowledged and is yet to come need not be sent again. Of a frame that got no
        answer, what it released may have been passed by candidates after a while: too late to try again.
        """
        if frame.accepted_at is None:
            return True
        is_to_come = frame.ack == "held" and not frame.arrivals
        is_retry = self.oracle.is_retry(frame)
        is_too_late = self.oracle.now - frame.accepted_at >= negotiation.EARLIER_MS
        return not (is_to_come and not is_retry) and not (frame.was_given_up and is_too_late)

    def _join(self, user: UserId, room: RoomId) -> None:
        self.users[user] = member.joined(self.users[user], room, self.oracle.now)
        self.oracle.rooms[user].add(room)

    def _leave(self, user: UserId, room: RoomId) -> None:
        self._settle()
        self.users[user] = member.left(self.users[user], room)
        self.oracle.rooms[user].discard(room)
        self.endings[user] = ("left", f"left-{next(self.numbers)}")

    def _wait(self, ms: int) -> None:
        self._settle()
        if ms > 400:  # no gateway goes on asking for so long
            for sender in sorted(self.unanswered):
                self._give_up(sender)
        self.oracle.now += ms

    def _connect(self, user: UserId, rooms: set[RoomId], voice: bool) -> None:
        self._disconnect(user)
        self._conclude(user)
        self._open(user, rooms, voice)

    def _open(self, user: UserId, rooms: set[RoomId], voice: bool) -> None:
        session = SessionId(f"{user}-{next(self.numbers)}")
        ask = self._opening(user, session, voice)
        self.users[user] = member.begun(ask, dict.fromkeys(rooms, self.oracle.now))
        self.oracle.live[user], self.oracle.voice[user] = session, voice
        self.oracle.rooms[user] = set(rooms)
        self.receivers.open(user, session)

    def _opening(self, user: UserId, session: SessionId, voice: bool) -> OpenSession:
        connection = ConnectionId(f"{next(self.numbers)}")
        return OpenSession(user, session, GATEWAY, connection, voice, (), NO_SECRET, NO_SECRET, None)

    def _disconnect(self, user: UserId) -> None:
        if user not in self.oracle.live:
            return
        self._settle()
        self._conclude(user)
        self.unanswered.pop(user, None)
        self.users[user] = member.ended(self.users[user])
        self.old_sessions[user] = self.oracle.live.pop(user)
        self.receivers.close(self.old_sessions[user])
        self.endings[user] = ("disconnected", self.old_sessions[user])

    def _conclude(self, user: UserId) -> None:
        """Let the pairs of a user know that it left or is offline."""
        if user not in self.endings:
            return
        self._settle()
        why, ended_by = self.endings.pop(user)
        for users, pair in self.pairs.items():
            if user in users:
                (peer,) = users - {user}
                if why == "left" and self.oracle.share_a_room(user, peer):
                    continue
                self.pairs[users] = negotiation.end(pair, ended_by)
                self.oracle.book(user, peer).over()


def _addressed(delivery: Delivery, frame: Frame) -> tuple[SessionId, bytes]:
    return delivery.session, frame.body if delivery.frame is None else delivery.frame


TestSignaling = Signaling.TestCase
TestSignaling.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
