"""Presence's records and pure rules, with gateways and routers played around them, for the state machine.

Frames of one sender go one after the other, as its gateway sends them; those of different senders are judged,
relayed and delivered at the same time, by routers of which some die in the middle, and some are so slow that
another one is asked meanwhile. What a router has begun it ends, or dies, before anything else begins that
takes its time: a call, a session, half a second.
"""

from collections.abc import Iterable
from itertools import count, permutations
from typing import Final, Literal

from presence.rules import endings, negotiation
from presence.rules.change import Change, Facts
from presence.rules.effects import EndCalls, EndCallsWithoutRoom
from presence.rules.negotiated import NOTHING, Negotiation, apart
from presence.rules.negotiation import CandidatePolicy
from presence.rules.signals import Terms, check
from presence.rules.user import User
from tests.unit.presence.rules import people
from tests.unit.presence.rules.oracle import Frame, Oracle
from tests.unit.presence.rules.relays import Duty, Receivers, Relay
from tieline.wire.codes import ErrorCode
from tieline.wire.digests import digest
from tieline.wire.ids import CallId, ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.sessions import OpenSession
from tieline.wire.internal.signals import Check, Delivery
from tieline.wire.internal.signals import Relay as RelayVerdict
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL = USERS = (UserId("alice"), UserId("bob"), UserId("carol"))
HALL, CELLAR = ROOMS = (RoomId("hall"), RoomId("cellar"))
GATEWAY: Final = GatewayId("g")
OFFER_TIMEOUT_S: Final = 60.0

Fate = Literal["done", "slow"] | int
"""Of a relay: complete at once; carried out step by step between other things; or so many deliveries, and
then its router dies, and the gateway has no answer."""


Naming = Literal["none", "now", "before", "long before"]
"""Which call a frame says it is about."""

PAST: Final = ("before", "long before")


