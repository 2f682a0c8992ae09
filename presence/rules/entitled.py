"""What a session may do by its token, where presence looks at that itself. Pure.

A gateway checks the tokens of its clients. One that was taken over says that it has: so it is not believed
where presence has the keys (`presence.entitlement`). What the token says is kept with the session (`Grant`);
the token itself is not.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeVar

import msgspec

from presence.rules.change import Change, Facts, RecordT, Rule, Step
from presence.rules.standing import standing_of
from presence.rules.user import Grant, User, with_session
from tieline.verification.tokens import Claims
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import ConnectionId, RoomId, UserId
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.rooms import JoinRoom, ListMembers
from tieline.wire.internal.sessions import Opened, OpenSession, Register, Regrant

APART_S: Final = 60.0
"""How far the clocks of gateways may be from the broker's, by which presence judges whether a token is over:
as far as an issuer's may be."""

APART_MS: Final = int(APART_S * 1000)

Entitled = OpenSession | Register | Regrant
"""What a gateway may ask only with a token that entitles to it."""

Excess = Literal["user", "voice", "rooms"]

BEYOND: Final = Refused(ErrorCode.BAD_TOKEN.name)
"""The answer to who asks for more than a token says."""

Beside = Mapping[UserId, User]

AskT = TypeVar("AskT", JoinRoom, ListMembers)


def excess(ask: Entitled, claims: Claims) -> Excess | None:
    """Name what is asked for beyond what a token says; None: nothing."""
    if ask.user != claims.user:
        return "user"
    if ask.voice and not claims.voice:
        return "voice"
    if claims.granted is None:
        return None
    if isinstance(ask, Register):
        return None  # of its rooms the backend may have given some: `granting` looks at them
    if ask.granted is None:
        return "rooms"
    return None if all(map(claims.may_join, _rooms_in(ask))) else "rooms"


def _rooms_in(ask: OpenSession | Regrant) -> tuple[RoomId, ...]:
    """List the rooms that a session is to be in, or may join.

    Those in which a newer token finds it are no such rooms: it leaves what the token does not grant.
    """
    granted = ask.granted or ()
    return (*granted, *ask.join) if isinstance(ask, OpenSession) else granted


def grant_of(claims: Claims) -> Grant:
    """Keep of a token what a session is judged by later."""
    granted = claims.granted
    return Grant(claims.expires_at_ms, None if granted is None else tuple(dict.fromkeys(granted)))


def granting(rule: Rule[User], ask: Entitled, grant: Grant | None) -> Rule[User]:
    """Have a session hold what its token grants when what is asked for it is done; None: nothing is known.

    What is only restored keeps what it has: a newer token may have been looked at meanwhile.
    """

    def decide(user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        if isinstance(ask, Register) and grant is not None and _is_beyond(ask, grant, user, facts):
            return Change(BEYOND)
        step = rule(user, beside, facts)
        if not isinstance(step, Change):
            return step
        if step.then is not None:
            return msgspec.structs.replace(step, then=granting(step.then, ask, grant))
        after = step.record or user
        if after is None or not isinstance(step.reply, Opened | Done) or not _has(after, ask.connection):
            return step
        held = after.session.grant
        if held == grant or (isinstance(ask, Register) and grant is not None and held is not None):
            return step
        session = msgspec.structs.replace(after.session, grant=grant)
        return msgspec.structs.replace(step, record=with_session(after, session))

    return decide


def _is_beyond(ask: Register, grant: Grant, user: User | None, facts: Facts) -> bool:
    """Whether a session is to be restored in a room that neither its token nor the backend gives.

    If there is a record of it, it may be in the rooms which that says.
    """
    if grant.rooms is None:
        return False
    known = () if user is None or user.session.id != ask.session else tuple(user.rooms)
    return not {*ask.rooms} <= {*grant.rooms, *standing_of(ask.user, facts).given, *known}


def _has(user: User, connection: ConnectionId) -> bool:
    return user.is_reachable and (user.session.connection == connection or not connection)


def is_over(user: User | None, now: int) -> bool:
    """Whether the token of a user's session has ended, and its gateway has not ended the session by now."""
    grant = None if user is None else user.session.grant
    return grant is not None and now > grant.until + APART_MS


def joining(
    rule: Callable[[JoinRoom, User | None, Beside, Facts], Step[User]],
) -> Callable[[JoinRoom, User | None, Beside, Facts], Step[User]]:
    """Have a user join only what the token of its session grants."""

    def decide(ask: JoinRoom, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        grant = None if user is None else user.session.grant
        if grant is not None and grant.rooms is not None and ask.room not in grant.rooms:
            return Change(Refused(ErrorCode.ROOM_FORBIDDEN.name))
        return rule(ask, user, beside, facts)

    return decide


def in_time(
    rule: Callable[[AskT, User | None, Beside, Facts], Step[User]],
) -> Callable[[AskT, User | None, Beside, Facts], Step[User]]:
    """Have a rule decide only for sessions whose token has not ended."""

    def decide(ask: AskT, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        return (
            Change(SessionGone(replaced=False))
            if is_over(user, facts.now)
            else rule(ask, user, beside, facts)
        )

    return decide


def checked(sender: UserId, rule: Rule[RecordT]) -> Rule[RecordT]:
    """Have a rule decide on a signal only if the token of its sender's session has not ended."""

    def decide(record: RecordT | None, beside: Beside, facts: Facts) -> Step[RecordT]:
        if is_over(beside.get(sender), facts.now):
            return Change(SessionGone(replaced=False))
        return rule(record, beside, facts)

    return decide
