"""What a client is held to, each as a sentence with where the protocol says it."""

from typing import Final, NamedTuple

_PROTOCOL: Final = "docs/protocol.md"


class Promise(NamedTuple):
    """One sentence, and its place on the page of the protocol."""

    words: str
    anchor: str

    @property
    def place(self) -> str:
        """Where it is written."""
        return f"{_PROTOCOL}#{self.anchor}"


PROMISES: Final = {
    "connects": Promise("it connects where it is told to, with the token that it is given", "1-connecting"),
    "text-frames": Promise("it sends text frames only", "the-tieline-client-protocol-version-1"),
    "well-formed": Promise("each of its frames is a message that a server understands", "2-envelope"),
    "own-name": Promise("it writes its own user id into `from`", "3-commands"),
    "fresh-ids": Promise("two messages that differ never have one requestId", "2-envelope"),
    "pong": Promise("it answers the server's pings", "5-errors"),
    "goodbye": Promise("when it is closed on purpose it closes with 1000", "5-errors"),
    "answers-by-id": Promise(
        "an answer belongs to the request of its requestId, in whatever order", "3-commands"
    ),
    "pages": Promise("with roster=1 it asks for all pages of a list", "a-rooms-changes-and-large-rooms"),
    "hears": Promise("its application hears what others say, in order", "3-commands"),
    "unknown": Promise("it goes on over events, fields and reasons that it does not know", "2-envelope"),
    "moved": Promise("it goes on when a backend puts it into a room, and out of one", "5-errors"),
    "refusal-told": Promise("its application hears that a message was refused, and why", "5-errors"),
    "refusal-stays": Promise("it keeps a connection on which a message was refused", "5-errors"),
    "same-bytes": Promise("what is sent again is sent byte for byte", "2-envelope"),
    "unanswered-first": Promise(
        "over a new connection it first sends what has no answer yet, in its order", "4-order-and-delivery"
    ),
    "reconnects": Promise("it connects again when a connection is lost, or closed for a while", "5-errors"),
    "resumes": Promise("it resumes the session with its resumeToken", "6-losing-the-connection"),
    "names-last": Promise("it says what it has had last: `last`, or `lastPlace`", "6-losing-the-connection"),
    "older-server": Promise(
        "a WELCOME without a place is that of an older server: it goes on with `last`",
        "6-losing-the-connection",
    ),
    "once": Promise("it drops a message that comes again", "6-losing-the-connection"),
    "by-bytes": Promise(
        "it knows a message again by all its bytes, never by its id alone", "6-losing-the-connection"
    ),
    "reset-told": Promise(
        "when its session is gone it joins its rooms again, or its application hears of it",
        "6-losing-the-connection",
    ),
    "newest-session": Promise("it resumes the newest session, no older one", "6-losing-the-connection"),
    "drain": Promise("at RECONNECT it connects anew by itself, and not before `afterMs`", "3-commands"),
    "keeps-session": Promise(
        "it leaves an old connection with another code than 1000", "6-losing-the-connection"
    ),
    "stays-away": Promise("it does not connect again after a close code that is final", "5-errors"),
    "end-told": Promise("its application hears that its connection has ended for good", "5-errors"),
    "retry-after": Promise("refused with `Retry-After` it waits for as long", "1-connecting"),
    "refreshes": Promise("at TOKEN_EXPIRING it sends the application's newer token", "3-commands"),
    "newer-token": Promise("after 4501 it connects with a newer token, or not at all", "5-errors"),
    "calls": Promise("it offers, answers and hangs up when its application does", "3-commands"),
    "says-ringing": Promise("with calls=1 it says that an offer has begun to ring", "words-of-a-call"),
    "ring-ends": Promise(
        "a call that rings 10 s longer than `offerTimeout` is over, though no word of that has come",
        "calls-have-names",
    ),
    "glare": Promise("offers that cross end no call", "the-rules-of-the-four-webrtc-commands"),
    "late-hangup": Promise("a hangup of a call that is over ends no newer one", "calls-have-names"),
    "names-call": Promise("with calls=1 what it says of a call names that call", "calls-have-names"),
}


class Broken(Exception):
    """A promise was broken: which one, and what the client did."""

    def __init__(self, promise: str, seen: str) -> None:
        super().__init__(f"{promise}: {seen}")
        assert promise in PROMISES
        self.promise = promise
        self.seen = seen


class NotTried(Exception):
    """A scenario is about something that this client does not say it can."""
