"""Hold offers back until so many have been made: so that they cross, however fast each page is."""

from typing import Final

from playwright.async_api import WebSocketRoute

from tests.browser.person import Person

_ANY_GATEWAY: Final = "**/ws?*"


class HeldOffers:
    """Lets nothing more through to its people from the first offer on, until `count` of them have come."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: list[tuple[WebSocketRoute, str | bytes]] = []

    async def on_the_way_to(self, person: Person) -> None:
        """Stand between a person and the gateways, before the person comes."""
        await person.page.route_web_socket(_ANY_GATEWAY, self._stand_between)

    def _stand_between(self, page: WebSocketRoute) -> None:
        server = page.connect_to_server()
        server.on_message(lambda frame: self._take(page, frame))

    def _take(self, page: WebSocketRoute, frame: str | bytes) -> None:
        is_offer = "WEBRTC_OFFER" in str(frame) and '"sdp"' in str(frame)
        if self._count and (is_offer or any(page is other for other, _ in self._waiting)):
            self._waiting.append((page, frame))
            self._count -= is_offer
        else:
            page.send(frame)
        if not self._count:
            self.let_through()

    def let_through(self) -> None:
        """Let everything through, from now on at once."""
        self._count = 0
        for other, waiting in self._waiting:
            other.send(waiting)
        self._waiting.clear()
