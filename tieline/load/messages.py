"""The messages that a load sends: each is different, by a number of fixed width in it. Pure.

A server may drop the exact copy of a message, and only numbered messages let the receiver say which one was
lost, repeated or overtaken.
"""

from typing import Final

CANDIDATE_BYTES: Final = 330
"""The length of a candidate in the relay: what Chromium's are, with the envelope around them."""

DIGITS: Final = 12

_ENVELOPE: Final = (
    '{{"requestId":"webrtc_{number}","module":"ROOM","cmd":"{cmd}","code":200,"msg":"success",'
    '"data":{{"from":"{sender}","to":"{to}","data":{data}}}}}'
)
_CANDIDATE: Final = (
    '{{"candidate":"candidate:{number} 1 udp 2122260223 192.168.1.100 54400 typ host{padding}",'
    '"sdpMid":"0","sdpMLineIndex":0}}'
)
_DESCRIPTION: Final = (
    '{{"type":"{kind}","sdp":"v=0\\r\\no=- {number} 2 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\n'
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\\r\\nc=IN IP4 0.0.0.0\\r\\na=mid:0\\r\\na=sendrecv\\r\\n"
    'a=rtpmap:111 opus/48000/2\\r\\n"}}'
)
_HANGUP: Final = '{{"reason":"hangup","call":"{number}"}}'


class MessageSeries:
    """All messages of one command from one user to another; `write(n)` makes the n-th."""

    def __init__(self, cmd: str, data: str, sender: str, to: str) -> None:
        gap = "\0"
        text = _ENVELOPE.format(number=gap, cmd=cmd, sender=sender, to=to, data=data.format(number=gap))
        self._between = [piece.encode() for piece in text.split(gap)]
        self._head = len(self._between[0])

    def write(self, number: int) -> bytes:
        """Write the message with this number, from 0 to 10**12 - 1."""
        return (b"%0*d" % (DIGITS, number)).join(self._between)

    def name(self, number: int) -> str:
        """Return the requestId of the message with this number."""
        return f"webrtc_{number:0{DIGITS}}"

    def read(self, message: bytes) -> int | None:
        """Tell the number of a message; None: it is not in this series."""
        digits = message[self._head : self._head + DIGITS]
        if not digits.isdigit() or self.write(int(digits)) != message:
            return None
        return int(digits)


def candidates(sender: str, to: str, length: int = CANDIDATE_BYTES) -> MessageSeries:
    """ICE candidates of `length` bytes each, or a little more if the ids alone are longer."""
    bare = len(_candidates(sender, to, "").write(0))
    return _candidates(
        sender, to, " generation 0 ufrag EEtu network-id 1".ljust(length, "0")[: length - bare]
    )


def _candidates(sender: str, to: str, padding: str) -> MessageSeries:
    data = _CANDIDATE.replace("{padding}", padding)
    return MessageSeries("WEBRTC_ICE_CANDIDATE", data, sender, to)


def offers(sender: str, to: str) -> MessageSeries:
    """Offers with a short SDP."""
    return MessageSeries("WEBRTC_OFFER", _DESCRIPTION.replace("{kind}", "offer"), sender, to)


def answers(sender: str, to: str) -> MessageSeries:
    """Answers with a short SDP."""
    return MessageSeries("WEBRTC_ANSWER", _DESCRIPTION.replace("{kind}", "answer"), sender, to)


def hangups(sender: str, to: str) -> MessageSeries:
    """Hang-ups."""
    return MessageSeries("WEBRTC_HANGUP", _HANGUP, sender, to)
