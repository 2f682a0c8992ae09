"""The decisions of a bot, through a small gateway. tests/system/test_bot.py lets it hear and be heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.waiting import within
from tests.unit.client.minimal_gateway import MinimalGateway, event, reply, serving
from tieline.cli.call.bot import Bot
from tieline.cli.call.bot_script import BotScript
from tieline.cli.call.sound import tones
from tieline.client import Client, Hangup, Offer, connect

SCRIPT = BotScript(
    room="r",
    to=None,
    once=False,
    sound=lambda: tones(440),
    record=None,
    hang_up_after_s=None,
    fresh_token=None,
)
RUBBISH = {"type": "offer", "sdp": "rubbish"}


class Running:
    """One bot under test: the lines that it says, its result, and a way to stop it."""

    def __init__(self, gateway: MinimalGateway, url: str, client: Client, script: BotScript) -> None:
        self.gateway = gateway
        self.url = url
        self.user = client.welcome.user_id
        self.stopping = asyncio.Event()
        self.said: list[str] = []
        self._news = asyncio.Event()
        self.result = asyncio.ensure_future(Bot(client, script, self._say).run(self.stopping))

    def _say(self, line: str) -> None:
        self.said.append(line)
        self._news.set()

    async def says(self, words: str) -> None:
        while not any(words in line for line in self.said):
            self._news.clear()
            await within(self._news.wait())


@asynccontextmanager
async def running(
    script: BotScript = SCRIPT, user: str = "bot", gateway: MinimalGateway | None = None
) -> AsyncIterator[Running]:
    gateway = gateway or MinimalGateway()
    async with serving(gateway.handle) as url, connect(url, user) as client:
        bot = Running(gateway, url, client, script)
        yield bot
        bot.stopping.set()
        await within(asyncio.wait((bot.result,)))


@asynccontextmanager
async def member(bot: Running, user: str) -> AsyncIterator[Client]:
    async with connect(bot.url, user) as client:
        await client.join("r")
        yield client


async def next_hangup(client: Client) -> str:
    async for each in client.events():
        if isinstance(each, Hangup):
            return each.reason
    raise AssertionError("the connection ended")


async def next_offer(client: Client) -> object:
    async for each in client.events():
        if isinstance(each, Offer):
            return each.description
    raise AssertionError("the connection ended")


async def test_a_bot_for_many_calls_succeeds_when_stopped() -> None:
    async with running() as bot:
        await bot.says("bot waits in the room r to be called; with nobody else")
        bot.stopping.set()
        assert await within(bot.result)


async def test_a_bot_that_must_leave_its_room_fails() -> None:
    async with running() as bot:
        await bot.says("bot waits")
        await bot.gateway.send(
            "bot", event("MEMBER_LEFT", {"room": "r", "userId": "bot", "reason": "kicked"})
        )
        await bot.says("was made to leave the room r")
        assert not await within(bot.result)


async def test_a_bot_fails_when_its_connection_ends_for_good() -> None:
    async with running() as bot:
        await bot.says("bot waits")
        await bot.gateway.close("bot", 4001, "replaced")
        assert not await within(bot.result)


async def test_a_ringing_bot_rings_when_its_user_joins() -> None:
    async with running(SCRIPT._replace(to="ann")) as bot:
        await bot.says("bot waits for 'ann' to join the room 'r'")
        async with member(bot, "ann") as ann:
            assert isinstance(await within(next_offer(ann)), dict)
            await ann.hangup("bot", "decline")
            await bot.says("ann ended the call: decline")
            assert not await within(bot.result)
            assert bot.said[-1] == "ann ended the call: decline"


async def test_what_comes_late_of_the_call_before_is_not_of_the_bots() -> None:
    gateway = MinimalGateway()
    gateway.welcoming = {"offerTimeout": 60}
    gateway.ignored.add("WEBRTC_OFFER")
    async with running(SCRIPT._replace(to="ann"), gateway=gateway) as bot, member(bot, "ann"):
        offer = await within(gateway.unanswered.get())
        await gateway.send("bot", reply(offer, None, ack="relayed", call="this one"))
        for call, reason in (("the one before", "too late"), ("this one", "decline")):
            data = {"from": "ann", "to": "bot", "data": {"reason": reason}, "call": call}
            await gateway.send("bot", event("WEBRTC_HANGUP", data, reason))
        await bot.says("ann ended the call: decline")
        assert not [line for line in bot.said if "too late" in line]


async def test_a_ringing_bot_tells_other_callers_that_it_is_busy() -> None:
    async with running(SCRIPT._replace(to="ann")) as bot, member(bot, "eve") as eve:
        await eve.call("bot", RUBBISH)
        assert await within(next_hangup(eve)) == "busy"
        assert not bot.result.done()


async def test_a_second_caller_is_told_that_the_bot_is_busy() -> None:
    async with running(SCRIPT._replace(to="ann")) as bot, member(bot, "ann") as ann:
        await within(next_offer(ann))
        async with member(bot, "eve") as eve:
            await eve.call("bot", RUBBISH)
            assert await within(next_hangup(eve)) == "busy"
            await bot.says("eve calls, and is told that this end is busy")


@pytest.mark.parametrize("description", [None, {"type": "offer"}, RUBBISH])
async def test_an_offer_that_is_no_description_fails_that_call(description: object) -> None:
    async with running() as bot, member(bot, "ann") as ann:
        await ann.call("bot", description)
        assert await within(next_hangup(ann)) == "failed"
        await bot.says("ann cannot be answered: ")
        assert not bot.result.done()


async def test_a_bot_for_one_call_fails_if_it_heard_nothing() -> None:
    async with running(SCRIPT._replace(once=True)) as bot, member(bot, "ann") as ann:
        await ann.call("bot", RUBBISH)
        await bot.says("ann: heard nothing")
        assert not await within(bot.result)


@pytest.mark.parametrize(("user", "yields"), [("aaa", True), ("zzz", False)])
async def test_of_two_crossing_offers_the_greater_user_id_wins(user: str, yields: bool) -> None:
    async with running(SCRIPT._replace(to="mmm"), user) as bot, member(bot, "mmm") as other:
        await within(next_offer(other))
        await other.call(user, RUBBISH)
        if yields:
            assert await within(next_hangup(other)) == "failed"
        else:
            await other.hangup(user, "decline")
            await bot.says("mmm ended the call: decline")


async def test_a_token_that_expires_is_refreshed() -> None:
    async def fresh_token() -> str:
        return "a newer token"

    async with running(SCRIPT._replace(fresh_token=fresh_token)) as bot:
        await bot.says("bot waits")
        bot.gateway.ignored.add("REFRESH_TOKEN")
        await bot.gateway.send("bot", event("TOKEN_EXPIRING", {"expiresAt": 1_700_000_000_000}))
        frame = await within(bot.gateway.unanswered.get())
        assert frame["data"] == {"token": "a newer token"}


async def test_a_refused_token_is_reported_and_the_bot_goes_on() -> None:
    async def fresh_token() -> str:
        return "bad"

    async with running(SCRIPT._replace(fresh_token=fresh_token)) as bot:
        await bot.says("bot waits")
        await bot.gateway.send("bot", event("TOKEN_EXPIRING", {"expiresAt": 1_700_000_000_000}))
        await bot.says("the token could not be refreshed: ")
        assert not bot.result.done()
