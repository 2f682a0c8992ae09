"""The broker's bytes, however they are cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tieline.runtime.message import Message
from tieline.runtime.nats_parser import Parser

PLAIN = b"MSG t.a 1 5\r\nhello\r\n"
ANSWERED = b"MSG t.a 1 t.reply.7 0\r\n\r\n"
HEADED = b"HMSG t.b 2 14 19\r\nNATS/1.0 503\r\nhello\r\n"
HEADED_AND_ANSWERED = b"HMSG t.b 2 t.reply 12 14\r\nNATS/1.0\r\n\r\n\r\n\r\n"
OTHERS = b"MSG _INBOX.x 3 11\r\nMSG t.a 1 5\r\n\r\n"
LINES = (b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'Permissions Violation'\r\n", b'INFO {"a":1}\r\n')
HEARD = {
    PLAIN: ("t.a", "", b"hello", b""),
    ANSWERED: ("t.a", "t.reply.7", b"", b""),
    HEADED: ("t.b", "", b"hello", b"NATS/1.0 503\r\n"),
    HEADED_AND_ANSWERED: ("t.b", "t.reply", b"\r\n", b"NATS/1.0\r\n\r\n"),
}


class Listening:
    """Two subscriptions that are listened to; what they hear, and what fails."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, bytes, bytes]] = []
        self.failures: list[Exception] = []
        self.parser = Parser({b"1": self._hear, b"2": self._hear}, self.failures.append)

    def _hear(self, message: Message) -> None:
        self.heard.append((message.subject, message.reply, message.data, message.headers))
        if message.data == b"stumble":
            raise LookupError


@given(
    st.lists(st.sampled_from((*HEARD, OTHERS, *LINES)), max_size=8),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_messages_are_read_however_the_bytes_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    listening, stream = Listening(), b"".join(parts)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    rest = b"".join(listening.parser.take(stream[a:b]) for a, b in itertools.pairwise(places))
    assert listening.heard == [HEARD[part] for part in parts if part in HEARD]
    assert rest == b"".join(part for part in parts if part not in HEARD)


def test_what_is_not_whole_yet_is_kept_back() -> None:
    listening = Listening()
    assert listening.parser.take(b"PI") == b""
    assert listening.parser.take(b"NG\r\nMSG t.a 1 5\r\nhello") == b"PING\r\n"
    assert listening.heard == []
    assert listening.parser.take(b"\r\n") == b""
    assert listening.heard == [HEARD[PLAIN]]


def test_a_listener_that_stumbles_takes_nothing_from_the_others() -> None:
    listening = Listening()
    assert listening.parser.take(b"MSG t.a 1 7\r\nstumble\r\n" + PLAIN + OTHERS) == OTHERS
    assert len(listening.heard) == 2
    assert [type(failure) for failure in listening.failures] == [LookupError]
