"""A message that cannot be read gets its error, and the connection stays (docs/protocol.md#5-errors)."""

import pytest

from tests.support import frames
from tests.support.frames import new_id
from tests.support.people import People, establish

BAD, UNKNOWN = "BAD_MESSAGE", "UNKNOWN_COMMAND"
DEEP = 5000

NO_JSON = {
    "nothing": "",
    "a space": " ",
    "words": "hello",
    "null": "null",
    "a list": "[]",
    "a text": '"text"',
    "a number": "17",
    "an empty object": "{}",
    "half an object": "{",
    "single quotes": "{'requestId':'r'}",
    "a byte order mark": "\ufeff{}",
    "a control character": '{"requestId":"\n"}',
    "open brackets": "[" * DEEP,
    "brackets": "[" * DEEP + "]" * DEEP,
    "objects": '{"a":' * DEEP + "1" + "}" * DEEP,
}


def written(
    request_id: str = '"r"',
    module: str = '"ROOM"',
    cmd: str = '"WEBRTC_OFFER"',
    data: str = '{"from":"a","to":"b","data":1}',
) -> str:
    """Write a frame of fields that are JSON, or empty and left out."""
    fields = {"requestId": request_id, "module": module, "cmd": cmd, "data": data}
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items() if value) + "}"


HALF_READABLE = [
    # what is sent, the reason, and the requestId and cmd that are echoed
    (written() + "{}", BAD, "", ""),
    (written()[:-1], BAD, "", ""),
    (written(data='{"from":"a","to":"b","data":}'), BAD, "", ""),
    (written(data='{"from":"a","to":"b","data":NaN}'), BAD, "", ""),
    (written(cmd='"PING"', data="[" * DEEP + "]" * DEEP), BAD, "", ""),
    (written(request_id=""), BAD, "", "WEBRTC_OFFER"),
    (written(request_id='""'), BAD, "", "WEBRTC_OFFER"),
    (written(request_id="7"), BAD, "", "WEBRTC_OFFER"),
    (written(request_id=r'"a\r\nb"'), BAD, "", "WEBRTC_OFFER"),
    (written(request_id=r'"\ud800"'), BAD, "", "WEBRTC_OFFER"),
    (written(module=""), BAD, "r", "WEBRTC_OFFER"),
    (written(module='"USER"'), BAD, "r", "WEBRTC_OFFER"),
    (written(module='["ROOM"]'), BAD, "r", "WEBRTC_OFFER"),
    (written(cmd=""), BAD, "r", ""),
    (written(cmd="5"), BAD, "r", ""),
    (written(cmd="null"), BAD, "r", ""),
    (written(data=""), BAD, "r", "WEBRTC_OFFER"),
    (written(cmd='"WEBRTC_ANSWER"', data="null"), BAD, "r", "WEBRTC_ANSWER"),
    (written(cmd='"WEBRTC_ICE_CANDIDATE"', data='"x"'), BAD, "r", "WEBRTC_ICE_CANDIDATE"),
    (written(cmd='"WEBRTC_HANGUP"', data="[]"), BAD, "r", "WEBRTC_HANGUP"),
    (written(data='{"to":"b","data":1}'), BAD, "r", "WEBRTC_OFFER"),
    (written(data='{"from":"a","data":1}'), BAD, "r", "WEBRTC_OFFER"),
    (written(data='{"from":"a","to":"b"}'), BAD, "r", "WEBRTC_OFFER"),
    (written(data='{"from":1,"to":"b","data":1}'), BAD, "r", "WEBRTC_OFFER"),
    (written(data='{"from":"a","to":["b"],"data":1}'), BAD, "r", "WEBRTC_OFFER"),
    (written(data='{"from":"a","to":"","data":1}'), BAD, "r", "WEBRTC_OFFER"),
    (written(data=r'{"from":"a","to":"b\u0000","data":1}'), BAD, "r", "WEBRTC_OFFER"),
    (written(data=r'{"from":"a","to":"\udfff","data":1}'), BAD, "r", "WEBRTC_OFFER"),
    (written(cmd='"JOIN"', data=""), BAD, "r", "JOIN"),
    (written(cmd='"JOIN"', data="{}"), BAD, "r", "JOIN"),
    (written(cmd='"JOIN"', data='{"room":""}'), BAD, "r", "JOIN"),
    (written(cmd='"JOIN"', data='{"room":5}'), BAD, "r", "JOIN"),
    (written(cmd='"LEAVE"', data=r'{"room":"a\nb"}'), BAD, "r", "LEAVE"),
    (written(cmd='"MEMBERS"', data='"room"'), BAD, "r", "MEMBERS"),
    (written(cmd='"DANCE"', data="{}"), UNKNOWN, "r", "DANCE"),
    (written(cmd='"DANCE"', data=""), UNKNOWN, "r", "DANCE"),
    (written(cmd='"webrtc_offer"'), UNKNOWN, "r", "webrtc_offer"),
    (written(cmd='"WELCOME"'), UNKNOWN, "r", "WELCOME"),
    (written(cmd='"PONG"'), UNKNOWN, "r", "PONG"),
    (written(cmd='"MEMBER_LEFT"'), UNKNOWN, "r", "MEMBER_LEFT"),
]

