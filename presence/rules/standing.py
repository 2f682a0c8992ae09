"""What the backend has decided about a user, which counts whatever its tokens say, also offline. Pure.

A `Standing` is a record of its own: a user's record goes some minutes after its last session, and a process
of version 0.1 that changed one would drop what it does not know. Such a process lets a user in that is
banned, and gives it only the rooms of its token; what is changed of a session that lives it sees like any
other change.

A standing is written before the user's record, and the user's record is written after it even where nothing
of it changes (`presence.rules.moderation`). Whoever has decided on an older standing finds the user's record
changed then, and decides anew: both lie in one stream, so a read that has the newer record has the newer
standing.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from presence.rules.change import Change, Facts, Rule, Step
from presence.rules.closing import is_closing
from presence.rules.effects import MemberWent
from presence.rules.order import refused
from presence.rules.user import User, with_session
from tieline.wire.ids import RoomId, UserId, is_valid_id
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.rooms import JoinRoom
from tieline.wire.internal.sessions import OpenSession, Register, Regrant
from tieline.wire.subjects import Keys

BANNED: Final = "BANNED"
"""The reason of a refusal to begin a session. No client is told it in a message: it is denied the upgrade."""

KEPT_OUT: Final = "KEPT_OUT"
"""The reason of a refusal to join, whatever the token says. A client is told ROOM_FORBIDDEN, as by its token
(`presence.operations`), of which alone it is counted that a gateway should not have asked."""

NUMBERS_KEPT_MS: Final = 3_600_000
"""How long the numbers of orders are remembered; an order that is older is too late in any case. As long as a
change may be asked for again under its name. Numbers are microseconds (`presence.numbers`)."""

Beside = Mapping[UserId, User]

AskT = TypeVar("AskT", OpenSession, Register, Regrant)


class Gift(msgspec.Struct, frozen=True, array_like=True):
    """An order that made a user a member, which is taken back if it is refused (`presence.rules.giving`)."""

    room: RoomId
    number: int
    """Of the order."""
    claim: int
    """Which copy of it has given that last (`presence.rules.orders.Place`)."""
    number_before: int
    """Of the order about the same thing before it; 0: there was none."""
    was_given: bool
    """Whether the user was a member before it."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """What the backend has decided about a user. Times are Unix milliseconds."""

    banned_until: int = 0
    given: tuple[RoomId, ...] = ()
    """Rooms that it is a member of whenever it is connected."""
    is_silenced: bool = False
    """It may start no calls."""
    kept_out: tuple[tuple[RoomId, int], ...] = ()
    """Rooms that it may not be in, and until when."""
    orders: tuple[tuple[str, int], ...] = ()
    """The number of the order that was carried out last, of each thing that is ordered
    (`presence.rules.orders`)."""
    gifts: tuple[Gift, ...] = ()
    """What was given within that time, the last ones of each room, in their order."""

    def is_out_of(self, room: RoomId, now: int) -> bool:
        """Whether it may not be in a room now."""
        return any(each == room and now < until for each, until in self.kept_out)

    def is_banned(self, now: int) -> bool:
        """Whether it may not connect now."""
        return now < self.banned_until

    def newest(self, what: str) -> int:
        """Return the number of what was ordered last about a thing; 0: nothing is known of that."""
        return dict(self.orders).get(what, 0)


NONE: Final = Standing()

_decoder = msgspec.msgpack.Decoder(Standing)


def read(value: bytes) -> Standing:
    """Decode a standing.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _decoder.decode(value)


def standing_of(user: UserId, facts: Facts) -> Standing:
    """Find a user's standing among what was read. One that cannot be understood is none."""
    value, _ = facts.read.get(Keys.standing(user), (b"", 0))
    if not value:
        return NONE
    try:
        return read(value)
    except msgspec.MsgspecError:
        return NONE


def may_wake(caller: User, callee: UserId, facts: Facts) -> bool:
    """Whether a user may be waited for by this caller: it is given a room of the caller's, and not banned.

    Its standing is among what was read.
    """
    return bool(rooms_to_wake_in(caller, callee, facts))


def rooms_to_wake_in(caller: User, callee: UserId, facts: Facts) -> tuple[RoomId, ...]:
    """List the rooms of the caller's that another user is given, in order; none if that one is banned.

    Its standing is among what was read.
    """
    standing = standing_of(callee, facts)
    if standing.is_banned(facts.now):
        return ()
    here = (room for room in standing.given if room in caller.rooms)
    return tuple(sorted(room for room in here if not standing.is_out_of(room, facts.now)))


