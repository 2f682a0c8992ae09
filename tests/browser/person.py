"""One person of a test: a page in a browser that speaks through `web/tieline.js`."""

from collections.abc import Sequence
from typing import Any, Final

from playwright.async_api import Browser, Page

from tests.browser.browsers import new_context
from tests.support.system import SECRET
from tieline.tokens import make_token

PATIENCE_S: Final = 30.0
"""For anything that must come: far more than it takes, for a machine that has other things to do."""

POLL_S: Final = 0.1
"""Between two looks, in the page itself: looking takes time from what is looked for."""

COME: Final = """async ({urls, token, rooms, options}) => {
    const tieline = await import('/tieline.js');
    window.events = [];
    window.client = await tieline.connect(urls, {token, ...options});
    for (const type of ['call', 'reconnecting', 'resumed', 'reset', 'closed', 'error'])
        client.addEventListener(type, ({detail}) => events.push([type, detail?.reason ?? '']));
    window.signals = [];
    client.addEventListener('signal', ({detail}) => signals.push(detail));
    client.addEventListener('call', ({detail}) => { window.call = detail; });
    for (const room of rooms) await client.join(room);
}"""

RING: Final = "(peer) => { window.call = client.call(peer); }"
HEARD: Final = """async ({peer, after}) => {
    const call = peer ? client.calls.get(peer) : window.call;
    if (call?.state !== 'connected') return null;
    const stats = await call.stats();
    return stats.received > after.received && stats.energyIn > after.energyIn ? stats : null;
}"""
SILENT: Final = """async () => {
    const {received, energyIn} = await call.stats();
    window.since ??= {received, energyIn};
    if (energyIn > since.energyIn + 0.01) window.since = {received, energyIn};
    return received > since.received + 150;
}"""
"""Whether three seconds of packets have come without sound: a beep of the fake microphone, one a second, has
an energy of 0.2 or more."""

UNTIL: Final = """async (argument) => {
    const condition = %s;
    for (const end = performance.now() + 1000 * %g; ;) {
        const found = await condition(argument);
        if (found || performance.now() > end) return found;
        await new Promise((resolve) => setTimeout(resolve, 1000 * %g));
    }
}"""
SITUATION: Final = """() => ({
    events: window.events,
    signals: window.signals?.map(({direction, cmd, peer}) => `${direction} ${cmd} ${peer}`).join(', '),
    calls: [...(window.client?.calls.values() ?? []), window.call].map((call) => call && [
        call.peer, call.state, call.reason, String(call.error), call.pc?.signalingState,
        call.pc?.iceGatheringState, call.pc?.iceConnectionState]),
})"""
SAID: Final = """() => signals
    .filter(({cmd, direction}) => direction !== 'ack' && !/CANDIDATE|INFO/.test(cmd))
    .map(({cmd, direction}) => `${direction} ${cmd}`)"""
NOTHING: Final = {"received": 0, "energyIn": 0}


def page_of(gateway: str) -> str:
    """Where a gateway serves the demo."""
    return gateway.replace("ws://", "http://").removesuffix("ws")


class Person:
    """A user with a page of one's own."""

    def __init__(self, user: str, page: Page, urls: Sequence[str]) -> None:
        self.user = user
        self.page = page
        self.urls = urls
        """The gateways it knows, its own first."""

    @classmethod
    async def open(cls, browser: Browser, user: str, urls: Sequence[str]) -> "Person":
        """Open the page of the first gateway: the demo, which does nothing until it is told a name."""
        page = await (await new_context(browser)).new_page()
        await page.goto(page_of(urls[0]))
        return cls(user, page, urls)

    async def come(self, *rooms: str, voice: bool = True, **options: Any) -> None:
        """Connect, and join rooms."""
        token = make_token(SECRET, self.user, rooms, voice=voice)
        come = {"urls": list(self.urls), "token": token, "rooms": rooms, "options": options}
        await self.page.evaluate(COME, come)

    async def ring(self, other: "Person") -> None:
        """Call somebody."""
        await self.page.evaluate(RING, other.user)

    async def calls(self, other: "Person") -> None:
        """Call somebody, who accepts; wait until both hear each other."""
        await self.ring(other)
        await other.is_rung()
        await other.accept()
        await self.hears()
        await other.hears()

    async def is_looked_at(self) -> None:
        """Bring the page to the front: before that Firefox lists no devices."""
        await self.page.bring_to_front()

    async def hang_up(self) -> None:
        """End the call."""
        await self.page.evaluate("() => call.hangup()")

    async def is_rung(self) -> None:
        """Wait for a call."""
        await self.until("() => window.call?.incoming && call.state === 'ringing'")

    async def accept(self) -> None:
        """Answer the call that rings."""
        await self.page.evaluate("() => call.accept()")

    async def until(self, condition: str, argument: Any = None, within_s: float = PATIENCE_S) -> Any:
        """Wait until a function of the page gives something true, and return that."""
        found = await self.page.evaluate(UNTIL % (condition, within_s, POLL_S), argument)
        if not found:
            situation = await self.page.evaluate(SITUATION)
            raise AssertionError(f"{self.user}: not so within {within_s:g} s: {condition}\n{situation}")
        return found

    async def hears(self, peer: "Person | None" = None, after: Any = None) -> Any:
        """Wait until more sound has come than `after` says; return the statistics then."""
        argument = {"peer": peer and peer.user, "after": after or NOTHING}
        return await self.until(HEARD, argument)

    async def ends(self, within_s: float = PATIENCE_S) -> str:
        """Wait until the call has ended; return why."""
        ended = "() => window.call?.state === 'ended' && call.reason"
        return str(await self.until(ended, within_s=within_s))

    async def said(self) -> list[str]:
        """What it has sent and heard, as `out WEBRTC_OFFER`: no candidates, and no WEBRTC_INFO."""
        signals: list[str] = await self.page.evaluate(SAID)
        return signals

    async def events(self) -> list[str]:
        """What the client has told, by type."""
        types: list[str] = await self.page.evaluate("() => events.map(([type]) => type)")
        return types
