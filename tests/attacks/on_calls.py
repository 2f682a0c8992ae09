"""Attacks by offers, answers, candidates and hang-ups."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Final

from tests.attacks.line import Line, Refused, text
from tests.attacks.on_messages import PRICE
from tests.attacks.player import Player
from tests.attacks.scene import Attack, Scene
from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, command

MAILBOX: Final = "Bytes and messages of one sender in a mailbox, and the whole mailbox."


def signal(cmd: str, sender: str, to: str, data: object, request_id: str) -> bytes:
    """Write one signal."""
    return text(command(cmd, {"from": sender, "to": to, "data": data}, request_id))


async def _deaf_pairs(scene: Scene, count: int) -> list[tuple[str, Line, str, Line]]:
    """Connect so many pairs who do not look at what comes, each in a room of its own."""

    async def one() -> tuple[str, Line, str, Line]:
        one, other, claims = scene.name(), scene.name(), {"join": [scene.name("room")]}
        first = await scene.deaf(one, claims)
        return one, first, other, await scene.patiently(lambda: scene.deaf(other, claims))

    return await scene.crowd([one] * count)


async def _pairs(scene: Scene, count: int, *, in_call: bool = True) -> list[tuple[Player, Player]]:
    """Connect so many pairs, each in a room of its own, and let them call each other."""

    async def one() -> tuple[Player, Player]:
        claims = {"join": [scene.name("room")]}
        first = await scene.player(claims=claims)
        second = await scene.patiently(lambda: scene.player(claims=claims))
        if in_call:
            await call(first, second)
        return first, second

    return await scene.crowd([one] * count)


async def call(caller: Player, callee: Player) -> None:
    """Let one call the other.

    Raises:
        Refused: it was not let to.
    """
    for player, cmd, to in ((caller, OFFER, callee), (callee, ANSWER, caller)):
        heard = await player.tell(cmd, to.user, {"sdp": player.user})
        if "ack" not in heard:
            raise Refused(heard["reason"])


async def held_candidates(scene: Scene) -> AsyncIterator[None]:
    pairs = await _deaf_pairs(scene, scene.some(1_000))
    for one, line, other, _ in pairs:
        line.write(signal(OFFER, one, other, {}, "offer"))
        await line.writable()
    yield

    async def fill(one: str, line: Line, other: str, _: Line) -> None:
        for number in itertools.count():
            line.write(signal(CANDIDATE, one, other, "x" * 900, f"{number}"))
            scene.counts["candidates"] += 1
            await line.writable()
            await asyncio.sleep(0.05)

    await scene.all(fill(*pair) for pair in pairs)


async def big_candidates(scene: Scene) -> AsyncIterator[None]:
    pairs = await _pairs(scene, 10)
    yield

    async def pour(sender: Player, to: Player) -> None:
        for number in itertools.count():
            sender.line.write(signal(CANDIDATE, sender.user, to.user, "x" * 65_000, f"{number}"))
            scene.counts["candidates"] += 1
            sender.heard.clear()
            await sender.line.writable()

    await scene.all(pour(*way) for one, other in pairs for way in ((one, other), (other, one)))


async def full_mailbox(scene: Scene) -> AsyncIterator[None]:
    room = {"join": [scene.name("room")]}
    targets = [scene.name() for _ in range(100)]
    await scene.crowd([partial(scene.deaf, target, room) for target in targets])
    senders = [scene.name() for _ in range(10)]
    yield

    async def one(user: str, first: int) -> None:
        source, at = scene.address(), asyncio.get_running_loop().time
        line: Line | None = None
        began = at()
        for number in itertools.count():
            try:
                if line is None or not line.is_open:
                    line = await scene.deaf(user, room, source=source)
                line.write(signal(OFFER, user, targets[(first + number) % 100], "x" * 65_200, f"o{number}"))
                scene.counts["offers"] += 1
                await line.writable()
            except (Refused, OSError):
                scene.counts["put out"] += 1
            await asyncio.sleep(max(0.0, began + number / 45 - at()))

    await scene.all(one(user, 10 * nth) for nth, user in enumerate(senders))


async def offers_to_one_away(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    ann = await scene.player(claims=claims)
    victor = await scene.player(claims=claims, resume="")
    mallory = await scene.player(claims=claims)
    await call(ann, victor)
    yield
    await _away(scene, victor, mallory, ann, claims, 257, lambda _: (OFFER, {"sdp": "x"}))


async def _away(
    scene: Scene,
    victor: Player,
    mallory: Player,
    ann: Player,
    claims: Mapping[str, object],
    count: int,
    what: Callable[[int], tuple[str, object]],
) -> None:
    """Let the victim lose its line, the attacker say much to it, and the victim come back to its call."""
    last = victor.heard[-1]["requestId"]
    victor.line.cut()
    for number in range(count):
        cmd, data = what(number)
        body = {"from": mallory.user, "to": victor.user, "data": data} if cmd.startswith("WEBRTC") else data
        mallory.line.send(command(cmd, body, f"flood-{number}"))
        scene.counts["sent"] += 1
        await asyncio.sleep(1 / 150)
    await asyncio.sleep(0.3)
    again = await scene.patiently(
        lambda: scene.player(victor.user, claims, resume=victor.welcome["resumeToken"], last=last)
    )
    scene.expect(again.welcome["resumed"], "the victim was not let back into its session")
    scene.expect(not ann.got(HANGUP), "the victim's call was ended")
    scene.expect("ack" in await ann.tell(CANDIDATE, victor.user, 1), "the victim's call does not go on")


async def peers_ids(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    bo, mallory = await scene.players(2, claims)
    of_0_1 = await scene.player(claims=claims, resume="")
    asks_for_places = await scene.player(claims=claims, resume="", place="")
    had = {}
    for victim in (of_0_1, asks_for_places):
        await call(bo, victim)
        await bo.tell(CANDIDATE, victim.user, 0, "had")
        had[victim] = await victim.want(lambda heard: bool(heard["requestId"] == "had"))
    yield
    for victim, last in had.items():
        victim.line.cut()
        heard = await bo.tell(CANDIDATE, victim.user, 1, "missed")
        scene.expect("ack" in heard, f"a message to the victim was answered with {heard.get('reason')}")
        await mallory.tell(OFFER, victim.user, {}, "had")
        await bo.tell(CANDIDATE, victim.user, 2, "had")
        scene.counts["hidden"] += 1
        await _is_back(scene, victim, claims, last.get("place"))


async def _is_back(scene: Scene, victim: Player, claims: Mapping[str, object], place: str | None) -> None:
    """Let a victim come back that has missed three messages, two of them with the id of its last."""
    again = await scene.patiently(
        lambda: scene.player(
            victim.user, claims, resume=victim.welcome["resumeToken"], last="had", place=place
        )
    )
    scene.expect(again.welcome["resumed"], "the victim was not let back into its session")
    try:
        await again.want(lambda heard: bool(heard.get("data") and heard["data"].get("data") == 2), within_s=5)
    except (TimeoutError, ConnectionError) as problem:
        scene.expect(False, f"what the victim missed was not replayed: {problem!r}")
    said = [heard["requestId"] for heard in (*again.got(CANDIDATE), *again.got(OFFER))]
    scene.expect("missed" in said, "an acknowledged message was hidden by another sender's requestId")
    scene.expect(said.count("had") == 2, f"of two messages of the last one's id came {said.count('had')}")


async def many_to_one_away(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    ann = await scene.player(claims=claims)
    victor = await scene.player(claims=claims, resume="")
    users = [scene.name() for _ in range(scene.some(200))]
    lines = await scene.crowd([partial(scene.deaf, user, claims) for user in users])
    await call(ann, victor)
    await ann.tell(CANDIDATE, victor.user, 0, "had")
    await victor.want(lambda heard: bool(heard["requestId"] == "had"))
    victor.line.cut()
    missed = (await ann.tell(CANDIDATE, victor.user, 1, "missed")).get("ack")
    yield
    for number in range(8):
        for user, line in zip(users, lines, strict=True):
            cmd = OFFER if number < 2 else CANDIDATE
            line.write(signal(cmd, user, victor.user, "x" * 60_000, f"{user}/{number}"))
            scene.counts["sent"] += 1
            await line.writable()
        await asyncio.sleep(0.3)
    again = await scene.patiently(
        lambda: scene.player(victor.user, claims, resume=victor.welcome["resumeToken"], last="had")
    )
    scene.expect(again.welcome["resumed"], "the victim was not let back into its session")
    scene.expect(missed == "relayed", f"the message that the victim missed was answered with {missed}")
    scene.expect(not ann.got(HANGUP), "the victim's call was ended")
    try:
        await again.want(lambda heard: bool(heard["requestId"] == "missed"))
    except (TimeoutError, ConnectionError) as problem:
        scene.expect(False, f"what the victim missed was not replayed: {problem!r}")


async def never_reads(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    reader = scene.name()
    line = await scene.patiently(lambda: scene.deaf(reader, claims, receive_buffer=4096))
    line.stop_reading()
    senders = [scene.name() for _ in range(scene.some(200))]
    lines = await scene.crowd([partial(scene.deaf, sender, claims) for sender in senders])
    names = dict(zip(lines, senders, strict=True))
    yield
    for number in itertools.count():
        for sender in lines:
            sender.write(signal(OFFER, names[sender], reader, "x" * 2_000, f"{number}"))
        scene.counts["rounds"] += 1
        await asyncio.sleep(0.1)


async def offers_and_hangups(scene: Scene) -> AsyncIterator[None]:
    pairs = await _deaf_pairs(scene, 50)
    yield

    async def one(user: str, line: Line, other: str, _: Line) -> None:
        for number in itertools.count():
            line.write(signal(OFFER, user, other, number, f"o{number}"))
            line.write(signal(HANGUP, user, other, {"reason": "hangup"}, f"h{number}"))
            scene.counts["calls"] += 1
            await line.writable()
            await asyncio.sleep(0.02)

    await scene.all(one(*pair) for pair in pairs)


async def glare(scene: Scene) -> AsyncIterator[None]:
    pairs = await _deaf_pairs(scene, 50)
    yield

    async def one(user: str, line: Line, other: str, others: Line) -> None:
        for number in itertools.count():
            line.write(signal(OFFER, user, other, number, f"o{number}"))
            others.write(signal(OFFER, other, user, number, f"o{number}"))
            scene.counts["glares"] += 1
            await line.writable()
            await asyncio.sleep(0.02)

    await scene.all(one(*pair) for pair in pairs)


async def answers_again(scene: Scene) -> AsyncIterator[None]:
    pairs = await _pairs(scene, 20, in_call=False)
    answers: list[tuple[Player, bytes]] = []
    for one, other in pairs:
        await one.tell(OFFER, other.user, {})
        for number in range(60):
            one.say(CANDIDATE, other.user, f"{number}" * 300)
        answer = other.signal(ANSWER, one.user, {})
        await other.want(lambda heard: bool(heard["cmd"] == OFFER))
        other.line.write(answer)
        answers.append((other, answer))
    yield

    async def again(player: Player, answer: bytes) -> None:
        while True:
            player.line.write(answer * 20)
            player.heard.clear()
            scene.counts["retries"] += 20
            await player.line.writable()
            await asyncio.sleep(0.01)

    await scene.all(again(*each) for each in answers)


async def replaced_offers(scene: Scene) -> AsyncIterator[None]:
    ((ann, bo),) = await _pairs(scene, 1, in_call=False)
    yield
    heard = []
    for nth in range(3):
        await ann.tell(OFFER, bo.user, {"sdp": nth})
        heard = [await ann.tell(CANDIDATE, bo.user, f"{nth}/{number}") for number in range(30)]
        scene.counts["offers"] += 1
    held = sum("ack" in each for each in heard)
    scene.expect(held == 30, f"of the newest offer's 30 candidates {30 - held} were refused")
    await bo.tell(ANSWER, ann.user, {})
    try:
        await bo.want(lambda each: bool(each.get("data") and each["data"].get("data") == "2/29"), within_s=5)
    except TimeoutError:
        scene.expect(False, "the newest offer's last candidate has not come")


async def call_one_who_reloads(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    star = scene.name()
    await scene.player(star, claims)
    callers = [scene.name() for _ in range(scene.some(300))]
    lines = await scene.crowd([partial(scene.deaf, caller, claims) for caller in callers])

    def all_call(number: int) -> None:
        for caller, line in zip(callers, lines, strict=True):
            line.write(signal(OFFER, caller, star, number, f"{number}"))

    all_call(0)
    yield

    async def keep_calling() -> None:
        for number in itertools.count(1):
            all_call(number)
            scene.counts["rounds of calls"] += 1
            await asyncio.sleep(0.3)

    calling = asyncio.ensure_future(keep_calling())
    try:
        await asyncio.sleep(0.3)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await scene.player(star, claims)
        except (Refused, OSError) as problem:
            scene.expect(
                False, f"the one who is called was kept out for {loop.time() - began:.1f} s: {problem}"
            )
        await asyncio.sleep(30)
    finally:
        calling.cancel()


async def many_calls_and_leave(scene: Scene) -> AsyncIterator[None]:
    rooms = [scene.name("room") for _ in range(2)]
    claims = {"join": rooms}
    hub = await scene.player(claims=claims)
    others = await scene.players(scene.some(50), claims)
    for other in others:
        await other.tell(OFFER, hub.user, {})
        for _ in range(60):
            other.say(CANDIDATE, hub.user, "x" * 900)
    yield

    async def one() -> None:
        await hub.ask("LEAVE", {"room": rooms[0]})
        await hub.ask("JOIN", {"room": rooms[0]})
        hub.heard.clear()

    await scene.again_and_again(one)


ROWS: Final = (
    Attack(
        "held-candidates",
        "A thousand pairs fill what is held, and go on: each further candidate is refused.",
        "Candidates and bytes held; a refusal reads counts alone; requests have a deadline.",
        held_candidates,
    ),
    Attack("big-candidates", "Ten calls send candidates of 64 KiB both ways.", MAILBOX, big_candidates),
    Attack("full-mailbox", "Ten accounts send offers of 64 KiB, 45 a second each.", MAILBOX, full_mailbox),
    Attack(
        "offers-to-one-away",
        "A member sends 257 offers to another who has a call and is away for a moment.",
        "Offers a pair, and a sender's share of a mailbox.",
        offers_to_one_away,
        least_s=20,
    ),
    Attack(
        "peers-ids",
        "Members use again the requestId of the last message that others, who are away, have had.",
        "Where a client goes on is the server's to name; for version 0.1 the oldest message of an id counts.",
        peers_ids,
        least_s=15,
    ),
    Attack(
        "many-to-one-away",
        "Two hundred members send 60 KB each, again and again, to another who has a call and is away.",
        MAILBOX,
        many_to_one_away,
        least_s=20,
    ),
    Attack(
        "never-reads", "Two hundred send to one who never reads.", "Bytes that wait to be read.", never_reads
    ),
    Attack("offers-and-hangups", "Fifty pairs call and hang up.", PRICE, offers_and_hangups),
    Attack("glare", "Fifty pairs offer both ways, over and over.", PRICE, glare),
    Attack(
        "answers-again",
        "Twenty send again the answer that released 60 candidates.",
        "A retry that was carried out a moment ago is answered from memory.",
        answers_again,
    ),
    Attack(
        "replaced-offers",
        "A caller offers three times, with 30 candidates each.",
        "The oldest candidates of offers that were replaced go first.",
        replaced_offers,
        least_s=15,
    ),
    Attack(
        "call-one-who-reloads",
        "Three hundred call one, who reloads, and call again at once.",
        "A session begins before the calls of the one before it are ended.",
        call_one_who_reloads,
        least_s=4,
    ),
    Attack(
        "many-calls-and-leave",
        "One with fifty calls leaves one of two common rooms, and joins it again.",
        "LEAVE reads the keys of calls alone; comings and goings a user.",
        many_calls_and_leave,
    ),
)
