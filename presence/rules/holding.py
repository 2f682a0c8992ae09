"""Who may ask for a session: the gateway that holds it, and no other. Pure.

All gateways hear what is sent to any session, so that each knows every session by name. Its connection is
known to its own gateway and to presence alone: what is asked for a session names it. Gateways of version 0.1
do not, and the record of a session says whether its gateway does.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from presence.rules.change import Change, Facts, RecordT, Rule, Step
from presence.rules.user import User
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.signals import Check

Beside = Mapping[UserId, User]


class NamesConnection(Protocol):
    """What is asked for a session by the connection that has it."""

    @property
    def connection(self) -> ConnectionId:
        """The connection that asks; empty: an older gateway does not say."""
        ...


AskT = TypeVar("AskT", bound=NamesConnection)


def holds(user: User | None, connection: str | None) -> bool:
    """Whether who asks for a user's session names its connection, as far as that can be told.

    `connection` None: it comes by an older process, which cannot say.
    """
    if user is None or connection is None or not user.session.is_named:
        return True
    return user.session.connection == connection


def by_its_gateway(
    rule: Callable[[AskT, User | None, Beside, Facts], Step[User]],
) -> Callable[[AskT, User | None, Beside, Facts], Step[User]]:
    """Have a rule decide only on what a session's own gateway asks."""

    def decide(ask: AskT, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
        if not holds(user, ask.connection):
            return Change(SessionGone(replaced=True))
        return rule(ask, user, beside, facts)

    return decide


def checked(ask: Check, rule: Rule[RecordT]) -> Rule[RecordT]:
    """Have a rule decide on a signal only if the gateway of its sender's session has sent it."""

    def decide(record: RecordT | None, beside: Beside, facts: Facts) -> Step[RecordT]:
        if not holds(beside.get(ask.user), ask.connection):
            return Change(SessionGone(replaced=True))
        return rule(record, beside, facts)

    return decide
