"""A service that was taken over: everything that it may say, changed in places, to whoever hears it.

Seeded: `TIELINE_FUZZ_SEED` says the very same again. What it knows is what such a service knows: the names of
users, sessions and gateways, and of no connection but its own.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tests.nats.conftest import NAMESPACE
from tests.support.partitions import subject_of_key, subjects_of
from tests.unit.wire.golden_messages import GOLDEN, REQUEST
from tests.unit.wire.samples import HOSTILE_IDS
from tieline.wire import jetstream, jetstream_headers
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.directions import OPERATIONS, PresenceRequest
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomChange
from tieline.wire.internal.sessions import CloseSession, OpenSession, Register, Regrant
from tieline.wire.internal.signals import Signal
from tieline.wire.subjects import Keys, Subjects

SUBJECTS: Final = subjects_of(NAMESPACE)

HELD: Final = JoinRoom | LeaveRoom | ListMembers | Regrant
"""What is asked for a session whose name all gateways know, and which only its own may ask."""
MALLORY: Final = UserId("mallory")
MOST_CHANGES: Final = 4

PARTS: Final = (
    b"\x00",
    b"\xff",
    b"\xc1",
    b"\x90",
    b"\xdd\xff\xff\xff\xff",
    b"\xcb\x7f\xf8\0\0\0\0\0\0",
    b"\r\n",
    b".",
)
"""What means something to a reader of msgpack, or to the broker."""

ODD_KEYS: Final = (
    Keys.user(MALLORY),
    Keys.pair(MALLORY, UserId("eve")),
    "timer.offer.=ZZ.b.c",
    "timer.away.=.c",
    "timer.lease.=ZZ",
    "user.=ZZ",
)
"""Of users who are nobody's friends, or that nobody can read."""


class Said(NamedTuple):
    """One message for the broker."""

    subject: str
    payload: bytes
    reply: str = ""
    headers: bytes = b""


class Known(NamedTuple):
    """What a service that was taken over knows of an honest user."""

    user: UserId
    session: SessionId
    gateway: GatewayId


