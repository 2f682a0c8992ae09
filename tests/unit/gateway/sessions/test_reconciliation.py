"""Connections that were replaced unheard, found by asking presence. With a real broker: tests/broker."""

import pytest

from gateway.sessions.reconciliation import Reconciliation
from tests.unit.gateway.sessions.scene import Scene
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.sessions import FindReplaced, Replaced


def reconciliation(scene: Scene, has_broker: bool = True) -> Reconciliation:
    return Reconciliation(scene.presence, scene.connections, lambda: has_broker, scene.tasks)


async def test_a_connection_that_was_replaced_is_closed(scene: Scene) -> None:
    alice, bob = scene.here("alice"), scene.here("bob")
    scene.presence.reply(FindReplaced, Replaced((ConnectionId("c-bob"), ConnectionId("c-gone"))))

    reconciliation(scene).start()
    await scene.settles()

    assert (alice.close_code, bob.close_code) == (None, 4500)
    assert scene.presence.asked == [
        FindReplaced(((UserId("alice"), ConnectionId("c-alice")), (UserId("bob"), ConnectionId("c-bob"))))
    ]


async def test_without_a_broker_nothing_is_asked(scene: Scene) -> None:
    scene.here("alice")

    reconciliation(scene, has_broker=False).start()
    await scene.settles()

    assert scene.presence.asked == []


async def test_a_return_while_it_is_asked_has_it_asked_again(scene: Scene) -> None:
    scene.here("alice")
    scene.presence.reply(FindReplaced, None, Replaced(()))
    scene.presence.may_answer.clear()
    reconciling = reconciliation(scene)
    reconciling.start()
    await scene.settles()

    reconciling.start()
    scene.presence.may_answer.set()
    await scene.settles()

    assert len(scene.presence.asked) == 3


async def test_after_a_bug_of_presence_the_next_return_asks_again(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    alice = scene.here("alice")
    scene.presence.reply(FindReplaced, Done(), Replaced((ConnectionId("c-alice"),)))
    reconciling = reconciliation(scene)
    reconciling.start()
    await scene.settles()
    assert [record.message for record in caplog.records] == ["reconciliation: a bug"]
    assert alice.close_code is None

    reconciling.start()
    await scene.settles()

    assert alice.close_code == 4500
