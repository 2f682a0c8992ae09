"""Every subject of Tieline and every key of the presence bucket, spelled in one place.

An id from outside becomes one subject token: letters, digits, `_` and `-` stand for themselves, every
other byte of its UTF-8 is `=XX`. nats-py checks no subject, so an id with a space, a dot, a wildcard or
a line end would otherwise be protocol injection. The subjects of JetStream's own API are in `jetstream`.
"""

import functools
from typing import Final

from tieline.wire import jetstream
from tieline.wire.ids import ConnectionId, FrameDigest, GatewayId, RoomId, SessionId, UserId

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_ENCODED: Final = tuple(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in range(256))

ANY: Final = "*"
"""The wildcard for one token, for arguments that are no ids from outside: a session, or a word of our own.

An id that happens to be `*` is encoded like any other, so no id is ever a pattern.
"""


@functools.lru_cache(maxsize=65_536)  # every message names two users, mostly the same as the one before it
def token(identifier: str) -> str:
    """Encode an id into one subject token.

    Raises:
        UnicodeEncodeError: the id holds a lone surrogate (`is_valid_id` refuses those).
        ValueError: the id is empty; an empty token would change the shape of the subject.
    """
    if not identifier:
        raise ValueError("an empty id cannot stand in a subject")
    return "".join(_ENCODED[byte] for byte in identifier.encode())


@functools.lru_cache(maxsize=65_536)  # whenever a roster is read, each of its members is decoded again
def identifier(encoded: str) -> str:
    """Decode what `token` encoded.

    Raises:
        ValueError: `encoded` was not made by `token`.
    """
    head, *rest = encoded.split("=")
    raw = head.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest)
    text = raw.decode()
    if not text or token(text) != encoded:
        raise ValueError(f"not an encoded id: {encoded!r}")
    return text


class Subjects:
    """The subjects below one namespace, so that several systems may share a broker."""

    def __init__(self, namespace: str) -> None:
        self.namespace = token(namespace)

    def signal(self, cmd: str) -> str:
        """Signals, to one router. `cmd` is a command of the protocol."""
        return f"{self.namespace}.signal.{cmd}"

    def signals(self) -> str:
        """Every signal: what the routers' queue group listens to."""
        return f"{self.namespace}.signal.*"

    def presence(self, op: str) -> str:
        """One request to one presence process."""
        return f"{self.namespace}.presence.{op}"

    def presences(self) -> str:
        """Every presence request: what the presences' queue group listens to."""
        return f"{self.namespace}.presence.*"

    def user(self, user: UserId, session: SessionId) -> str:
        """Frames for one session of a user, byte for byte: to the mailbox, which republishes on `live`."""
        return f"{self.namespace}.user.{token(user)}.{session}"

    def users(self) -> str:
        """Every frame for every user: what the mailbox keeps."""
        return f"{self.namespace}.user.>"

    def live(self, user: UserId, session: SessionId) -> str:
        """The same frames, once they are stored, in that order: what the session's gateway listens to."""
        return f"{self.namespace}.live.user.{token(user)}.{session}"

    def mark(self, gateway: GatewayId) -> str:
        """Markers that a gateway sends itself through the mailbox, to know that its subscriptions deliver."""
        return f"{self.namespace}.mark.{token(gateway)}"

    def marks(self) -> str:
        """Every gateway's markers: the mailbox keeps them too."""
        return f"{self.namespace}.mark.*"

    def live_mark(self, gateway: GatewayId) -> str:
        """Where a gateway's markers come back."""
        return f"{self.namespace}.live.mark.{token(gateway)}"

    def pushed(self) -> tuple[str, str]:
        """What the mailbox republishes, and where to: patterns whose last tokens are the same."""
        return f"{self.namespace}.>", f"{self.namespace}.live.>"

    def mailbox_question(self) -> str:
        """Captured by the mailbox like a user's frame, but without a listener: to ask it about duplicates."""
        return f"{self.namespace}.mailbox.question"

    def mailbox(self) -> str:
        """Name the stream that keeps what was sent to users."""
        return f"MAILBOX_{self.namespace}"

    def mailbox_elections(self) -> str:
        """Where the broker tells that the mailbox has a new leader, which republishes from another node."""
        return jetstream.leader_elected(self.mailbox())

    def gateway(self, gateway: GatewayId, what: str) -> str:
        """For one gateway: `close`, `alive`, or the prefix of the replies to its requests (`reply`)."""
        return f"{self.namespace}.gateway.{token(gateway)}.{what}"

    def replies(self, service: str, instance: str) -> str:
        """The prefix of the replies to one router's or presence's own requests."""
        return f"{self.namespace}.{service}.{token(instance)}.reply"

    def inbox(self, service: str, instance: str) -> str:
        """The prefix of what JetStream sends to one process through nats-py: answers, and due timers."""
        return f"{self.namespace}.{service}.{token(instance)}.inbox"

    def changed(self, user: UserId) -> str:
        """Tell routers to drop what they have cached about this user."""
        return f"{self.namespace}.changed.{token(user)}"

    def changes(self) -> str:
        """Every `changed`: what each router listens to."""
        return f"{self.namespace}.changed.*"

    def event(self, kind: str) -> str:
        """What has happened, for backends and audits."""
        return f"{self.namespace}.events.{kind}"


