"""Take the candidates out of a session description, to send them one by one. Pure text, no aiortc.

aiortc gathers every candidate before it writes a description; a browser sends the description first and
each candidate as it finds it. This module turns the first form into the second, that of RFC 8840.
"""

import re
from typing import Final, NamedTuple, TypedDict

import msgspec

END_OF_CANDIDATES: Final = ""
"""The value that a browser sends as `candidate` after the last one."""

_SECTION: Final = re.compile(r"^(?=m=)", re.MULTILINE)
_MID: Final = re.compile(r"^a=mid:([^\r\n]+)", re.MULTILINE)
_CANDIDATE: Final = re.compile(
    r"^a=(?:(?P<candidate>candidate:[^\r\n]+)|end-of-candidates)\r?\n", re.MULTILINE
)

_ICE_NAME: Final = re.compile(r"^a=ice-ufrag:([^\r\n]+)", re.MULTILINE)

# The default address of a medium is a candidate too: by RFC 8840 port 9 and no address are sent instead.
_PORT: Final = re.compile(r"^(m=\S+) \d+", re.MULTILINE)
_NO_PORT: Final = r"\1 9"
_ADDRESS: Final = re.compile(r"^c=[^\r\n]+", re.MULTILINE)
_NO_ADDRESS: Final = "c=IN IP4 0.0.0.0"


def ice_names(sdp: str) -> list[str]:
    """List the ICE user names of a description: others than before mean that ICE restarts (RFC 8839)."""
    return _ICE_NAME.findall(sdp)


class IceCandidate(TypedDict):
    """One candidate as browsers write it (RTCIceCandidateInit)."""

    candidate: str
    sdpMid: str | None
    sdpMLineIndex: int | None


def read_candidate(sent: object) -> IceCandidate | None:
    """Read a candidate of another client; null is the end of candidates. None: it is not a candidate."""
    if sent is None:
        return IceCandidate(candidate=END_OF_CANDIDATES, sdpMid=None, sdpMLineIndex=None)
    try:
        found = msgspec.convert(sent, _Sent)
    except msgspec.ValidationError:
        return None
    return IceCandidate(candidate=found.candidate, sdpMid=found.sdp_mid, sdpMLineIndex=found.sdp_m_line_index)


class _Sent(msgspec.Struct, frozen=True):
    candidate: str
    sdp_mid: str | None = msgspec.field(name="sdpMid", default=None)
    sdp_m_line_index: int | None = msgspec.field(name="sdpMLineIndex", default=None)


class Trickled(NamedTuple):
    """A description without candidates, and the candidates, in order, with the end of each medium."""

    sdp: str
    candidates: list[IceCandidate]


def split(sdp: str) -> Trickled:
    """Split a description into the part that is sent first and the candidates that follow."""
    head, *media = _SECTION.split(sdp)
    kept: list[str] = [head]
    candidates: list[IceCandidate] = []
    for index, section in enumerate(media):
        mid = _MID.search(section)
        candidates.extend(
            IceCandidate(
                candidate=found["candidate"] or END_OF_CANDIDATES,
                sdpMid=mid[1] if mid else str(index),
                sdpMLineIndex=index,
            )
            for found in _CANDIDATE.finditer(section)
        )
        kept.append(_ADDRESS.sub(_NO_ADDRESS, _PORT.sub(_NO_PORT, _CANDIDATE.sub("", section))))
    return Trickled("".join(kept), candidates)
