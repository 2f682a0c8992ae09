import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from tieline.runtime.exposition import KEPT_S, Exposition


class Minute:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0


def kept(registry: CollectorRegistry) -> tuple[Exposition, Minute]:
    clock = Minute()
    return Exposition(registry, lambda: clock.now), clock


async def test_the_text_in_parts_is_that_in_one_piece() -> None:
    registry = CollectorRegistry()
    Counter("one_total", "One.", ["kind"], registry=registry).labels("a").inc()
    Gauge("two", "Two.", registry=registry).set(2)

    assert await kept(registry)[0].text() == generate_latest(registry)


async def test_a_text_is_kept_for_a_while_and_then_rendered_anew() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("one", "One.", registry=registry)
    rendered, clock = kept(registry)
    texts = [await rendered.text()]
    for later in (KEPT_S / 2, KEPT_S / 2):
        gauge.inc()
        clock.now += later
        texts.append(await rendered.text())

    assert texts[0] == texts[1]
    assert b"one 2.0" in texts[2]
    assert rendered.number == 2


async def test_others_have_their_turn_while_the_text_is_rendered() -> None:
    registry = CollectorRegistry()
    for name in ("one", "two", "three"):
        Gauge(name, "A number.", registry=registry)
    turns = 0
    rendering = asyncio.ensure_future(kept(registry)[0].text())
    while not rendering.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns >= 3


async def test_those_who_ask_at_the_same_time_get_one_text() -> None:
    rendered, _ = kept(CollectorRegistry())

    await asyncio.gather(rendered.text(), rendered.text())

    assert rendered.number == 1
