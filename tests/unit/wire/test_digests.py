import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.internal.messages import ALICE, BOB
from tests.unit.wire.samples import HOSTILE_IDS
from tieline.wire.digests import digest, message_id, name_of
from tieline.wire.ids import FrameDigest, UserId


@given(st.binary(max_size=256), st.binary(max_size=256))
def test_two_frames_share_a_digest_only_if_they_are_the_same_bytes(one: bytes, other: bytes) -> None:
    assert (digest(one) == digest(other)) == (one == other)


def test_a_digest_is_16_bytes_and_the_same_in_every_process() -> None:
    assert len(digest(b"")) == 16
    assert digest(b"frame") == FrameDigest(bytes.fromhex("a0f66a9bc6750ac387caf7676498b0e2"))


def test_a_frame_for_two_users_has_two_names_in_the_mailbox() -> None:
    assert message_id(ALICE, b"frame") == "a0f66a9bc6750ac387caf7676498b0e2.alice"
    assert message_id(BOB, b"frame") != message_id(ALICE, b"frame")
    assert message_id(ALICE, b"frame") == name_of(ALICE, digest(b"frame"))
    assert message_id(ALICE, b"frame ") != message_id(ALICE, b"frame")


@pytest.mark.parametrize("identifier", HOSTILE_IDS)
def test_a_message_id_can_stand_in_a_header_for_any_user(identifier: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_=.-]+", message_id(UserId(identifier), b"frame"))


def test_white_space_alone_makes_another_frame() -> None:
    assert digest(b'{"a":1}') != digest(b'{"a": 1}')
