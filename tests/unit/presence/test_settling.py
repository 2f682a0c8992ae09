"""Records that forget a moment later what is carried out."""

import asyncio

from presence.change_loop import ALONE_AFTER_MS
from presence.settling import IN_A_ROW, Settling
from tests.unit.presence.lifetime import Sent
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.rooms import ListMembers

ALICE, HALL = UserId("alice"), RoomId("hall")


def events(process: PresenceProcess) -> list[Sent]:
    """What backends were told."""
    return [sent for sent in process.recorder.sent if sent.subject.startswith("tieline.events.")]


class Desk:
    """What is settled, by a clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        self.settling = Settling(lambda: self.now, later_s=1.0)
        self.settled: list[str] = []

    def put(self, key: str, revision: int = 1) -> None:
        """Have a record settled later."""

        async def settle() -> None:
            self.settled.append(f"{key} {revision}")

        self.settling.put(key, revision, settle)


async def test_what_is_not_written_anew_is_settled_when_it_is_due() -> None:
    desk = Desk()
    desk.put("a")
    desk.now = 0.5
    desk.put("b")
    await desk.settling.settle_due()
    assert desk.settled == []
    desk.now = 1.0
    await desk.settling.settle_due()
    assert desk.settled == ["a 1"]
    assert len(desk.settling) == 1


async def test_a_record_that_is_another_one_is_left_alone() -> None:
    desk = Desk()
    desk.put("a")
    desk.put("b")
    desk.settling.drop("a")
    desk.settling.drop("c")
    await desk.settling.settle_all()
    assert desk.settled == ["b 1"]


async def test_who_is_written_anew_while_others_are_settled_is_left_alone() -> None:
    desk = Desk()
    for number in range(2 * IN_A_ROW):
        desk.put(f"{number}")
    settling = asyncio.create_task(desk.settling.settle_all())
    await asyncio.sleep(0)
    assert len(desk.settled) < IN_A_ROW, "others have their turn"
    desk.settling.drop(f"{IN_A_ROW}")
    await settling
    assert [key for key in desk.settled if key.startswith(f"{IN_A_ROW} ")] == []
    assert len(desk.settled) == 2 * IN_A_ROW - 1


async def test_who_asks_again_does_not_put_it_off() -> None:
    desk = Desk()
    desk.put("a")
    desk.now = 0.9
    desk.put("a")
    desk.now = 1.0
    await desk.settling.settle_due()
    assert desk.settled == ["a 1"]


async def test_a_newer_record_is_settled_for_the_older_one() -> None:
    desk = Desk()
    desk.put("a", 1)
    desk.put("a", 2)
    await desk.settling.settle_all()
    assert desk.settled == ["a 2"]


async def test_what_may_be_lost_is_not_settled() -> None:
    desk = Desk()
    desk.put("a")
    desk.settling.forget()
    await desk.settling.settle_all()
    assert desk.settled == []


async def test_it_is_looked_at_again_and_again() -> None:
    settled = asyncio.Event()

    async def settle() -> None:
        settled.set()

    settling = Settling(later_s=0.0)
    settling.put("a", 1, settle)
    running = asyncio.create_task(settling.run())
    await settled.wait()
    running.cancel()


async def test_a_join_is_settled_by_the_departure_that_follows() -> None:
    process = PresenceProcess(settles_later=True)
    process.do_all_hear = True
    await process.open(opening("alice"))
    await process.join("alice", "hall")
    await process.leave("alice", "hall")
    assert len(process.settling) == 1, "that of the departure alone"
    left = await process.user("alice")
    assert left is not None
    assert left.pending
    await process.settling.settle_all()
    settled = await process.user("alice")
    assert settled is not None
    assert not settled.pending
    assert len(process.log.entries) == 2


async def test_what_another_process_has_written_is_not_settled() -> None:
    process = PresenceProcess(watches=True, settles_later=True)
    process.do_all_hear = True
    other = PresenceProcess(beside=process, settles_later=True)
    other.do_all_hear = True
    await process.open(opening("alice"))
    await process.join("alice", "hall")
    await other.join("alice", "cellar")
    before = process.store.contents()
    await process.settling.settle_all()
    assert process.store.contents() == before


async def test_who_meets_another_process_settles_at_once() -> None:
    process = PresenceProcess(settles_later=True)
    other = PresenceProcess(beside=process, settles_later=True)
    await process.open(opening("alice"))
    await process.join("alice", "hall")
    await other.join("alice", "cellar")
    record = await process.user("alice")
    assert record is not None
    assert not record.pending
    process.clock.pass_s(ALONE_AFTER_MS / 1000)
    await other.join("alice", "attic")
    later = await process.user("alice")
    assert later is not None
    assert later.pending, "for a minute it has met no other process"


async def test_another_process_tells_nothing_anew_that_is_not_settled_yet() -> None:
    process = PresenceProcess(settles_later=True)
    process.do_all_hear = True
    other = PresenceProcess(beside=process, settles_later=True)
    other.do_all_hear = True
    opened = opening("alice")
    await process.open(opened)
    for step in (process.join, process.leave):
        await step("alice", "hall")
        logged, told = len(process.log.entries), events(process)
        await other.ask(ListMembers(ALICE, opened.session, HALL, hears=True))
        assert len(process.log.entries) == logged
        assert events(process) == told, "backends hear of it once"


async def test_a_broker_that_was_away_leaves_it_to_be_carried_out_again() -> None:
    process = PresenceProcess(settles_later=True)
    process.do_all_hear = True
    await process.open(opening("alice"))
    await process.join("alice", "hall")
    process.changes.forget_carried_out()
    assert len(process.settling) == 0
    record = await process.user("alice")
    assert record is not None
    assert record.pending
