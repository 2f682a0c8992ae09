"""Events of the gateway's own, sent through presence."""

import asyncio

from gateway.sessions.notices import AT_ONCE, TELLING_PATIENCE_S, Notices
from tests.unit.gateway.client.alice import ALICE, CONNECTION, alice
from tests.unit.gateway.client.harness import event
from tests.unit.gateway.sessions.presence import FakePresence
from tieline.wire.internal.sessions import Tell


async def test_presence_is_asked_to_tell_the_client_of_a_connection() -> None:
    presence = FakePresence()

    Notices(presence).send(alice(), event("own"))

    assert presence.asked == [Tell(ALICE, CONNECTION, event("own"))]
    assert presence.patience == [TELLING_PATIENCE_S]


async def test_all_are_sent_when_each_is_answered_or_given_up() -> None:
    presence = FakePresence()
    presence.reply(Tell, None)
    notices = Notices(presence)
    await notices.all_sent()
    for name in ("a", "b"):
        notices.send(alice(), event(name))
    waiting = asyncio.ensure_future(notices.all_sent())
    await asyncio.sleep(0)
    assert not waiting.done()

    presence.answer_begun()

    await waiting


async def test_so_many_are_under_way_at_once_and_the_others_wait() -> None:
    presence = FakePresence()
    for _ in range(AT_ONCE + 1):
        presence.reply(Tell, None)
    notices = Notices(presence)
    for number in range(AT_ONCE + 1):
        notices.send(alice(), event(str(number)))
    assert len(presence.asked) == AT_ONCE

    presence.answer_begun()

    waiting = asyncio.ensure_future(notices.all_sent())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert presence.asked[-1] == Tell(ALICE, CONNECTION, event(str(AT_ONCE)))
    presence.answer_begun()
    await waiting


async def test_presence_is_asked_again_for_what_is_still_wanted() -> None:
    presence, wanted = FakePresence(), [True, True, True, True, False]
    for _ in range(3):
        presence.reply(Tell, None)
    notices = Notices(presence, retry_s=0.0)
    notices.send(alice(), event("own"), lambda: wanted.pop(0))
    for _ in range(3):
        presence.answer_begun()
        await notices.all_sent()
        await asyncio.sleep(0.01)
    assert presence.asked == [Tell(ALICE, CONNECTION, event("own"))] * 3
