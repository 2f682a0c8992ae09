"""What the password of one service does not allow; the broker says so each time."""

import asyncio
import base64

import msgspec
import pytest
from nats.aio.msg import Msg

from tests.nats.conftest import NAMESPACE as NS
from tests.support.partitions import subjects_of
from tests.support.secured import Intruder, SecuredCluster, hears_nothing_but
from tests.support.system import System
from tests.support.waiting import PATIENCE_S, until, within
from tieline.cli.permissions import ANSWERS as MOST_ANSWERS
from tieline.runtime.message import Message, block
from tieline.wire import jetstream, jetstream_headers
from tieline.wire.digests import digest
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.sessions import Register
from tieline.wire.internal.signals import Check

pytestmark = pytest.mark.needs("openssl")

BOB, GATEWAY, ROOM, S1 = UserId("bob"), GatewayId("g1"), RoomId("r"), SessionId("s1")

SUBJECTS = subjects_of(NS)
PART = SUBJECTS.parts()[SUBJECTS.place_of(BOB)]
"""Of whom all is in one of the partitions of this run."""

KV, MAILBOX = jetstream.bucket_stream(PART.bucket()), PART.mailbox()
KEYS = jetstream.bucket_prefix(PART.bucket())
FRAME_FOR_BOB = SUBJECTS.user(BOB, S1)
LIVE_FOR_BOB = SUBJECTS.live(BOB, S1)
MARK = PART.mark(GATEWAY)
MARK_OF_INTRUDER = PART.mark(GatewayId("intruder"))
BUCKET = (f"{KEYS}user.bob", f"{KEYS}timer.lease.g1")
EVENTS, HOOKS = f"EVENTS_{NS}", f"KV_{NS}-webhooks"
READS_OF_THE_BUCKET = (
    f"$JS.API.DIRECT.GET.{KV}",
    f"$JS.API.DIRECT.GET.{KV}.{KEYS}user.bob",
    f"$JS.API.STREAM.MSG.GET.{KV}",
    f"$JS.API.CONSUMER.CREATE.{KV}.mine",
    f"$JS.API.CONSUMER.MSG.NEXT.{KV}.timers",
)
WITH_STATUS = b"NATS/1.0 "
"""So begin the headers of an answer that is no message: none is there, or all that are have come."""

DELETES_MAIL = f"$JS.API.STREAM.MSG.DELETE.{MAILBOX}"
HARM_TO_STREAMS = tuple(
    f"$JS.API.{what}.{stream}"
    for what in ("STREAM.DELETE", "STREAM.PURGE", "STREAM.MSG.DELETE", "STREAM.LEADER.STEPDOWN")
    for stream in (KV, MAILBOX)
)
HARM_TO_EVENTS = tuple(
    f"$JS.API.STREAM.{what}.{stream}"
    for what in ("UPDATE", "DELETE", "PURGE", "MSG.DELETE")
    for stream in (EVENTS, HOOKS)
)
ANSWERS = (f"{NS}.gateway.g1.reply.1", f"{NS}.router.r1.reply.1", f"{NS}.presence.p1.reply.1")

OF_THE_SERVERS = (
    *(
        "$SYS.REQ.USER.INFO",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.ACCOUNT.PING.CONNZ",
        "$SYS.REQ.SERVER.x.RELOAD",
    ),
    *(
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.CREATE.other",
        "$JS.API.ACCOUNT.PURGE.TIELINE",
    ),
    *(f"$JS.API.STREAM.{what}.{stream}" for what in ("SNAPSHOT", "RESTORE") for stream in (KV, MAILBOX)),
    *(f"$JS.API.CONSUMER.{what}.{MAILBOX}" for what in ("LIST", "NAMES", "CREATE", "DURABLE.CREATE")),
    *(f"$JS.API.DIRECT.GET.{MAILBOX}.{FRAME_FOR_BOB}", f"$JS.ACK.{MAILBOX}.c.1.1.1.1.1", "$JS.FC.x"),
    *("$NRG.V._meta_", "$JSC.SI.x", "_R_.x", "_GR_.x", "_INBOX.x", "$GNR.x", "$LDS.x", "$MQTT.sub.x"),
)
"""What servers say to each other, what is asked of them, and what nobody needs of JetStream."""

