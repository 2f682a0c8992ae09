"""The bytes delivered are the bytes sent (docs/protocol.md#3-commands)."""

import pytest

from tests.support.frames import new_id
from tests.support.people import People, Person
from tests.support.raw_client import Opcode, frame

MAX_MESSAGE_BYTES = 65_536

USUAL = (
    '{"requestId":"%(id)s","module":"ROOM","cmd":"%(cmd)s","data":{"from":"%(from)s","to":"%(to)s","data":$}}'
)

ODD_DATA = {
    "null": "null",
    "false": "false",
    "empty": '""',
    "spaces": "\r\n\t { \n} ",
    "escapes": r'"\u0041\/\b\f\n\r\t\"\\\ud83d\ude00\u0000"',
    "lone surrogates": r'"\ud800 \udfff \ud83dx \\ud800 \uDC00\uD800"',
    "huge numbers": "[1e400,-1E-999,123456789012345678901234567890,0.10000000000000000000001,-0]",
    "keys twice": '{"a":1,"a":2,"cmd":"JOIN","to":"nobody"}',
    "unicode": '"用户 \u2028\u2029\ufeff\x7f\x85 é e\u0301 😀 \U0010ffff"',
    "deep": "[" * 400 + "]" * 400,
    "brackets in a text": '"' + "[{" * 5000 + '"',
    "60 KB": '"' + "0123456789" * 6000 + '"',
}

ODD_FRAMES = {
    "spaces": """
\t {  "requestId" :"%(id)s"\r,"module":"ROOM" ,
  "cmd":"%(cmd)s", "data" : {"from":"%(from)s","to":"%(to)s", "data"\t:1 } } """,
    "key order": """\
{"data":{"data":1,"to":"%(to)s","from":"%(from)s"},"cmd":"%(cmd)s","module":"ROOM","requestId":"%(id)s"}""",
    "escaped keys": r"""\
{"requestI\u0064":"%(id)s","\u006dodule":"R\u004fOM","cmd":"%(cmd)s",
"data":{"from":"%(from)s","t\u006f":"%(to)s","data":1}}""".removeprefix("\\\n"),
    "extra fields": """\
{"v":[],"requestId":"%(id)s","module":"ROOM","cmd":"%(cmd)s","x":{"cmd":"JOIN"},
"data":{"from":"%(from)s","to":"%(to)s","data":{},"y":null},"z":""}""",
    "a code and a msg": """\
{"requestId":"%(id)s","module":"ROOM","cmd":"%(cmd)s","code":"none","msg":[],
"data":{"from":"%(from)s","to":"%(to)s","data":1}}""",
}

ODD = {**ODD_FRAMES, **{f"data: {name}": USUAL.replace("$", data) for name, data in ODD_DATA.items()}}
"""Frames with blanks for requestId, cmd, from and to."""


def written(form: str, cmd: str, sender: Person, to: Person) -> bytes:
    names = {"id": new_id("odd"), "cmd": cmd, "from": sender.user, "to": to.user}
    return (form % names).encode()


async def passes(message: bytes, sender: Person, to: Person) -> None:
    sender.connection.send(message)
    heard = await to.hear_frame()
    assert heard == message
    assert (await sender.hear())["ack"] == "relayed"


@pytest.mark.parametrize("form", ODD.values(), ids=ODD)
async def test_every_byte_of_every_command_arrives_as_it_was_sent(people: People, form: str) -> None:
    alice, bob = await people.two()
    await passes(written(form, "WEBRTC_OFFER", alice, bob), alice, bob)
    await passes(written(form, "WEBRTC_ANSWER", bob, alice), bob, alice)
    await passes(written(form, "WEBRTC_ICE_CANDIDATE", alice, bob), alice, bob)
    await passes(written(form, "WEBRTC_ICE_CANDIDATE", alice, bob), alice, bob)
    await passes(written(form, "WEBRTC_HANGUP", bob, alice), bob, alice)


@pytest.mark.parametrize("form", ODD.values(), ids=ODD)
async def test_every_byte_that_was_held_arrives_as_it_was_sent(people: People, form: str) -> None:
    alice, bob = await people.two()
    await alice.relays("WEBRTC_OFFER", bob)
    held = written(form, "WEBRTC_ICE_CANDIDATE", alice, bob)
    alice.connection.send(held)
    assert (await alice.hear())["ack"] == "held"
    answer = bob.say("WEBRTC_ANSWER", alice)
    await bob.hear_all([held], besides=[answer])


async def test_a_name_may_be_written_in_escapes(people: People) -> None:
    alice, bob = await people.two()
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in bob.user)
    message = (
        r'{"requestId":"\u0072","module":"ROOM","cmd":"WEBRTC_\u004fFFER",'
        f'"data":{{"from":"{alice.user}","to":"{escaped}","data":1}}}}'
    ).encode()
    alice.connection.send(message)
    assert await bob.hear_frame() == message
    ack = await alice.hear()
    assert (ack["requestId"], ack["cmd"], ack["ack"]) == ("r", "WEBRTC_OFFER", "relayed")


async def test_a_message_of_exactly_the_greatest_size_arrives(people: People) -> None:
    alice, bob = await people.two()
    start, end = written(USUAL, "WEBRTC_OFFER", alice, bob).split(b"$")
    message = start + b'"' + b"x" * (MAX_MESSAGE_BYTES - len(start) - len(end) - 2) + b'"' + end
    assert len(message) == MAX_MESSAGE_BYTES
    await passes(message, alice, bob)


async def test_a_message_in_fragments_arrives_whole(people: People) -> None:
    alice, bob = await people.two()
    message = written(ODD["data: unicode"], "WEBRTC_OFFER", alice, bob)
    alice.connection.write(frame(Opcode.TEXT, message[:1], fin=False))
    for number, byte in enumerate(message[1:]):  # between the bytes of a character, too
        alice.connection.write(frame(Opcode.CONTINUATION, bytes([byte]), fin=False))
        if number == 7:  # a ping may come in between
            alice.connection.write(frame(Opcode.PING, b"still there?"))
    alice.connection.write(frame(Opcode.CONTINUATION, b""))
    assert await alice.connection.receive_frame() == (Opcode.PONG, b"still there?")
    assert await bob.hear_frame() == message
    assert (await alice.hear())["ack"] == "relayed"