HOSTILE_IDS = ["*", ">", "a.b", "a b", "用户 一", "$JS.API.>", "\\", '"', "=41", "é" * 64, "x" * 128]
REFUSED_IDS = ["a\r\nb", "\t", "\x00", "\x7f", "\x85", "x" * 129, "é" * 64 + "x"]


@pytest.mark.parametrize("form", NO_JSON.values(), ids=NO_JSON)
async def test_what_is_no_message_is_refused_and_the_connection_stays(people: People, form: str) -> None:
    alice = await people.connect("alice")
    alice.connection.send(form)
    await alice.hears_refusal(BAD)
    await alice.pings()


@pytest.mark.parametrize(("form", "reason", "request_id", "cmd"), HALF_READABLE, ids=lambda part: part[:60])
async def test_an_error_echoes_the_names_that_could_be_read(
    people: People, form: str, reason: str, request_id: str, cmd: str
) -> None:
    alice = await people.connect("alice")
    alice.connection.send(form)
    assert await alice.hear() == frames.refusal(reason, {"requestId": request_id, "cmd": cmd})
    await alice.pings()


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
async def test_an_id_may_look_like_anything(people: People, hostile: str) -> None:
    people.room = hostile
    bystander = await people.connect("bystander", claims={"join": [new_id("room")]})
    alice = await people.connect("alice", user=hostile, claims={"rooms": [hostile]})
    assert alice.welcome["data"]["userId"] == hostile
    assert len((await alice.asks("JOIN", {"room": hostile}))["members"]) == 1
    bob = await people.connect("bob", claims={"join": [hostile]})
    await alice.hears_joined(hostile, bob.user)
    await establish(alice, bob)
    await alice.asks("LEAVE", {"room": hostile})
    await bob.hears_hangup(hostile, "left")
    await bob.hears_left(hostile, hostile, "left")
    await bystander.pings()
    alice.connection.send(frames.command("PING", hostile, hostile))
    pong = await alice.hear()
    assert (pong["requestId"], pong["data"]) == (hostile, hostile)


@pytest.mark.parametrize("refused", REFUSED_IDS)
async def test_an_id_that_is_too_long_or_has_control_characters_is_refused(
    people: People, refused: str
) -> None:
    alice = await people.enter("alice")
    for cmd in ("JOIN", "LEAVE", "MEMBERS"):
        await alice.asks_in_vain(cmd, {"room": refused}, BAD)
    for cmd in ("WEBRTC_OFFER", "WEBRTC_ANSWER", "WEBRTC_ICE_CANDIDATE", "WEBRTC_HANGUP"):
        await alice.is_refused(cmd, refused, BAD)
        frame = frames.signal(cmd, refused, alice.user)
        alice.connection.send(frame)
        await alice.hears_refusal(BAD, frame)
    alice.connection.send(frames.command("PING", 1, refused))
    assert await alice.hear() == frames.refusal(BAD, {"cmd": "PING"})