def kept_s(standing: Standing, now: int) -> float | None:
    """Say for how long a standing has to be kept, in seconds; None: for good; 0: it says nothing."""
    if standing.given or standing.is_silenced:
        return None
    numbered = (_known_until(number) for _, number in standing.orders)
    last = max((standing.banned_until, *(until for _, until in standing.kept_out), *numbered))
    return max(0, last - now) / 1000


def in_turn(standing: Standing, what: str, number: int, now: int) -> Standing | None:
    """Note an order about a thing as the last one; None: a later one was carried out."""
    if standing.newest(what) > number:
        return None
    orders = {each: last for each, last in standing.orders if _known_until(last) > now} | {what: number}
    return msgspec.structs.replace(standing, orders=tuple(orders.items()))


def is_too_old(number: int, now: int) -> bool:
    """Whether an order is so old that a later one may be forgotten."""
    return _known_until(number) <= now


def _known_until(number: int) -> int:
    return number // 1000 + NUMBERS_KEPT_MS


def give(standing: Standing, room: RoomId, now: int) -> Standing:
    """Make a user a member of a room whenever it is connected."""
    given = (*(each for each in standing.given if each != room), room)
    return _pruned(msgspec.structs.replace(standing, given=given), now, out_of=(room, 0))


def take(standing: Standing, room: RoomId, until: int, now: int) -> Standing:
    """Make a user a member no more, and keep it out of the room until then."""
    given = tuple(each for each in standing.given if each != room)
    gifts = tuple(each for each in standing.gifts if each.room != room)
    return _pruned(msgspec.structs.replace(standing, given=given, gifts=gifts), now, out_of=(room, until))


def ban(standing: Standing, until: int, now: int) -> Standing:
    """Let a user connect no more until then."""
    return _pruned(msgspec.structs.replace(standing, banned_until=until), now)


def silence(standing: Standing, is_silenced: bool, now: int) -> Standing:
    """Let a user start no calls, or let it again."""
    return _pruned(msgspec.structs.replace(standing, is_silenced=is_silenced), now)


def _pruned(standing: Standing, now: int, out_of: tuple[RoomId, int] | None = None) -> Standing:
    """Forget what is over; `out_of` is a room that the user is kept out of from now on, and until when."""
    rooms = dict((*standing.kept_out, out_of) if out_of else standing.kept_out)
    kept_out = tuple((room, until) for room, until in rooms.items() if until > now)
    banned_until = standing.banned_until if standing.is_banned(now) else 0
    return msgspec.structs.replace(standing, kept_out=kept_out, banned_until=banned_until)


