"""Whatever is lost, late, cut off and asked for again: in the end every client sees who is there.

Two clients are members of two rooms; one takes single events, one takes batches, and each names what it has
had by places or by requestIds. They leave out what is older than their list, as the protocol lets them, and
come to any of three gateways, of which one has to read about the rooms first. What is pushed to a gateway
comes, or not before the gateway looks for it. The clients leave rooms, are put out of them, and join again.
"""

from collections.abc import Sequence
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.rooms.changes import Change
from gateway.rooms.entering import lacks
from gateway.rooms.live_room import LiveRoom
from tests.support.examples import scaled
from tests.unit.gateway.rooms.hall import BOB, CAROL, CELLAR, HALL, change
from tests.unit.gateway.rooms.viewer import Lacking, Members, Status, Viewer
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.replies import Member

ROOMS = (HALL, CELLAR)
DAN = UserId("dan")
GATEWAYS = range(3)
A_GATEWAY = st.sampled_from(GATEWAYS)
SOME_GATEWAYS = st.sets(A_GATEWAY)
VIEWERS = (UserId("viewer-0"), UserId("viewer-1"))
Kind = Literal["joined", "left", "updated"]


class Gateway:
    """The rooms as one gateway has them, and what it has not heard."""

    def __init__(self, number: int, knows: Sequence[RoomId]) -> None:
        self.rooms = {room: LiveRoom(room) for room in knows}
        """Those that it has heard of: it reads about another one when that is asked for."""
        self.is_held = False
        self.unheard: list[tuple[RoomId, Change]] = []
        """What was pushed and has not come, or will not."""
        self.lost: list[Lacking] = []
        """What is lacked by those who have gone, of rooms that it had not heard of."""
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
        if name not in self.rooms:
            return
        if any(room == name and earlier.user == made.user for room, earlier in self.unheard):
            self.hold()
        self.rooms[name].take(made, 0.0)

    def lacking(self) -> list[tuple[RoomId, UserId]]:
        """Take whom those have to be told of once more who have gone."""
        found = [(name, user) for name, room in self.rooms.items() for user in room.lacking]
        for room in self.rooms.values():
            room.lacking.clear()
        return found

    def forget(self, name: RoomId) -> None:
        """Hear of a room no more."""
        del self.rooms[name]
        self.unheard = [one for one in self.unheard if one[0] != name]