class Neighbour:
    """Makes what one service that was taken over says. `den` is a room of its own."""

    def __init__(self, seed: int, service: str, honest: Sequence[Known], mine: Known, den: RoomId) -> None:
        self._chance = random.Random(f"{seed} {service}")
        self._honest = honest
        self._mine = mine
        self._den = den
        self._says: dict[str, Callable[[], Said]] = {
            "gateway": self._gateway,
            "router": self._router,
            "presence": self._presence,
        }
        self._service = service

    def says(self, count: int) -> Iterator[Said]:
        """Say so much."""
        for _ in range(count):
            yield self._says[self._service]()

    def _gateway(self) -> Said:
        kind = self._chance.randrange(8)
        if kind == 0:
            return Said(self._part().mark(self._any().gateway), self._chance.randbytes(8), self._aim())
        if kind == 1:
            ask = jetstream.messages_of(SUBJECTS.user(*self._any()[:2]), 1, 10, 10_000)
            return Said(jetstream.direct_get(self._part().mailbox()), self._changed(ask), self._aim())
        if kind in (2, 3):
            cmd = self._chance.choice(("WEBRTC_OFFER", "WEBRTC_ICE_CANDIDATE", "WEBRTC_HANGUP", "x"))
            pack = [self._signal(cmd) for _ in range(self._chance.randrange(3))]
            return Said(SUBJECTS.signal(cmd), self._changed(codec.encode(pack)), self._aim())
        request = self._request()
        payload = self._changed(codec.encode(request))
        return Said(SUBJECTS.presence(OPERATIONS[type(request)]), payload, self._aim())

    def _router(self) -> Said:
        kind = self._chance.randrange(4)
        if kind == 0:
            request = self._request()
            return Said(SUBJECTS.presence("check"), self._changed(codec.encode(request)), self._aim())
        if kind == 1:
            return Said(self._part().mailbox_question(), b"", self._aim_of_publish(), self._headers())
        junk = self._chance.choice((b"\xff" * 40, b'{"cmd":"\xfe"}', b" " * 65_537))
        known = self._any() if kind == 2 else self._mine
        return Said(SUBJECTS.user(known.user, known.session), junk, self._aim_of_publish(), self._headers())

    def _presence(self) -> Said:
        kind = self._chance.randrange(5)
        some = self._any()
        if kind == 0:
            code = self._chance.choice((4500, 0, 4999))
            order = codec.encode(CloseSession(some.user, some.session, self._connection(), code))
            return Said(SUBJECTS.gateway(some.gateway, "close"), self._changed(order))
        if kind == 1:
            return Said(SUBJECTS.gateway(some.gateway, "alive"), b"", self._aim())
        if kind == 2:
            number = self._chance.randrange(99)
            change = RoomChange("updated", number, self._mine.session, "online", True, 0, "x")
            payload = self._changed(codec.encode(change))
            return Said(self._part().room(self._den, self._mine.user), payload, headers=self._headers())
        if kind == 3:
            return Said(f"{NAMESPACE}.changed.{self._chance.choice(('=ZZ', 'mallory', '=', '%'))}", b"")
        key = self._chance.choice((*ODD_KEYS, Keys.room(self._den, UserId("eve"))))
        ttl = jetstream_headers.expiring(1) if key.startswith("timer") else {}
        return Said(subject_of_key(NAMESPACE, key), self._chance.randbytes(20), headers=_block(ttl))

    def _part(self) -> Subjects:
        """Choose a partition."""
        return self._chance.choice(SUBJECTS.parts())

    def _any(self) -> Known:
        return self._chance.choice((*self._honest, self._mine))

    def _connection(self) -> ConnectionId:
        """Guess a connection; that of an honest user is nowhere to be learned."""
        return ConnectionId(
            self._chance.choice(("c-1", "", "x\r\n", f"{self._chance.randrange(1 << 48):012x}"))
        )

    def _request(self) -> PresenceRequest:
        samples = [sample.value for sample in GOLDEN.samples if sample.codec == REQUEST]
        request: Any = self._chance.choice(samples)
        known = self._any()
        # Who opens a session, or restores one that nobody has, is believed: a gateway checks tokens.
        is_believed = isinstance(request, OpenSession | Register)
        user = MALLORY if is_believed else known.user
        wanted: dict[str, object] = {
            "user": user,
            "to": known.user,
            "session": known.session if isinstance(request, HELD) else SessionId("s-guessed"),
            "gateway": GatewayId("intruder"),
            "connection": self._connection(),
            "room": self._den,
            "rooms": {self._den: 0} if isinstance(request, Register) else (self._den,),
            "join": (self._den,),
            "also": (),
        }
        fields = {name: value for name, value in wanted.items() if name in request.__struct_fields__}
        if fields and self._chance.randrange(4) == 0:
            name = self._chance.choice(sorted(fields))
            fields[name] = self._chance.choice(HOSTILE_IDS) if isinstance(fields[name], str) else fields[name]
        if fields.get("user") in {each.user for each in self._honest} and is_believed:
            fields["user"] = MALLORY
        changed: PresenceRequest = msgspec.structs.replace(request, **fields)
        return changed

    def _signal(self, cmd: str) -> Signal:
        sender, target = self._any(), self._any()
        parties = {"from": self._any().user, "to": target.user, "data": "forged"}
        frame = msgspec.json.encode({"requestId": "forged", "module": "ROOM", "cmd": cmd, "data": parties})
        session = SessionId(self._chance.choice((sender.session, "s\r\nPUB x 1\r\nx", "")))
        frame = self._changed(frame)
        if self._chance.random() < 0.2:  # as the user's own gateway would send it, but for the connection
            said = {"from": sender.user, "to": target.user, "data": "forged"}
            frame = msgspec.json.encode({"requestId": "forged", "module": "ROOM", "cmd": cmd, "data": said})
            session = sender.session
        stored = self._chance.random() < 0.5
        return Signal(sender.user, session, target.user, frame, stored, connection=self._connection())

    def _aim(self) -> str:
        known = self._any()
        return self._chance.choice(
            (
                f"{SUBJECTS.gateway(GatewayId('intruder'), 'reply')}.1",
                f"{SUBJECTS.gateway(known.gateway, 'reply')}.{self._chance.randrange(1 << 62):016x}",
                SUBJECTS.gateway(known.gateway, "close"),
                SUBJECTS.user(known.user, known.session),
                SUBJECTS.live(known.user, known.session),
                subject_of_key(NAMESPACE, Keys.user(known.user)),
                subject_of_key(NAMESPACE, Keys.lease_timer(known.gateway)),
                f"$JS.API.STREAM.PURGE.{self._part().mailbox()}",
                f"{SUBJECTS.replies('router', 'r')}.1",
                SUBJECTS.changed(known.user),
                "",
            )
        )

    def _aim_of_publish(self) -> str:
        """Name where the mailbox answers a router; what else it may name is tried by itself."""
        return self._chance.choice((f"{SUBJECTS.replies('router', 'intruder')}.1", ""))

    def _headers(self) -> bytes:
        forged = {
            "Nats-Sequence": str(self._chance.randrange(1 << 40)),
            "Nats-Last-Sequence": str(self._chance.randrange(1 << 40)),
            "Nats-Subject": SUBJECTS.user(self._any().user, self._any().session),
            "Nats-Num-Pending": "7",
        }
        return _block(dict(self._chance.sample(sorted(forged.items()), self._chance.randrange(4))))

    def _changed(self, data: bytes) -> bytes:
        for _ in range(self._chance.randrange(MOST_CHANGES)):
            at = self._chance.randrange(len(data) + 1)
            end = min(len(data), at + self._chance.randrange(8))
            data = data[:at] + self._chance.choice(PARTS) + data[end:]
        return data


def _block(headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode() if headers else b""
