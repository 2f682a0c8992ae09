"""Whatever is lost, late, cut off and asked for again: in the end every client sees who is there.

Two clients are members of two rooms, of which two gateways hear; one takes single events, one takes batches.
Both leave out what is older than their list, as the protocol lets them, and name what they have had when they
come back, on either gateway. What is pushed to a gateway comes, or not before the gateway looks for it.
"""

import json
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.client.pages import Page
from gateway.rooms.changes import Change, position_in
from gateway.rooms.live_room import LiveRoom
from tests.support.examples import scaled
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, CELLAR, HALL, Client, change, messages_in
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.rooms import RoomMembers

ROOMS = (HALL, CELLAR)
DAN, EVE = UserId("dan"), UserId("eve")
Members = dict[str, str]
"""The status of each."""
Kind = Literal["joined", "left", "updated"]


class Gateway:
    """The rooms as one gateway has them, and what it has not heard."""

    def __init__(self, number: int) -> None:
        self.rooms = {room: LiveRoom(room) for room in ROOMS}
        self.is_held = False
        self.unheard: list[tuple[RoomId, Change]] = []
        """What was pushed and has not come, or will not."""
        for room in self.rooms.values():
            room.catch_up([], number, 0.0)
            room.list_members(RoomMembers((), ()))

    def hold(self) -> None:
        """Take nothing up, for something may be missing."""
        self.is_held = True
        for room in self.rooms.values():
            room.hold()

    def hear(self, name: RoomId, made: Change) -> None:
        """Take what was pushed; a gap before it is noticed."""
        if any(room == name and earlier.user == made.user for room, earlier in self.unheard):
            self.hold()
        self.rooms[name].take(made, 0.0)

    def lacking(self) -> list[tuple[RoomId, UserId]]:
        """Take whom those have to be told of once more who have gone."""
        found = [(name, user) for name, room in self.rooms.items() for user in room.lacking]
        for room in self.rooms.values():
            room.lacking.clear()
        return found


