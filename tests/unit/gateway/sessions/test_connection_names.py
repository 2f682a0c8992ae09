"""Connections are named as nobody can tell who does not ask, or is not asked."""

from gateway.sessions.connection_names import KEY_BYTES, ConnectionNames
from tieline.wire.ids import SessionId, is_own_id

ASKED, OTHER = SessionId("s-1"), SessionId("s-2")


def names(key: bytes = b"k") -> ConnectionNames:
    return ConnectionNames(key * KEY_BYTES)


def test_a_name_is_found_again_by_what_was_asked() -> None:
    assert names().of(ASKED) == names().of(ASKED)
    assert is_own_id(names().of(ASKED))


def test_each_connection_has_a_name_of_its_own() -> None:
    assert names().of(ASKED) != names().of(OTHER)


def test_another_gateway_finds_another_name() -> None:
    assert names(b"k").of(ASKED) != names(b"l").of(ASKED)