NOT_TO_SAY = {
    "gateway": [
        FRAME_FOR_BOB,
        *(LIVE_FOR_BOB, PART.live_mark(GATEWAY), PART.mailbox_question(), PART.room(ROOM, BOB)),
        SUBJECTS.which(),
        *BUCKET,
        *READS_OF_THE_BUCKET,
        *HARM_TO_STREAMS,
        *ANSWERS,
        *(f"{NS}.presence.check", f"{NS}.changed.bob", f"{NS}.events.joined"),
        *(f"{NS}.gateway.g1.close", f"{NS}.gateway.g1.alive"),
        f"$JS.API.STREAM.MSG.GET.{MAILBOX}",
        f"$JS.API.STREAM.UPDATE.{MAILBOX}",
        "other.signal.WEBRTC_OFFER",
    ],
    "router": [
        *BUCKET,
        *READS_OF_THE_BUCKET,
        *HARM_TO_STREAMS,
        *ANSWERS,
        *(f"{NS}.presence.{op}" for op in ("open", "end", "register", "tell", "join", "leave", "members")),
        *(f"{NS}.signal.WEBRTC_OFFER", MARK, LIVE_FOR_BOB),
        *(f"{NS}.changed.bob", f"{NS}.events.joined", f"{NS}.gateway.g1.close"),
        f"$JS.API.DIRECT.GET.{MAILBOX}",
    ],
    "presence": [
        *(harm for harm in HARM_TO_STREAMS if harm != DELETES_MAIL),
        *ANSWERS,
        *(f"{NS}.signal.WEBRTC_OFFER", f"{NS}.presence.check", f"{NS}.presence.open", MARK),
        LIVE_FOR_BOB,
        *("$KV.other.user.bob", "$JS.API.STREAM.CREATE.other", "$JS.API.STREAM.INFO.other"),
        *(f"{KEYS}other", f"{KEYS}user.bob.s1", f"{KEYS}timer.tea.5"),
        *(f"$JS.API.STREAM.UPDATE.{stream}" for stream in (KV, MAILBOX)),
        f"$JS.API.CONSUMER.DELETE.{KV}.timers",
        f"$JS.API.CONSUMER.CREATE.{KV}.other.{KEYS}timer.>",
        f"$JS.API.DIRECT.GET.{MAILBOX}",
    ],
    "streams": [
        FRAME_FOR_BOB,
        *BUCKET,
        *READS_OF_THE_BUCKET,
        *HARM_TO_STREAMS,
        *ANSWERS,
        *(f"{NS}.signal.WEBRTC_OFFER", f"{NS}.presence.open", f"{NS}.gateway.g1.close"),
        f"$JS.API.DIRECT.GET.{MAILBOX}",
    ],
    "api": [
        FRAME_FOR_BOB,
        *BUCKET,
        *READS_OF_THE_BUCKET,
        *HARM_TO_STREAMS,
        *HARM_TO_EVENTS,
        *ANSWERS,
        *(f"{NS}.presence.{op}" for op in ("check", "open", "end", "register", "tell", "join", "lease")),
        *(f"{NS}.signal.WEBRTC_OFFER", f"{NS}.mark.g1", f"{NS}.room.r.bob", f"{NS}.changed.bob"),
        *(f"{NS}.events.joined", f"{NS}.cloudevents.call.ended", f"{NS}.cloudevents.again.one"),
        *(f"{NS}.gateway.g1.close", f"{NS}.gateway.g1.join"),
        *(f"$KV.{NS}-webhooks.{key}" for key in ("progress.one", "lease.one", "worker.one", "dead.one.1")),
        f"$JS.API.STREAM.CREATE.{HOOKS}",
        f"$JS.API.DIRECT.GET.{MAILBOX}",
    ],
    "webhooks": [
        FRAME_FOR_BOB,
        *BUCKET,
        *READS_OF_THE_BUCKET,
        *HARM_TO_STREAMS,
        *HARM_TO_EVENTS,
        *ANSWERS,
        *(f"{NS}.presence.{op}" for op in ("check", "open", "ban", "add", "message", "user")),
        *(f"{NS}.signal.WEBRTC_OFFER", f"{NS}.mark.g1", f"{NS}.room.r.bob", f"{NS}.changed.bob"),
        *(f"{NS}.events.joined", f"{NS}.cloudevents.call.ended", f"{NS}.gateway.g1.close"),
        f"$JS.API.STREAM.CREATE.{EVENTS}",
        f"$JS.API.DIRECT.GET.{MAILBOX}",
    ],
    "observer": [FRAME_FOR_BOB, *BUCKET, *READS_OF_THE_BUCKET, *ANSWERS, f"{NS}.events.joined", "anything"],
}

