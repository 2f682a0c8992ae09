from tieline.client import events, messages
from tieline.client.messages import Reply
from tieline.client.session import Session
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.replies import Member, MemberLeft, Roster, Welcome, success

A, B, C = RoomId("a"), RoomId("b"), RoomId("c")
ANN = UserId("ann")


def welcome(*rooms: RoomId, token: str = "t", resumed: bool = False) -> Welcome:
    return Welcome(ANN, SessionId("s"), token, resumed, rooms, 30, 25, 65_536)


def hear(session: Session, frame: bytes, now: float = 0) -> bool:
    message = messages.decode(frame)
    assert isinstance(message, events.MemberLeft)
    return session.record(frame, message.request_id, now)


def answer(session: Session, cmd: str, data: object) -> RoomId | None:
    reply = messages.decode(success("r", cmd, data))
    assert isinstance(reply, Reply)
    return session.record_reply(reply)


def joined(session: Session, room: RoomId) -> None:
    answer(session, "JOIN", Roster(room, (Member(ANN, "online", voice=True, joined_at=1),)))


def test_the_last_message_is_the_newest_that_was_new() -> None:
    session = Session(welcome(token="secret"))
    assert session.query() == {"resume": "secret", "last": ""}
    first, second = (success(name, "MEMBER_LEFT", MemberLeft(A, UserId("bob"), "left")) for name in "12")
    assert hear(session, first)
    assert hear(session, second)
    assert not hear(session, first)
    assert session.query() == {"resume": "secret", "last": "2"}


def test_rooms_are_those_of_the_welcome_and_of_the_replies() -> None:
    session = Session(welcome(A))
    joined(session, B)
    joined(session, C)
    assert answer(session, "LEAVE", {"room": "a"}) == A
    assert answer(session, "MEMBERS", {"room": "a"}) is None
    assert answer(session, "JOIN", {"hall": "a"}) is None
    assert list(session.rooms) == [B, C]
    session.record_left(B)
    assert list(session.rooms) == [C]
    session.resume(welcome(A, C, resumed=True))
    assert list(session.rooms) == [A, C]


def test_a_new_session_remembers_old_rooms_and_those_on_the_way() -> None:
    session = Session(welcome(A, B, C))
    hear(session, success("1", "MEMBER_LEFT", MemberLeft(A, UserId("bob"), "left")))
    assert session.reset(welcome(A, token="new"), rejoin=True) == (A, B, C)
    assert session.query() == {"resume": "new", "last": ""}
    assert list(session.rooms) == [A]
    joined(session, B)
    assert session.reset(welcome(), rejoin=True) == (A, B, C)
    session.stop_rejoining(C)
    assert session.reset(welcome(), rejoin=False) == (A, B)
    assert session.reset(welcome(), rejoin=False) == ()


def placed(place: str, name: str) -> bytes:
    left = success(name, "MEMBER_LEFT", MemberLeft(A, UserId("bob"), "left"))
    return b'{"place":"%b",' % place.encode() + left[1:]


def test_the_place_is_that_of_what_came_last_also_if_it_came_before() -> None:
    session = Session(welcome(token="secret"), "7")
    assert session.query() == {"resume": "secret", "last": "", "lastPlace": "7"}
    assert hear(session, placed("8", "1"))
    assert not hear(session, placed("9", "1"))
    assert session.query() == {"resume": "secret", "last": "1", "lastPlace": "9"}


def test_blanks_that_a_sender_wrote_first_hide_no_place() -> None:
    session = Session(welcome(token="secret"), "7")
    assert hear(session, b" \n" + placed("8", "1"))
    assert not hear(session, b" \n" + placed("9", "1"))
    assert session.query() == {"resume": "secret", "last": "1", "lastPlace": "9"}


def test_a_place_counts_only_where_the_server_names_places() -> None:
    session = Session(welcome(token="secret"), "7")
    session.resume(welcome(token="secret", resumed=True))
    assert hear(session, placed("8", "1"))
    assert session.query() == {"resume": "secret", "last": "1"}
    session.reset(welcome(token="new"), "0", rejoin=False)
    assert session.query() == {"resume": "new", "last": "", "lastPlace": "0"}
    session.reset(welcome(token="newer"), rejoin=False)
    assert session.query() == {"resume": "newer", "last": ""}
