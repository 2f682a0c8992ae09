"""What a gateway does not believe, presence tells it once more: real rules of presence, and a real log."""

import time

import pytest

from presence.store import MARKER_TTL_S
from tests.broker.gateway.rooms.scene import ALICE, CAROL, HALL, Here, Scene
from tests.support.waiting import until
from tests.unit.presence.lifetime import Died
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import SessionId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.rooms import Retell, RoomChange


def presence_in(scene: Scene) -> PresenceProcess:
    """Presence, which writes the log of rooms that the gateway hears."""
    presence = PresenceProcess()
    presence.do_all_hear = True
    presence.clock.now_ms = int(time.time() * 1000)
    return presence.over(presence.store, scene.log)


async def test_who_has_left_is_no_ghost_though_its_record_is_gone(scene: Scene) -> None:
    presence, carol = presence_in(scene), Here(scene, CAROL)
    await carol.comes()
    await carol.joins()
    await presence.open(opening("alice", "hall", hears=True))
    await carol.hears(1)
    hall = await scene.rooms.listen(HALL)
    assert hall.roster is not None
    assert hall.roster.joined_at(ALICE) is not None

    presence.life.begin(1)  # the record, of which nobody is told
    with pytest.raises(Died):
        await presence.end("alice")
    presence.life.begin(None)
    revision, at = presence.store.last_revision(), int((time.time() - 61) * 1000)
    presence.clock.pass_s(MARKER_TTL_S)
    assert await presence.user("alice") is None

    session = SessionId("alice-s1")
    late = RoomChange("left", revision, session, "online", True, 0, "disconnected", at=at)
    await scene.tells(ALICE, late)
    await until(lambda: scene.retold)
    assert scene.retold == [(HALL, [ALICE])]
    assert hall.roster.joined_at(ALICE) is not None, "it is not believed"
    assert await presence.ask(Retell(ALICE, HALL)) == Done()
    await carol.hears(1)
    assert hall.roster.joined_at(ALICE) is None
