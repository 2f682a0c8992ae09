import pytest

from tieline.cli.call.trickle import END_OF_CANDIDATES, IceCandidate, ice_names, read_candidate, split

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
AUDIO = (
    "m=audio 51851 UDP/TLS/RTP/SAVPF 96 0\r\n"
    "c=IN IP4 192.0.2.2\r\n"
    "a=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=candidate:f1 1 udp 2130706431 192.0.2.2 51851 typ host\r\n"
    "a=mid:voice\r\n"
    "a=candidate:f2 1 udp 2130706431 fd00::2 57541 typ host\r\n"
    "a=end-of-candidates\r\n"
    "a=ice-ufrag:1Qfw\r\n"
)
VIDEO = "m=video 40000 UDP/TLS/RTP/SAVPF 97\r\na=candidate:f3 1 udp 1 192.0.2.2 40000 typ host\r\n"


def test_every_candidate_is_taken_out_and_nothing_else() -> None:
    assert split(HEAD + AUDIO).sdp == (
        HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 96 0\r\n"
        "c=IN IP4 0.0.0.0\r\n"
        "a=rtcp:9 IN IP4 0.0.0.0\r\n"
        "a=mid:voice\r\n"
        "a=ice-ufrag:1Qfw\r\n"
    )


def test_the_candidates_come_in_order_as_browsers_write_them() -> None:
    first, second, end, other = split(HEAD + AUDIO + VIDEO).candidates
    assert first == {
        "candidate": "candidate:f1 1 udp 2130706431 192.0.2.2 51851 typ host",
        "sdpMid": "voice",
        "sdpMLineIndex": 0,
    }
    assert second["candidate"] == "candidate:f2 1 udp 2130706431 fd00::2 57541 typ host"
    assert end == {"candidate": END_OF_CANDIDATES, "sdpMid": "voice", "sdpMLineIndex": 0}
    assert (other["sdpMid"], other["sdpMLineIndex"]) == ("1", 1)


@pytest.mark.parametrize("sdp", ["", HEAD, HEAD + "m=audio 9 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"])
def test_a_description_without_candidates_stays_as_it_is(sdp: str) -> None:
    assert split(sdp) == (sdp, [])


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (None, IceCandidate(candidate="", sdpMid=None, sdpMLineIndex=None)),
        ({"candidate": "", "sdpMid": "0"}, IceCandidate(candidate="", sdpMid="0", sdpMLineIndex=None)),
        (
            {
                "candidate": "candidate:1",
                "sdpMid": None,
                "sdpMLineIndex": 0,
                "usernameFragment": "u",
                "call": "c",
            },
            IceCandidate(candidate="candidate:1", sdpMid=None, sdpMLineIndex=0),
        ),
        ({}, None),
        ("candidate:1", None),
        ({"candidate": 1}, None),
        ({"candidate": "c", "sdpMLineIndex": "0"}, None),
    ],
)
def test_a_candidate_is_read_as_browsers_write_it(said: object, read: IceCandidate | None) -> None:
    assert read_candidate(said) == read


def test_the_names_of_ice_are_found_in_every_medium() -> None:
    assert ice_names("v=0\r\nm=audio\r\na=ice-ufrag:one\r\na=mid:0\r\nm=video\r\na=ice-ufrag:two\r\n") == [
        "one",
        "two",
    ]
    assert ice_names("v=0\r\n") == []