def opening(
    rule: Callable[[OpenSession, User | None, Beside, Facts], Step[User]],
) -> Callable[[OpenSession, User | None, Beside, Facts], Step[User]]:
    """Have a session begin, or be resumed, with what the backend gives, and not while its user is banned."""

    def decide(ask: OpenSession, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        standing = standing_of(ask.user, facts)
        if standing.is_banned(facts.now):
            return Change(Refused(BANNED))
        join = tuple(dict.fromkeys((*standing.given, *ask.join)))
        join = tuple(
            room for room in join if not standing.is_out_of(room, facts.now) and not is_closing(room, facts)
        )
        wanted = msgspec.structs.replace(
            ask,
            granted=_granted(ask.granted, standing, facts.now),
            join=join,
            voice=ask.voice and not standing.is_silenced,
        )
        return _saying(rule, wanted, ask.voice if standing.is_silenced else None)(user, beside, facts)

    return decide


def regranting(
    rule: Callable[[Regrant, User | None, Beside, Facts], Step[User]],
) -> Callable[[Regrant, User | None, Beside, Facts], Step[User]]:
    """Have a newer token grant what the backend gives beside it, and not what it has taken."""

    def decide(ask: Regrant, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        standing = standing_of(ask.user, facts)
        wanted = msgspec.structs.replace(
            ask,
            granted=_granted(ask.granted, standing, facts.now),
            voice=ask.voice and not standing.is_silenced,
        )
        step = _saying(rule, wanted, ask.voice if standing.is_silenced else None)(user, beside, facts)
        return _also_in(step, user, ask.granted)

    return decide


def registering(
    rule: Callable[[Register, User | None, Beside, Facts], Step[User]],
) -> Callable[[Register, User | None, Beside, Facts], Step[User]]:
    """Have a session restored with what the backend gives, without what it has taken since, or not at all.

    One that was disconnected stays that, also for a gateway of version 0.1, which never says so.
    """

    def decide(ask: Register, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        if user is not None and user.session.connection == ask.connection and user.session.left:
            return Change(SessionGone(replaced=False))
        standing = standing_of(ask.user, facts)
        if standing.is_banned(facts.now):
            return Change(Refused(BANNED))
        rooms = _rooms_to_restore(ask, user, standing, facts)
        wanted = msgspec.structs.replace(ask, rooms=rooms, voice=ask.voice and not standing.is_silenced)
        step = _saying(rule, wanted, ask.voice if standing.is_silenced else None)(user, beside, facts)
        step = _also_in(step, user, tuple(ask.rooms))
        # What a session that lives was put out of says the log of that room.
        return step if user is not None and user.is_reachable else _telling_lost(ask, step, facts)

    return decide


def _rooms_to_restore(
    ask: Register, user: User | None, standing: Standing, facts: Facts
) -> dict[RoomId, int]:
    """List the rooms in which a session is restored, with since when it is in them.

    Where there is a record of it, that says them: it may have been put out since it has ended.
    """
    rooms = ask.rooms
    if user is not None and user.session.id == ask.session:
        rooms = {room: ask.rooms.get(room, member.since) for room, member in user.rooms.items()}
    given = dict.fromkeys(standing.given, facts.now)
    return {room: at for room, at in (given | rooms).items() if not standing.is_out_of(room, facts.now)}


def _also_in(step: Step[User], user: User | None, known: tuple[RoomId, ...] | None) -> Step[User]:
    """Say in which rooms a session is beside those that are known; None: all may be."""
    after = step.record or user if isinstance(step, Change) else None
    if not isinstance(step, Change) or step.reply != Done() or after is None or known is None:
        return step
    rooms = tuple(room for room in after.rooms if room not in known and is_valid_id(room))
    return msgspec.structs.replace(step, reply=Done(also_in=rooms)) if rooms else step


def _telling_lost(ask: Register, step: Step[User], facts: Facts) -> Step[User]:
    """Tell the client of a session that is restored which rooms it is in no more: nobody else has."""
    if not isinstance(step, Change) or step.record is None:
        return step
    went = (
        MemberWent(room, ask.session, 0, "kicked", facts.now, tell_user=True, again=True)
        for room in ask.rooms
        if room not in step.record.rooms
    )
    return msgspec.structs.replace(step, effects=(*step.effects, *went))


def joining(
    by_token: Callable[[JoinRoom, User | None, Beside, Facts], Step[User]],
    by_word: Callable[[JoinRoom, User | None, Beside, Facts], Step[User]],
) -> Callable[[JoinRoom, User | None, Beside, Facts], Step[User]]:
    """Have a user join also by the backend's word alone, and nothing that it is kept out of."""

    def decide(ask: JoinRoom, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        standing = standing_of(ask.user, facts)
        if standing.is_out_of(ask.room, facts.now) or is_closing(ask.room, facts):
            return refused(Refused(KEPT_OUT), ask, user, facts)
        is_in = user is not None and ask.room in user.rooms
        if ask.is_ordered and ask.room not in standing.given and not is_in:
            return refused(Refused(KEPT_OUT), ask, user, facts)  # the backend has taken it back since
        rule = by_word if ask.room in standing.given else by_token
        return rule(ask, user, beside, facts)

    return decide


def _granted(granted: tuple[RoomId, ...] | None, standing: Standing, now: int) -> tuple[RoomId, ...] | None:
    """Grant what the backend gives beside what the token does.

    Of a token that grants all rooms nothing is taken here: those that the user is kept out of it has left
    when the backend said so.
    """
    if granted is None:
        return None
    both = dict.fromkeys((*granted, *standing.given))
    return tuple(room for room in both if not standing.is_out_of(room, now))


def _saying(
    rule: Callable[[AskT, User | None, Beside, Facts], Step[User]], ask: AskT, voice: bool | None
) -> Rule[User]:
    """Have a session say what its token says of voice, if the backend says otherwise; None: it does not."""

    def decide(user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        return _said(rule(ask, user, beside, facts), voice)

    return decide


def _said(step: Step[User], voice: bool | None) -> Step[User]:
    if not isinstance(step, Change):
        return step
    if step.then is not None:
        then = step.then

        def go_on(user: User | None, beside: Beside, facts: Facts) -> Step[User]:
            return _said(then(user, beside, facts), voice)

        return msgspec.structs.replace(step, then=go_on)
    after = step.record
    if after is None or after.session.voice_by_token == voice or not after.is_reachable:
        return step
    session = msgspec.structs.replace(after.session, voice_by_token=voice)
    return msgspec.structs.replace(step, record=with_session(after, session))
