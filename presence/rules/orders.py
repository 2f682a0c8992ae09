"""The backend's orders in their order: what is carried out after a later one changes nothing. Pure.

A process may stand still between any two steps of an order, while the backend, which is told that no answer
came, orders the opposite. So each order has a number that only grows (`presence.numbers`), given before the
backend is answered. A user's `Standing` remembers the highest that was carried out, of each thing that is
ordered; every step of an order looks at that again (`in_place`), after it has read the record that it is
about to write. Whoever carries out a later order writes the standing first, and then the record, also where
nothing of it changes: either the look finds the number, or the write finds another record.

The same order may be carried out by two processes, of which one stood still. When it is answered
(`presence.once`), nothing more is changed for it: what its user has done since stands. Until then the copy
counts that has claimed its name last: each step looks whether that is still its own.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from presence.rules.change import Change, Facts, LookAt, RecordT, Rule, Step
from presence.rules.closing import closing_of, has_closed_since
from presence.rules.standing import standing_of
from presence.rules.user import User
from tieline.wire.checks import UNREADABLE
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected
from tieline.wire.internal.rooms import JoinRoom
from tieline.wire.subjects import Keys

OVERTAKEN: Final = Refused("OVERTAKEN")
"""A later order about the same thing was carried out before."""

OTHER_COPY: Final = Refused("OTHER_COPY")
"""Another copy of the order has begun since, or its answer is forgotten already. It is an answer to nobody:
who asked for this copy is told what the other one is answered."""

ANSWERED: Final = Refused("ANSWERED")
"""The order was carried out before, and is answered: nobody waits for what comes of it. Its user is out."""

WAITED_MS: Final = 5_000
"""For so long the API waits for an answer, from before an order is numbered."""

BAN: Final = "ban"
VOICE: Final = "voice"

Beside = Mapping[UserId, User]


def of_room(room: RoomId) -> str:
    """Name the membership of a room, among what is ordered about a user."""
    return f"room {room}"


class Named(msgspec.Struct, frozen=True, array_like=True):
    """What was asked for under the name of a change, and how that was answered. It is stored."""

    change: bytes
    """A hash of what was asked."""
    answer: bytes
    """Empty: it is claimed, and not known to be carried out."""
    claimed_until: int = 0
    """In Unix milliseconds; after that somebody else may carry it out."""
    number: int = 0
    """Of the order, as it was asked for first."""


encode_named: Final = msgspec.msgpack.Encoder().encode
_decode_named: Final = msgspec.msgpack.Decoder(Named).decode


def read_named(value: bytes) -> Named | None:
    """Read what stands under a name; None: nothing, or nothing that can be understood."""
    try:
        return _decode_named(value) if value else None
    except msgspec.MsgspecError:
        return None


class Place(NamedTuple):
    """Where an order about a user stands among all."""

    user: UserId
    what: str
    """What it is about: a membership, a ban, the voice."""
    number: int
    once: str = ""
    """The name under which it is answered; empty: of an order about a whole room."""
    claim: int = 0
    """The revision of the claim of that name, by which one copy of an order is told from another
    (`presence.once`); 0: whichever."""
    room: RoomId | None = None
    """The room of which the user is made a member, or is no more: whoever closes that has overtaken it."""
    closing: RoomId | None = None
    """The room that is being closed, if the order is about that: it counts while the room is."""

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Name what says whether it still counts."""
        rooms = [Keys.closing(room) for room in (self.room, self.closing) if room is not None]
        names = [Keys.once(self.once)] if self.once else []
        return (Keys.standing(self.user), *rooms, *names)


def in_place(place: Place, rule: Rule[RecordT]) -> Rule[RecordT]:
    """Have a rule decide only what no later order has overtaken, and what is not answered yet."""

    def decide(record: RecordT | None, beside: Beside, facts: Facts) -> Step[RecordT]:
        if any(key not in facts.read for key in place.looks_at):
            return LookAt(place.looks_at)
        if standing_of(place.user, facts).newest(place.what) > place.number or (
            place.room is not None and has_closed_since(place.room, place.number, facts)
        ):
            return Change(OVERTAKEN)
        if place.closing is not None and closing_of(place.closing, facts) is None:
            return Change(Affected(0))
        answer = _answer(place.once, place.claim, facts)
        return rule(record, beside, facts) if answer is None else Change(answer)

    return decide


def unless_answered(once: str, claim: int, rule: Rule[RecordT]) -> Rule[RecordT]:
    """Have a rule decide only what is not answered yet: of an order that no other one takes back.

    It is carried out only while somebody waits for the answer (`waited_until`): what is disconnected, or
    ended, later than that is another session, or another call, than was meant.
    """
    key = Keys.once(once)

    def decide(record: RecordT | None, beside: Beside, facts: Facts) -> Step[RecordT]:
        if key not in facts.read:
            return LookAt((key,))
        answer = _answer(once, claim, facts)
        return rule(record, beside, facts) if answer is None else Change(answer)

    return decide


def waited_until(number: int) -> int:
    """Return until when somebody waits for the answer to an order, in Unix milliseconds."""
    return number // 1000 + WAITED_MS


def joining(
    rule: Callable[[JoinRoom, User | None, Beside, Facts], Step[User]],
) -> Callable[[JoinRoom, User | None, Beside, Facts], Step[User]]:
    """Have a gateway put a user into a room for an order only while that counts.

    Of a user who is in it nothing changes, and the gateway has to know: it may have missed the answer, or
    what another process has done for the order. A join without a number is a client's, or that of a session
    which presence has told to be in the room.
    """

    def decide(ask: JoinRoom, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        def join(user: User | None, beside: Beside, facts: Facts) -> Step[User]:
            return rule(ask, user, beside, facts)

        if not (ask.is_ordered and ask.order) or _is_in(ask, user):
            return join(user, beside, facts)
        place = Place(ask.user, of_room(ask.room), ask.order, ask.once, room=ask.room)
        step = in_place(place, join)(user, beside, facts)
        if isinstance(step, Change) and (isinstance(step.reply, Affected) or step.reply == OTHER_COPY):
            return Change(ANSWERED)
        return step

    return decide


def _is_in(ask: JoinRoom, user: User | None) -> bool:
    return user is not None and user.has_live(ask.session) and ask.room in user.rooms


def _answer(once: str, claim: int, facts: Facts) -> Affected | Refused | None:
    return answer_in(*facts.read[Keys.once(once)], claim) if once else None


def answer_in(value: bytes, revision: int, claim: int) -> Affected | Refused | None:
    """Read what stands under an order's name: how this copy of it is answered; None: it is to go on.

    Whoever carries an order out has claimed its name before: where nothing stands there, it is forgotten.
    """
    if not value:
        return OTHER_COPY
    named = read_named(value)
    if named is None or not named.answer:
        return OTHER_COPY if claim and revision != claim else None
    try:
        answer = codec.decode_presence_reply(named.answer)
    except UNREADABLE:
        return None
    return answer if isinstance(answer, Affected | Refused) else None
