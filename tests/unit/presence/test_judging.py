"""Signals that are judged: in time or not at all, and by whom."""

import asyncio

import msgspec
import pytest

from presence.judging import LATE_MS
from presence.store import StoreUnavailable
from tests.unit.presence.lifetime import HeldUpStore
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.test_negotiations import ALICE, BOB, events_of, with_both
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.signals import Relay, Verdicts
from tieline.wire.subjects import Keys


@pytest.mark.parametrize("cmd", ["OFFER", "HANGUP"])
@pytest.mark.parametrize(("late_ms", "counts"), [(LATE_MS, True), (LATE_MS + 1, False)])
async def test_what_was_asked_so_long_ago_that_nobody_waits_changes_nothing(
    cmd: str, late_ms: int, counts: bool
) -> None:
    process = await with_both()
    await process.signal("bob", "alice", "OFFER", "offer of bob")
    before = process.store.contents()
    ask = msgspec.structs.replace(await process.check("alice", "bob", cmd, "late"), at=NOW)
    process.clock.pass_s(late_ms / 1000)

    if counts:
        assert isinstance(await process.ask(ask), Relay)
        assert process.store.contents() != before
        return
    with pytest.raises(StoreUnavailable):
        await process.ask(ask)
    assert process.store.contents() == before
    assert events_of(process)[1:] == []


async def test_a_process_that_stands_still_before_it_writes_writes_nothing() -> None:
    process = await with_both()
    held_up = HeldUpStore(process.store, Keys.pair(ALICE, BOB))
    process.over(held_up)
    ask = msgspec.structs.replace(await process.check("alice", "bob", "OFFER", "offer"), at=NOW)
    asked = asyncio.ensure_future(process.ask(ask))
    await held_up.is_reached.wait()
    process.clock.pass_s(65)
    held_up.may_go_on.set()

    with pytest.raises(StoreUnavailable):
        await asked
    assert not (await process.pair("alice", "bob")).is_active


async def test_a_gateway_that_does_not_say_when_is_taken_as_it_comes() -> None:
    process = await with_both()
    process.clock.pass_s(3600)
    assert isinstance(await process.signal("alice", "bob", "OFFER", "offer"), Relay)


async def test_verdicts_name_who_has_judged() -> None:
    process = PresenceProcess(judge="p1")
    for user in ("alice", "bob"):
        await process.open(opening(user, "hall"))
    offered = await process.signal("alice", "bob", "OFFER", "offer")
    assert isinstance(offered, Relay)
    assert offered.by == "p1"
    series = await process.series("alice", "bob", "1", "2")
    assert isinstance(series, Verdicts)
    assert [each.by for each in series.verdicts if isinstance(each, Relay)] == ["p1", "p1"]
    assert isinstance(await process.signal("alice", "carol", "OFFER", "offer"), Refused)
