"""Every subject of Tieline and every key of the presence bucket, spelled in one place.

Every id becomes one subject token, whoever has made it: letters, digits, `_` and `-` stand for themselves,
every other byte of its UTF-8 is `=XX`. nats-py checks no subject, so an id with a space, a dot, a wildcard or
a line end would otherwise be protocol injection. The subjects of JetStream's own API are in `jetstream`.
"""

import functools
import re
from collections.abc import Callable
from typing import Final

from tieline.wire import jetstream
from tieline.wire.ids import ConnectionId, FrameDigest, GatewayId, RoomId, SessionId, UserId
from tieline.wire.partitions import FIRST, Partitions, placed

_LONGEST_REPLY: Final = 64
"""The longest last token of a subject for replies: far more than a request is called by."""

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_ALL_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_ENCODED: Final = tuple(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in range(256))


def token(identifier: str) -> str:
    """Encode an id into one subject token.

    Raises:
        UnicodeEncodeError: the id holds a lone surrogate (`is_valid_id` refuses those).
        ValueError: the id is empty; an empty token would change the shape of the subject.
    """
    if identifier.isalnum() and identifier.isascii():  # as the ids of all sessions are: none is remembered
        return identifier
    return _token(identifier)


@functools.lru_cache(maxsize=65_536)  # every message names two users, mostly the same as the one before it
def _token(identifier: str) -> str:
    if not identifier:
        raise ValueError("an empty id cannot stand in a subject")
    if _ALL_PLAIN.fullmatch(identifier):  # one string for both, of thousands of sessions
        return identifier
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


@functools.lru_cache(maxsize=65_536)  # every frame for a user passes here, many for each session
def _user_subject(namespace: str, user: UserId, session: SessionId) -> str:
    return f"{namespace}.user.{token(user)}.{token(session)}"