EVERYTHING = (
    *(">", "*", f"{NS}.>", f"{NS}.*.>", f"{NS}.user.>", f"{NS}.live.>", "$KV.>", "$JS.>", "_INBOX.>"),
    *("$SYS.>", "$SYS.ACCOUNT.*.CONNECT", "$JS.EVENT.>", "$JS.ACK.>", "$NRG.>", "$JSC.>", "_R_.>", "_GR_.>"),
)
OTHERS_ANSWERS = {
    "gateway": f"{NS}.gateway.*.reply.*",
    "router": f"{NS}.router.*.reply.*",
    "presence": f"{NS}.presence.*.reply.*",
}
WHAT_OTHERS_SAY = (
    *(f"{NS}.signal.*", f"{NS}.presence.*", f"{NS}.changed.*", f"{NS}.events.*"),
    *(f"{NS}.user.bob.s1", f"{NS}.live.user.bob.s1"),
)

NOT_TO_HEAR = {
    "gateway": [
        *EVERYTHING,
        *(OTHERS_ANSWERS[who] for who in ("router", "presence")),
        *(FRAME_FOR_BOB, PART.users(), f"{NS}.presence.*.inbox.>", f"{NS}.gateway.>"),
        *(f"{NS}.signal.*", f"{NS}.presence.*", f"{NS}.changed.*", f"{NS}.events.*"),
    ],
    "router": [
        *EVERYTHING,
        *(OTHERS_ANSWERS[who] for who in ("gateway", "presence")),
        *(FRAME_FOR_BOB, LIVE_FOR_BOB, f"{NS}.events.*"),
        *(f"{NS}.presence.*", f"{NS}.gateway.*.close"),
        f"{NS}.signal.*",  # but as one of their queue group: to listen in on all of them is not its task
    ],
    "presence": [
        *EVERYTHING,
        *(OTHERS_ANSWERS[who] for who in ("gateway", "router")),
        *(FRAME_FOR_BOB, LIVE_FOR_BOB, f"{NS}.signal.*", f"{NS}.events.*"),
        f"{NS}.presence.*",
    ],
    "streams": [*EVERYTHING, *OTHERS_ANSWERS.values(), f"{NS}.signal.*", f"{NS}.events.*"],
    "api": [*EVERYTHING, *OTHERS_ANSWERS.values(), *WHAT_OTHERS_SAY],
    "webhooks": [*EVERYTHING, *OTHERS_ANSWERS.values(), *WHAT_OTHERS_SAY],
    "observer": [*EVERYTHING, *OTHERS_ANSWERS.values(), f"{NS}.signal.*", f"{NS}.changed.*"],
}


