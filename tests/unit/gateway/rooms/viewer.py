"""A client that keeps who is there, over all its connections, for the test of whole histories."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from gateway.client.frames import Framed
from gateway.client.mail import Place, read_place, with_place
from gateway.client.pages import Page
from gateway.rooms.changes import framed, position_in
from gateway.rooms.entering import Back, enter, enter_late, owe
from gateway.rooms.live_room import LiveRoom
from tests.unit.gateway.rooms.hall import Client, messages_in
from tieline.wire.ids import RoomId, UserId

Status = Literal["online", "away"]
Members = dict[UserId, Status]
"""The status of each."""


class Lacking(NamedTuple):
    """What a client that is gone was not told of a room: what is newer than a number, up to another one."""

    user: UserId
    room: RoomId
    position: int
    up_to: int


class Viewer:
    """A client, and what it has been told: who is in its rooms, and its mail."""

    def __init__(self, user: UserId, *, batches: bool, places: bool, place: int) -> None:
        """Begin before the first connection, which begins at a place of the stream."""
        self.user = user
        self._batches, self._places = batches, places
        self._place = Place(place, place)
        """How far it says that it was told everything when it comes back."""
        self._back = Back(None)
        self._looked_up: set[LiveRoom] = set()
        self.client = Client(user, batches=batches, places=places)
        self.rooms: dict[RoomId, Members] = {}
        """Who is in each of its rooms, as it has been told."""
        self._lists: dict[RoomId, int] = {}
        self.mail: list[int] = []
        """What was stored for it."""
        self._had: set[int] = set()
        """What it has had of that."""

    def connect(self, names: Iterable[RoomId], known: Mapping[RoomId, LiveRoom], *, forgets: bool) -> None:
        """Come (back) to a gateway that knows some rooms, as a member of rooms of these names.

        It goes on where it had got, unless it `forgets` that.
        """
        if forgets:
            self._place = Place()
            self._had.clear()
        number, rooms = self._place
        self._back = Back(rooms or None, number, self._batches and not rooms)
        self._looked_up.clear()
        self.client = Client(self.user, batches=self._batches, places=self._places)
        self.rooms = {name: self.rooms.get(name, {}) for name in names}
        seats = self.client.seats
        for name in self.rooms:
            if name in known:
                enter(seats, known[name], self._back)
            else:
                owe(seats, name, self._back)
        missed = [one for one in self.mail if one > number]
        frames = [framed(self._mail(one)) for one in missed]
        woven = seats.weave(frames, missed, number)
        assert [one for one in woven if not isinstance(one, Framed)] == frames
        self.client.written += woven
        self.client.last_sequence = max(self.mail, default=0)

    def enter_late(self, rooms: Iterable[LiveRoom]) -> list[LiveRoom]:
        """Take the seats that it is owed in these rooms; returns those that must be looked up before that."""
        _, hiding = enter_late(self.client.seats, rooms, self._back, self._looked_up)
        self._looked_up.update(hiding)
        return hiding

    def send(self, number: int) -> None:
        """Send it what is stored for it with a number."""
        self.mail.append(number)
        self.client.seats.tell(number)
        self.client.written.append(framed(self._mail(number)))
        self.client.last_sequence = number

    def _mail(self, number: int) -> bytes:
        mail = json.dumps({"requestId": f"mail-{number}", "cmd": "MAIL"}).encode()
        place = Place(number, self.client.seats.reached(number))
        return with_place(mail, place) if self._places else mail

    def read(self, count: int | None = None) -> None:
        """Take so many of the frames that it was sent, or all of them; the others are lost."""
        frames = [message for data in self.client.written for message in messages_in(data)]
        self.client.written.clear()
        for message in frames[:count]:
            if message["cmd"] == "MAIL":
                self._take_mail(int(message["requestId"].removeprefix("mail-")))
            else:
                position = position_in(message["requestId"])
                assert position is not None
                self._place = Place(position.whole_to, position.whole_to)
                if message["data"]["room"] in self.rooms:
                    self._apply(message["cmd"], message["data"])
            if self._places:
                self._place = read_place(message["place"])

    def _take_mail(self, number: int) -> None:
        assert number not in self._had or not self._places, "a frame has come twice"
        self._had.add(number)
        self._place = Place(number, number)

    def take_list(self, room: LiveRoom) -> None:
        """Take a list as the gateway makes it."""
        seats = self.client.seats
        seat = seats.of(room.name)
        assert seat is not None
        assert room.roster is not None
        seats.tell()
        self.read()
        page = room.roster.page(Page(), seat.list_up_to())
        self._take_members(room.name, json.loads(bytes(page.members)), page.number)

    def _take_members(self, name: RoomId, members: list[dict[str, Any]], number: int) -> None:
        self.rooms[name] = {member["userId"]: member["status"] for member in members}
        self._lists[name] = number

    def _apply(self, cmd: str, data: dict[str, Any]) -> None:
        name = data["room"]
        members = self.rooms[name]
        if data["number"] < self._lists.get(name, 0):
            return
        match cmd:
            case "MEMBER_JOINED":
                members[data["userId"]] = "online"
            case "MEMBER_LEFT":
                self._lose(name, data["userId"])
            case "MEMBER_UPDATED" if data["userId"] in members:
                members[data["userId"]] = data["status"]
            case "ROOM_CHANGED" if "members" in data:
                self._take_members(name, data["members"], data["number"])
            case "ROOM_CHANGED":
                for gone in data["left"]:
                    self._lose(name, gone["userId"])
                for member in data["joined"] + data["updated"]:
                    members[member["userId"]] = member["status"]

    def _lose(self, name: RoomId, user: UserId) -> None:
        """Take note that somebody has left; if it is the client itself, it sees nobody there any more."""
        if user == self.user:
            del self.rooms[name]
        else:
            self.rooms.get(name, {}).pop(user, None)

    def sees(self) -> dict[RoomId, Members]:
        """Say who is there as it was told, but for those who look on."""
        return {
            name: {user: status for user, status in members.items() if not user.startswith("viewer")}
            for name, members in self.rooms.items()
        }

    def has_all_mail(self) -> bool:
        """Whether it has had all that was stored for it."""
        return self._had == set(self.mail)
