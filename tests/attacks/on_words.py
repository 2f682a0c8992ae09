"""Attacks by what clients say of themselves and of a call, and by the places from which they go on."""

import itertools
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from tests.attacks.line import text
from tests.attacks.on_calls import _pairs
from tests.attacks.on_messages import PRICE
from tests.attacks.on_sockets import CONNECTS
from tests.attacks.player import Player
from tests.attacks.scene import Attack, Scene
from tests.support.frames import command

PLACES: Final = (
    "0",
    "9" * 16,
    "1-1",
    "9" * 40,
    "-".join(["1795933006590512"] * 900),
    "1795933006590512-",
    "\u0663\u0663",
    "-1",
    "1e300",
)
"""Places that nobody was told."""


async def infos(scene: Scene) -> AsyncIterator[None]:
    of_calls = await _pairs(scene, 50)
    yield

    async def inform(sender: Player, to: Player) -> None:
        for number in itertools.count():
            sender.say("WEBRTC_INFO", to.user, {"muted": number % 2 == 0})
            scene.counts["infos"] += 1
            sender.heard.clear()
            await sender.line.writable()

    await scene.all(inform(*way) for one, other in of_calls for way in ((one, other), (other, one)))


async def statuses(scene: Scene) -> AsyncIterator[None]:
    rooms = {"join": [scene.name("room") for _ in range(50)]}
    lines = await scene.deaf_crowd(20, rooms)
    yield
    both = b"".join(text(command("STATUS", {"inCall": is_so}, "s")) for is_so in (True, False))
    await scene.flood_all(lines, both * 20, rooms)


async def names_of_calls(scene: Scene) -> AsyncIterator[None]:
    of_calls = await _pairs(scene, 50)
    yield

    async def name(sender: Player, to: Player) -> None:
        for number in itertools.count():
            body = {"from": sender.user, "to": to.user, "data": number, "call": f"{number:016x}"}
            cmd = ("WEBRTC_ICE_CANDIDATE", "WEBRTC_HANGUP", "WEBRTC_OFFER", "WEBRTC_ANSWER")[number % 4]
            sender.line.write(text(command(cmd, body, f"{number}")))
            scene.counts["named"] += 1
            sender.heard.clear()
            await sender.line.writable()

    await scene.all(name(*way) for one, other in of_calls for way in ((one, other), (other, one)))


async def places(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    users = [await scene.player(claims=claims, resume="", place="") for _ in range(10)]
    yield

    async def go_on(player: Player) -> None:
        for place in PLACES:
            again = await scene.player(
                player.user, claims, resume=player.welcome["resumeToken"], place=place, source=scene.address()
            )
            scene.expect(again.welcome["resumed"], f"from {place[:20]!r} nobody goes on")
            scene.counts["resumed"] += 1
            player.line.cut()
            player.line = again.line

    await scene.all(scene.again_and_again(partial(go_on, player)) for player in users)


ROWS: Final = (
    Attack(
        "infos", "Fifty calls say of themselves, both ways, as fast as they can, how they are.", PRICE, infos
    ),
    Attack(
        "statuses",
        "Twenty members of 50 rooms say that they are in a call, and are not.",
        PRICE,
        statuses,
        least_s=3.0,
    ),
    Attack(
        "names-of-calls",
        "Fifty pairs name calls that there never were, in messages of each kind.",
        PRICE,
        names_of_calls,
    ),
    Attack("places", "Ten resume from places that nobody was told.", CONNECTS, places),
)
