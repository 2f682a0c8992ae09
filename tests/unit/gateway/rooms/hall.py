"""A room and its changes, for the tests of `gateway.rooms`."""

import json
import re
from datetime import UTC, datetime
from typing import Any, Final, Literal

from gateway.rooms.changes import Change, read
from gateway.rooms.live_room import LiveRoom
from gateway.rooms.seats import Seats
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.rooms import RoomChange
from tieline.wire.replies import LeftReason

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
JOINED_AT: Final = 1_000
DECIDED_AT: Final = 1_700_000_000_000


def change(
    number: int,
    user: UserId,
    kind: Literal["joined", "left", "updated"] = "joined",
    *,
    status: Literal["online", "away"] = "online",
    reason: LeftReason | None = None,
    room: RoomId = HALL,
    tells_user: bool = False,
    is_silent: bool = False,
    joined_at: int = JOINED_AT,
    revision: int | None = None,
    late_s: float = 0.0,
) -> Change:
    """Make the change of a number, whose record has that revision, too, if it is given no other.

    It is stored so many seconds after it was decided.
    """
    entry = RoomChange(
        kind,
        number if revision is None else revision,
        SessionId(f"{user}-s"),
        status,
        True,
        0 if kind == "left" else joined_at,
        reason,
        tells_user,
        is_silent,
        at=DECIDED_AT,
    )
    stored_at = datetime.fromtimestamp(DECIDED_AT / 1000 + late_s, UTC).isoformat()
    headers = f"NATS/1.0\r\nTieline-Nonce: {nonce_of(number)}\r\nNats-Time-Stamp: {stored_at}\r\n\r\n"
    return read(room, user, number, codec.encode(entry), headers.encode())


def nonce_of(number: int) -> str:
    """Say what nobody could foresee of the change of a number."""
    return f"{number:016x}"


def short(request_id: str) -> str:
    """Say what the requestId of a change says beside its nonce."""
    return re.sub(r"^(room-[0-9]+)-[0-9a-f]{16}", r"\1", request_id)


class Client:
    """A client, and what it is told. See `gateway.rooms.seats.Sink`."""

    def __init__(self, user: UserId, *, batches: bool = False, places: bool = False) -> None:
        self.is_held = False
        self.last_sequence = 0
        self.written: list[bytes] = []
        self.seats = Seats(
            user,
            SessionId(f"{user}-s"),
            ConnectionId(f"{user}-c"),
            self,
            batches=batches,
            places=places,
        )

    def write(self, frames: bytes) -> None:
        """Keep what is written at once."""
        self.written.append(frames)

    def heard(self) -> list[dict[str, Any]]:
        """Take what it was told, frame by frame."""
        found = [message for data in self.written for message in messages_in(data)]
        self.written.clear()
        return found

    def words(self) -> list[str]:
        """The same, in few words."""
        return [in_words(message) for message in self.heard()]


def messages_in(data: bytes) -> list[dict[str, Any]]:
    """Take frames of a server apart."""
    found = []
    while data:
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4]), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10]), 10
        found.append(json.loads(data[start : start + length]))
        data = data[start + length :]
    return found


def in_words(message: dict[str, Any]) -> str:
    """Say what an event is about."""
    data = message["data"]
    if message["cmd"] != "ROOM_CHANGED":
        what = data.get("status") or data.get("reason") or "joined"
        return f"{data['number']}: {data['userId']} {what}"
    if "members" in data:
        return f"{data['number']}: {' '.join(one['userId'] for one in data['members'])} of {data['count']}"
    lists = (
        f"{kind} {' '.join(one['userId'] for one in data[kind])}" for kind in ("joined", "left", "updated")
    )
    return f"{data['number']}: {', '.join(lists)}"


def live(*changes: Change, room: RoomId = HALL) -> LiveRoom:
    """A room of which nothing is missing."""
    hall = LiveRoom(room)
    hall.catch_up(changes, max((one.number for one in changes), default=0), 0.0)
    return hall