def listed(refused: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(user, subject) for user, subjects in refused.items() for subject in subjects]


@pytest.mark.parametrize("user", NOT_TO_SAY)
async def test_it_may_not_say_what_is_not_its_to_say(cluster: SecuredCluster, user: str) -> None:
    async with Intruder.as_user(cluster, user) as intruder:
        for subject in (*NOT_TO_SAY[user], *OF_THE_SERVERS):
            await intruder.client.publish(subject, b"forged")
            (complaint,) = await intruder.told()
            assert f'permissions violation for publish to "{subject.lower()}"' in complaint


@pytest.mark.parametrize("user", NOT_TO_HEAR)
async def test_it_may_not_listen_to_what_is_not_said_to_it(cluster: SecuredCluster, user: str) -> None:
    async with Intruder.as_user(cluster, user) as intruder:
        for subject in NOT_TO_HEAR[user]:
            await intruder.client.subscribe(subject)
            (complaint,) = await intruder.told()
            assert f'permissions violation for subscription to "{subject.lower()}"' in complaint


async def test_what_a_gateway_writes_to_the_bucket_does_not_get_there(
    cluster: SecuredCluster, system: System
) -> None:
    key, read = f"{KEYS}user.mallory", f"$JS.API.STREAM.MSG.GET.{KV}"
    question = ("{" + f'"last_by_subj":"{key}"' + "}").encode()
    async with (
        Intruder.as_user(cluster, "gateway") as gateway,
        Intruder.as_user(cluster, "presence") as presence,
    ):
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            answers.put_nowait(message.data)

        inbox = f"{NS}.presence.intruder.inbox.1"
        await presence.client.subscribe(inbox, cb=hear)
        await gateway.client.publish(key, b"forged")
        assert "permissions violation for publish" in (await gateway.told())[0]
        await presence.client.publish(read, question, reply=inbox)
        assert b'"code":404' in await within(answers.get())
        await presence.client.publish(key, b"true", reply=inbox)
        assert b'"seq"' in await within(answers.get())
        await presence.client.publish(read, question, reply=inbox)
        assert b'"message"' in await within(answers.get())
        assert await presence.told() == []


async def test_a_router_can_ask_presence_for_nothing_but_checks(
    cluster: SecuredCluster, system: System
) -> None:
    user, frame = UserId("trudy"), b"{}"
    registering = Register(user, SessionId("s"), GatewayId("g"), ConnectionId("c"), True, {}, SecretHash(b""))
    checking = Check(user, SessionId("s"), UserId("bob"), "WEBRTC_OFFER", digest(frame), b"")
    async with Intruder.as_user(cluster, "router") as router:
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            answers.put_nowait(message.data)

        await router.client.subscribe(f"{NS}.router.intruder.reply.*", cb=hear)
        for nth, question in enumerate((registering, checking)):
            reply = f"{NS}.router.intruder.reply.{nth}"
            await router.client.publish(f"{NS}.presence.check", codec.encode(question), reply=reply)
            assert await router.told() == []
            if nth == 0:
                await until(lambda: system.events("request unanswered: not on its own subject"))
        await hears_nothing_but(answers, codec.encode(SessionGone(replaced=False)))


