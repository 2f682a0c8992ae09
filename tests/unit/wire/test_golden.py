"""The bytes of every message, now and in every version since 0.1.

When one of these fails, the messages have changed. If what changed is not released yet, write its bytes again
(`python -m tests.support.golden VERSION --unreleased`); else see
docs/decisions/0060-messages-and-records-change-by-rule.md.
"""

import pytest

from tests.support.golden import how_to_write, problems, rendered, unsampled
from tests.unit.wire.golden_messages import GOLDEN
from tests.unit.wire.internal.messages import leaves
from tieline.wire.events import Happened
from tieline.wire.internal.message import Message
from tieline.wire.replies import Member

VERSIONS = GOLDEN.versions()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_bytes_of_every_version_are_still_understood(version: str) -> None:
    assert list(problems(GOLDEN, version)) == []


def test_the_newest_version_is_written_byte_for_byte() -> None:
    stored = GOLDEN.path(VERSIONS[-1]).read_text(encoding="utf-8")

    assert rendered(GOLDEN) == stored, how_to_write(VERSIONS[-1])


def test_every_message_has_samples_that_show_a_change() -> None:
    kinds: set[type] = {*leaves(Message), Member, Happened}

    assert list(unsampled(GOLDEN, kinds)) == []


def test_a_sample_is_named_once() -> None:
    names = [sample.name for sample in GOLDEN.samples]

    assert len(set(names)) == len(names)
