import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from tests.support.waiting import within
from tests.unit.client.minimal_gateway import MinimalGateway, error, event, reply, serving
from tieline.client import (
    Answer,
    Candidate,
    ClientError,
    Closed,
    ErrorEvent,
    Hangup,
    IceServer,
    IceServerList,
    MemberJoined,
    MessageTooLong,
    Offer,
    Refused,
    Unknown,
    Unreadable,
    connect,
)


@pytest.fixture
def gateway() -> MinimalGateway:
    return MinimalGateway()


@pytest.fixture
async def url(gateway: MinimalGateway) -> AsyncIterator[str]:
    async with serving(gateway.handle) as address:
        yield address


async def test_the_welcome_names_the_user(url: str) -> None:
    async with connect(url, "somebody") as client:
        assert client.welcome.user_id == "somebody"
        assert client.welcome.max_message_bytes == 65_536
        assert client.closed is None


async def test_joining_gives_the_roster_and_tells_the_others(url: str) -> None:
    async with connect(url, "a") as a, connect(url, "b") as b:
        assert [member.user_id for member in (await a.join("r")).members] == ["a"]
        assert [member.user_id for member in (await b.join("r")).members] == ["a", "b"]
        joined = await within(anext(a.events()))
        assert isinstance(joined, MemberJoined)
        assert (joined.room, joined.user_id) == ("r", "b")
        await b.leave("r")
        assert [member.user_id for member in (await a.members("r")).members] == ["a"]


async def test_a_ping_brings_its_data_back(url: str) -> None:
    async with connect(url, "a") as client:
        assert await client.ping({"n": [1, None]}) == {"n": [1, None]}
        assert await client.ping() is None


async def test_ice_servers_come_as_a_browser_would_take_them(gateway: MinimalGateway, url: str) -> None:
    async with connect(url, "a") as client:
        assert await client.ice_servers() == IceServerList((), 600)
        gateway.ice_servers = [
            {"urls": ["stun:s"]},
            {"urls": ["turn:t", "turns:t"], "username": "1:a", "credential": "secret"},
        ]
        assert await client.ice_servers() == IceServerList(
            (IceServer(("stun:s",)), IceServer(("turn:t", "turns:t"), "1:a", "secret")), 600
        )


async def test_a_newer_token_has_an_end_and_a_bad_one_is_refused(url: str) -> None:
    async with connect(url, "a") as client:
        assert await client.refresh_token("newer") == 1_700_000_000_000
        with pytest.raises(Refused) as refused:
            await client.refresh_token("bad")
        assert (refused.value.cmd, refused.value.reason) == ("REFRESH_TOKEN", "BAD_TOKEN")
        assert client.closed is None


async def test_a_call_reaches_the_other_side_in_order(url: str) -> None:
    async with connect(url, "a") as a, connect(url, "b") as b:
        assert await a.call("b", {"sdp": "offer"}) == "relayed"
        assert await a.candidate("b", 1) == "held"
        assert await a.candidate("b", 2) == "held"
        assert await b.answer("a", {"sdp": "answer"}) == "relayed"
        assert await a.candidate("b", 3) == "relayed"
        assert await a.hangup("b", "busy") == "relayed"
        seen = [await within(anext(b.events())) for _ in range(5)]
        match seen:
            case [
                Offer("a", {"sdp": "offer"}),
                Candidate("a", 1),
                Candidate("a", 2),
                Candidate("a", 3),
                Hangup() as end,
            ]:
                assert end == Hangup(a.welcome.user_id, "busy", server=False, request_id=end.request_id)
            case _:
                pytest.fail(f"other events than were sent: {seen}")
        assert isinstance(await within(anext(a.events())), Answer)


async def test_each_message_has_an_id_of_its_own(gateway: MinimalGateway, url: str) -> None:
    async with connect(url, "a") as a, connect(url, "b") as b:
        for client in (a, b, a, b):
            await client.ping()
    names = [frame["requestId"] for frame in gateway.received]
    assert len(set(names)) == len(names) == 4


async def test_a_refusal_is_an_exception_and_the_connection_stays(gateway: MinimalGateway, url: str) -> None:
    gateway.forbidden.add("cellar")
    async with connect(url, "a") as client:
        with pytest.raises(Refused) as refused:
            await client.join("cellar")
        assert (refused.value.code, refused.value.reason) == (1000, "ROOM_FORBIDDEN")
        assert (refused.value.msg, refused.value.cmd) == ("没有权限加入该房间", "JOIN")
        assert refused.value.request_id == gateway.received[-1]["requestId"]
        assert await client.ping("still here") == "still here"


async def test_an_exception_of_the_block_comes_out_as_it_is(url: str) -> None:
    with pytest.raises(Refused, match="TARGET_OFFLINE"):
        async with connect(url, "a") as client:
            await client.call("nobody", {})


