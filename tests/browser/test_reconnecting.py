"""How `tieline.js` stays connected, tried in Chromium on the gateways of the Python client's tests."""

import json

import pytest

from tests.browser.hurried import come, frames, told
from tests.browser.person import Person
from tests.unit.client.resuming_gateways import INTERNAL, REFUSED, Backend, Gateway, StoredSession, denied

HURRY = """() => {
    const later = setTimeout;
    window.waits = [];
    Math.random = () => 0.5;
    window.setTimeout = (act, ms) => {
        if (ms <= 100 || ms > 4000) return later(act, ms);  // the test's own, and those for an answer
        waits.push(ms);
        return later(act, 0);
    };
}"""
"""Makes waits short, and writes down how long they would have been."""


async def test_a_lost_connection_is_made_again_and_the_session_goes_on(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    await ann.page.evaluate("() => client.join('demo')")
    await backend.say("ann", "MEMBER_JOINED", {"room": "demo", "userId": "bob"}, "first")
    await ann.until("() => client.rooms.get('demo').has('bob')")
    backend.cut("ann")
    await backend.say("ann", "MEMBER_JOINED", {"room": "demo", "userId": "cat"}, "second")
    await told(ann, "resumed")
    await ann.until("() => client.rooms.get('demo').has('cat')")
    assert backend.queries[1]["last"] == "first"
    assert [(query["acks"], query["roster"]) for query in backend.queries] == [("1", "1")] * 2
    assert [query["lastPlace"] for query in backend.queries] == ["", ""]


async def test_where_it_stands_is_the_servers_to_say(ann: Person, backend: Backend, gateway: Gateway) -> None:
    backend.names_places = True
    await come(ann, gateway.url)
    await ann.page.evaluate("() => client.join('demo')")
    for user in ("bob", "cat"):
        await backend.say("ann", "MEMBER_JOINED", {"room": "demo", "userId": user}, "same")
    await ann.until("() => client.rooms.get('demo').has('cat')")
    backend.cut("ann")
    await backend.say("ann", "MEMBER_JOINED", {"room": "demo", "userId": "dan"}, "same")
    await told(ann, "resumed")
    await ann.until("() => client.rooms.get('demo').has('dan')")
    assert (backend.queries[1]["last"], backend.queries[1]["lastPlace"]) == ("same", "2")


async def test_of_one_id_two_messages_are_two_and_one_sent_twice_is_one(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.names_places = True
    await come(ann, gateway.url)
    listen = "client.addEventListener('signal', ({detail}) => heard.push(detail.data))"
    await ann.page.evaluate(f"() => {{ window.heard = []; {listen}; }}")
    for content in (1, 1, 2, 1, 3):
        await backend.say(
            "ann", "WEBRTC_ICE_CANDIDATE", {"from": "bob", "to": "ann", "data": content}, "same"
        )
    await ann.until("() => heard.includes(3)")
    assert await ann.page.evaluate("() => heard") == [1, 2, 3]


async def test_what_was_not_answered_is_sent_again_the_very_same(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.unanswered.add("JOIN")
    await ann.page.evaluate("() => { window.joined = client.join('demo'); }")
    await backend.until(lambda: frames(backend, "JOIN"))
    backend.unanswered.clear()
    backend.cut("ann")
    assert (await ann.page.evaluate("() => joined"))[0]["userId"] == "ann"
    first, again = frames(backend, "JOIN")
    assert first == again


async def test_what_failed_in_the_server_is_sent_again_the_very_same(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.refusals["JOIN"] = [(INTERNAL, "INTERNAL"), (REFUSED, "RATE_LIMITED")]
    await ann.page.evaluate("() => client.join('demo')")
    sent = frames(backend, "JOIN")
    assert len(sent) == 3
    assert len(set(sent)) == 1


async def test_what_was_sent_behind_a_failure_goes_again_in_order(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    cmd = "WEBRTC_ICE_CANDIDATE"
    backend.refusals[cmd] = [(INTERNAL, "INTERNAL")] * 3
    backend.sessions["bob"] = StoredSession("bob")
    await ann.page.evaluate("() => { Math.random = () => 0.99; }")  # all refusals come within the wait
    say = "(number) => client._signal('WEBRTC_ICE_CANDIDATE', 'bob', number)"
    await ann.page.evaluate(f"() => {{ window.said = [0, 1, 2].map({say}); }}")
    await backend.until(lambda: not backend.refusals[cmd])
    await ann.page.evaluate("() => client.join('demo')")  # answered behind the refusals: they have come
    await ann.page.evaluate(f"() => Promise.all([...said, ({say})(3)])")
    assert [json.loads(frame)["data"]["data"] for frame in frames(backend, cmd)] == [0, 1, 2, 0, 1, 2, 3]


async def test_a_refusal_says_why(ann: Person, backend: Backend, gateway: Gateway) -> None:
    await come(ann, gateway.url)
    backend.refusals["JOIN"] = [(REFUSED, "ROOM_FORBIDDEN")]
    refused = (
        "() => client.join('demo').catch(({name, code, msg, reason, cmd}) => [name, code, msg, reason, cmd])"
    )
    assert await ann.page.evaluate(refused) == ["TielineError", 1000, "no", "ROOM_FORBIDDEN", "JOIN"]


async def test_what_comes_twice_is_heard_once(ann: Person, backend: Backend, gateway: Gateway) -> None:
    await come(ann, gateway.url)
    await ann.page.evaluate("() => client.join('demo')")
    for request_id in ("one", "one", "two"):
        await backend.say("ann", "MEMBER_JOINED", {"room": "demo", "userId": f"bob-{request_id}"}, request_id)
    await ann.until("() => client.rooms.get('demo').has('bob-two')")
    assert await ann.page.evaluate("() => events.filter(([type]) => type === 'roster').length") == 3


async def test_asked_to_reconnect_it_goes_elsewhere_before_it_leaves(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    other = Gateway()
    async with other.open(backend):
        await come(ann, gateway.url, other.url)
        await backend.say("ann", "RECONNECT", {"afterMs": 0, "jitterMs": 0}, "go")
        await told(ann, "resumed")
        assert len(other.attempts) == 1
        assert backend.queries[1]["resume"]
        assert await ann.page.evaluate("() => events.map(([type]) => type)") == ["resumed"]


@pytest.mark.both
async def test_after_a_code_that_says_so_it_comes_back(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    for count, code in enumerate((1001, 1011, 1012, 4000, 4001, 4002, 4499), 2):
        await backend.close("ann", code)
        await ann.until(
            "(code) => events.some(([type, why]) => type === 'reconnecting' && why === code)", code
        )
        await ann.until(
            "(count) => events.filter(([type]) => type === 'resumed').length === count - 1", count
        )
        assert len(backend.queries) == count


async def test_refused_before_the_upgrade_it_waits_ever_longer(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    await ann.page.evaluate(HURRY)
    gateway.http_refusals += [denied(status, Retry_After="30") for status in (429, 503, 429, 503, 429)]
    backend.cut("ann")
    await told(ann, "resumed")
    assert await ann.page.evaluate("() => waits") == [500, 1000, 2000, 4000, 4000, 4000]
    assert len(gateway.attempts) == 7


@pytest.mark.both
async def test_after_another_it_does_not(ann: Person, backend: Backend, gateway: Gateway) -> None:
    late = "() => client.join('demo').catch(({reason, code}) => [reason, code])"
    for count, code in enumerate((1000, 1003, 1007, 1009, 4500, 4501, 4502, 4503, 4504, 4999), 1):
        await come(ann, gateway.url)
        await backend.close("ann", code)
        assert await told(ann, "closed") == ["closed", code]
        assert await ann.page.evaluate(late) == ["CLOSED", code]
        assert len(backend.queries) == count


async def test_whose_session_another_device_has_replaced_stays_away(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)

    async def refuse(session: StoredSession) -> None:
        assert session.connection is not None
        await session.connection.close(4500)

    backend.before_welcome = refuse
    backend.cut("ann")
    assert await told(ann, "closed") == ["closed", 4500]
    assert len(gateway.attempts) == 2


async def test_an_expired_token_is_followed_by_one_from_the_source(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url, later=True)
    await backend.close("ann", 4501)
    await told(ann, "resumed")
    assert backend.tokens == ["ann.1", "ann.2"]


async def test_a_token_is_refreshed_before_it_expires(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url, later=True)
    backend.ignored.add("REFRESH_TOKEN")
    await backend.say("ann", "TOKEN_EXPIRING", {"expiresAt": 1}, "soon")
    await backend.until(lambda: frames(backend, "REFRESH_TOKEN"))
    (frame,) = frames(backend, "REFRESH_TOKEN")
    assert json.loads(frame)["data"] == {"token": "ann.2"}
    await told(ann, "tokenexpiring")


async def test_when_the_session_is_over_its_rooms_are_joined_again(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    await ann.page.evaluate("() => client.join('demo')")
    backend.ignored.add("MEMBERS")
    await ann.page.evaluate("() => { window.asked = client.members('demo').catch(({reason}) => reason); }")
    await backend.until(lambda: frames(backend, "MEMBERS"))
    backend.forget("ann")
    backend.cut("ann")
    await told(ann, "reset")
    assert await ann.page.evaluate("() => asked") == "SESSION_LOST"
    await backend.until(lambda: backend.sessions["ann"].rooms == ["demo"])


async def test_an_unanswered_ping_is_the_end_of_a_connection(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.ignored.add("PING")
    await ann.page.evaluate("() => dispatchEvent(new Event('online'))")
    await backend.until(lambda: frames(backend, "PING"))
    backend.ignored.clear()
    assert await told(ann, "reconnecting") == ["reconnecting", 1006]
    await told(ann, "resumed")
