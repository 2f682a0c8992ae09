"""How `tieline.js` knows who is in a room: lists, pages and changes, in whatever order they come."""

import json
from contextlib import AsyncExitStack
from typing import Final

import pytest

from tests.browser.conftest import PersonMaker
from tests.browser.hurried import come, frames, told
from tests.browser.person import Person
from tests.support.running_dev import RunningDev
from tests.support.system import SECRET
from tests.unit.client.lists import changed, listed, member
from tests.unit.client.resuming_gateways import REFUSED, Backend, Gateway
from tieline.client import connect
from tieline.tokens import make_token

CROWD: Final = 205
"""More than the first page of a list has."""

JOIN = "() => client.join('demo').then((members) => members.map(({userId}) => userId))"
ASK = (
    "(name) => { window.asked = client[name]('demo').then((members) => members.map(({userId}) => userId)); }"
)
WHO = "() => [...client.rooms.get('demo')?.keys() ?? []]"
ARE = """(users) => {
    const members = client.rooms.get('demo');
    return members?.size === users.length && users.every((user) => members.has(user));
}"""


async def ask(ann: Person, backend: Backend, name: str, cmd: str) -> None:
    """Have it ask for a list, which it is not answered yet."""
    backend.ignored.add(cmd)
    known = len(frames(backend, cmd))
    await ann.page.evaluate(ASK, name)
    await backend.until(lambda: len(frames(backend, cmd)) > known)


async def change(ann: Person, backend: Backend, *data: object) -> None:
    """Tell it of changes, and wait until it has heard them."""
    for number, one in enumerate(data):
        await backend.say("ann", "ROOM_CHANGED", one, f"{json.dumps(one)}-{number}")
    await backend.say("ann", "TOKEN_EXPIRING", {"expiresAt": 1}, "then")
    await told(ann, "tokenexpiring")


async def test_a_batch_is_one_event_with_all_that_changed(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.lists = [listed(5, "ann", "bob", "cat", count=3)]
    await ann.page.evaluate(JOIN)
    await change(ann, backend, changed(9, joined="dan eve", left="bob", updated="cat"))
    members = await ann.page.evaluate("() => [...client.rooms.get('demo').values()]")
    assert members == [member("ann"), member("cat", "away"), member("dan"), member("eve")]
    assert [kind for kind, _ in await ann.page.evaluate("() => events")].count("roster") == 2


async def test_a_list_in_pages_is_fetched_and_told_whole(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.lists = [
        listed(5, "ann", "bob", count=5, next="b"),
        listed(6, "cat", "dan", count=5, next="d"),
        listed(6, "eve", count=5),
    ]
    assert await ann.page.evaluate(JOIN) == ["ann", "bob", "cat", "dan", "eve"]
    asked = [json.loads(frame)["data"] for frame in frames(backend, "MEMBERS")]
    assert asked == [{"room": "demo", "after": "b"}, {"room": "demo", "after": "d"}]
    assert await ann.page.evaluate("() => events") == [["roster", "demo"]]


async def test_what_changes_between_two_pages_is_not_lost(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.lists = [listed(5, "ann", "bob", count=4, next="b")]
    await ask(ann, backend, "join", "MEMBERS")
    await change(ann, backend, changed(7, joined="eve", left="bob"))
    await backend.answer("ann", listed(7, "cat", "eve", count=4))
    assert await ann.page.evaluate("() => asked") == ["ann", "cat", "eve"]


@pytest.mark.parametrize(
    ("number", "members"), [(5, ["ann", "cat"]), (9, ["ann", "bob"]), (0, ["ann", "cat"])]
)
async def test_of_an_event_and_a_later_list_the_newer_counts(
    ann: Person, backend: Backend, gateway: Gateway, number: int, members: list[str]
) -> None:
    await come(ann, gateway.url)
    await ask(ann, backend, "join", "JOIN")
    await change(ann, backend, changed(8, joined="cat", left="bob"))
    await backend.answer("ann", listed(number, "ann", "bob"))
    assert sorted(await ann.page.evaluate("() => asked")) == members
    assert sorted(await ann.page.evaluate(WHO)) == members


@pytest.mark.parametrize(("number", "members"), [(4, ["ann", "bob"]), (6, ["ann", "cat"])])
async def test_of_a_list_and_a_later_event_the_newer_counts(
    ann: Person, backend: Backend, gateway: Gateway, number: int, members: list[str]
) -> None:
    await come(ann, gateway.url)
    backend.lists = [listed(5, "ann", "bob")]
    await ann.page.evaluate(JOIN)
    await change(ann, backend, changed(number, joined="cat", left="bob"))
    assert await ann.page.evaluate(WHO) == members


async def test_a_single_event_with_a_number_is_judged_by_it(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.lists = [listed(5, "ann", "bob")]
    await ann.page.evaluate(JOIN)
    left = {"room": "demo", "userId": "bob", "reason": "left"}
    await backend.say("ann", "MEMBER_LEFT", {**left, "number": 4}, "old")
    await backend.say("ann", "MEMBER_JOINED", {"room": "demo", "userId": "cat", "number": 6}, "new")
    await ann.until(ARE, ["ann", "bob", "cat"])


async def test_a_list_after_a_resume_replaces_what_was_known(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.lists = [listed(5, "ann", "bob")]
    await ann.page.evaluate(JOIN)
    backend.lists = [listed(8, "dan", count=3)]
    await backend.say("ann", "ROOM_CHANGED", listed(8, "ann", "cat", count=3, next="c"), "list")
    await ann.until(ARE, ["ann", "cat", "dan"])
    await change(ann, backend, changed(7, left="cat"))
    assert await ann.page.evaluate(WHO) == ["ann", "cat", "dan"]


async def test_kicked_while_a_list_is_on_its_way_it_is_no_member(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    await ann.page.evaluate(JOIN)
    await ask(ann, backend, "members", "MEMBERS")
    await change(ann, backend, changed(8, left="ann"))
    await backend.answer("ann", listed(5, "ann", "bob"))
    assert await ann.page.evaluate("() => asked") == []
    assert not await ann.page.evaluate("() => client.rooms.has('demo')")


async def test_a_page_that_is_refused_fails_the_list(ann: Person, backend: Backend, gateway: Gateway) -> None:
    await come(ann, gateway.url)
    backend.lists = [listed(5, "ann", "bob", count=4, next="b")]
    backend.refusals["MEMBERS"] = [(REFUSED, "NOT_IN_SAME_ROOM")]
    assert (
        await ann.page.evaluate("() => client.join('demo').catch(({reason}) => reason)") == "NOT_IN_SAME_ROOM"
    )
    assert not await ann.page.evaluate("() => client.rooms.has('demo')")


async def test_a_real_room_of_more_than_a_page_is_known_whole(person: PersonMaker, dev: RunningDev) -> None:
    alice = await person("alice")
    size = "(size) => client.rooms.get('crowd').size === size"
    async with AsyncExitStack() as all_of_them:
        for number in range(CROWD):
            url, token = dev.document["gateways"][number % 2], make_token(SECRET, f"user-{number}", ["crowd"])
            one = await all_of_them.enter_async_context(connect(url, token))
            await one.join("crowd")
            if number == CROWD - 2:
                await alice.come("crowd")
                await alice.until(size, CROWD)
        await alice.until(size, CROWD + 1)
        roster = await one.members("crowd")
        members = {member.user_id for member in roster.members}
        assert set(await alice.page.evaluate("() => [...client.rooms.get('crowd').keys()]")) == members
        await one.leave("crowd")
        await alice.until(size, CROWD)
    await alice.until(size, 1)
