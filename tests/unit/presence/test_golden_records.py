"""The bytes of every record, now and in every version since 0.1.

When one of these fails, the records have changed. If what changed is not released yet, write its bytes again
(`python -m tests.support.golden VERSION --unreleased`); else see
docs/decisions/0060-messages-and-records-change-by-rule.md.
"""

import re
from typing import Final

import pytest

from presence.rules import effects
from presence.rules.negotiated import HeldCandidate, Negotiation, Remembered, WaitingOffer
from presence.rules.standing import Standing
from presence.rules.user import Membership, RosterEntry, Session, User
from presence.rules.waking import Wait, Waits
from tests.support.golden import how_to_write, problems, rendered, unsampled
from tests.unit.presence.golden_records import GOLDEN
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import GatewayId
from tieline.wire.internal.sessions import KeepLease

VERSIONS = GOLDEN.versions()

RECORDS: Final = (
    User,
    Session,
    Membership,
    RosterEntry,
    Negotiation,
    WaitingOffer,
    HeldCandidate,
    Remembered,
    Standing,
    Wait,
    Waits,
)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_bytes_of_every_version_are_still_understood(version: str) -> None:
    assert list(problems(GOLDEN, version)) == []


def test_the_newest_version_is_written_byte_for_byte() -> None:
    stored = GOLDEN.path(VERSIONS[-1]).read_text(encoding="utf-8")

    assert rendered(GOLDEN) == stored, how_to_write(VERSIONS[-1])


def test_every_record_has_samples_that_show_a_change() -> None:
    kinds: set[type] = {*RECORDS, *effects._Effect.__subclasses__()}

    assert list(unsampled(GOLDEN, kinds)) == []


def test_a_sample_is_named_once() -> None:
    names = [sample.name for sample in GOLDEN.samples]

    assert len(set(names)) == len(names)


async def test_a_note_names_its_user_and_only_a_lease_has_a_value() -> None:
    process = PresenceProcess()
    for user in ("alice", "bob"):
        await process.open(opening(user, "hall", secret=user))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.end("bob", resumable=True)
    await process.ask(KeepLease(GatewayId("g1")))

    stored = process.store.contents()
    assert {key: value for key, value in stored.items() if key.startswith("session.")} == {
        "session.g1.alice-s1": b"alice",
        "session.g1.bob-s1": b"bob",
    }
    run = stored["timer.lease.g1"]
    assert re.fullmatch(rb"[0-9a-f]{16}", run)
    timers = {key: value for key, value in stored.items() if key.startswith("timer.")}
    assert sorted(timers.values()) == [b"", b"", run]
