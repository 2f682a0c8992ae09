"""Of which records a rule must have seen what the leader says, to decide as it did. Pure.

A replica that lags a moment behind, or what a process remembers, must not refuse anything wrongly
(docs/decisions/0008-refusals-are-confirmed-by-the-leader.md). What is written finds that out by itself.
"""

from typing import Final

from presence.rules.change import Change, Gathered, ListRoom, Reply
from presence.rules.user import User
from tieline.wire.codes import ErrorCode
from tieline.wire.internal.answers import Refused, SessionGone


def changes_nothing(change: Change[User]) -> bool:
    """Whether no write will find out that the record was another one; what lists a room reads on."""
    return change.record is None and not isinstance(change.reply, ListRoom)


_NEVER_DOUBTED: Final = ErrorCode.UNKNOWN_COMMAND.name
"""Whatever is stored, the same message is refused so."""

_OF_THE_PAIR: Final = ErrorCode.TOO_MANY_CANDIDATES.name
"""A refusal by what the two negotiate alone: what is known of the users could only refuse it otherwise."""


def doubted(reply: Reply, users: tuple[str, ...], pair: str) -> tuple[str, ...]:
    """Name the keys of which a replica that lags behind could have caused this reply wrongly.

    Too many candidates are held no more once the answer has released them, so that refusal is doubted, too.
    """
    match reply:
        case Refused(reason) if reason == _NEVER_DOUBTED:
            return ()
        case Refused(reason) if reason == _OF_THE_PAIR:
            return (pair,)
        case Refused() | SessionGone():
            return (*users, pair)
        case Gathered(replies):
            named = (doubted(each, users, pair) for each in replies)
            return tuple(dict.fromkeys(key for keys in named for key in keys))
        case _:
            return ()
