"""Everybody talks with everybody: a call for each pair of a room."""

import asyncio

import pytest

from tests.browser.conftest import PersonMaker, pair
from tests.browser.person import Person

ENTER = "() => { window.voice = client.enterVoice('demo'); return voice.entered; }"


async def four(person: PersonMaker) -> list[Person]:
    people = [
        await person(name, gateway=number % 2) for number, name in enumerate(("ann", "ben", "cat", "dan"))
    ]
    for one in people:
        await one.come("demo")
    return people


async def all_hear_each_other(people: list[Person]) -> None:
    await asyncio.gather(*(one.hears(other) for one in people for other in people if one is not other))


@pytest.mark.both
async def test_four_talk_and_one_leaves(person: PersonMaker) -> None:
    people = await four(person)
    *first, late = people
    await asyncio.gather(*(one.page.evaluate(ENTER) for one in first))  # at once: offers may cross
    await all_hear_each_other(first)
    assert await late.page.evaluate("() => client.calls.size") == 0, "who is not in the voice is not called"
    await late.page.evaluate(ENTER)
    await all_hear_each_other(people)
    ann, *rest = people
    heard = [await one.hears(other) for one in rest for other in rest if one is not other]
    await ann.page.evaluate("() => voice.leave()")
    for one in rest:
        await one.until("(ann) => !client.calls.has(ann) && client.calls.size === 2", ann.user)
    assert await ann.page.evaluate("() => client.calls.size") == 0
    pairs = [(one, other) for one in rest for other in rest if one is not other]
    await asyncio.gather(*(one.hears(other, after) for (one, other), after in zip(pairs, heard, strict=True)))


async def test_a_call_hung_up_by_a_listener_is_shown_nothing(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await bob.page.evaluate("() => { client.enterVoice('demo'); }")
    enter = """async () => {
        window.unhandled = [];
        addEventListener('unhandledrejection', ({reason}) => unhandled.push(String(reason)));
        const {stream} = new AudioContext().createMediaStreamDestination();
        const picture = document.createElement('canvas').captureStream();
        const voice = client.enterVoice('demo', {stream, video: picture});
        const hungUp = new Promise((resolve) => voice.addEventListener('call', ({detail: call}) => {
            call.hangup();
            resolve();
        }));
        await Promise.all([voice.entered, hungUp]);
    }"""
    await alice.page.evaluate(enter)
    await alice.page.evaluate("() => new Promise((resolve) => { setTimeout(resolve); })")
    assert await alice.page.evaluate("() => unhandled") == []