class Subjects:
    """The subjects below one namespace, so that several systems may share a broker.

    What is about the mailbox is about one partition of it: the first, in what is made here, and one each in
    `parts`, which share all else. Where there is one partition, it has the subjects that it always had. What
    is sent to users goes by itself to the partition of each.
    """

    def __init__(self, namespace: str, partitions: int = 1, at: int = FIRST) -> None:
        self.namespace = token(namespace)
        self.partitions = Partitions(partitions)
        self.at = at
        """Which partition of the mailbox this is about."""
        self._named = namespace
        parts = [""] if partitions == 1 else [f".{one}-of-{partitions}" for one in self.partitions]
        self._stored = [self.namespace + part for part in parts]
        self._pushed = [f"{self.namespace}.live{part}" for part in parts]
        self._mail, self._live = self._stored[at], self._pushed[at]

    def parts(self) -> "tuple[Subjects, ...]":
        """Return the same for each partition of the mailbox."""
        return tuple(Subjects(self._named, self.partitions.number, at) for at in self.partitions)

    def place_of(self, user: UserId) -> int:
        """Find the partition of a user."""
        return self.partitions.of(token(user)) if self.partitions.number > 1 else FIRST

    def signal(self, cmd: str) -> str:
        """Signals, to one router. `cmd` is a command of the protocol."""
        return f"{self.namespace}.signal.{cmd}"

    def signals(self) -> str:
        """Every signal: what the routers' queue group listens to."""
        return f"{self.namespace}.signal.*"

    def presence(self, op: str) -> str:
        """One request to one presence process."""
        return f"{self.namespace}.presence.{op}"

    def judge(self, instance: str) -> str:
        """Checks for one presence process, which its verdicts name (`Relay.by`)."""
        return f"{self.namespace}.presence.{token(instance)}.check"

    def presences(self) -> str:
        """Every presence request: what the presences' queue group listens to."""
        return f"{self.namespace}.presence.*"

    def user(self, user: UserId, session: SessionId) -> str:
        """Frames for one session of a user, byte for byte: to the mailbox, which republishes on `live`."""
        return _user_subject(self._stored[self.place_of(user)], user, session)

    def mail(self, user: UserId, session: SessionId) -> str:
        """The same, for who asks once in the life of a session: it is not remembered."""
        return _user_subject.__wrapped__(self._stored[self.place_of(user)], user, session)

    def users(self) -> str:
        """Every frame for every user: what the mailbox keeps."""
        return f"{self._mail}.user.>"

    def live(self, user: UserId, session: SessionId) -> str:
        """The same frames, once they are stored, in that order: what the session's gateway listens to."""
        return f"{self._pushed[self.place_of(user)]}.user.{token(user)}.{token(session)}"

    def room(self, room: RoomId, user: UserId) -> str:
        """One user's changes in a room's log: to the mailbox, which republishes on `live`."""
        return f"{self._mail}.room.{token(room)}.{token(user)}"

    def room_log(self, room: RoomId) -> str:
        """Every change of one room, as the mailbox stores them."""
        return f"{self._mail}.room.{token(room)}.*"

    def rooms(self) -> str:
        """Every change of every room: the mailbox keeps them too."""
        return f"{self._mail}.room.>"

    def live_room(self, room: RoomId) -> str:
        """Where one room's changes come once they are stored: what the gateways of its members listen to."""
        return f"{self._live}.room.{token(room)}.*"

    def mark(self, gateway: GatewayId) -> str:
        """Markers that a gateway sends itself through the mailbox, to know that its subscriptions deliver."""
        return f"{self._mail}.mark.{token(gateway)}"

    def marks(self) -> str:
        """Every gateway's markers: the mailbox keeps them too."""
        return f"{self._mail}.mark.*"

    def live_mark(self, gateway: GatewayId) -> str:
        """Where a gateway's markers come back."""
        return f"{self._live}.mark.{token(gateway)}"

    def pushed(self) -> tuple[str, str]:
        """What the mailbox republishes, and where to: patterns whose last tokens are the same."""
        return f"{self._mail}.>", f"{self._live}.>"

    def mailbox_question(self) -> str:
        """Captured by the mailbox like a user's frame, but without a listener: to ask it about duplicates."""
        return f"{self._mail}.mailbox.question"

    def mailbox(self) -> str:
        """Name the stream that keeps what was sent to users."""
        return self.partitions.part_of(f"MAILBOX_{self.namespace}", self.at)

    def bucket(self) -> str:
        """Name the bucket of what presence knows."""
        return self.partitions.part_of(self.namespace, self.at)

    def beside_bucket(self) -> tuple[str, ...]:
        """List what the stream of the bucket stores beside the bucket, for the reason of `captured`."""
        is_first = self.partitions.number > 1 and self.at == FIRST
        return (jetstream.bucket_prefix(self.namespace) + Keys.probe(),) if is_first else ()

    def captured(self) -> list[str]:
        """List what the mailbox stores.

        The first of several partitions also has the question that a mailbox of one has, so that there are no
        two mailboxes of different numbers at a time: of two streams that would have the same, JetStream
        refuses the second. Whoever asks there is told which there is.
        """
        captured = [self.users(), self.rooms(), self.marks(), self.mailbox_question()]
        return captured + [self.which()] * (self.partitions.number > 1 and self.at == FIRST)

    def which(self) -> str:
        """Where the mailbox is asked which it is, of however many partitions."""
        return f"{self.namespace}.mailbox.question"

    def mailbox_elections(self) -> str:
        """Where the broker tells that the mailbox has a new leader, which republishes from another node."""
        return jetstream.leader_elected(self.mailbox())

    def gateway(self, gateway: GatewayId, what: str) -> str:
        """For one gateway: `close`, `alive`, `join`, or the prefix of the answers it gets (`reply`)."""
        return f"{self.namespace}.gateway.{token(gateway)}.{what}"

    def replies(self, service: str, instance: str) -> str:
        """The prefix of the replies to one process's own requests."""
        return f"{self.namespace}.{service}.{token(instance)}.reply"

    def reply_to(self, service: str) -> Callable[[str], bool]:
        """Make a test of whether a subject is one on which a process of this service hears replies.

        A request names the subject of its answer, which whoever answers publishes with its own rights. So an
        answer goes nowhere else: not into the bucket, to a user, to JetStream or to another service.
        """
        form = re.compile(rf"{re.escape(self.namespace)}\.{service}\.[A-Za-z0-9_=-]{{1,384}}\.reply")

        @functools.lru_cache(maxsize=1_024)  # a process hears all its replies behind one prefix
        def is_prefix(text: str) -> bool:
            return form.fullmatch(text) is not None

        def is_reply(subject: str) -> bool:
            prefix, _, last = subject.rpartition(".")
            return is_prefix(prefix) and last.isalnum() and last.isascii() and len(last) <= _LONGEST_REPLY

        return is_reply

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

    def cloud_event(self, kind: str) -> str:
        """What has happened, for the stream of events; the kind is such as `call.offered`."""
        return f"{self.namespace}.cloudevents.{kind}"

    def cloud_events(self) -> str:
        """Every event that the stream keeps."""
        return f"{self.namespace}.cloudevents.>"

    def told_events(self) -> tuple[str, str]:
        """What the stream of events republishes, and where to: without the events, to those who wait."""
        return f"{self.namespace}.cloudevents.>", f"{self.namespace}.live.cloudevents.>"

    def news(self) -> str:
        """Where each event of the stream is told of: what webhook workers listen to."""
        return f"{self.namespace}.live.cloudevents.*.*"

    def webhooks(self) -> str:
        """Name the bucket of webhooks."""
        return f"{self.namespace}-webhooks"

    def replayed(self, endpoint: str) -> str:
        """Where an event is stored once more, for one endpoint alone."""
        return f"{self.namespace}.cloudevents.again.{token(endpoint)}"

    def event_stream(self) -> str:
        """Name the stream that keeps what has happened."""
        return f"EVENTS_{self.namespace}"


