"""Whose a frame is, and what it is called, whatever else stands in it."""

import pytest

from tieline.wire.origin import origin_of, request_id_of


@pytest.mark.parametrize(
    ("frame_", "request_id"),
    [
        (b'{"requestId":"r-1","cmd":"MEMBER_JOINED","data":{}}', "r-1"),
        (b'{"requestId":"r-1","data":"\\ud800"}', "r-1"),
        (b'{"cmd":"WELCOME"}', ""),
        (b'{"requestId":7}', ""),
        (b"no JSON", ""),
    ],
)
def test_the_request_id_of_an_accepted_frame_is_read(frame_: bytes, request_id: str) -> None:
    assert request_id_of(frame_) == request_id


@pytest.mark.parametrize(
    ("frame_", "origin"),
    [
        (b'{"requestId":"1","data":{"from":"bob","to":"x","data":"y"}}', ("1", "bob")),
        (b'{"requestId":"\\u7528","data":{"from":"b","data":"\\ud800"}}', ("\u7528", "b")),
        (b'{"requestId":"1","data":{"from":"b","data":["\\uD800\\ud800"]}}', ("1", "b")),
        (b'{"requestId":"1","data":{"room":"r"}}', ("1", "")),
        (b'{"requestId":"1","data":[1]}', ("1", "")),
        (b'{"requestId":"1"}', ("1", "")),
        (b'{"data":{"from":7}}', ("", "")),
        (b"[]", ("", "")),
        (b"", ("", "")),
    ],
)
def test_whose_a_frame_is_and_what_it_is_called_is_read(frame_: bytes, origin: tuple[str, str]) -> None:
    assert origin_of(frame_) == origin
