import pytest

from tests.unit.wire.internal.messages import ALICE, CONNECTION, SESSION
from tieline.wire.internal.codec import decode_close_session, encode
from tieline.wire.internal.sessions import CloseSession


@pytest.mark.parametrize(
    ("code", "read_as"), [(4500, 4500), (1012, 1012), (4999, 4002), (0, 4002), (-1, 4002)]
)
def test_a_close_code_that_only_a_newer_version_knows_says_come_back(code: int, read_as: int) -> None:
    closing = decode_close_session(encode(CloseSession(ALICE, SESSION, CONNECTION, code)))
    assert closing.close_code == read_as
