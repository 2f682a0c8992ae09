import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.waiting import within
from tieline.cli.call.peer import Description, Peer, PeerFailed
from tieline.cli.call.sound import tones
from tieline.cli.call.tone import Verdict, judge, measure

Pair = tuple[Peer, Peer]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    peers = Peer(tones(440)), Peer(tones(660))
    yield peers
    for peer in peers:
        await peer.close()


async def negotiate(one: Peer, other: Peer) -> tuple[Description, Description]:
    offer = await one.offer()
    answer = await other.answer(offer.description)
    await one.accept(answer.description)
    return offer, answer


async def test_candidates_that_come_before_the_description_count(pair: Pair) -> None:
    one, other = pair
    offer = await one.offer()
    for candidate in offer.candidates:
        await other.add(candidate)
    answer = await other.answer(offer.description)
    for candidate in answer.candidates:
        await one.add(candidate)
    await one.accept(answer.description)
    await within(asyncio.gather(one.connected(), other.connected()))
    assert judge(measure(await one.listen(0.2)), 660) is Verdict.RIGHT
    assert (await one.packets()).received > 0
    assert (await other.packets()).sent > 0


async def test_a_description_names_no_address(pair: Pair) -> None:
    for description in await negotiate(*pair):
        assert len(description.candidates) >= 2
        assert "candidate" not in description.description["sdp"]
        for candidate in description.candidates[:-1]:
            assert candidate["candidate"].split()[4] not in description.description["sdp"]


async def test_without_candidates_there_is_no_way(pair: Pair) -> None:
    offer, answer = await negotiate(*pair)
    for peer, end in zip(pair, (answer.candidates[-1], offer.candidates[-1]), strict=True):
        await peer.add(end)
    for peer in pair:
        with pytest.raises(PeerFailed):
            await within(peer.connected())
