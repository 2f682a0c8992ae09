"""Effects that are carried out again, and which of them are cheap."""

from typing import Final, get_args

import pytest

from presence.rules.change import Change
from presence.rules.effects import (
    CallEffect,
    CallEnded,
    Changed,
    CloseConnection,
    EndCalls,
    EndCallsWithoutRoom,
    HangUp,
    MemberCame,
    MemberWent,
    RemoveNote,
    SessionBegan,
    SessionEnded,
    StatusChanged,
    UserEffect,
    Woken,
    is_cheap,
)
from tests.unit.presence.carrying_out import (
    ALICE,
    BOB,
    CELLAR,
    G1,
    HALL,
    HERS,
    HIS,
    LATER,
    carry_out,
    carry_out_of_call,
    with_both,
)
from tests.unit.presence.lifetime import Died
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.rules.frames import NOW, named
from tieline.wire.ids import CallId, ConnectionId
from tieline.wire.internal.answers import Done
from tieline.wire.subjects import Keys

USER_EFFECTS: Final[tuple[UserEffect, ...]] = (
    Changed(ALICE),
    CloseConnection(ALICE, HERS, G1, ConnectionId("c"), 4500),
    RemoveNote(HERS, G1, LATER),
    EndCalls(HERS, NOW),
    EndCallsWithoutRoom("left", "left-7", NOW),
    MemberCame(HALL, 7, NOW),
    SessionBegan(NOW),
    SessionEnded(HERS, NOW),
    MemberWent(CELLAR, HERS, 7, "left", NOW),
    StatusChanged(),
)

CALL_EFFECTS: Final[tuple[CallEffect, ...]] = (
    HangUp(BOB, HIS, ALICE, "left", "cause"),
    CallEnded(NOW, ALICE, BOB, "left"),
    Woken(BOB, HIS, ALICE, named("kept offer"), CallId("call")),
)

FRAME: Final = b"kept offer"
KEPT: Final = Keys.held(ALICE, BOB, named("kept offer"))

PENDING: Final = 1
"""The effect on the world of writing that an effect is pending."""


def test_every_effect_is_tried_here() -> None:
    assert {type(effect) for effect in USER_EFFECTS} == set(get_args(UserEffect))
    assert {type(effect) for effect in CALL_EFFECTS} == set(get_args(CallEffect))


@pytest.mark.parametrize("effect", USER_EFFECTS, ids=lambda effect: type(effect).__name__)
async def test_an_effect_carried_out_again_is_the_very_same(effect: UserEffect) -> None:
    process = await with_both()
    await carry_out(process, effect)
    first, records = set(process.recorder.sent), contents(process)
    process.recorder.sent.clear()
    await carry_out(process, effect)
    assert set(process.recorder.sent) <= first
    assert contents(process) == records


@pytest.mark.parametrize("effect", CALL_EFFECTS, ids=lambda effect: type(effect).__name__)
async def test_an_effect_of_a_call_carried_out_again_is_the_very_same(effect: CallEffect) -> None:
    undisturbed = await with_kept_offer()
    await carry_out_of_call(undisturbed, effect)
    whole = undisturbed.recorder.sent
    assert whole
    for dies_after in range(1, len(whole) + 1):
        process = await with_kept_offer()
        process.life.begin(PENDING + dies_after)
        with pytest.raises(Died):
            await carry_out_of_call(process, effect)
        assert process.recorder.sent == whole[:dies_after]
        assert contents(process)[KEPT] == FRAME, "it is wanted until the effect is known to be carried out"
        process.recorder.sent.clear()
        process.life.begin(None)
        await touch_call(process)
        assert process.recorder.sent == whole
        assert contents(process) == contents(undisturbed)


async def with_kept_offer() -> PresenceProcess:
    """Alice and Bob are in a call, and the frame of an offer to Bob lies apart."""
    process = await with_both()
    await process.store.put(KEPT, FRAME, 60.0)
    return process


async def touch_call(process: PresenceProcess) -> None:
    """Let another process touch the call."""
    process.over(process.store)
    await process.changes.negotiation(ALICE, BOB, lambda _stored, _users, _facts: Change(Done()))


def contents(process: PresenceProcess) -> dict[str, bytes]:
    """What is stored."""
    return process.store.contents()


@pytest.mark.parametrize("effect", [*USER_EFFECTS, *CALL_EFFECTS], ids=lambda effect: type(effect).__name__)
def test_what_costs_a_message_alone_is_cheap(effect: UserEffect | CallEffect) -> None:
    is_early_note = isinstance(effect, RemoveNote) and not effect.last
    assert is_cheap(effect) is (is_early_note or isinstance(effect, Changed | CloseConnection))