class Keys:
    """The keys of the presence bucket, and the patterns of those that are read together."""

    @staticmethod
    def user(user: UserId) -> str:
        """A user's record, which decides on its session, status and rooms."""
        return f"user.{token(user)}"

    @staticmethod
    def room(room: RoomId, user: UserId) -> str:
        """One entry of a room's roster; the user's record decides."""
        return f"room.{token(room)}.{token(user)}"

    @staticmethod
    def roster(room: RoomId) -> str:
        """The pattern of all entries of a room's roster."""
        return f"room.{token(room)}.*"

    @staticmethod
    def pair(one: UserId, other: UserId) -> str:
        """The negotiation of two users. The same key from either side."""
        first, second = sorted((token(one), token(other)))
        return f"pair.{first}.{second}"

    @staticmethod
    def pairs_of(user: UserId) -> tuple[str, str]:
        """The two patterns that cover every negotiation of a user."""
        return f"pair.{token(user)}.*", f"pair.*.{token(user)}"

    @staticmethod
    def held(one: UserId, other: UserId, digest: FrameDigest) -> str:
        """The frame of a candidate that two users' negotiation holds, where it lies apart from the record."""
        first, second = sorted((token(one), token(other)))
        return f"held.{first}.{second}.{digest.hex()}"

    @staticmethod
    def session(gateway: GatewayId, session: SessionId) -> str:
        """Which user a session of a gateway belongs to; read when the gateway has died."""
        return f"session.{token(gateway)}.{session}"

    @staticmethod
    def sessions_of(gateway: GatewayId) -> str:
        """The pattern of all sessions of a gateway."""
        return f"session.{token(gateway)}.*"

    @staticmethod
    def offer_timer(offerer: UserId, target: UserId, generation: str) -> str:
        """The expiry of one waiting offer; `generation` tells it from the offer that replaced it."""
        return f"timer.offer.{token(offerer)}.{token(target)}.{generation}"

    @staticmethod
    def away_timer(user: UserId, connection: ConnectionId) -> str:
        """The end of the window in which a session may be resumed after this connection of it was lost."""
        return f"timer.away.{token(user)}.{connection}"

    @staticmethod
    def lease_timer(gateway: GatewayId) -> str:
        """A gateway's lease: its expiry says that the gateway died."""
        return f"timer.lease.{token(gateway)}"

    @staticmethod
    def timers() -> str:
        """The pattern of every timer."""
        return "timer.>"


def users_of_pair(key: str) -> tuple[UserId, UserId]:
    """Read the two users back from a `Keys.pair` key.

    Raises:
        ValueError: not such a key.
    """
    kind, first, second = key.split(".")
    if kind != "pair":
        raise ValueError(f"not a pair's key: {key!r}")
    return UserId(identifier(first)), UserId(identifier(second))
