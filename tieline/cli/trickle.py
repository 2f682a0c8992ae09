"""Take the candidates out of a session description, to send them one by one. Pure text, no aiortc.

aiortc gathers every candidate before it writes a description; a browser sends the description first and
each candidate as it finds it. Here the one becomes the other: RFC 8840's form of the same offer.
"""

import re
from typing import Final, NamedTuple, TypedDict

END_OF_CANDIDATES: Final = ""
"""What a browser sends as `candidate` after the last one."""

_SECTION: Final = re.compile(r"^(?=m=)", re.MULTILINE)
_MID: Final = re.compile(r"^a=mid:([^\r\n]+)", re.MULTILINE)
_CANDIDATE: Final = re.compile(
    r"^a=(?:(?P<candidate>candidate:[^\r\n]+)|end-of-candidates)\r?\n", re.MULTILINE
)

# The default address of a medium is a candidate too: RFC 8840 says to send port 9 and no address.
_PORT: Final = re.compile(r"^(m=\S+) \d+", re.MULTILINE)
_NO_PORT: Final = r"\1 9"
_ADDRESS: Final = re.compile(r"^c=[^\r\n]+", re.MULTILINE)
_NO_ADDRESS: Final = "c=IN IP4 0.0.0.0"


class IceCandidate(TypedDict):
    """One candidate as browsers write it (RTCIceCandidateInit)."""

    candidate: str
    sdpMid: str
    sdpMLineIndex: int


class Trickled(NamedTuple):
    """A description without candidates, and the candidates, in order, with the end of each medium."""

    sdp: str
    candidates: list[IceCandidate]


def split(sdp: str) -> Trickled:
    """Split a description into what is sent first and what trickles after it."""
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
