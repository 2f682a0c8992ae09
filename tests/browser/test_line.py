"""How `tieline.js` stays connected, tried in Chromium on the gateways of the Python client's tests."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.browser.conftest import PersonMaker
from tests.browser.person import Person
from tests.unit.client.resuming_gateway import INTERNAL, REFUSED, Door, Exchange

pytestmark = pytest.mark.needs("chromium")

COME = """async ({urls, later}) => {
    const {connect} = await import('/tieline.js');
    let number = 0;
    const token = later ? async () => `ann.${number += 1}` : 'ann';
    window.events = [];
    window.client = await connect(urls, {token});
    for (const type of ['reconnecting', 'resumed', 'reset', 'closed', 'error', 'roster', 'tokenexpiring'])
        client.addEventListener(type, ({detail}) => events.push([type, detail?.code ?? detail?.room ?? '']));
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def exchange() -> Exchange:
    return Exchange()


@pytest_asyncio.fixture(loop_scope="session")
async def door(exchange: Exchange) -> AsyncIterator[Door]:
    door = Door()
    async with door.open(exchange):
        yield door


@pytest_asyncio.fixture(loop_scope="session")
async def ann(person: PersonMaker) -> Person:
    """A page that hurries: no wait before it reconnects."""
    one = await person("ann")
    await one.page.evaluate("() => { Math.random = () => 0; }")
    return one


async def come(ann: Person, *urls: str, later: bool = False) -> None:
    await ann.page.evaluate(COME, {"urls": urls, "later": later})


async def told(ann: Person, kind: str) -> Any:
    """Wait until the client has told of something; returns it."""
    return await ann.until("(kind) => events.find(([type]) => type === kind)", kind)


def frames(exchange: Exchange, cmd: str) -> list[str]:
    return [frame for frame in exchange.received["ann"] if json.loads(frame)["cmd"] == cmd]


async def test_a_lost_connection_is_made_again_and_the_session_goes_on(
    ann: Person, exchange: Exchange, door: Door
) -> None:
    await come(ann, door.url)
    await ann.page.evaluate("() => client.join('demo')")
    await exchange.say("ann", "MEMBER_JOINED", {"room": "demo", "userId": "bob"}, "first")
    await ann.until("() => client.rooms.get('demo').has('bob')")
    exchange.cut("ann")
    await exchange.say("ann", "MEMBER_JOINED", {"room": "demo", "userId": "cat"}, "second")
    await told(ann, "resumed")
    await ann.until("() => client.rooms.get('demo').has('cat')")
    assert exchange.queries[1]["last"] == "first"
    assert [query["acks"] for query in exchange.queries] == ["1", "1"]


async def test_what_was_not_answered_is_sent_again_the_very_same(
    ann: Person, exchange: Exchange, door: Door
) -> None:
    await come(ann, door.url)
    exchange.mute.add("JOIN")
    await ann.page.evaluate("() => { window.joined = client.join('demo'); }")
    await exchange.until(lambda: frames(exchange, "JOIN"))
    exchange.mute.clear()
    exchange.cut("ann")
    assert (await ann.page.evaluate("() => joined"))[0]["userId"] == "ann"
    first, again = frames(exchange, "JOIN")
    assert first == again


async def test_what_failed_in_the_server_is_sent_again_the_very_same(
    ann: Person, exchange: Exchange, door: Door
) -> None:
    await come(ann, door.url)
    exchange.refusals["JOIN"] = [(INTERNAL, "INTERNAL"), (REFUSED, "RATE_LIMITED")]
    await ann.page.evaluate("() => client.join('demo')")
    sent = frames(exchange, "JOIN")
    assert len(sent) == 3
    assert len(set(sent)) == 1


async def test_a_refusal_says_why(ann: Person, exchange: Exchange, door: Door) -> None:
    await come(ann, door.url)
    exchange.refusals["JOIN"] = [(REFUSED, "ROOM_FORBIDDEN")]
    refused = (
        "() => client.join('demo').catch(({name, code, msg, reason, cmd}) => [name, code, msg, reason, cmd])"
    )
    assert await ann.page.evaluate(refused) == ["TielineError", 1000, "no", "ROOM_FORBIDDEN", "JOIN"]


async def test_what_comes_twice_is_heard_once(ann: Person, exchange: Exchange, door: Door) -> None:
    await come(ann, door.url)
    await ann.page.evaluate("() => client.join('demo')")
    for request_id in ("one", "one", "two"):
        await exchange.say(
            "ann", "MEMBER_JOINED", {"room": "demo", "userId": f"bob-{request_id}"}, request_id
        )
    await ann.until("() => client.rooms.get('demo').has('bob-two')")
    assert await ann.page.evaluate("() => events.filter(([type]) => type === 'roster').length") == 3


async def test_asked_to_reconnect_it_goes_elsewhere_before_it_leaves(
    ann: Person, exchange: Exchange, door: Door
) -> None:
    other = Door()
    async with other.open(exchange):
        await come(ann, door.url, other.url)
        await exchange.say("ann", "RECONNECT", {"afterMs": 0, "jitterMs": 0}, "go")
        await told(ann, "resumed")
        assert len(other.knocks) == 1
        assert exchange.queries[1]["resume"]
        assert await ann.page.evaluate("() => events.map(([type]) => type)") == ["resumed"]


async def test_after_a_code_that_says_so_it_comes_back(ann: Person, exchange: Exchange, door: Door) -> None:
    await come(ann, door.url)
    for count, code in enumerate((1001, 1011, 1012, 4000, 4001, 4002, 4499), 2):
        await exchange.close("ann", code)
        await ann.until(
            "(code) => events.some(([type, why]) => type === 'reconnecting' && why === code)", code
        )
        await ann.until(
            "(count) => events.filter(([type]) => type === 'resumed').length === count - 1", count
        )
        assert len(exchange.queries) == count


async def test_after_another_it_does_not(ann: Person, exchange: Exchange, door: Door) -> None:
    late = "() => client.join('demo').catch(({reason, code}) => [reason, code])"
    for count, code in enumerate((1000, 1003, 1007, 1009, 4500, 4501, 4502, 4503, 4504, 4999), 1):
        await come(ann, door.url)
        await exchange.close("ann", code)
        assert await told(ann, "closed") == ["closed", code]
        assert await ann.page.evaluate(late) == ["CLOSED", code]
        assert len(exchange.queries) == count


async def test_with_a_source_of_tokens_an_expired_one_is_followed_by_another(
    ann: Person, exchange: Exchange, door: Door
) -> None:
    await come(ann, door.url, later=True)
    await exchange.close("ann", 4501)
    await told(ann, "resumed")
    assert exchange.tokens == ["ann.1", "ann.2"]


async def test_when_the_session_is_over_its_rooms_are_joined_again(
    ann: Person, exchange: Exchange, door: Door
) -> None:
    await come(ann, door.url)
    await ann.page.evaluate("() => client.join('demo')")
    exchange.deaf.add("MEMBERS")
    await ann.page.evaluate("() => { window.asked = client.members('demo').catch(({reason}) => reason); }")
    await exchange.until(lambda: frames(exchange, "MEMBERS"))
    exchange.forget("ann")
    exchange.cut("ann")
    await told(ann, "reset")
    assert await ann.page.evaluate("() => asked") == "SESSION_LOST"
    await exchange.until(lambda: exchange.seats["ann"].rooms == ["demo"])


async def test_an_unanswered_ping_is_the_end_of_a_connection(
    ann: Person, exchange: Exchange, door: Door
) -> None:
    await come(ann, door.url)
    exchange.deaf.add("PING")
    await ann.page.evaluate("() => dispatchEvent(new Event('online'))")
    await exchange.until(lambda: frames(exchange, "PING"))
    exchange.deaf.clear()
    assert await told(ann, "reconnecting") == ["reconnecting", 1006]
    await told(ann, "resumed")