class World:
    """Everything that the machine acts on."""

    def __init__(self, policy: CandidatePolicy) -> None:
        self.oracle = Oracle(policy)
        self.receivers = Receivers(self.oracle)
        self.users: dict[UserId, User] = {}
        self.pairs: dict[frozenset[UserId], Negotiation] = {}
        self.under_way: dict[UserId, Relay] = {}
        """By the sender, who sends nothing else meanwhile."""
        self.strays: list[Relay] = []
        """Of routers that are at it still, although another one was asked."""
        self.unanswered: dict[UserId, Frame] = {}
        """By the sender: frames whose router died, which the gateway is about to send again."""
        self.endings: dict[UserId, EndCalls | EndCallsWithoutRoom] = {}
        """Users whose record says that they left or are offline, and whose pairs do not know it yet."""
        self.sent: dict[UserId, list[Frame]] = {user: [] for user in USERS}
        self.old_sessions: dict[UserId, SessionId] = {}
        self.numbers = count(1)
        self.frames: dict[bytes, Frame] = {}
        """All that there were, by their bytes."""
        self.calls: set[str] = set()
        """The names that there were."""
        self.apart: dict[bytes, bytes] = {}
        """Frames of candidates that lie apart from the record, by what stands for them."""

    def may_send(self, user: UserId) -> bool:
        """Say whether a user has a connection, and nothing under way on it."""
        has_connection = user in self.oracle.live and self.users[user].session.status == "online"
        is_leaving = isinstance(self.endings.get(user), EndCallsWithoutRoom)
        return has_connection and not (user in self.under_way or user in self.unanswered or is_leaving)

    def neighbours(self) -> list[tuple[UserId, UserId]]:
        """List who may talk to whom at all."""
        return [
            (one, to)
            for one, to in permutations(USERS, 2)
            if self.may_send(one) and to in self.oracle.live and self.oracle.share_a_room(one, to)
        ]

    def callers(self) -> list[tuple[UserId, UserId]]:
        """List who may say something in a call, and to whom."""
        return [(one, to) for one, to in self.neighbours() if self.oracle.book(one, to).call]

    def waiting(self, by_target: bool = False) -> list[tuple[UserId, UserId]]:
        """List whose offers wait, and for whom; or the other way round."""
        found = []
        for one, other in permutations(USERS, 2):
            call = self.oracle.book(one, other).call
            if call is not None and one in call.offers:
                found.append((other, one) if by_target else (one, other))
        return found

    def answerers(self) -> list[tuple[UserId, UserId]]:
        """List who may answer whose offer."""
        return [(one, to) for one, to in self.waiting(by_target=True) if self.may_send(one)]

    def repeaters(self) -> list[UserId]:
        """List who may send something that was sent before."""
        return [user for user in USERS if self.sent[user] and self.may_send(user)]

    def may_be_sent_again(self, frame: Frame) -> bool:
        """Leave out what is promised to nobody.

        A candidate that was acknowledged and is yet to come need not be sent again. Of a frame that got no
        answer, what it released may have been passed by candidates after a while: too late to try again.
        """
        if frame.accepted_at is None:
            return True
        is_to_come = frame.ack == "held" and not frame.arrivals
        is_retry = self.oracle.is_retry(frame)
        is_too_late = self.oracle.now - frame.accepted_at >= negotiation.PRECEDED_MS
        return not (is_to_come and not is_retry) and not (frame.was_given_up and is_too_late)

    def missing(self) -> list[UserId]:
        """List who is not where the others are."""
        return [
            user
            for user in USERS
            if user not in self.oracle.live
            or self.users[user].session.status == "away"
            or HALL not in self.oracle.rooms[user]
        ]

    def frame(self, sender: UserId, to: UserId, cmd: str, padding: int = 0, naming: Naming = "none") -> Frame:
        """Make a frame like no other."""
        book = self.oracle.book(sender, to)
        calls = {"none": None, "now": book.call}
        past = dict(zip(PAST, reversed(book.past), strict=False))
        body = f"{next(self.numbers)} {sender} {to} {cmd} {naming} ".encode() + b"." * padding
        frame = Frame(sender, to, cmd, body, (calls | past).get(naming))
        self.frames[body] = frame
        self.receivers.know(frame)
        return frame

    def signal(self, frame: Frame, fate: Fate) -> None:
        """Have a frame judged, and begin to carry out the verdict."""
        call = self.oracle.book(frame.sender, frame.to).call
        if frame.cmd == "WEBRTC_OFFER" and (call is None or self._is_outlived(frame)):
            self.settle()
        if frame not in self.sent[frame.sender]:
            self.sent[frame.sender].append(frame)
        is_retry = self.oracle.is_retry(frame)
        verdict = self.judge(frame, self.oracle.live[frame.sender])
        if not isinstance(verdict, RelayVerdict):
            return
        if is_retry and frame.was_given_up:
            self.oracle.send_late(frame)
        relay = Relay(
            frame, [self._addressed(line, frame) for line in verdict.deliveries], self.duties(frame)
        )
        self.under_way[frame.sender] = relay
        match fate:
            case "done":
                while frame.sender in self.under_way:
                    self.deliver_one(frame.sender)
            case int(number) if number < len(relay.deliveries):
                for _ in range(number):
                    self.deliver_one(frame.sender)
                del self.under_way[frame.sender]
                self.unanswered[frame.sender] = frame

    def judge(self, frame: Frame, session: SessionId) -> RelayVerdict | Refused | SessionGone:
        """Judge a frame, compare with what the oracle says, and commit."""
        pair_of = frozenset((frame.sender, frame.to))
        pair = self.pairs.get(pair_of, NOTHING)
        held = frame.body if frame.is_candidate else b""
        named = CallId("" if frame.named is None else frame.named.name)
        ask = Check(frame.sender, session, frame.to, frame.cmd, digest(frame.body), held, named)
        is_outlived = self.oracle.live.get(frame.sender) == session and self._is_outlived(frame)
        if is_outlived:
            self.oracle.book(frame.sender, frame.to).over()
        expected, fate = self.oracle.expect(frame, session), self.oracle.fate(frame)
        terms, facts = Terms(self.oracle.policy, OFFER_TIMEOUT_S), Facts(self.oracle.now)
        step = check(ask, terms, pair, self.users, facts)
        judgement, rest = people.followed(step, pair, self.users, facts)
        assert rest is not None
        assert (rest is not pair) == is_outlived
        pair = self.pairs[pair_of] = rest
        verdict = judgement.reply
        match verdict:
            case RelayVerdict(ack=ack):
                assert ack == expected
                if self.oracle.is_retry(frame):
                    assert judgement.record is None, "a retry changed something"
                else:
                    self.oracle.accept(frame, ack)
                self._compare_calls(frame, verdict)
            case Refused(reason=reason):
                assert verdict.fate == (fate if reason == "NO_MATCHING_OFFER" else "")
                assert verdict.call == pair.call
                assert isinstance(expected, ErrorCode), f"{frame}: {reason}, but expected {expected}"
                assert reason == expected.name
                assert judgement.record is None, "a refusal changed something"
            case SessionGone():
                assert expected == "gone"
                assert judgement.record is None, "a session that is gone changed something"
            case _:
                raise AssertionError(f"{frame} was answered with {verdict}")
        if judgement.record is not None:
            self.pairs[pair_of] = judgement.record
        if judgement.apart is not None:
            assert judgement.apart.key == Keys.held(frame.sender, frame.to, ask.digest)
            self.apart[apart(ask.digest)] = judgement.apart.value
        return verdict

    def _is_outlived(self, frame: Frame) -> bool:
        """Say whether what the two negotiate is of an older session of one of them."""
        call = self.oracle.book(frame.sender, frame.to).call
        return any(self.oracle.is_outlived(call, user) for user in (frame.sender, frame.to))

    def _compare_calls(self, frame: Frame, verdict: RelayVerdict) -> None:
        """Find that the frame, and each that is delivered with it, is said to be of its own call."""
        assert frame.call is not None
        if not frame.call.name:
            assert verdict.call, "a call without a name"
            assert verdict.call not in self.calls, "two calls of one name"
            self.calls.add(verdict.call)
            frame.call.name = verdict.call
        assert verdict.call == frame.call.name
        for delivery in verdict.deliveries:
            delivered = self.frames[self._addressed(delivery, frame)[1]]
            if delivered.times_sent == 1:  # else it was of more than one
                assert delivered.call is not None
                assert (delivery.call or verdict.call) == delivered.call.name

    def _addressed(self, delivery: Delivery, frame: Frame) -> tuple[SessionId, bytes]:
        if delivery.frame is None:
            return delivery.session, frame.body
        return delivery.session, self.apart.get(delivery.frame, delivery.frame)

    def duties(self, frame: Frame) -> list[Duty]:
        """List what must have arrived, and where, when an accepted frame is relayed."""
        if frame.ack == "held":
            return []
        return [
            Duty(due, due.session)
            for due in (frame, *frame.released)
            if due.session is not None and due.session == self.oracle.live.get(due.to)
        ]

    def deliver_one(self, sender: UserId) -> None:
        """Let a router go one step further; when all is delivered, the sender has its answer."""
        relay = self.under_way[sender]
        if relay.deliveries:
            self.receivers.arrive(*relay.deliveries.popleft())
        if not relay.deliveries:
            del self.under_way[sender]
            for duty in relay.duties:
                self.receivers.fulfil(duty)

    def settle(self) -> None:
        """Let all routers end what they have begun."""
        for sender in sorted(self.under_way):
            while sender in self.under_way:
                self.deliver_one(sender)
        while self.strays:
            self.deliver_stray(0)

    def deliver_stray(self, index: int) -> None:
        """Let a router go one step further for which nobody waits any more."""
        relay = self.strays[index]
        if relay.deliveries:
            self.receivers.arrive(*relay.deliveries.popleft())
        if not relay.deliveries:
            del self.strays[index]

    def ask_too_early(self, sender: UserId, fate: Fate) -> None:
        """Ask another router although the first one is only slow."""
        relay = self.under_way.pop(sender)
        self.strays.append(relay)
        self.signal(relay.frame, fate)

    def ask_again(self, sender: UserId, fate: Fate) -> None:
        """Send what a dead router had to another one."""
        self.settle()
        self.signal(self.unanswered.pop(sender), fate)

    def give_up(self, sender: UserId) -> None:
        """Tell the sender that there was no answer; it may go on, or send the frame again itself."""
        self.settle()
        frame = self.unanswered.pop(sender)
        frame.was_given_up = True

    def blurt(self, sender: UserId, to: UserId, cmd: str) -> None:
        """Say something whether it makes sense or not, in an old session if there was one."""
        frame = self.frame(sender, to, cmd)
        if sender in self.old_sessions:
            self.judge(frame, self.old_sessions[sender])
        if self.may_send(sender):
            self.signal(frame, "done")

    def connect(self, user: UserId, rooms: set[RoomId], voice: bool, *, leaves_calls: bool = False) -> None:
        """Begin a session, after ending the older one; its calls may be left to be ended later."""
        self.disconnect(user)
        if not leaves_calls:
            self.conclude(user)
        self.open(user, rooms, voice)

    def open(self, user: UserId, rooms: set[RoomId], voice: bool) -> None:
        """Begin a session."""
        session = SessionId(f"{user}-{next(self.numbers)}")
        ask = self.opening(user, session, voice, rooms)
        self.users[user] = people.began(ask, self.users.get(user), self.oracle.now)
        self.oracle.live[user], self.oracle.voice[user] = session, voice
        self.oracle.rooms[user] = set(rooms)
        self.receivers.open(user, session)

    def lose(self, user: UserId) -> None:
        """Let a user lose the connection, but not the session."""
        self.users[user] = people.away(self.users[user])

    def resume(self, user: UserId) -> None:
        """Let a user go on with a session that is away."""
        ask = self.opening(user, self.oracle.live[user], self.oracle.voice[user])
        self.users[user] = people.resumed(ask, self.users[user], self.oracle.now)

    def expire(self, offerer: UserId, target: UserId) -> None:
        """Let an offer have waited long enough."""
        self.settle()
        pair = self.pairs[frozenset((offerer, target))]
        waiting = pair.offer_of(offerer)
        assert waiting is not None
        assert negotiation.expire(pair, offerer, "an offer of yesterday") is None
        expired = negotiation.expire(pair, offerer, waiting.generation)
        assert expired is not None
        self.pairs[frozenset((offerer, target))] = expired
        self.oracle.expire(offerer, target)

    def opening(
        self, user: UserId, session: SessionId, voice: bool, rooms: Iterable[RoomId] = ()
    ) -> OpenSession:
        """What a gateway asks for a new connection."""
        connection, secret = ConnectionId(f"{next(self.numbers)}"), SecretHash(session.encode())
        return OpenSession(
            user, session, GATEWAY, connection, voice, tuple(sorted(rooms)), secret, secret, None
        )

    def disconnect(self, user: UserId) -> None:
        """End a session in the user's record; its pairs learn of it when that is concluded."""
        if user not in self.oracle.live:
            return
        self.settle()
        self.conclude(user)
        if user in self.unanswered:
            self.give_up(user)
        self.users[user] = people.ended(self.users[user])
        self.old_sessions[user] = self.oracle.live.pop(user)
        self.receivers.close(self.old_sessions[user])
        self.endings[user] = EndCalls(self.old_sessions[user], self.oracle.now)

    def join(self, user: UserId, room: RoomId) -> None:
        """Make a user a member."""
        self.users[user] = people.joined(self.users[user], room, self.oracle.now)
        self.oracle.rooms[user].add(room)

    def leave(self, user: UserId, room: RoomId) -> None:
        """Make a user no member in its record; its pairs learn of it when that is concluded."""
        self.settle()
        self.conclude(user)
        self.users[user] = people.left(self.users[user], room)
        self.oracle.rooms[user].discard(room)
        cause = f"left-{next(self.numbers)}"
        self.endings[user] = EndCallsWithoutRoom("left", cause, self.oracle.now)

    def conclude(self, user: UserId) -> None:
        """Let the pairs of a user know that it left or is offline."""
        if user not in self.endings:
            return
        self.settle()
        effect = self.endings.pop(user)
        for users, pair in self.pairs.items():
            if user not in users:
                continue
            (peer,) = users - {user}
            facts = Facts(self.oracle.now)
            if isinstance(effect, EndCalls):
                step = endings.end_calls(effect, user, peer, pair, self.users, facts)
                call = self.oracle.book(user, peer).call
                is_over = user not in self.oracle.live or self.oracle.is_outlived(call, user)
            else:
                step = endings.end_calls_without_room(effect, user, peer, pair, self.users, facts)
                is_over = not self.oracle.share_a_room(user, peer)
            assert isinstance(step, Change)
            assert (step.record is not None) == (is_over and pair.is_active)
            if step.record is not None:
                self.pairs[users] = step.record
            if is_over:
                self.oracle.book(user, peer).over()

    def wait(self, ms: int) -> None:
        """Let time pass, in which routers end what they have begun."""
        self.settle()
        if ms > 400:  # no gateway goes on asking for so long
            for sender in sorted(self.unanswered):
                self.give_up(sender)
        self.oracle.now += ms
