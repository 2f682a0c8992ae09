import pytest

from tests.unit.wire.internal.messages import SESSION
from tieline.wire.internal.codec import decode_room_change, encode
from tieline.wire.internal.rooms import RoomChange


@pytest.mark.parametrize(
    ("reason", "read_as"), [("kicked", "kicked"), ("left", "left"), (None, "left"), ("banned", "left")]
)
def test_a_reason_that_only_a_newer_version_knows_is_a_known_one(reason: str | None, read_as: str) -> None:
    change = RoomChange("left", 7, SESSION, "online", True, 0, reason)
    assert decode_room_change(encode(change)).left_reason == read_as
