"""One room that this gateway has members of: its log, its roster if that is known, and the seats here. Pure.

What is pushed is taken up as it comes, unless something older may be missing: then it waits until that has
been read (`catch_up`). Who has a seat is told by `pacer`, or just before a signal that is stored later.
"""

from collections.abc import Iterable
from typing import Final

from gateway.client.pages import FIRST
from gateway.rooms.changes import (
    Change,
    Told,
    framed,
    name_of_list,
    told_anew,
    told_late,
    told_singly,
    told_together,
    with_places,
)
from gateway.rooms.leavers import Leavers
from gateway.rooms.log import RoomLog
from gateway.rooms.roster import Roster
from gateway.rooms.seats import Seat
from tieline.wire import replies
from tieline.wire.ids import ConnectionId, RoomId, UserId
from tieline.wire.internal.rooms import RoomMembers

MAX_SINGLE: Final = 200
"""Changes that one client is told one by one at once; of more than that it is told the last of each user."""

MAX_TOLD: Final = 64
"""Frames that are kept for the next member who is to be told the same."""


class LiveRoom:
    """One room. Numbers are those of the log."""

    __slots__ = (
        "_doubted",
        "_told",
        "due_at",
        "has_seats_since",
        "held",
        "lacking",
        "leavers",
        "lists_lack_up_to",
        "log",
        "name",
        "roster",
        "seats",
        "whole_to",
    )

    def __init__(self, name: RoomId) -> None:
        self.name = name
        self.log = RoomLog()
        self.roster: Roster | None = None
        self.seats: dict[ConnectionId, Seat] = {}
        self.held: list[Change] | None = []
        """What was pushed while something older may be missing; None: nothing may."""
        self.whole_to = 0
        """Nothing up to this number is missing, as far as it is stored."""
        self.due_at = 0.0
        """When its members may be told again, by the loop's clock."""
        self.has_seats_since = 0.0
        """When the last of its members here went, while none is here."""
        self.leavers = Leavers()
        self.lists_lack_up_to = 0
        """Up to which number that may come which members had been told before they got a list without it."""
        self.lacking: list[UserId] = []
        """Users of whom such members were not told the last change."""
        self._doubted: dict[UserId, int] = {}
        """Users of whom a change was stored late, with its revision: presence is asked what they are."""
        self._told: dict[
            tuple[int, int, bool, bool, bool, int | None], tuple[Told | None, frozenset[UserId]]
        ] = {}

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing, as far as is known."""
        return self.held is None

    @property
    def number(self) -> int:
        """How far a list goes that is made now."""
        return self.log.number or self.whole_to

    def hold(self) -> None:
        """Take nothing up any more, for something older may be missing."""
        if self.held is None:
            self.held = []

    def take(self, change: Change, now: float) -> bool:
        """Take up a change that was pushed; returns whether members are to be told."""
        if self.held is not None:
            self.held.append(change)
            return False
        if change.number <= self.whole_to:  # it has been read, or something newer of its user
            return False
        if change.number < self.log.number:  # of two nodes that push during an election one may be slower
            return self._take_late([change], now)
        if not self._is_current(change) or not self.log.add(change, now):
            return False
        # Where nobody has gone, none older was missed, or a gap is seen.
        if change.number <= self.leavers.up_to_besides(change.user):
            self.lacking.append(change.user)
        if change.number <= self.lists_lack_up_to:
            for seat in self.seats.values():
                seat.note_lacking(change.number)
        self._apply(change)
        return True

    def _is_current(self, change: Change) -> bool:
        """Whether a change may be believed: it is not known to be older than what is stored before it.

        One that is stored late may be: presence is asked to tell it once more, and what it tells then is
        believed.
        """
        if self.log.is_overtaken(change):
            return False
        revision = change.entry.revision
        is_known = change.number <= self.log.last_of(change.user) or self.log.has(change)
        doubted = self._doubted.get(change.user, revision)
        if is_known or not change.is_late or doubted < revision:
            return True
        self._doubted[change.user] = max(doubted, revision)
        self.lacking.append(change.user)
        return False

    def catch_up(self, changes: Iterable[Change], whole_to: int, now: float) -> bool:
        """Take up what was read, up to a number, then what was pushed; returns whether any of it is news."""
        is_news = self._take_late(changes, now)
        self.leavers.lack_nothing()
        self.whole_to = max(self.whole_to, whole_to)
        held, self.held = self.held or [], None
        taken = [self.take(change, now) for change in held]
        return is_news or any(taken)

    def _take_late(self, changes: Iterable[Change], now: float) -> bool:
        """Take up what may be older than what is known; returns whether any of it is news.

        Who was told what is newer is told it once more, behind what is older. Lists may have been given out
        that lack that: it is told with the number up to which they may go.
        """
        before = self.log.number
        whole_to = self.number if self.whole_to > 1 else 0
        found = [
            self._whole(change) if 0 < whole_to < change.number else told_late(self.name, change, before)
            for change in changes
            if self._is_current(change)
        ]
        missing = self.log.catch_up(found, now, whole_to)
        for change in missing:
            self._note_lacking(change)
            self._apply(change)
        if missing:
            for seat in self.seats.values():
                seat.go_back_to(missing[0].number - 1)
        return bool(missing)

    def _whole(self, change: Change) -> Change:
        """Have members told all of a user of whom only an update is found: it may have come meanwhile.

        A read finds the last change of each user, often one that is just being pushed.
        """
        if change.entry.kind != "updated":
            return change
        known = self.log.last_change(change.user)
        if known is not None:
            joined_at = None if known.has_left else known.entry.joined_at
        else:
            joined_at = None if self.roster is None else self.roster.joined_at(change.user)
        return change if joined_at == change.entry.joined_at else told_anew(self.name, change)

    def _note_lacking(self, change: Change) -> None:
        """Take note of a change that is found, if those who have gone were not told it, or an older one.

        One that only updates a user may hide that the user has joined, which was not heard either.
        """
        left_up_to = self.leavers.up_to_besides(change.user)
        is_hidden = change.entry.kind == "updated" and self.whole_to < left_up_to
        if is_hidden and self.roster is not None:
            is_hidden = self.roster.joined_at(change.user) is None
        if is_hidden or change.number <= left_up_to:
            self.lacking.append(change.user)

    def note_late(self, member: UserId, position: int, up_to: int) -> None:
        """Take note that a member is told what is newer than a position after what has a number."""
        self.leavers.note_late(self.log, member, position, up_to)

    def lose_member(self, member: UserId, position: int, up_to: int) -> list[UserId]:
        """Take note that a member is gone; returns users whose change it may lack. See `Leavers.add`."""
        return self.leavers.add(self.log, member, position, up_to)

    def look(self, before: float) -> None:
        """Forget what came before a moment, and what was told late some looks ago."""
        self.log.forget(before)
        self._doubted.clear()
        self.leavers.look()

    def begin_anew(self) -> None:
        """Forget everything: the log was lost, and counts from its beginning, from which it must be read."""
        self.log = RoomLog()
        self.roster = None
        self.whole_to = 1
        self.leavers = Leavers()
        self._told.clear()
        for seat in self.seats.values():
            seat.go_back_to(0)

    def forget_roster(self) -> None:
        """Know no longer who is there: what was known may be of another time."""
        self.roster = None
        self.log.forget_revisions()

    def list_members(self, listed: RoomMembers) -> Roster:
        """Know the members from now on, by a list that was read after the room was first listened to."""
        self.roster = Roster(self.name, listed, self.log.since(0))
        return self.roster

    def told(self, seat: Seat, up_to: int) -> Told | None:
        """Make what a member is told up to a number; None: nothing."""
        key = (seat.position, up_to, seat.owner.batches, seat.owner.places, seat.is_new, None)
        # How far each member was told differs with its signals: it counts only where it is said.
        known = self._told.get(key) or self._told.get((*key[:5], seat.whole_to))
        if known is None:
            changes = self.log.since(seat.position, up_to)
            if len(self._told) >= MAX_TOLD:
                self._told.clear()
            known = self._told[key if self._are_all(changes, seat) else (*key[:5], seat.whole_to)] = (
                self._written(changes, seat),
                frozenset(change.user for change in changes),
            )
        told, users = known
        if seat.owner.user not in users:
            return told
        is_out = not self.is_in(
            seat.owner.user
        )  # else nothing that it is told later would say that it is back
        changes = [
            change
            for change in self.log.since(seat.position, up_to)
            if seat.concerns(change) and (is_out or change.user != seat.owner.user)
        ]
        return self._written(changes, seat)

    def is_in(self, user: UserId) -> bool:
        """Whether the last change of a user that is known says that it is a member."""
        last = self.log.last_change(user)
        return last is not None and not last.has_left

    def listed(self) -> Told | None:
        """Make a list of the members; None: they are not known."""
        if self.roster is None:
            return None
        page = self.roster.page(FIRST, self.number)
        message = replies.success(name_of_list(self.number, self.log.nonce), "ROOM_CHANGED", page)
        return Told(framed(message), self.number)

    def _written(self, changes: list[Change], seat: Seat) -> Told | None:
        told = self._chosen(changes, seat)
        if told is None or not seat.owner.places:
            return told
        return told._replace(placed=with_places(told.data))

    def _chosen(self, changes: list[Change], seat: Seat) -> Told | None:
        if seat.owner.batches:
            return told_together(self.name, changes) if changes else None
        whole_to = None
        if not self._are_all(changes, seat):
            changes, whole_to = self._latest(changes, seat), seat.whole_to
        changes = [change for change in changes if change.event]
        return told_singly(changes, whole_to) if changes else None

    def _are_all(self, changes: list[Change], seat: Seat) -> bool:
        """Whether a member is told of each of these changes; else one by one, of each user of the last."""
        is_each = len(changes) <= MAX_SINGLE and self.log.has_each_since(seat.position)
        return seat.owner.batches or is_each

    def _latest(self, changes: list[Change], seat: Seat) -> list[Change]:
        """Choose the last change of each user, for one who has been told all up to its position.

        Of one who was told something before, a part of what has happened may have been left for later: who
        has come meanwhile was left out then, if an update hid it.
        """
        latest = {change.user: change for change in changes}
        came = set(latest)
        if self.log.has_each_since(seat.position):
            came = {change.user for change in changes if change.entry.kind == "joined"}
        elif seat.is_new:
            came = {user for user in latest if self.log.may_have_come(user, seat.position)}
        return [
            told_anew(self.name, change) if change.user in came else change
            for change in sorted(latest.values(), key=lambda change: change.number)
        ]

    def _apply(self, change: Change) -> None:
        self._told.clear()
        if self.roster is not None:
            self.roster.apply(change)
        if change.has_left:
            for seat in list(self.seats.values()):
                if seat.owner.user == change.user and change.ends(seat.owner.session):
                    seat.end(change)
