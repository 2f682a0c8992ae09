"""Attacks by rooms: large ones, full ones, many, and comings and goings."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from tests.attacks.line import Line, Refused, text
from tests.attacks.on_calls import _away, call, signal
from tests.attacks.on_messages import PRICE
from tests.attacks.player import Player
from tests.attacks.scene import Attack, Scene
from tests.support.frames import CANDIDATE, HANGUP, OFFER, command, token

CHANGES: Final = "A room's change is published once to each gateway, and is in nobody's mailbox."
BACK_S: Final = 15.0
"""In which everybody who has lost the line must be back."""


async def _big_room(scene: Scene, whole: int) -> tuple[str, Player, list[Line]]:
    """Fill a room up to so many: one who listens, and others who do not, half of them on either gateway."""
    room = scene.name("room")
    claims = {"join": [room]}
    member = await scene.patiently(lambda: scene.player(claims=claims))
    others = scene.some(whole) - 1
    lines = await scene.deaf_crowd(others // 2, claims)
    lines += await scene.deaf_crowd(others - others // 2, claims, gateway=1)
    answer = await member.ask("MEMBERS", {"room": room})
    assert answer["code"] == 200, answer
    return room, member, lines


async def members_of_many(scene: Scene) -> AsyncIterator[None]:
    room, member, _ = await _big_room(scene, 1_000)
    yield

    async def one() -> None:
        await member.ask("MEMBERS", {"room": room})
        member.heard.clear()

    await scene.again_and_again(one)


async def join_and_leave_of_many(scene: Scene) -> AsyncIterator[None]:
    room, member, _ = await _big_room(scene, 1_000)
    yield

    async def one() -> None:
        await member.ask("LEAVE", {"room": room})
        await member.ask("JOIN", {"room": room})
        member.heard.clear()

    await scene.again_and_again(one)


async def offers_to_many(scene: Scene) -> AsyncIterator[None]:
    room, member, _ = await _big_room(scene, 1_000)
    members = (await member.ask("MEMBERS", {"room": room}))["data"]["members"]
    users = [each["userId"] for each in members if each["userId"] != member.user]
    yield
    for number, user in enumerate(itertools.cycle(users)):
        size = 65_000 if number % 2 else 100
        member.line.write(signal(OFFER, member.user, user, "x" * size, f"{number}"))
        scene.counts["offers"] += 1
        await member.line.writable()


async def comings_and_goings_while_away(scene: Scene) -> AsyncIterator[None]:
    room = scene.name("room")
    claims = {"join": [room]}
    ann = await scene.player(claims=claims)
    victor = await scene.player(claims=claims, resume="")
    mallory = await scene.player(claims=claims)
    await call(ann, victor)
    await ann.tell(CANDIDATE, victor.user, 0, "had")
    await victor.want(lambda heard: bool(heard["requestId"] == "had"))
    yield
    await _away(
        scene,
        victor,
        mallory,
        ann,
        claims,
        270,
        lambda number: (("LEAVE", "JOIN")[number % 2], {"room": room}),
    )


async def voices_of_many(scene: Scene) -> AsyncIterator[None]:
    room = scene.name("room")
    users = [scene.name() for _ in range(scene.some(300))]
    tokens = {
        user: [token(user, {"join": [room], "voice": is_allowed}) for is_allowed in (False, True)]
        for user in users
    }
    lines = await scene.crowd(
        [partial(scene.deaf, user, {"join": [room]}, gateway=nth % 2) for nth, user in enumerate(users)]
    )
    ways = dict(zip(lines, users, strict=True))
    yield

    async def one(line: Line, user: str) -> None:
        for number in itertools.count():
            newer = tokens[user][number % 2]
            line.write(text(command("REFRESH_TOKEN", {"token": newer}, f"r{number}")))
            scene.counts["refreshes"] += 1
            await line.writable()
            await asyncio.sleep(0.1)

    await scene.all(one(*way) for way in ways.items())


async def everybody_calls(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    users = [scene.name() for _ in range(scene.some(300))]
    lines = await scene.crowd(
        [partial(scene.deaf, user, claims, gateway=nth % 2) for nth, user in enumerate(users)]
    )
    yield
    for further in range(1, len(users)):
        for nth, line in enumerate(lines):
            other = users[(nth + further) % len(users)]
            line.write(signal(OFFER, users[nth], other, "x" * 2_000, f"o{further}"))
            for number in range(5):
                line.write(signal(CANDIDATE, users[nth], other, "x" * 150, f"c{further}/{number}"))
            await line.writable()
        scene.counts["rounds"] += 1
        await asyncio.sleep(0.05)


async def churn(scene: Scene) -> AsyncIterator[None]:
    room = scene.name("room")
    claims = {"join": [room]}
    await scene.deaf_crowd(scene.some(80), claims, gateway=1)
    lines = await scene.deaf_crowd(20, claims)
    yield
    joins = b"".join(text(command("JOIN", {"room": room}, f"j{number}")) for number in range(80))
    leave = text(command("LEAVE", {"room": room}, "l"))
    await scene.all(scene.flood(lambda: scene.deaf(claims=claims), joins + leave, line) for line in lines)


async def full_room(scene: Scene) -> AsyncIterator[None]:
    room, _, _ = await _big_room(scene, 1_000)
    lines = await scene.deaf_crowd(40)
    yield
    await scene.flood_all(lines, text(command("JOIN", {"room": room}, "j")) * 5)


async def rooms_without_end(scene: Scene) -> AsyncIterator[None]:
    (line,) = await scene.deaf_crowd(1)
    yield
    for number in itertools.count():
        line.write(text(command("JOIN", {"room": f"{scene.run}-{number:0>100}"}, f"{number}")))
        scene.counts["rooms"] += 1
        await line.writable()


async def small_rooms(scene: Scene) -> AsyncIterator[None]:
    lines = await scene.deaf_crowd(20)
    yield

    async def one(line: Line) -> None:
        for number in itertools.count():
            room = {"room": scene.name("room")}
            line.write(text(command("JOIN", room, f"j{number}")) + text(command("LEAVE", room, f"l{number}")))
            scene.counts["rooms"] += 1
            await line.writable()

    await scene.all(one(line) for line in lines)


async def crowd_loses_its_line(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    half = scene.some(300) // 2
    people = await scene.players(half, claims, resume="")
    people += await scene.players(half, claims, resume="", gateway=1)
    calls = list(zip(people[::2], people[1::2], strict=True))[:50]
    for caller, callee in calls:
        await call(caller, callee)
    yield
    for person in people:
        person.line.cut()
    await asyncio.sleep(0.5)
    back: dict[str, Player] = {}

    async def come_back(nth: int, person: Player) -> None:
        last = next((each["requestId"] for each in reversed(person.heard) if each["requestId"]), "")
        while person.user not in back:
            try:
                back[person.user] = await scene.player(
                    person.user,
                    claims,
                    resume=person.welcome["resumeToken"],
                    last=last,
                    gateway=nth % 2,
                )
                scene.counts["back"] += 1
            except (Refused, OSError) as problem:
                scene.counts[f"not yet: {problem}"[:40]] += 1
                await asyncio.sleep(scene.chance.uniform(0.2, 1.5))

    try:
        async with asyncio.timeout(BACK_S):
            await scene.all(come_back(nth, person) for nth, person in enumerate(people))
    except TimeoutError:
        scene.expect(False, f"{len(people) - len(back)} of {len(people)} were not back within {BACK_S:g} s")
    lost = sum(not each.welcome["resumed"] for each in back.values())
    scene.expect(not lost, f"{lost} of {len(people)} were not let back into their session")
    hung_up = sum(bool(each.got(HANGUP)) for each in back.values())
    scene.expect(not hung_up, f"{hung_up} were told that their call was ended")


async def room_fills(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    yield
    await scene.deaf_crowd(scene.some(300), claims)
    scene.counts["joined"] = scene.some(300)


async def busy_room(scene: Scene) -> AsyncIterator[None]:
    room, _, _ = await _big_room(scene, 1_000)
    guests = itertools.cycle([scene.name() for _ in range(100)])
    inside: list[Line] = []
    yield
    for nth in itertools.count():
        if nth % 2 or not inside:
            with contextlib.suppress(Refused, OSError):
                inside.append(await scene.deaf(next(guests), {"join": [room]}, gateway=nth // 2 % 2))
                scene.counts["came"] += 1
        else:
            inside.pop(0).close()
            scene.counts["went"] += 1
        await asyncio.sleep(0.1)


async def reads_nothing_in_a_crowd(scene: Scene) -> AsyncIterator[None]:
    room = scene.name("room")
    claims = {"join": [room]}
    lines = await scene.crowd([lambda: scene.deaf(claims=claims, receive_buffer=4096)] * 100)
    for line in lines:
        line.stop_reading()
    comers = await scene.deaf_crowd(10, claims)
    yield
    both = text(command("LEAVE", {"room": room}, "l")) + text(command("JOIN", {"room": room}, "j"))
    await scene.all(scene.flood(lambda: scene.deaf(claims=claims), both * 5, line) for line in comers)


async def reloads(scene: Scene) -> AsyncIterator[None]:
    claims = {"join": [scene.name("room")]}
    people = [scene.name() for _ in range(scene.some(200))]
    await scene.crowd([lambda user=user: scene.deaf(user, claims) for user in people])  # type: ignore[misc]
    names = itertools.cycle(people)
    yield

    async def one() -> None:
        await scene.deaf(next(names), claims)

    await scene.again_and_again(one, 10)


ROWS: Final = (
    Attack("members-of-many", "A member of a room of 1,000 asks for the list.", PRICE, members_of_many),
    Attack("join-and-leave-of-many", "A member of 1,000 leaves and joins.", CHANGES, join_and_leave_of_many),
    Attack("offers-to-many", "A member of 1,000 offers to each, short and long.", PRICE, offers_to_many),
    Attack(
        "comings-and-goings-while-away",
        "A member leaves and joins 135 times while another, who has a call, is away.",
        CHANGES,
        comings_and_goings_while_away,
        least_s=20,
    ),
    Attack(
        "voices-of-many",
        "Three hundred members of a room refresh with tokens that let them speak, and do not.",
        CHANGES,
        voices_of_many,
    ),
    Attack(
        "everybody-calls",
        "Three hundred members of a room call one another, all at the same moment.",
        PRICE,
        everybody_calls,
    ),
    Attack("churn", "Twenty members of a room of 100 join again and again, and leave.", CHANGES, churn),
    Attack(
        "full-room",
        "Forty try to join a room of 1,000 that is full, as fast as they are refused.",
        "Joins a user; a full room is refused from a count that is known.",
        full_room,
    ),
    Attack("rooms-without-end", "One joins room after room.", "Rooms a user.", rooms_without_end),
    Attack("small-rooms", "Twenty join and leave rooms of their own.", PRICE, small_rooms),
    Attack(
        "crowd-loses-its-line",
        "Three hundred members lose their line at one moment, and come back.",
        "A return within a moment is told nobody; one gateway's lost lines are one request.",
        crowd_loses_its_line,
        least_s=BACK_S + 2,
    ),
    Attack(
        "room-fills",
        "Three hundred join one room as fast as they are let in.",
        CHANGES,
        room_fills,
        least_s=20,
    ),
    Attack(
        "busy-room",
        "Five come into a room of 1,000, and five go, each second.",
        CHANGES,
        busy_room,
    ),
    Attack(
        "reads-nothing-in-a-crowd",
        "A hundred members read nothing while ten leave and join.",
        "Bytes that wait to be read: a connection, and the whole gateway.",
        reads_nothing_in_a_crowd,
    ),
    Attack("reloads", "The members of a room of 200 reload, ten at a time.", CHANGES, reloads),
)