async def test_without_acks_a_refusal_comes_as_an_event(url: str) -> None:
    async with connect(url, "a", acks=False) as client:
        assert await client.call("nobody", {}) is None
        refusal = await within(anext(client.events()))
        assert isinstance(refusal, ErrorEvent)
        assert (refusal.code, refusal.reason, refusal.cmd) == (1000, "TARGET_OFFLINE", "WEBRTC_OFFER")


async def test_many_requests_at_once_get_each_its_own_answer(url: str) -> None:
    async with connect(url, "a") as client:
        assert await asyncio.gather(*(client.ping(n) for n in range(100))) == list(range(100))


async def test_a_peers_frame_never_answers_a_request(gateway: MinimalGateway, url: str) -> None:
    gateway.ignored.add("WEBRTC_OFFER")
    async with connect(url, "a") as client, asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(client.call("b", {}))
        offer = await within(gateway.unanswered.get())
        hostile = {**offer, "data": {"from": "b", "to": "a", "data": 1}}
        await gateway.send("a", reply(hostile, hostile["data"], ack="held"))
        await gateway.send("a", reply(hostile, hostile["data"], code=1000, reason="TARGET_OFFLINE"))
        for _ in range(2):
            assert isinstance(await within(anext(client.events())), Offer)
        await gateway.send("a", reply(offer, None, ack="relayed"))
        assert await within(calling) == "relayed"


async def test_an_answer_of_another_kind_is_unreadable(gateway: MinimalGateway, url: str) -> None:
    gateway.ignored |= {"JOIN", "WEBRTC_OFFER"}
    async with connect(url, "a") as client:
        with pytest.raises(Unreadable, match="JOIN"):
            await asyncio.gather(client.join("r"), _answer_next(gateway, {"room": 7}))
        with pytest.raises(Unreadable, match="maybe"):
            await asyncio.gather(client.call("b", {}), _answer_next(gateway, None, ack="maybe"))


async def _answer_next(gateway: MinimalGateway, data: object, **more: object) -> None:
    await gateway.send("a", reply(await within(gateway.unanswered.get()), data, **more))


async def test_too_long_a_message_is_not_sent(url: str) -> None:
    async with connect(url, "a") as client:
        with pytest.raises(ValueError, match="longer than the 65536") as caught:
            await client.call("b", "x" * 70_000)
        assert isinstance(caught.value, MessageTooLong)
        assert isinstance(caught.value, ClientError)
        assert (caught.value.cmd, caught.value.longest) == ("WEBRTC_OFFER", 65_536)
        assert await client.ping(1) == 1


async def test_events_end_when_the_server_closes(gateway: MinimalGateway, url: str) -> None:
    async with connect(url, "a") as client:
        await gateway.send("a", event("SOMETHING_NEW", {}))
        await gateway.close("a", 4500, "replaced by a newer connection")
        assert [type(seen) async for seen in client.events()] == [Unknown]
        assert [seen async for seen in client.events()] == []
        assert client.closed is not None
        assert (client.closed.code, client.closed.reason) == (4500, "replaced by a newer connection")
        assert not client.closed.may_reconnect
        with pytest.raises(Closed) as closed:
            await client.ping()
        assert closed.value.code == 4500


@pytest.mark.parametrize(("code", "again"), [(1012, True), (4000, True), (4503, False), (1009, False)])
async def test_the_close_code_says_whether_to_come_back(
    gateway: MinimalGateway, url: str, code: int, again: bool
) -> None:
    gateway.ignored.add("PING")
    async with connect(url, "a") as client, asyncio.TaskGroup() as tasks:
        end = tasks.create_task(_end_of(client.ping()))
        await within(gateway.unanswered.get())
        await gateway.close("a", code)
        closed = await within(end)
        assert (closed.code, closed.may_reconnect) == (code, again)


async def test_a_connection_that_breaks_has_code_1006(gateway: MinimalGateway, url: str) -> None:
    gateway.ignored.add("PING")
    async with connect(url, "a") as client, asyncio.TaskGroup() as tasks:
        end = tasks.create_task(_end_of(client.ping()))
        await within(gateway.unanswered.get())
        gateway.vanish("a")
        closed = await within(end)
        assert (closed.code, closed.may_reconnect) == (1006, True)


async def _end_of(request: Awaitable[object]) -> Closed:
    with pytest.raises(Closed) as closed:
        await request
    return closed.value


async def test_a_request_given_up_leaves_no_trace(gateway: MinimalGateway, url: str) -> None:
    gateway.ignored.add("PING")
    async with connect(url, "a") as client:
        async with asyncio.TaskGroup() as tasks:
            given_up = tasks.create_task(client.ping())
            ping = await within(gateway.unanswered.get())
            given_up.cancel()
        await gateway.send("a", error(ping, "ROOM_FORBIDDEN"))
        assert isinstance(await within(anext(client.events())), ErrorEvent)


async def test_leaving_the_block_closes_with_1000(url: str) -> None:
    async with connect(url, "a") as client:
        pass
    assert client.closed is not None
    assert (client.closed.code, client.closed.may_reconnect) == (1000, False)