class Viewer:
    """A client that keeps who is there, over all its connections."""

    def __init__(self, user: UserId, *, batches: bool) -> None:
        self._user, self._batches = user, batches
        self.client = Client(user, batches=batches)
        self.gateway: Gateway
        self.rooms: dict[RoomId, Members] = {room: {} for room in ROOMS}
        self._lists: dict[RoomId, int] = dict.fromkeys(ROOMS, 0)
        self._position = 0

    def connect(self, gateway: Gateway) -> None:
        """Come (back), and go on where it had got."""
        self.gateway = gateway
        self.client = Client(self._user, batches=self._batches)
        self.client.is_held = gateway.is_held
        for room in gateway.rooms.values():
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
        self.client.last_sequence = number
        self.read()
        self._position = number

    def take_list(self, name: RoomId) -> None:
        """Take a list as the gateway makes it."""
        room = self.gateway.rooms[name]
        seat = self.client.seats.of(name)
        assert seat is not None
        assert room.roster is not None
        self.client.seats.tell()
        self.read()
        page = room.roster.page(Page(), seat.list_up_to())
        members = json.loads(bytes(page.members))
        self.rooms[name] = {member["userId"]: member["status"] for member in members}
        self._lists[name] = page.number

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
    """One stream, two gateways, two clients."""

    @initialize()
    def begin(self) -> None:
        """Let both be members of empty rooms that are known."""
        self.number = 1
        self.truth: dict[RoomId, Members] = {room: {} for room in ROOMS}
        self.stored: dict[RoomId, list[Change]] = {room: [] for room in ROOMS}
        self.came: dict[tuple[RoomId, UserId], int] = {}
        """When each member joined, or had joined last, as a number of the stream."""
        self.gateways = [Gateway(self.number), Gateway(self.number)]
        self.viewers = [Viewer(ALICE, batches=False), Viewer(EVE, batches=True)]
        for viewer, gateway in zip(self.viewers, self.gateways, strict=True):
            viewer.connect(gateway)

    def _store(
        self, name: RoomId, user: UserId, kind: Kind, heard_by: set[int], *, is_again: bool = False
    ) -> None:
        """Write a change of somebody who is there as it is now, which some gateways hear of."""
        self.number += 1
        status: Any = self.truth[name].get(user, "online")
        if kind == "joined" and not is_again:
            self.came[name, user] = self.number
        made = change(self.number, user, kind, status=status, room=name, joined_at=self.came[name, user])
        self.stored[name].append(made)
        for which, gateway in enumerate(self.gateways):
            if which in heard_by:
                gateway.hear(name, made)
            else:
                gateway.unheard.append((name, made))
        self._share_hold()

    def _share_hold(self) -> None:
        """Let who is held be so."""
        for viewer in self.viewers:
            viewer.client.is_held = viewer.gateway.is_held

    def _retell(self, lacking: list[tuple[RoomId, UserId]]) -> None:
        """Be presence, which tells once more what these are; every gateway hears of it, or looks later."""
        for name, user in lacking:
            kind: Kind = "joined" if user in self.truth[name] else "left"
            self._store(name, user, kind, {0, 1}, is_again=True)

    @rule(
        name=st.sampled_from(ROOMS),
        user=st.sampled_from((BOB, CAROL, DAN)),
        stays=st.booleans(),
        status=st.sampled_from(("online", "away")),
        heard_by=st.sets(st.integers(0, 1)),
    )
    def change(
        self,
        name: RoomId,
        user: UserId,
        stays: bool,
        status: Literal["online", "away"],
        heard_by: set[int],
    ) -> None:
        """Let somebody come, go, or be away or back; a gateway hears of it, or does not yet."""
        members = self.truth[name]
        kind: Kind = "joined" if user not in members else "updated" if stays else "left"
        if kind == "left":
            del members[user]
        else:
            members[user] = status
        self._store(name, user, kind, heard_by)

    @precondition(lambda self: any(gateway.unheard for gateway in self.gateways))
    @rule(which=st.integers(0, 1))
    def come_late(self, which: int) -> None:
        """Let the oldest push that has not come yet come."""
        gateway = self.gateways[which]
        if gateway.unheard:
            name, made = gateway.unheard.pop(0)
            gateway.rooms[name].take(made, 0.0)
            self._retell(gateway.lacking())

    @rule(which=st.integers(0, 1))
    def suspect(self, which: int) -> None:
        """Let an election be noticed."""
        self.gateways[which].hold()
        self._share_hold()

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        """Read what was stored."""
        self.number += 1
        gateway = self.gateways[which]
        for name, room in gateway.rooms.items():
            last = {made.user: made for made in self.stored[name] if made.number >= room.whole_to}
            room.catch_up(last.values(), self.number, 0.0)
        gateway.unheard.clear()
        gateway.is_held = False
        self._share_hold()
        for viewer in self.viewers:
            if viewer.gateway is gateway:
                viewer.client.seats.tell()
        self._retell(gateway.lacking())

    @rule(which=st.integers(0, 1))
    def tell(self, which: int) -> None:
        """Let one client's turn come."""
        self.viewers[which].client.seats.tell()

    @rule(which=st.integers(0, 1))
    def send_signal(self, which: int) -> None:
        """Send one client a signal, unless it is held back."""
        viewer = self.viewers[which]
        if not viewer.gateway.is_held:
            self.number += 1
            viewer.client.seats.tell(self.number)
            viewer.hear_signal(self.number)
            if not any(gateway.unheard or gateway.is_held for gateway in self.gateways):
                assert viewer.rooms == self.truth  # whatever was stored before the signal was told before it

    @rule(which=st.integers(0, 1), name=st.sampled_from(ROOMS))
    def ask_for_list(self, which: int, name: RoomId) -> None:
        """Let one client ask who is there."""
        if not self.viewers[which].gateway.is_held:
            self.viewers[which].take_list(name)

    @rule(which=st.integers(0, 1), to=st.integers(0, 1), count=st.integers(0, 4))
    def cut_off(self, which: int, to: int, count: int) -> None:
        """Cut one client off in the middle of what it was sent, and let it come back to some gateway.

        One that is held lets nobody in before it has looked.
        """
        viewer = self.viewers[which]
        viewer.read(count)
        seats, gateway = viewer.client.seats, viewer.gateway
        up_to = seats.told_up_to
        lacking = [
            (room, user)
            for room, position in seats.leave_all()
            for user in gateway.rooms[room].lose_member(position, up_to)
        ]
        if self.gateways[to].is_held:
            self.look(to)
        viewer.connect(self.gateways[to])
        self._retell(lacking)

    def teardown(self) -> None:
        """Let everything be told, and compare."""
        if not hasattr(self, "viewers"):
            return
        while any(gateway.unheard or gateway.is_held for gateway in self.gateways):
            for which in (0, 1):
                self.look(which)
        for which in (0, 1, 0, 1):  # what was told once more is heard, too
            self.look(which)
        for viewer in self.viewers:
            viewer.read()
            assert viewer.rooms == self.truth


TestViews = Views.TestCase
TestViews.settings = settings(max_examples=scaled(150), stateful_step_count=30, deadline=None)
