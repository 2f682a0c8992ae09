"""A gateway's lease: taken, renewed, and lost."""

import asyncio

import pytest

from gateway.sessions.lease import RENEWALS, Lease, OtherNumber
from tests.unit.gateway.sessions.presence import FakePresence
from tests.unit.gateway.sessions.scene import GATEWAY
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import KeepLease, LeaseKept

FIRST, SECOND = LeaseKept("run 1"), LeaseKept("run 2")
SHORT_S = 0.01


class Kept:
    """A lease that is renewed every few milliseconds, and how often it was lost."""

    def __init__(self, *replies: PresenceReply | None) -> None:
        self.presence = FakePresence()
        self.presence.reply(KeepLease, *replies)
        self.lost = 0
        self.renewed = asyncio.Event()
        self._left = 0
        self.presence.on_ask = lambda _: self._count()
        self.answered: list[bool] = []
        self.times_old = 0
        self.lease = Lease(
            self.presence, GATEWAY, SHORT_S, self._on_lost, self.answered.append, self._on_old_presence
        )

    def _on_lost(self) -> None:
        self.lost += 1

    def _on_old_presence(self) -> None:
        self.times_old += 1

    def _count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.renewed.set()

    async def renews(self, times: int) -> None:
        """Keep it until it has been renewed so often, and that was answered."""
        self._left = times + 1
        self.renewed.clear()
        keeping = asyncio.ensure_future(self.lease.keep())
        async with asyncio.timeout(10):
            await self.renewed.wait()
        keeping.cancel()
        await asyncio.wait([keeping])


async def test_a_lease_is_taken_as_soon_as_presence_answers() -> None:
    kept = Kept(None, None, FIRST)

    await kept.lease.take()

    assert kept.answered == [False, False, True]

    assert kept.presence.asked == [KeepLease(GATEWAY, hears=True)] * 3
    assert kept.lost == 0


async def test_an_answer_is_waited_for_until_the_next_renewal_is_due() -> None:
    kept = Kept(FIRST)
    await kept.lease.take()
    assert kept.presence.patience == [SHORT_S / RENEWALS]


async def test_a_lease_that_goes_on_is_not_lost() -> None:
    kept = Kept(FIRST)
    await kept.lease.take()

    await kept.renews(3)

    assert kept.lost == 0
    assert len(kept.presence.asked) >= 4


async def test_renewals_without_an_answer_say_nothing_about_the_lease(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = Kept(FIRST, None, None, FIRST)
    await kept.lease.take()

    await kept.renews(3)

    assert kept.lost == 0
    assert [record.message for record in caplog.records] == ["lease not renewed: no answer"] * 2


async def test_a_lease_that_had_run_out_is_lost_once() -> None:
    kept = Kept(FIRST, FIRST, SECOND)
    await kept.lease.take()

    await kept.renews(4)

    assert kept.lost == 1


async def test_an_answer_of_an_older_presence_is_noticed() -> None:
    kept = Kept(LeaseKept("run", logs=True), LeaseKept("run"), LeaseKept("run", logs=True))
    await kept.lease.take()

    await kept.renews(2)

    assert kept.times_old == 1
    assert kept.lost == 0


@pytest.mark.parametrize(("revisions", "there"), [((), 1), ((5, 6), 2)])
async def test_a_presence_of_another_number_of_partitions_is_refused(
    revisions: tuple[int, ...], there: int
) -> None:
    presence, answered = FakePresence(), list[bool]()
    presence.reply(KeepLease, LeaseKept("run 1", revisions=revisions))
    lease = Lease(presence, GATEWAY, SHORT_S, pytest.fail, answered.append, partitions=4)
    with pytest.raises(OtherNumber, match=f"TIELINE_PARTITIONS is 4, but presence has {there}"):
        await lease.take()
    assert answered == [False]


async def test_a_presence_that_changes_its_number_is_as_good_as_silent() -> None:
    kept = Kept(FIRST, LeaseKept("run 2", revisions=(5, 6)), FIRST)
    await kept.lease.take()
    await kept.renews(2)
    assert kept.answered[:3] == [True, False, True]
    assert kept.lost == 0
