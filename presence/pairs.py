"""The shell around `decide` and `negotiation`: load a pair, judge, commit by compare-and-set, publish."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from presence import funnel, negotiation
from presence.announce import Announcer, HangupReason
from presence.decide import Judgement, Situation, decide
from presence.member import User, share_a_room
from presence.negotiation import CandidatePolicy, Pair, WaitingOffer
from presence.records import MAX_TRIES, Records, pair_in, user_in
from presence.store import Conflict, StoreUnavailable
from tieline import metrics
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal import Check, Relay, SessionGone, Verdict
from tieline.wire.subjects import Keys, users_of_pair

Clock = Callable[[], int]
"""Unix milliseconds."""

MIN_TIMER_S: Final = 1.0
"""The shortest time that NATS can set a timer for."""


class Pairs:
    """Every change to a negotiation goes through here."""

    def __init__(
        self,
        records: Records,
        announcer: Announcer,
        clock: Clock,
        policy: CandidatePolicy,
        offer_timeout_s: float,
    ) -> None:
        self._records = records
        self._announcer = announcer
        self._clock = clock
        self._policy = policy
        self._offer_timeout_s = offer_timeout_s

    async def check(self, check: Check) -> Verdict:
        """Judge one signal and commit what it changes.

        A refusal is confirmed by the leader's records before it is believed: a replica that lags a moment
        behind must not refuse the answer to an offer that was just accepted.

        Raises:
            StoreUnavailable: not judged, or not known whether it is committed; asking again is safe.
        """
        now = self._clock()
        key = Keys.pair(check.user, check.to)
        confirmed = False
        for _ in range(MAX_TRIES):
            found = await self._records.store.read(
                Keys.user(check.user), Keys.user(check.to), key, confirmed=confirmed
            )
            pair, revision = pair_in(found, key)
            situation = Situation(user_in(found, check.user)[0], user_in(found, check.to)[0], pair)
            judgement = decide(situation, check, now, self._policy)
            if not isinstance(judgement.verdict, Relay) and not confirmed:
                confirmed = True
                continue
            try:
                await self._commit(check, key, pair, judgement, revision, now)
            except Conflict:
                continue
            known = (judgement.pair or pair).memory_of(check.user, check.digest, now)
            if isinstance(judgement.verdict, Relay) and known is not None:
                self._tell(check, known.at)
            begins = judgement.waiting is not None and (not pair.is_active or judgement.pair is None)
            if judgement.waiting is not None and begins and situation.target is not None:
                gone = await self._end_if_gone(check, key, judgement.waiting, situation.target)
                if gone is not None:
                    return gone
            return judgement.verdict
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def _end_if_gone(
        self, check: Check, key: str, offer: WaitingOffer, target: User
    ) -> SessionGone | None:
        """End an offer at once if one of the two has gone while it was stored.

        Whoever ends a session, or leaves a room, ends the negotiations that he then finds. One that begins
        at the same moment may be stored just after he has looked: so it is us who look again. If it is the
        sender who has gone, nobody waits for an answer, and the offer must not come after its end.
        """
        found = await self._records.store.read(Keys.user(check.user), Keys.user(check.to), confirmed=True)
        sender, now_target = user_in(found, check.user)[0], user_in(found, check.to)[0]
        if sender is None or not sender.has_live(check.session):
            await self._end_offer(check, key, offer, check.to, "disconnected", check.session)
            return SessionGone(replaced=sender is not None and sender.is_reachable)
        if now_target is None or not now_target.has_live(target.session):
            await self._end_offer(check, key, offer, check.user, "disconnected", target.session)
        elif not share_a_room(sender, now_target):
            await self._end_offer(check, key, offer, check.user, "left", offer.generation)
        return None

    async def _end_offer(
        self, check: Check, key: str, offer: WaitingOffer, tell: UserId, reason: HangupReason, ended_by: str
    ) -> None:
        for _ in range(MAX_TRIES):
            pair, revision = pair_in(await self._records.store.read(key), key)
            if pair.offer_of(check.user) != offer:
                return
            try:
                await self._write(key, pair, negotiation.end(pair, ended_by), revision)
            except Conflict:
                continue
            await self._tell_peer(tell, _peer(key, tell), reason, ended_by)
            return
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def _commit(
        self, check: Check, key: str, pair: Pair, judgement: Judgement, revision: int, now: int
    ) -> None:
        """Write the pair and set the offer's timer, in one round trip.

        The timer is sent first, so that no offer is ever stored without one; if the pair is not stored,
        the timer fires for an offer that does not wait, and is ignored. A retry sets it for what is left
        of its time: whoever judged the offer first may have died before the timer was set, but a retry
        prolongs nothing.
        """
        writes: list[Awaitable[int]] = []
        if judgement.waiting is not None:
            timer = Keys.offer_timer(check.user, check.to, judgement.waiting.generation)
            left_s = self._offer_timeout_s - max(0, now - judgement.waiting.at) / 1000
            writes.append(self._records.store.put(timer, b"", max(MIN_TIMER_S, left_s)))
        if judgement.pair is not None:
            writes.append(self._write(key, pair, judgement.pair, revision))
        for outcome in reversed(await asyncio.gather(*writes, return_exceptions=True)):
            if isinstance(outcome, BaseException):
                raise outcome
        if judgement.pair is not None and judgement.pair.established and not pair.established:
            answered = pair.offer_of(check.to)
            assert answered is not None  # nothing else establishes a pair
            metrics.ANSWER_SECONDS.observe(max(0, self._clock() - answered.at) / 1000)

    async def _write(
        self, key: str, before: Pair, after: Pair, revision: int, *, timed_out: bool = False
    ) -> int:
        """Change a pair; what that means for its call is counted once it is stored."""
        written = await self._records.write_pair(key, after, revision)
        step = funnel.step(before, after, timed_out=timed_out)
        if step is not None:
            metrics.NEGOTIATIONS.labels(step).inc()
        for outcome, count in funnel.candidates(before, after)._asdict().items():
            if count:
                metrics.HELD_CANDIDATES.labels(outcome).inc(count)
        return written

    def _tell(self, check: Check, at: int) -> None:
        """Tell what a frame did that was accepted at `at`; a retry of it tells the very same again."""
        match check.cmd:
            case "WEBRTC_OFFER":
                self._announcer.happened("offered", at, check.user, peer=check.to)
            case "WEBRTC_ANSWER":
                self._announcer.happened("answered", at, check.user, peer=check.to)
            case "WEBRTC_HANGUP":
                self._announcer.changed(check.user)
                self._announcer.happened("ended", at, check.user, peer=check.to, reason="hangup")

    async def end_all(self, user: UserId, session: SessionId) -> None:
        """End every negotiation of a user whose session has ended, and tell the peers (`disconnected`).

        Safe to repeat: what this session's end has ended before is told again, in the very same frame. What
        the user's next session negotiates is left alone.
        """

        def is_over(mine: User | None, _theirs: User | None) -> bool:
            return mine is None or mine.session == session

        for key in await self._keys_of(user):
            await self._end(key, user, "disconnected", session, is_over)

    async def end_without_room(
        self, user: UserId, reason: Literal["left", "kicked"], ended_by: str, *, tell_user: bool
    ) -> None:
        """End the negotiations with users who share no room with this one now, and tell them.

        With `tell_user` this one is told, too.
        """

        def is_over(mine: User | None, theirs: User | None) -> bool:
            return mine is None or theirs is None or not share_a_room(mine, theirs)

        for key in await self._keys_of(user):
            await self._end(key, user, reason, ended_by, is_over, tell_user=tell_user)

    async def _keys_of(self, user: UserId) -> list[str]:
        found = await self._records.store.read(*Keys.pairs_of(user))
        return [key for key, record in found.items() if record.value]

    async def _end(
        self,
        key: str,
        user: UserId,
        reason: HangupReason,
        ended_by: str,
        is_over: Callable[[User | None, User | None], bool],
        *,
        tell_user: bool = False,
    ) -> None:
        """End one negotiation, if `is_over` says so of its two users as they are when it is written."""
        peer = _peer(key, user)
        for _ in range(MAX_TRIES):
            pair, revision = pair_in(await self._records.store.read(key), key)
            # The users after the pair: had one of them gone on since, the pair would have another revision.
            found = await self._records.store.read(Keys.user(user), Keys.user(peer), confirmed=True)
            if not is_over(user_in(found, user)[0], user_in(found, peer)[0]):
                return
            ended = negotiation.end(pair, ended_by)
            try:
                if ended != pair:
                    await self._write(key, pair, ended, revision)
            except Conflict:
                continue
            if ended.ended_by == ended_by:
                mine = user_in(found, user)[0]
                if tell_user and mine is not None and mine.is_reachable:
                    self._announcer.hangup(user, mine.session, peer, reason, ended_by)
                await self._tell_peer(peer, user, reason, ended_by)
            return
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def _tell_peer(self, to: UserId, peer: UserId, reason: HangupReason, ended_by: str) -> None:
        now = self._clock()
        record = (await self._records.user(to))[0]
        if record is not None and record.is_reachable:
            self._announcer.hangup(to, record.session, peer, reason, ended_by)
        self._announcer.happened("ended", now, peer, peer=to, reason=reason)

    async def expire(self, offerer: UserId, target: UserId, generation: str) -> None:
        """Stop waiting for the answer to one offer; tell both when that ends their negotiation.

        Raises:
            StoreUnavailable: not known whether it is committed; repeating is safe.
        """
        key = Keys.pair(offerer, target)
        for _ in range(MAX_TRIES):
            pair, revision = pair_in(await self._records.store.read(key), key)
            expired = negotiation.expire(pair, offerer, generation)
            if expired is None:
                if pair.ended_by == generation:  # committed by one who died before telling
                    await self._tell_timeout(offerer, target, generation)
                return
            try:
                await self._write(key, pair, expired, revision, timed_out=True)
            except Conflict:
                continue
            if not expired.is_active:
                await self._tell_timeout(offerer, target, generation)
            return
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def _tell_timeout(self, offerer: UserId, target: UserId, generation: str) -> None:
        records = await self._records.users([offerer, target])
        for to, peer in ((offerer, target), (target, offerer)):
            record = records.get(to)
            if record is not None and record.is_reachable:
                self._announcer.hangup(to, record.session, peer, "timeout", generation)
        self._announcer.happened("ended", self._clock(), offerer, peer=target, reason="timeout")


def _peer(key: str, user: UserId) -> UserId:
    one, other = users_of_pair(key)
    return other if one == user else one
