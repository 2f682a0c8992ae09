"""In which order what gateways ask counts: what is older than what is carried out changes nothing. Pure.

A gateway asks again when it is not answered, and a process that stands still, or a network that was cut, may
hand on any of the copies later, after any time. What is asked for a user is ordered by three things, none of
which is a clock:

- **Openings** of connections say as of which revision of the bucket they were asked. The record says with
  which revision of its own its connection changed last (`Session.fence`). An opening that does not know of
  that may be older: its gateway may ask anew, if its client still waits.
- **Requests of a connection** name it. What a connection asks counts only while the record names the same
  one, and its gateway has not said that it has ended (`Session.left`).
- **Requests of one connection** carry a number, which grows whenever a copy of an earlier one may still be
  under way. The record has the highest that is carried out (`Session.number`).

What is asked for a gateway counts only while the gateway has its lease: when that has run out, its sessions
have been looked after, and one that began afterwards would be nobody's. Gateways of version 0.1 say none of
this; what they ask is taken as it comes (docs/decisions/0081-what-is-asked-late-changes-nothing.md).
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import msgspec

from presence.rules.change import Change, Facts, Step
from presence.rules.user import Session, User, gone, with_session
from tieline.wire.ids import ConnectionId, GatewayId, SessionId, UserId
from tieline.wire.internal.answers import Outdated, Refused, SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import EndSession, OpenSession, Register
from tieline.wire.subjects import Keys

ONCE_LEASED = Outdated()
"""Ask anew once the lease is renewed."""


class OfConnection(Protocol):
    """What a connection asks for its session."""

    @property
    def session(self) -> SessionId:
        """The session that the connection has."""
        ...

    @property
    def connection(self) -> ConnectionId:
        """The connection that asks; empty: an older gateway does not say."""
        ...

    @property
    def number(self) -> int:
        """Lower than that of what is carried out: it has been overtaken."""
        ...


AskT = TypeVar("AskT", bound=OfConnection)

Beside = Mapping[UserId, User]


def in_order(
    rule: Callable[[AskT, User, Facts], Step[User]],
) -> Callable[[AskT, User | None, Beside, Facts], Step[User]]:
    """Have a rule decide only what nothing later has overtaken, and remember its number."""

    def decide(ask: AskT, user: User | None, _beside: Beside, facts: Facts) -> Step[User]:
        if user is None or not user.has_live(ask.session):
            return Change(gone(user))
        refusal = _overtaken(ask, user.session)
        if refusal is not None:
            return Change(refusal)
        step = rule(ask, user, facts)
        if not isinstance(step, Change) or ask.number <= user.session.number:
            return step
        after = step.record or user
        numbered = msgspec.structs.replace(after.session, number=ask.number)
        return msgspec.structs.replace(step, record=with_session(after, numbered))

    return decide


def refused(reply: Refused, ask: OfConnection, user: User | None, facts: Facts) -> Step[User]:
    """Refuse what a connection asks, so that no older copy of it is carried out later."""
    if user is None or not user.has_live(ask.session):
        return Change(reply)
    return in_order(lambda _ask, _user, _facts: Change(reply))(ask, user, {}, facts)


def _overtaken(ask: OfConnection, session: Session) -> PresenceReply | None:
    if (
        not ask.connection
    ):  # an older gateway does not say; for the session of one that does, another one asks
        return SessionGone(replaced=True) if session.is_named else None
    if ask.connection != session.connection:
        return SessionGone(replaced=True)
    if session.left:
        return SessionGone(replaced=False)
    return Outdated() if ask.number < session.number else None


def opening_is_late(ask: OpenSession, user: User | None, facts: Facts) -> Outdated | None:
    """Say why an opening does not count: the connection has changed since, or the gateway has no lease."""
    if not ask.asked:
        return None
    if not has_lease(ask.gateway, facts):
        return ONCE_LEASED
    if user is not None and ask.asked < user.session.fence:
        return Outdated(facts.revision)
    return None


def registering_is_late(ask: Register, user: User | None, facts: Facts) -> PresenceReply | None:
    """Say why a registration does not count.

    Of a user who has no record nothing says what was carried out last. So it must have been asked since its
    gateway has renewed its lease, which it does every few seconds.
    """
    if not ask.asked:
        return None
    if not has_lease(ask.gateway, facts):
        return ONCE_LEASED
    if user is None:
        _, leased = facts.read[Keys.lease_timer(ask.gateway, facts.at)]
        return Outdated(leased) if ask.asked < leased else None
    if user.session.left:
        return SessionGone(replaced=False)
    return Outdated(facts.revision) if ask.number < user.session.number else None


def may_yet_begin(ask: EndSession, user: User | None) -> bool:
    """Whether a late copy may yet open a connection that has ended, and that the record does not name."""
    return bool(ask.asked) and (user is None or ask.asked >= user.session.fence)


def has_lease(gateway: GatewayId, facts: Facts, since: int = 0) -> bool:
    """Whether a gateway has its lease, renewed after the revision `since`, as far as was read."""
    value, revision = facts.read.get(Keys.lease_timer(gateway, facts.at), (b"", 0))
    return bool(value) and revision > since
