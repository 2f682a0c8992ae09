"""One person with several devices, as docs/backends.md has it: all ring, and one is answered."""

from tests.browser.conftest import PersonMaker
from tests.support.pages import program_of

RING_ALL = f"""(devices) => {{
    {program_of("js", "backends.md", "ring-all.js").replace("export ", "")}
    [window.call] = window.calls = ringAll(client, devices);
}}"""
LISTEN = "() => client.addEventListener('missed', ({detail}) => { window.missed = detail; })"


async def test_all_devices_ring_and_one_that_answers_keeps_the_call(person: PersonMaker) -> None:
    phone, laptop, bob = [await person(name) for name in ("ada/phone", "ada/laptop", "bob")]
    await phone.come("demo")
    await laptop.come("demo")
    await bob.come("demo", maxCalls=5)
    await phone.page.evaluate(LISTEN)
    await bob.page.evaluate(RING_ALL, [laptop.user, phone.user])
    await phone.is_rung()
    await laptop.is_rung()
    await laptop.accept()
    await laptop.hears()
    await bob.hears()
    await phone.until("() => window.missed?.reason === 'elsewhere'")
    assert await bob.page.evaluate("() => calls.map(({state}) => state)") == ["connected", "ended"]
