import msgspec

from tests.unit.wire.internal.messages import ALICE, ROOM
from tieline.wire.events import Happened


def test_an_event_is_camel_case_json_without_what_does_not_apply() -> None:
    joined = Happened(1_700_000_000_000, ALICE, room=ROOM)

    assert msgspec.json.encode(joined) == b'{"at":1700000000000,"user":"alice","room":"a.b *"}'
    assert msgspec.json.decode(msgspec.json.encode(joined), type=Happened) == joined