async def test_only_the_process_asked_can_answer_and_not_for_ever(
    cluster: SecuredCluster,
) -> None:
    subject, reply = f"{NS}.gateway.intruder.alive", f"{NS}.presence.intruder.reply.7"
    async with (
        Intruder.as_user(cluster, "presence") as presence,
        Intruder.as_user(cluster, "gateway") as gateway,
        Intruder.as_user(cluster, "gateway") as other,
    ):
        asked: asyncio.Queue[bytes] = asyncio.Queue()
        answered: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear_question(message: Msg) -> None:
            asked.put_nowait(message.data)

        async def hear_answer(message: Msg) -> None:
            answered.put_nowait(message.data)

        await presence.client.subscribe(f"{NS}.presence.intruder.reply.*", cb=hear_answer)
        await gateway.client.subscribe(subject, cb=hear_question)
        assert await presence.told() == await gateway.told() == []
        await presence.client.publish(subject, b"do you live?", reply=reply)
        await hears_nothing_but(asked, b"do you live?")
        await other.client.publish(reply, b"forged")
        assert "permissions violation for publish" in (await other.told())[0]
        for _ in range(MOST_ANSWERS):
            await gateway.client.publish(reply, b"yes")
        assert await gateway.told() == []
        await gateway.client.publish(reply, b"no")
        assert "permissions violation for publish" in (await gateway.told())[0]
        await hears_nothing_but(answered, *(MOST_ANSWERS * [b"yes"]))


async def test_a_gateway_gives_itself_no_question_to_answer(cluster: SecuredCluster, system: System) -> None:
    """Who hears a question may answer it, wherever it says: so none may come back to who has asked it."""
    mark, live = MARK_OF_INTRUDER, PART.live_mark(GatewayId("intruder"))
    own = f"{NS}.gateway.intruder.reply.1"
    get = f"$JS.API.DIRECT.GET.{MAILBOX}"
    async with Intruder.as_user(cluster, "gateway") as gateway:
        heard: asyncio.Queue[Msg] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            heard.put_nowait(message)

        for subject in (live, own):
            await gateway.client.subscribe(subject, cb=hear)
        assert await gateway.told() == []
        for aim in (FRAME_FOR_BOB, BUCKET[0], f"{NS}.gateway.g1.close"):
            await gateway.client.publish(mark, b"", reply=aim)  # pushed, once it is stored
            await gateway.client.publish(mark, b"", reply=own)  # and answered
            question = msgspec.json.encode({"last_by_subj": mark})
            await gateway.client.publish(get, question, reply=own)
            async with asyncio.timeout(PATIENCE_S):
                came = [await heard.get() for _ in range(4)]
            assert [message.reply for message in came] == [""] * 4
            assert await gateway.told() == []
            await gateway.client.publish(aim, b"forged")
            (complaint,) = await gateway.told()
            assert "permissions violation for publish" in complaint


@pytest.mark.parametrize(
    ("user", "subject"),
    [("gateway", MARK_OF_INTRUDER), ("router", FRAME_FOR_BOB), ("presence", FRAME_FOR_BOB)],
)
async def test_no_message_empties_the_mailbox(
    cluster: SecuredCluster, system: System, user: str, subject: str
) -> None:
    """A publisher may ask JetStream to drop all that came before, where the stream allows it."""
    reply = f"{NS}.{user}.intruder.reply.1"
    async with Intruder.as_user(cluster, user) as intruder:
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            answers.put_nowait(message.data)

        await intruder.client.subscribe(reply, cb=hear)
        for headers, word in (({"Nats-Rollup": "all"}, b"rollup not permitted"), ({}, b'"seq"')):
            await intruder.client.publish(subject, b"", reply=reply, headers=headers)
            assert word in await within(answers.get())
        assert await intruder.told() == []


FORGED = b"forged by a gateway"