class Keys:
    """The keys of the presence bucket, and the patterns of those that are read together."""

    @staticmethod
    def user(user: UserId) -> str:
        """A user's record, which decides on its session, status and rooms."""
        return f"user.{token(user)}"

    @staticmethod
    def users() -> str:
        """The pattern of all users' records."""
        return "user.*"

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
    def pairs() -> str:
        """The pattern of all negotiations."""
        return "pair.*.*"

    @staticmethod
    def held(one: UserId, other: UserId, digest: FrameDigest) -> str:
        """The frame of a candidate that two users' negotiation holds, where it lies apart from the record."""
        first, second = sorted((token(one), token(other)))
        return f"held.{first}.{second}.{digest.hex()}"

    @staticmethod
    def session(gateway: GatewayId, session: SessionId) -> str:
        """Which user a session of a gateway belongs to; read when the gateway has died."""
        return f"session.{token(gateway)}.{token(session)}"

    @staticmethod
    def sessions_of(gateway: GatewayId, at: int = FIRST) -> str:
        """The pattern of all sessions of a gateway in one partition."""
        return placed(f"session.{token(gateway)}.*", at)

    @staticmethod
    def offer_timer(offerer: UserId, target: UserId, generation: str) -> str:
        """The expiry of one waiting offer; `generation` tells it from the offer that replaced it."""
        return f"timer.offer.{token(offerer)}.{token(target)}.{token(generation)}"

    @staticmethod
    def away_timer(user: UserId, connection: ConnectionId) -> str:
        """The end of the window in which a session may be resumed after this connection of it was lost."""
        return f"timer.away.{token(user)}.{token(connection)}"

    @staticmethod
    def lease_timer(gateway: GatewayId, at: int = FIRST) -> str:
        """A gateway's lease, in one partition: its expiry says that the gateway died."""
        return placed(f"timer.lease.{token(gateway)}", at)

    @staticmethod
    def leases() -> str:
        """The pattern of all gateways' leases."""
        return "timer.lease.*"

    @staticmethod
    def listener(gateway: GatewayId) -> str:
        """That a gateway hears the logs of rooms."""
        return f"listener.{token(gateway)}"

    @staticmethod
    def listeners() -> str:
        """The pattern of all gateways that hear the logs of rooms."""
        return "listener.*"

    @staticmethod
    def standing(user: UserId) -> str:
        """What the backend has decided about a user, whether it is connected or not."""
        return f"standing.{token(user)}"

    @staticmethod
    def given(room: RoomId, user: UserId) -> str:
        """That a user is a member of a room by the backend's word; the user's standing decides."""
        return f"given.{token(room)}.{token(user)}"

    @staticmethod
    def given_in(room: RoomId) -> str:
        """The pattern of all who are members of a room by the backend's word."""
        return f"given.{token(room)}.*"

    @staticmethod
    def wake(user: UserId) -> str:
        """Who waits for a user to be woken, and for whom the user waits: an index of kept offers."""
        return f"wake.{token(user)}"

    @staticmethod
    def closing(room: RoomId) -> str:
        """That a room is being closed: nobody comes in."""
        return f"closing.{token(room)}"

    @staticmethod
    def close_timer(room: RoomId) -> str:
        """After which more of the members of a room that is being closed are put out."""
        return f"timer.close.{token(room)}"

    @staticmethod
    def once(name: str) -> str:
        """How a change of that name was answered."""
        return f"once.{token(name)}"

    @staticmethod
    def last_number() -> str:
        """The number that was given to one of the backend's orders last."""
        return "number.last"

    @staticmethod
    def members() -> tuple[str, str]:
        """The patterns of all entries of all rooms, and of all who are members by the backend's word."""
        return "room.*.*", "given.*.*"

    @staticmethod
    def sessions() -> str:
        """The pattern of all sessions of all gateways."""
        return "session.*.*"

    @staticmethod
    def kinds() -> tuple[str, ...]:
        """The patterns of all keys that there are, each of one kind."""
        return (
            Keys.users(),
            "room.*.*",
            Keys.pairs(),
            "held.*.*.*",
            "session.*.*",
            Keys.listeners(),
            "timer.offer.*.*.*",
            "timer.away.*.*",
            Keys.leases(),
            Keys.probe(),
            "standing.*",
            "given.*.*",
            "wake.*",
            "once.*",
            "closing.*",
            "timer.close.*",
            Keys.last_number(),
        )

    @staticmethod
    def probe() -> str:
        """What is read and written to see whether that is possible."""
        return "usable"

    @staticmethod
    def timers() -> str:
        """The pattern of every timer."""
        return "timer.>"


def user_of_change(subject: str) -> UserId:
    """Read the user back from a `Subjects.room` subject, or from that on which it is republished.

    Raises:
        ValueError: not such a subject.
    """
    return UserId(identifier(subject.rpartition(".")[2]))


def room_and_user(key: str) -> tuple[RoomId, UserId]:
    """Read the room and the user back from a `Keys.room` or a `Keys.given` key.

    Raises:
        ValueError: not such a key.
    """
    _, room, user = key.split(".")
    return RoomId(identifier(room)), UserId(identifier(user))


def users_of_pair(key: str) -> tuple[UserId, UserId]:
    """Read the two users back from a `Keys.pair` key.

    Raises:
        ValueError: not such a key.
    """
    kind, first, second = key.split(".")
    if kind != "pair":
        raise ValueError(f"not a pair's key: {key!r}")
    return UserId(identifier(first)), UserId(identifier(second))
