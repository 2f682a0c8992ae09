"""Sessions that are begun, or resumed, at the same moment: their records are read in one go."""

import asyncio
from typing import Final

from tests.unit.presence.counting_store import CountingStore
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import Opened

MANY: Final = tuple(f"user-{number}" for number in range(20))


async def test_the_records_of_all_who_come_at_once_are_read_together() -> None:
    process = PresenceProcess()
    counting = CountingStore(process.store)
    process.over(counting)
    replies: list[PresenceReply] = []

    async def come() -> None:
        replies.extend(await asyncio.gather(*(process.ask(opening(user)) for user in MANY)))

    await counting.count(come())

    assert counting.asked["read"] == 1
    assert [reply.session for reply in replies if isinstance(reply, Opened)] == [
        opening(user).session for user in MANY
    ]


async def test_each_of_them_gets_its_own_session() -> None:
    process = PresenceProcess()
    for user in MANY:
        await process.ask(opening(user, "hall", secret=f"{user}'s"))

    again = (opening(user, "hall", number=2, resume=f"{user}'s") for user in MANY)
    replies = await asyncio.gather(*map(process.ask, again))

    assert [(reply.session, reply.resumed) for reply in replies if isinstance(reply, Opened)] == [
        (opening(user).session, True) for user in MANY
    ]
