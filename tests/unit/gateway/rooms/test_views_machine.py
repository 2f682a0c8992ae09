"""Whatever is lost, late, cut off and asked for again: in the end every client sees who is there.

Two clients are members of two rooms; one takes single events, one takes batches. Both leave out what is older
than their list, as the protocol lets them, and name what they have had when they come back.
"""

import json
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.client.pages import Page
from gateway.rooms.changes import Change, position_in
from gateway.rooms.live_room import LiveRoom
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, CELLAR, HALL, Client, change, messages_in
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import RoomMembers

ROOMS = (HALL, CELLAR)
DAN, EVE = UserId("dan"), UserId("eve")
Members = dict[str, str]
"""The status of each."""
Kind = Literal["joined", "left", "updated"]


class Viewer:
    """A client that keeps who is there, over all its connections."""

    def __init__(self, user: UserId, *, batches: bool) -> None:
        self._user, self._batches = user, batches
        self.client = Client(user, batches=batches)
        self.rooms: dict[RoomId, Members] = {room: {} for room in ROOMS}
        self._lists: dict[RoomId, int] = dict.fromkeys(ROOMS, 0)
        self._position = 0
        self.has_to_hear_what_was_late = False

    def connect(self, rooms: dict[RoomId, LiveRoom]) -> None:
        """Come (back), and go on where it had got."""
        self.client = Client(self._user, batches=self._batches)
        for room in rooms.values():
            self.client.seats.enter(room, self._position)

    def read(self, count: int | None = None) -> None:
        """Take so many of the frames that were sent, or all of them; the others are lost."""
        frames = [message for data in self.client.written for message in messages_in(data)]
        self.client.written.clear()
        for message in frames[:count]:
            position = position_in(message["requestId"])
            assert position is not None
            self._position = position.whole_to
            self._apply(message["cmd"], message["data"])

    def hear_signal(self, number: int) -> None:
        """Take a signal that is stored with a number."""
        self.read()
        self._position = number

    def take_list(self, room: LiveRoom) -> None:
        """Take a list as the gateway makes it."""
        seat = self.client.seats.of(room.name)
        assert seat is not None
        assert room.roster is not None
        self.client.seats.tell()
        self.read()
        page = room.roster.page(Page(), min(room.number, seat.position))
        members = json.loads(bytes(page.members))
        self.rooms[room.name] = {member["userId"]: member["status"] for member in members}
        self._lists[room.name] = page.number

    def _apply(self, cmd: str, data: dict[str, Any]) -> None:
        members = self.rooms[data["room"]]
        if data["number"] < self._lists[data["room"]]:
            return
        match cmd:
            case "MEMBER_JOINED":
                members[data["userId"]] = "online"
            case "MEMBER_LEFT":
                members.pop(data["userId"], None)
            case "MEMBER_UPDATED" if data["userId"] in members:
                members[data["userId"]] = data["status"]
            case "ROOM_CHANGED":
                for gone in data["left"]:
                    members.pop(gone["userId"], None)
                for member in data["joined"] + data["updated"]:
                    members[member["userId"]] = member["status"]


class Views(RuleBasedStateMachine):
    """One stream, one gateway, two clients."""

    @initialize()
    def begin(self) -> None:
        """Let both be members of empty rooms that are known."""
        self.number = 1
        self.truth: dict[RoomId, Members] = {room: {} for room in ROOMS}
        self.stored: dict[RoomId, list[Change]] = {room: [] for room in ROOMS}
        self.unheard: list[tuple[RoomId, Change]] = []
        self.rooms = {room: LiveRoom(room) for room in ROOMS}
        for room in self.rooms.values():
            room.catch_up([], self.number, 0.0)
            room.list_members(RoomMembers((), ()))
        self.viewers = [Viewer(ALICE, batches=False), Viewer(EVE, batches=True)]
        for viewer in self.viewers:
            viewer.connect(self.rooms)

    def _hold(self) -> None:
        for room in self.rooms.values():
            room.hold()
        for viewer in self.viewers:
            viewer.client.is_held = True

    def _note_late(self) -> None:
        for viewer in self.viewers:
            viewer.has_to_hear_what_was_late = True

    def _is_held(self) -> bool:
        return self.viewers[0].client.is_held

    @rule(
        name=st.sampled_from(ROOMS),
        user=st.sampled_from((BOB, CAROL, DAN)),
        stays=st.booleans(),
        status=st.sampled_from(("online", "away")),
        is_heard=st.booleans(),
    )
    def change(
        self, name: RoomId, user: UserId, stays: bool, status: Literal["online", "away"], is_heard: bool
    ) -> None:
        """Let somebody come, go, or be away or back; the gateway hears of it, or does not yet."""
        self.number += 1
        members = self.truth[name]
        kind: Kind = "joined" if user not in members else "updated" if stays else "left"
        if kind == "left":
            del members[user]
        elif kind == "joined" or members[user] != status:
            members[user] = status
        made = change(self.number, user, kind, status=status, room=name)
        self.stored[name].append(made)
        if not is_heard:
            self.unheard.append((name, made))
            return
        if any(room == name and earlier.user == user for room, earlier in self.unheard):
            self._hold()  # the gap is noticed
        self.rooms[name].take(made, 0.0)

    @precondition(lambda self: self.unheard)
    @rule()
    def come_late(self) -> None:
        """Let the oldest push that has not come yet come."""
        self._note_late()
        name, made = self.unheard.pop(0)
        self.rooms[name].take(made, 0.0)

    @rule()
    def suspect(self) -> None:
        """Let an election be noticed."""
        self._hold()

    @rule()
    def catch_up(self) -> None:
        """Read what was stored."""
        self.number += 1
        for name, room in self.rooms.items():
            last = {made.user: made for made in self.stored[name] if made.number >= room.whole_to}
            room.catch_up(last.values(), self.number, 0.0)
        if self.unheard:
            self._note_late()
        self.unheard.clear()
        for viewer in self.viewers:
            viewer.client.is_held = False
            viewer.client.seats.tell()

    @rule(which=st.integers(0, 1))
    def tell(self, which: int) -> None:
        """Let one client's turn come."""
        self.viewers[which].client.seats.tell()

    @precondition(lambda self: not self._is_held())
    @rule(which=st.integers(0, 1))
    def send_signal(self, which: int) -> None:
        """Send one client a signal."""
        self.number += 1
        self.viewers[which].client.seats.tell(self.number)
        self.viewers[which].hear_signal(self.number)

    @precondition(lambda self: not self._is_held())
    @rule(which=st.integers(0, 1), name=st.sampled_from(ROOMS))
    def ask_for_list(self, which: int, name: RoomId) -> None:
        """Let one client ask who is there."""
        self.viewers[which].take_list(self.rooms[name])

    @precondition(lambda self: not self.unheard and not self._is_held())
    @rule(which=st.integers(0, 1), count=st.integers(0, 4))
    def cut_off(self, which: int, count: int) -> None:
        """Cut one client off in the middle of what it was sent, and let it come back.

        Not before it has had what was late: who names something newer is taken to have been told that.
        """
        viewer = self.viewers[which]
        if viewer.has_to_hear_what_was_late:
            viewer.client.seats.tell()
            viewer.read()
            viewer.has_to_hear_what_was_late = False
        viewer.read(count)
        viewer.client.seats.leave_all()
        viewer.connect(self.rooms)

    def teardown(self) -> None:
        """Let everything be told, and compare."""
        if not hasattr(self, "viewers"):
            return
        self.catch_up()
        for viewer in self.viewers:
            viewer.read()
            assert viewer.rooms == self.truth


TestViews = Views.TestCase
TestViews.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