class Views(RuleBasedStateMachine):
    """One stream, three gateways, two clients."""

    @initialize(places=st.tuples(st.booleans(), st.booleans()), at=st.tuples(A_GATEWAY, A_GATEWAY))
    def begin(self, places: tuple[bool, bool], at: tuple[int, int]) -> None:
        """Let both be members of empty rooms, which are known to some gateways."""
        self.number = 1
        self.truth: dict[RoomId, Members] = {room: {} for room in ROOMS}
        self.stored: dict[RoomId, list[Change]] = {room: [] for room in ROOMS}
        self.came: dict[tuple[RoomId, UserId], int] = {}
        """When each member joined, or had joined last, as a number of the stream."""
        self.gateways = [Gateway(self.number, knows) for knows in (ROOMS, ROOMS, ())]
        self.viewers = [
            Viewer(user, batches=batches, places=asks, place=self.number)
            for user, batches, asks in zip(VIEWERS, (False, True), places, strict=True)
        ]
        self.at = list(at)
        """The gateway that each viewer is connected to."""
        self.member_of = [set(ROOMS), set(ROOMS)]
        """The rooms that each viewer is a member of."""
        for which, viewer in enumerate(self.viewers):
            for name in ROOMS:
                self.came[name, viewer.user] = self.number
            viewer.connect(ROOMS, self._gateway(which).rooms, forgets=False)

    def _gateway(self, which: int) -> Gateway:
        """Find the gateway of a viewer."""
        return self.gateways[self.at[which]]

    def _store(
        self,
        name: RoomId,
        user: UserId,
        kind: Kind,
        heard_by: set[int],
        *,
        is_again: bool = False,
        tells_user: bool = False,
        is_silent: bool = False,
    ) -> None:
        """Write a change of somebody who is there as it is now, which some gateways hear of."""
        self.number += 1
        status = self.truth[name].get(user, "online")
        if kind == "joined" and not is_again:
            self.came[name, user] = self.number
        made = change(
            self.number,
            user,
            kind,
            status=status,
            room=name,
            tells_user=tells_user,
            is_silent=is_silent,
            joined_at=self.came[name, user],
        )
        self.stored[name].append(made)
        for which, gateway in enumerate(self.gateways):
            if which in heard_by:
                gateway.hear(name, made)
            elif name in gateway.rooms:
                gateway.unheard.append((name, made))
        self._share_hold()

    def _share_hold(self) -> None:
        """Let who is held be so."""
        for which, viewer in enumerate(self.viewers):
            viewer.client.is_held = self._gateway(which).is_held

    def _retell(self, lacking: list[tuple[RoomId, UserId]]) -> None:
        """Be presence, which tells once more what these are; every gateway hears of it, or looks later."""
        for name, user in lacking:
            if user not in VIEWERS:
                kind: Kind = "joined" if user in self.truth[name] else "left"
                self._store(name, user, kind, set(GATEWAYS), is_again=True)

    @rule(
        name=st.sampled_from(ROOMS),
        user=st.sampled_from((BOB, CAROL, DAN)),
        stays=st.booleans(),
        status=st.sampled_from(("online", "away")),
        heard_by=SOME_GATEWAYS,
    )
    def change(
        self,
        name: RoomId,
        user: UserId,
        stays: bool,
        status: Status,
        heard_by: set[int],
    ) -> None:
        """Let somebody come, go, or be away or back; a gateway hears of it, or does not yet."""
        members = self.truth[name]
        kind: Kind = "joined" if user not in members else "updated" if stays else "left"
        is_silent = kind == "updated" and members[user] == status
        if kind == "left":
            del members[user]
        else:
            members[user] = status
        self._store(name, user, kind, heard_by, is_silent=is_silent)

    @precondition(lambda self: any(gateway.unheard for gateway in self.gateways))
    @rule(which=A_GATEWAY)
    def come_late(self, which: int) -> None:
        """Let the oldest push that has not come yet come."""
        gateway = self.gateways[which]
        if gateway.unheard:
            name, made = gateway.unheard.pop(0)
            gateway.rooms[name].take(made, 0.0)
            self._retell(gateway.lacking())

    @rule(which=A_GATEWAY)
    def suspect(self, which: int) -> None:
        """Let an election be noticed."""
        self.gateways[which].hold()
        self._share_hold()

    @rule(which=A_GATEWAY)
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
        for viewer, at in zip(self.viewers, self.at, strict=True):
            if at == which:
                viewer.client.seats.tell()
        self._retell(gateway.lacking())

    @rule(which=A_GATEWAY, name=st.sampled_from(ROOMS))
    def forget(self, which: int, name: RoomId) -> None:
        """Let a gateway stop to listen to a room that it has had no members of for a while."""
        room = self.gateways[which].rooms.get(name)
        if room is not None and not room.seats and not room.leavers.up_to:
            self.gateways[which].forget(name)

    @rule(which=A_GATEWAY, name=st.sampled_from(ROOMS))
    def hear_of(self, which: int, name: RoomId) -> None:
        """Let a gateway read about a room that it has not listened to."""
        gateway = self.gateways[which]
        if name in gateway.rooms:
            return
        self.number += 1
        room = gateway.rooms[name] = LiveRoom(name)
        room.catch_up({made.user: made for made in self.stored[name]}.values(), self.number, 0.0)
        lost, gateway.lost = gateway.lost, []
        for one in lost:
            if one.room == name:
                self._retell([(name, user) for user in room.lose_member(one.user, one.position, one.up_to)])
            else:
                gateway.lost.append(one)

    @rule(which=st.integers(0, 1), is_read=st.booleans(), names=st.sets(st.sampled_from(ROOMS)))
    def enter_late(self, which: int, is_read: bool, names: set[RoomId]) -> None:
        """Have a gateway read about some rooms, and give one client its seats in those that are known by now.

        Where every change must be known for that, they are read, or cannot be.
        """
        for name in sorted(names):
            self.hear_of(self.at[which], name)
        viewer, rooms = self.viewers[which], self._gateway(which).rooms
        for room in viewer.enter_late(rooms.values()):
            if is_read:
                room.log.remember(self.stored[room.name])
        viewer.enter_late(rooms.values())

    @rule(which=A_GATEWAY, name=st.sampled_from(ROOMS))
    def list_members(self, which: int, name: RoomId) -> None:
        """Let a gateway be told by presence who is in a room, and tell those who wait for that."""
        gateway = self.gateways[which]
        room = gateway.rooms.get(name)
        if room is None or not room.is_whole:
            return
        if room.roster is None:
            last = {made.user: made.number for made in self.stored[name]}
            listed = [
                (Member(user, status, True, self.came[name, user]), last[user])
                for user, status in self.truth[name].items()
            ]
            room.list_members(RoomMembers(*zip(*listed, strict=True)) if listed else RoomMembers((), ()))
        for seat in list(room.seats.values()):
            seat.owner.tell()

    @rule(which=st.integers(0, 1))
    def tell(self, which: int) -> None:
        """Let one client's turn come."""
        self.viewers[which].client.seats.tell()

    @rule(which=st.integers(0, 1), is_read=st.booleans())
    def send_signal(self, which: int, is_read: bool) -> None:
        """Send one client a signal, unless it is held back; it reads that at once, or it is under way."""
        viewer, gateway = self.viewers[which], self._gateway(which)
        if gateway.is_held:
            return
        self.number += 1
        viewer.send(self.number)
        if is_read:
            viewer.read()
            is_missing = any(gateway.unheard or gateway.is_held or gateway.lost for gateway in self.gateways)
            if not is_missing and viewer.client.seats.owed.floor is None:
                assert viewer.sees() == self._truth_for(which)  # what is older was told before it

    def _truth_for(self, which: int) -> dict[RoomId, Members]:
        """Say who is in the rooms that a viewer is a member of."""
        return {name: self.truth[name] for name in self.member_of[which]}

    @rule(which=st.integers(0, 1), name=st.sampled_from(ROOMS))
    def ask_for_list(self, which: int, name: RoomId) -> None:
        """Let one client ask who is there."""
        gateway, viewer = self._gateway(which), self.viewers[which]
        seat = viewer.client.seats.of(name)
        if not gateway.is_held and seat is not None and name in viewer.rooms:
            self.list_members(self.at[which], name)
            if viewer.client.seats.of(name) is seat:
                viewer.take_list(gateway.rooms[name])

    @rule(which=st.integers(0, 1), name=st.sampled_from(ROOMS), heard_by=SOME_GATEWAYS)
    def leave(self, which: int, name: RoomId, heard_by: set[int]) -> None:
        """Let one client leave a room."""
        if name in self.member_of[which]:
            viewer = self.viewers[which]
            viewer.read()
            self.member_of[which].remove(name)
            self._store(name, viewer.user, "left", heard_by)
            viewer.client.seats.leave(name)
            viewer.rooms.pop(name, None)

    @rule(which=st.integers(0, 1), name=st.sampled_from(ROOMS), heard_by=SOME_GATEWAYS)
    def put_out(self, which: int, name: RoomId, heard_by: set[int]) -> None:
        """Let presence put one client out of a room: it may not be there any more."""
        if name in self.member_of[which]:
            self.member_of[which].remove(name)
            self._store(name, self.viewers[which].user, "left", heard_by, tells_user=True)

    @rule(which=st.integers(0, 1), name=st.sampled_from(ROOMS))
    def join(self, which: int, name: RoomId) -> None:
        """Let one client join a room, of which its gateway is to have heard by the answer."""
        gateway, viewer = self._gateway(which), self.viewers[which]
        if gateway.is_held or name not in gateway.rooms:
            return
        if name not in self.member_of[which]:
            self.look(self.at[which])  # as the gateway waits for the change, or has read it
            self.member_of[which].add(name)
            self._store(name, viewer.user, "joined", set(GATEWAYS))
        if gateway.is_held:
            self.look(self.at[which])
        seats = viewer.client.seats
        viewer.read()
        viewer.rooms.setdefault(name, {})
        if seats.of(name) is None:
            seats.enter(gateway.rooms[name], gateway.rooms[name].number)
        self.ask_for_list(which, name)

    @rule(
        which=st.integers(0, 1),
        to=A_GATEWAY,
        count=st.integers(0, 6),
        forgets=st.booleans(),
        is_new=st.booleans(),
    )
    def cut_off(self, which: int, to: int, count: int, forgets: bool, is_new: bool) -> None:
        """Cut one client off in the middle of what it was sent, and let it come back to some gateway.

        One that is held lets nobody in before it has looked, and it may have begun anew. The client may have
        forgotten what it has had.
        """
        viewer, gateway = self.viewers[which], self._gateway(which)
        viewer.read(count)
        seats = viewer.client.seats
        up_to = seats.told_up_to
        lacking = [
            (room, user)
            for room, position in seats.leave_all()
            for user in gateway.rooms[room].lose_member(viewer.user, position, up_to)
        ]
        for name in seats.owed.rooms:
            lost = lacks(seats, name)
            if lost is None:
                continue
            if name in gateway.rooms:
                lacking += [(name, user) for user in gateway.rooms[name].lose_member(viewer.user, *lost)]
            else:
                gateway.lost.append(Lacking(viewer.user, name, *lost))
        self.at[which] = to
        self._retell(lacking)
        if is_new and self.at[1 - which] != to and not self.gateways[to].lost:
            self.look(to)
            self.gateways[to] = Gateway(self.number, ())
        if self.gateways[to].is_held:
            self.look(to)
        viewer.connect(sorted(self.member_of[which]), self.gateways[to].rooms, forgets=forgets)
        self._share_hold()
        viewer.client.seats.tell()

    def teardown(self) -> None:
        """Let everything be told, and compare."""
        if not hasattr(self, "viewers"):
            return
        for which in GATEWAYS:
            for name in ROOMS:
                self.hear_of(which, name)
        while any(gateway.unheard or gateway.is_held for gateway in self.gateways):
            for which in GATEWAYS:
                self.look(which)
        for which in (0, 1):
            self.enter_late(which, is_read=True, names=set())
        for which in GATEWAYS:
            for name in ROOMS:
                self.list_members(which, name)
        for which in (*GATEWAYS, *GATEWAYS):  # what was told once more is heard, too
            self.look(which)
        for which, viewer in enumerate(self.viewers):
            viewer.read()
            seats = viewer.client.seats
            assert viewer.sees() == self._truth_for(which)
            assert {name for name in ROOMS if seats.of(name) is not None} == self.member_of[which]
            assert seats.owed.floor is None
            assert viewer.has_all_mail()


TestViews = Views.TestCase
TestViews.settings = settings(max_examples=scaled(150), stateful_step_count=40, deadline=None)