@pytest.mark.parametrize("aim", [*BUCKET, FRAME_FOR_BOB, f"{NS}.changed.bob", f"{NS}.events.joined"])
async def test_jetstream_answers_a_gateway_in_its_own_account_alone(
    cluster: SecuredCluster, system: System, aim: str
) -> None:
    """Whatever subject is named for the answer, and whatever a gateway has had stored: it gets nowhere."""
    mark, get = MARK_OF_INTRUDER, f"$JS.API.DIRECT.GET.{MAILBOX}"
    question = msgspec.json.encode({"last_by_subj": mark})
    async with (
        Intruder.as_user(cluster, "gateway") as gateway,
        Intruder.as_user(cluster, "presence") as presence,
        Intruder.as_user(cluster, "observer") as observer,
        Intruder.as_user(cluster, "router") as router,
    ):
        heard: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            heard.put_nowait(message.data)

        for intruder, subject in ((observer, f"{NS}.events.*"), (router, f"{NS}.changed.*")):
            await intruder.client.subscribe(subject, cb=hear)
            assert await intruder.told() == []
        own = f"{NS}.gateway.intruder.reply.1"
        answered: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear_answer(message: Msg) -> None:
            answered.put_nowait(message.data)

        await gateway.client.subscribe(own, cb=hear_answer)
        await gateway.client.publish(mark, FORGED, reply=own)
        assert b'"seq"' in await within(answered.get())
        await gateway.client.publish(get, question, reply=aim)
        await gateway.client.publish(mark, FORGED, reply=aim)
        async with asyncio.timeout(PATIENCE_S):
            answer = b""
            while answer != FORGED:  # a replica that lags answers with what an earlier test had stored
                await gateway.client.publish(get, question, reply=own)
                answer = await answered.get()
        assert await gateway.told() == []  # the broker lets it ask: where to is nothing that it looks at

        inbox = f"{NS}.presence.intruder.inbox.1"
        stored: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear_stored(message: Msg) -> None:
            stored.put_nowait(message.data)

        await presence.client.subscribe(inbox, cb=hear_stored)
        if aim in BUCKET:
            last = msgspec.json.encode({"last_by_subj": aim})
            await presence.client.publish(f"$JS.API.STREAM.MSG.GET.{KV}", last, reply=inbox)
            assert base64.b64encode(FORGED) not in await within(stored.get())
        asked = msgspec.json.encode({"seq": 1, "next_by_subj": FRAME_FOR_BOB})
        await gateway.client.publish(get, asked, reply=own)
        assert FORGED not in await within(answered.get())
        assert heard.empty()


async def test_headers_of_a_router_stand_before_those_of_the_stream(
    cluster: SecuredCluster, system: System
) -> None:
    """What a republished message says of its place is the stream's, whatever the publisher has written."""
    async with (
        Intruder.as_user(cluster, "gateway") as gateway,
        Intruder.as_user(cluster, "router") as router,
    ):
        pushed: asyncio.Queue[Message] = asyncio.Queue()
        await gateway.client.listen(LIVE_FOR_BOB, "", pushed.put_nowait)
        assert await gateway.told() == []
        for forged in (
            {"Nats-Sequence": "999999999999", "Nats-Last-Sequence": "999999999998", "Nats-Subject": "x"},
            {},
        ):
            router.client.write(FRAME_FOR_BOB, "", b"{}", block(forged) if forged else b"")
            await router.client.flush(timeout=int(PATIENCE_S))
        first = jetstream_headers.position((await within(pushed.get())).headers)
        second = jetstream_headers.position((await within(pushed.get())).headers)
        assert first[1] < second[1] < 999999999998 * 10_000
        assert second[0] == first[1]
        answers: asyncio.Queue[Message] = asyncio.Queue()
        await gateway.client.listen(f"{NS}.gateway.intruder.reply.2", "", answers.put_nowait)
        ask = jetstream.messages_of(FRAME_FOR_BOB, first[1], 10, 10_000)
        got: list[Message] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(got) < 2:  # a replica that lags has not stored the second one yet
                gateway.client.write(jetstream.direct_get(MAILBOX), f"{NS}.gateway.intruder.reply.2", ask)
                got = []
                while not (one := await answers.get()).headers.startswith(WITH_STATUS):
                    got.append(one)
        assert [jetstream_headers.stored_as(one.headers) for one in got] == [
            (FRAME_FOR_BOB, first[1]),
            (FRAME_FOR_BOB, second[1]),
        ]
        for one in got:  # what was asked for is never taken for what was pushed
            with pytest.raises(ValueError, match="republished"):
                jetstream_headers.position(one.headers)
