"""What must hold when all is quiet: records, rosters, notes and negotiations agree, and clients know that."""

import itertools

from presence.record_codec import entry_in, negotiation_in
from presence.rules.effects import RemoveNote, is_cheap
from presence.rules.user import User, share_a_room
from presence.store import Record
from tests.unit.presence.acts import Gateways
from tests.unit.presence.cluster import ROOMS, USERS, Cluster
from tests.unit.presence.observers import statuses_in
from tieline.wire.ids import UserId
from tieline.wire.subjects import Keys

Live = dict[UserId, User]


class Consistency:
    """Compares what is stored with itself, and with what gateways and clients know."""

    def __init__(self, cluster: Cluster, gateways: Gateways) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._notes: set[tuple[str, int]] = set()
        """Keys and revisions of notes that a record has named: without one, they must be removed."""
        self._entries: set[tuple[str, int]] = set()
        """The same of roster entries."""
        self.is_disturbed = False
        """A process has died, or requests were carried out at once: what was prepared for a change that was
        never made may have been left behind."""
        self.late_offers: set[frozenset[UserId]] = set()
        """Whose offers may have been stored without a second look at the two: they end with their time."""

    async def note_down(self) -> None:
        """Note what records name now."""
        for user, record in (await self._cluster.live()).items():
            if record.session.note:
                key = Keys.session(record.session.gateway, record.session.id)
                self._notes.add((key, record.session.note))
            for room, member in record.rooms.items():
                self._entries.add((Keys.room(room, user), member.entry))

    async def check(self) -> None:
        """Find that all is well."""
        live = await self._cluster.live()
        found = await self._cluster.store.read(">")
        stored = {key: record for key, record in found.items() if record.value}
        await self._nothing_is_pending(stored)
        self._connections_have_their_sessions(live)
        self._entries_are_those_of_members(live, stored)
        self._notes_are_those_of_sessions(live, stored)
        await self._clients_know_the_rosters(live)
        self._negotiations_have_two_who_share_a_room(live, stored)
        self._clients_know_their_calls(live, stored)

    async def _nothing_is_pending(self, stored: dict[str, Record]) -> None:
        users = await self._cluster.witness.records.users(USERS)
        for user, record in users.items():
            rest = [effect for effect in record.pending if not is_cheap(effect)]
            notes = [effect for effect in rest if isinstance(effect, RemoveNote) and effect.last]
            assert rest == notes, f"{user}: {rest} is pending"
        for key in stored:
            if key.startswith("pair."):
                negotiation, _ = negotiation_in(stored, key)
                assert negotiation is not None
                assert not negotiation.pending, f"{key}: {negotiation.pending} is pending"

    def _connections_have_their_sessions(self, live: Live) -> None:
        for connection in self._gateways.open():
            record, ask = live.get(connection.ask.user), connection.ask
            assert record is not None, f"{ask.connection} was not told that its session has ended"
            has_it = record.session.connection == ask.connection and record.session.id == connection.session
            assert has_it, f"{ask.connection} was not told that it was replaced"
            assert record.session.status == "online", f"{ask.connection} lives, and its session is away"
            if self._gateways.in_order and connection.in_call is not None:
                is_shown_so = record.session.in_call == connection.in_call
                assert is_shown_so, f"{ask.connection} is mistaken about what it shows"
            for room, is_in in connection.in_rooms.items() if self._gateways.in_order else ():
                assert (room in record.rooms) == is_in, f"{ask.connection} is mistaken about {room}"

    def _entries_are_those_of_members(self, live: Live, stored: dict[str, Record]) -> None:
        members = {Keys.room(room, user): record for user, record in live.items() for room in record.rooms}
        for key, user in members.items():
            entry, _ = entry_in(stored, key)
            assert entry is not None, f"{key} is missing"
            assert entry.session == user.session.id, f"{key} is of another session"
        for key, record in stored.items():
            if key.startswith("room.") and key not in members:
                assert self.is_disturbed, f"{key} was left behind"
                assert (key, record.revision) not in self._entries, f"{key} was not removed"

    def _notes_are_those_of_sessions(self, live: Live, stored: dict[str, Record]) -> None:
        noted = {
            Keys.session(record.session.gateway, record.session.id): record.session.note
            for record in live.values()
            if record.session.note
        }
        for user in live.values():
            is_noted = user.session.note or user.session.status == "away"
            assert is_noted, f"{user.session.id} is online and not noted"
        for key, revision in noted.items():
            assert key in stored, f"{key} is missing"
            assert stored[key].revision == revision, f"{key} is not the one that the record names"
        for key, record in stored.items():
            if key.startswith("session.") and key not in noted:
                assert self.is_disturbed, f"{key} was left behind"
                assert (key, record.revision) not in self._notes, f"{key} was not removed"

    async def _clients_know_the_rosters(self, live: Live) -> None:
        views = self._cluster.observers.views
        for room in ROOMS:
            roster = await self._cluster.roster(room)
            assert len(roster.members) <= self._cluster.max_members, f"{room} is too full"
            assert statuses_in(roster) == {
                user: record.session.status for user, record in live.items() if room in record.rooms
            }, f"the roster of {room} is not what the records say"
            for user, record in live.items() if not self._cluster.hears_logs else ():
                if room in record.rooms:
                    expected = statuses_in(roster, but=user)
                    assert views[record.session.id, room].statuses == expected, (
                        f"{user} in {room} is mistaken"
                    )

    def _negotiations_have_two_who_share_a_room(self, live: Live, stored: dict[str, Record]) -> None:
        for one, other in itertools.combinations(USERS, 2):
            negotiation, _ = negotiation_in(stored, Keys.pair(one, other))
            if negotiation is None or not negotiation.is_active:
                continue
            together = one in live and other in live and share_a_room(live[one], live[other])
            if not together and frozenset((one, other)) in self.late_offers:
                assert not negotiation.established, f"{one} and {other} share no room, but a call"
                for offer in negotiation.offers:
                    target = other if offer.sender == one else one
                    timer = Keys.offer_timer(offer.sender, target, offer.generation)
                    is_timed = timer in self._cluster.store.contents()
                    assert is_timed, f"an offer of {one} and {other} waits for ever"
            else:
                assert together, f"{one} and {other} share no room, but a negotiation"

    def _clients_know_their_calls(self, live: Live, stored: dict[str, Record]) -> None:
        users = {record.session.id: user for user, record in live.items()}
        for session, peer in self._cluster.observers.calls:
            user = users[session]
            negotiation, _ = negotiation_in(stored, Keys.pair(user, peer))
            is_active = negotiation is not None and negotiation.is_active
            assert is_active, f"{user} was not told that the call with {peer} has ended"
