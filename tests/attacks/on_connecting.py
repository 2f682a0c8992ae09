"""Attacks by connecting: tokens, upgrades, resuming. What comes before the upgrade is in `on_sockets`."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from tests.attacks.line import Line, Refused, request_of
from tests.attacks.on_calls import call
from tests.attacks.on_sockets import CONNECTS
from tests.attacks.player import Player
from tests.attacks.scene import HOME, Attack, Scene
from tests.support.frames import CANDIDATE, NO_CLAIMS, OFFER, token

ARRIVALS: Final = (
    "Who comes last is let in first, while more come than can be; the others are told when to come."
)


async def bad_tokens(scene: Scene) -> AsyncIterator[None]:
    urls = [
        f"{scene.urls[0]}?token={bad}"
        for bad in (
            "",
            "x.y.z",
            token("u", secret="somebody else's secret, which is long enough"),
            "a" * 4_000,
        )
    ]
    kinds = itertools.cycle(urls)
    yield

    async def one(source: str) -> None:
        line = await scene.dial(source)
        await line.upgrade(next(kinds))

    await scene.all(scene.again_and_again(partial(one, scene.address())) for _ in range(50))


async def unknown_keys(scene: Scene) -> AsyncIterator[None]:
    host = urlsplit(scene.key_server)
    asked = [await _asked(host.port or 0)]
    yield

    async def one(source: str) -> None:
        line = await scene.dial(source)
        bad = token("u", secret=f"a key that nobody knows, number {scene.name()}")
        await line.upgrade(f"{scene.urls[0]}?token={bad}")

    attacking = [scene.again_and_again(partial(one, scene.address())) for _ in range(4)]
    try:
        await scene.all(attacking)
    finally:
        asked.append(await _asked(host.port or 0))
        scene.expect(asked[1] - asked[0] <= 12, f"the key server was asked {asked[1] - asked[0]} times")


async def _asked(port: int) -> int:
    reader, writer = await asyncio.open_connection(HOME, port)
    writer.write(b"GET /count HTTP/1.0\r\n\r\n")
    count = int((await reader.read()).rpartition(b"\r\n")[2])
    writer.close()
    return count


async def one_user_connects(scene: Scene) -> AsyncIterator[None]:
    user, source = scene.name(), scene.address()
    yield
    await scene.again_and_again(lambda: scene.deaf(user, source=source), 50)


async def one_user_connects_everywhere(scene: Scene) -> AsyncIterator[None]:
    user = scene.name()
    gateways = itertools.cycle((0, 1))
    yield
    await scene.again_and_again(lambda: scene.deaf(user, gateway=next(gateways)), 300)


async def new_users_connect(scene: Scene) -> AsyncIterator[None]:
    sources = [scene.address() for _ in range(50)]
    yield
    await scene.all(scene.again_and_again(partial(_come_and_go, scene, source)) for source in sources)


async def wrong_secrets(scene: Scene) -> AsyncIterator[None]:
    sources = [scene.address() for _ in range(50)]
    yield

    async def one(source: str) -> None:
        line = await scene.dial(source, is_deaf=True)
        user = scene.name()
        await line.upgrade(scene.url_for(user, query={"resume": f"wrong-{user}", "last": "x" * 100}))
        line.cut()

    await scene.all(scene.again_and_again(partial(one, source)) for source in sources)


async def connect_and_reset(scene: Scene) -> AsyncIterator[None]:
    user, sources = scene.name(), [scene.address() for _ in range(20)]
    url = scene.url_for(user)
    yield

    async def one(source: str) -> None:
        line = await scene.dial(source, is_deaf=True)
        line.write(request_of(url))
        scene.counts["resets"] += 1
        await asyncio.sleep(0)
        line.reset()

    await scene.all(scene.again_and_again(partial(one, source)) for source in sources)


async def crowd_of_strangers(scene: Scene) -> AsyncIterator[None]:
    sources = [scene.address() for _ in range(scene.some(1_000))]
    yield
    await scene.all(scene.again_and_again(partial(_come_and_go, scene, source)) for source in sources)


async def crowd_of_one_house(scene: Scene) -> AsyncIterator[None]:
    source = scene.address()
    yield
    await scene.again_and_again(partial(_come_and_go, scene, source), scene.some(1_000))


async def _come_and_go(scene: Scene, source: str, claims: Mapping[str, object] = NO_CLAIMS) -> None:
    """Connect somebody new, and cut the line."""
    line = await scene.deaf(claims=claims, source=source)
    line.cut()


async def tokens_with_rooms(scene: Scene) -> AsyncIterator[None]:
    sources = [scene.address() for _ in range(10)]
    claims = {
        "rooms": [f"r{number}" for number in range(200)],
        "join": [f"{scene.run}{number}" for number in range(200)],
    }
    yield
    await scene.all(scene.again_and_again(partial(_come_and_go, scene, source, claims)) for source in sources)


async def tokens_that_join(scene: Scene) -> AsyncIterator[None]:
    users = [scene.name() for _ in range(10)]
    claims = {"join": [f"{scene.run}{number}" for number in range(100)]}
    yield

    async def one(user: str, source: str) -> None:
        line = await scene.deaf(user, claims=claims, source=source)
        line.cut()

    await scene.all(scene.again_and_again(partial(one, user, scene.address())) for user in users)


async def full_mailbox_resumed(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    victim = await scene.player(claims=claims, resume="")
    caller = await scene.player(claims=claims)
    await call(caller, victim)
    senders = await scene.players(32, claims)
    await caller.tell(CANDIDATE, victim.user, 0, "had")
    victim.line.cut()
    body = "\\u0041" * 10_800
    for number in range(8):
        for sender in senders:
            envelope = (
                f'{{"requestId":"{sender.user}/{number}","module":"ROOM","cmd":"{OFFER}",'
                f'"data":{{"from":"{sender.user}","to":"{victim.user}","data":"{body}"}}}}'
            )
            sender.line.send(envelope.encode())
            await sender.line.writable()
    await asyncio.sleep(1)
    yield

    async def one() -> None:
        line = await scene.dial(is_deaf=True)
        secret = victim.welcome["resumeToken"]
        scene.counts["resumes"] += 1
        await line.upgrade(scene.url_for(victim.user, claims, {"resume": secret, "last": "not among them"}))
        await asyncio.sleep(0.05)
        line.cut()

    await scene.again_and_again(one, 4)


async def flapping(scene: Scene) -> AsyncIterator[None]:
    people = await scene.players(20, {"join": [scene.name("room")]}, resume="")
    yield

    async def one(person: Player) -> None:
        for nth in itertools.count():
            try:
                back = await scene.player(
                    person.user, resume=person.welcome["resumeToken"], last="x", gateway=nth % 2
                )
                scene.counts["back"] += 1
                person.line.cut()
                person.line = back.line
            except (Refused, OSError) as problem:
                scene.counts[f"refused: {problem}"[:40]] += 1
                await asyncio.sleep(0.05)

    await scene.all(one(person) for person in people)


async def sessions_left_behind(scene: Scene) -> AsyncIterator[None]:
    room = scene.name("room")
    yield

    async def one() -> None:
        user = scene.name()
        line = await scene.dial(is_deaf=True)
        await line.upgrade(scene.url_for(user, {"join": [f"{room}-{user}"]}, {"resume": "", "last": ""}))
        line.cut()

    await scene.again_and_again(one, 50)


async def short_tokens(scene: Scene) -> AsyncIterator[None]:
    users = [scene.name() for _ in range(100)]
    room = scene.name("room")
    yield

    async def one(user: str, source: str) -> None:
        line = await scene.dial(source)
        claims = {"exp": time.time() + 0.5, "join": [room]}
        await line.upgrade(scene.url_for(user, claims, {"resume": "", "last": ""}))
        scene.counts["entered"] += 1
        await line.closed

    await scene.all(scene.again_and_again(partial(one, user, scene.address())) for user in users)


async def hopping_flood(scene: Scene) -> AsyncIterator[None]:
    user = scene.name()
    yield
    for nth in itertools.count():
        try:
            line: Line = await scene.deaf(user, gateway=nth % 2)
        except (Refused, OSError) as problem:
            scene.counts[f"refused: {problem}"[:40]] += 1
            await asyncio.sleep(0.02)
            continue
        sender = Player(user)
        for number in range(400):
            line.write(sender.signal(OFFER, "nobody", number))
        scene.counts["hops"] += 1
        await line.writable()
        await asyncio.sleep(0.1)


ROWS: Final = (
    Attack("bad-tokens", "Fifty connect with tokens that are no good.", CONNECTS, bad_tokens),
    Attack(
        "unknown-keys",
        "Four come with tokens of keys that nobody knows, while the key server fails.",
        "The key server is asked every 10 s at most, whatever it answers.",
        unknown_keys,
        settings=(("TIELINE_JWKS_URL", "{key_server}"),),
    ),
    Attack("one-user-connects", "One user connects, fifty times side by side.", CONNECTS, one_user_connects),
    Attack(
        "one-user-connects-everywhere",
        "One user connects from many addresses to both gateways, 300 times side by side.",
        CONNECTS,
        one_user_connects_everywhere,
    ),
    Attack(
        "new-users-connect", "Fifty new users at a time connect and are gone.", CONNECTS, new_users_connect
    ),
    Attack("wrong-secrets", "Fifty at a time resume with secrets that are wrong.", CONNECTS, wrong_secrets),
    Attack("connect-and-reset", "Twenty ask for an upgrade and reset the line.", CONNECTS, connect_and_reset),
    Attack(
        "crowd-of-strangers",
        "A thousand new users at a time connect, each from an address of its own, and are gone.",
        ARRIVALS,
        crowd_of_strangers,
    ),
    Attack(
        "crowd-of-one-house",
        "A thousand new users at a time connect from one address, and are gone.",
        ARRIVALS,
        crowd_of_one_house,
    ),
    Attack("tokens-with-rooms", "Ten connect with tokens of 400 rooms.", "Rooms a token.", tokens_with_rooms),
    Attack(
        "tokens-that-join",
        "Ten users connect with tokens that join the same hundred rooms, and are gone.",
        "Messages a user, to which a connect counts for each of its rooms.",
        tokens_that_join,
    ),
    Attack(
        "full-mailbox-resumed",
        "Four at a time resume one session with 256 messages of 64 KiB of escapes, of 32 senders.",
        "Resumes a user; what is replayed is read in parts.",
        full_mailbox_resumed,
    ),
    Attack("flapping", "Twenty resume on one gateway after the other.", CONNECTS, flapping),
    Attack(
        "hopping-flood", "One floods, and moves on to the other gateway.", "Messages a user.", hopping_flood
    ),
    Attack(
        "sessions-left-behind",
        "Fifty new users at a time connect so that they can resume, and are gone.",
        CONNECTS,
        sessions_left_behind,
    ),
    Attack(
        "short-tokens",
        "A hundred members of a room connect with tokens that end within half a second, over and over.",
        CONNECTS,
        short_tokens,
    ),
)
