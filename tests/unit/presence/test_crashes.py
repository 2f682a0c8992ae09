"""Whatever presence is doing, its process may die at any moment, and another one be asked the same again.

Each test lets it die after the first of its writes and messages, after the second, and so on to the last,
and finds that asking again leads to the same records, the same answer, and the same frames for others as if
nothing had happened. That some frames are sent twice is right: receivers drop the repetition.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec
import pytest

from presence.call_endings import ENDED_AT_ONCE
from presence.rules.negotiated import Negotiation, WaitingOffer
from presence.rules.orders import encode_named, read_named
from presence.rules.user import User
from presence.store import MARKER_TTL_S
from tests.unit.presence.lifetime import Died, Sent
from tests.unit.presence.presence_process import SUBJECTS, PresenceProcess, in_words
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tieline.wire.digests import digest
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.backend import AddMember, RemoveMember
from tieline.wire.internal.codec import decode_close_session
from tieline.wire.internal.directions import OrderedChange
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom
from tieline.wire.internal.sessions import EndSession, KeepLease, OpenSession, Regrant
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL, DAN, FRANK = (UserId(name) for name in ("alice", "bob", "carol", "dan", "frank"))
ALICES, BOBS, CAROLS = ConnectionId("alice-c1"), SessionId("bob-s1"), SessionId("carol-s1")
G1 = GatewayId("g1")
HALL, CELLAR, ATTIC = RoomId("hall"), RoomId("cellar"), RoomId("attic")

Act = Callable[[PresenceProcess], Awaitable[object]]


WAKE_WINDOW_S: Final = 40.0

NUMBER: Final = (NOW + 30_000) * 1000
"""Of an order that comes after all that is ordered before, by the clock that orders are numbered by."""


async def nobody(process: PresenceProcess) -> None:
    """Begin with an empty process."""


async def everybody(process: PresenceProcess) -> None:
    """Alice is in two rooms, in a call with Bob, whose new offer waits, and is called by Carol.

    She shares the hall with all and the cellar with Carol. Dan had called her and hung up.
    """
    await process.open(opening("alice", "hall", "cellar", secret="alice's"))
    await process.open(opening("bob", "hall", gateway="g2"))
    await process.open(opening("carol", "cellar", "hall", gateway="g2", secret="carol's"))
    await process.open(opening("dan", "hall", "attic"))
    await process.signal("alice", "bob", "OFFER", "offer to bob")
    await process.signal("alice", "bob", "ICE_CANDIDATE", "candidate to bob")
    await process.signal("bob", "alice", "ANSWER", "answer of bob")
    await process.signal("dan", "alice", "OFFER", "offer of dan")
    await process.signal("dan", "alice", "HANGUP", "hangup of dan")
    process.clock.pass_s(20)
    await process.signal("bob", "alice", "OFFER", "offer of bob")
    await process.signal("carol", "alice", "OFFER", "offer of carol")
    await process.signal("carol", "alice", "ICE_CANDIDATE", "candidate of carol")


async def alice_is_away(process: PresenceProcess) -> None:
    """Alice has lost her connection."""
    await everybody(process)
    await process.end("alice", resumable=True)


async def alice_is_offline(process: PresenceProcess) -> None:
    """Alice's session has ended."""
    await everybody(process)
    await process.end("alice")


async def alice_is_forgotten(process: PresenceProcess) -> None:
    """The records are gone; the gateways, and Alice on one of them, are not."""
    await process.open(opening("bob", "hall", gateway="g2"))


async def all_on_one_gateway(process: PresenceProcess) -> None:
    """Some of a gateway's clients can resume, and some cannot."""
    await everybody(process)
    await process.open(opening("eve", "attic", "hall"))
    await process.gateways.keep_lease(KeepLease(G1))


async def frank_may_be_woken(process: PresenceProcess) -> None:
    """Frank is a member of the hall by the backend's word, and not there."""
    await everybody(process)
    await process.ask(AddMember("frank", 60.0, FRANK, HALL))


async def frank_is_waited_for(process: PresenceProcess) -> None:
    """Two have rung him, and their offers are kept."""
    await frank_may_be_woken(process)
    for caller in ("alice", "dan"):
        await process.rings(caller, "frank", f"offer of {caller} to frank")
    await process.signal("dan", "frank", "ICE_CANDIDATE", "candidate to frank")


def rings(user: str, to: str, frame: str) -> Act:
    """Let somebody offer, by a router that sends the frame if it is wanted."""
    return lambda process: process.rings(user, to, frame)


def opens(ask: OpenSession) -> Act:
    """Let somebody connect."""
    return lambda process: process.ask(ask)


def orders(order: OrderedChange) -> Act:
    """Let a backend order something by an API that has had it numbered, and asks again with that number."""
    return lambda process: process.ask(order)


def ends(user: str, number: int = 1, *, resumable: bool = False) -> Act:
    """Let somebody's first connection end, or a later one."""
    ask = EndSession(UserId(user), ConnectionId(f"{user}-c{number}"), resumable)
    return lambda process: process.ask(ask)


def joins(user: UserId, room: RoomId) -> Act:
    """Let somebody join a room in the first session."""
    return lambda process: process.ask(JoinRoom(user, SessionId(f"{user}-s1"), room))


def leaves(user: UserId, room: RoomId) -> Act:
    """Let somebody leave a room in the first session."""
    return lambda process: process.ask(LeaveRoom(user, SessionId(f"{user}-s1"), room))


def regrants(user: UserId, *granted: str, voice: bool = True) -> Act:
    """Let somebody have a newer token in the first session; the gateway knows the rooms that it was in."""
    rooms = tuple(RoomId(room) for room in granted)
    ask = Regrant(user, SessionId(f"{user}-s1"), voice, rooms, (HALL, CELLAR))
    return lambda process: process.ask(ask)


def signals(user: str, to: str, cmd: str, frame: str) -> Act:
    """Let somebody send a WEBRTC message."""
    return lambda process: process.signal(user, to, cmd, frame)


async def an_offer_expires(process: PresenceProcess) -> None:
    """Carol's offer has waited long enough."""
    waiting = WaitingOffer(CAROL, digest(b"offer of carol"), NOW + 20_000)
    await process.expire(CAROL, ALICE, waiting.generation)


async def a_kept_offer_expires(process: PresenceProcess) -> None:
    """Dan's offer to Frank was kept for long enough."""
    kept = WaitingOffer(DAN, digest(b"offer of dan to frank"), NOW + 20_000)
    await process.expire(DAN, FRANK, kept.generation)


async def a_lease_runs_out(process: PresenceProcess) -> None:
    """The gateway of Alice, Dan and Eve has died."""
    await process.gateways.lease_ran_out(G1, before=1_000_000)


SCENES: Final[dict[str, tuple[Act, Act]]] = {
    "a session begins": (nobody, opens(opening("alice", "hall", "cellar"))),
    "a session begins among others": (everybody, opens(opening("eve", "hall", "cellar"))),
    "a session begins after an older one": (alice_is_offline, opens(opening("alice", "hall", number=2))),
    "a session replaces a live one": (everybody, opens(opening("alice", "hall", number=2, gateway="g3"))),
    "a session replaces one that is away": (alice_is_away, opens(opening("alice", "attic", number=2))),
    "a session is resumed": (
        alice_is_away,
        opens(opening("alice", number=2, gateway="g3", resume="alice's")),
    ),
    "a session is resumed on the same gateway": (
        alice_is_away,
        opens(opening("alice", number=2, resume="alice's")),
    ),
    "a session is resumed while its connection lives": (
        everybody,
        opens(opening("alice", number=2, gateway="g3", resume="alice's")),
    ),
    "a session is resumed without the right to one of its rooms": (
        alice_is_away,
        opens(opening("alice", number=2, resume="alice's", granted=("cellar",))),
    ),
    "a session is resumed without the right to any of its rooms": (
        alice_is_away,
        opens(opening("alice", number=2, resume="alice's", granted=())),
    ),
    "a session ends": (everybody, ends("alice")),
    "a session goes away": (everybody, ends("alice", resumable=True)),
    "a session that cannot be resumed loses its connection": (everybody, ends("bob", resumable=True)),
    "a session that is away is given up": (
        alice_is_away,
        lambda process: process.give_up(ALICE, ConnectionId("alice-c1")),
    ),
    "a forgotten session is registered": (
        alice_is_forgotten,
        lambda process: process.ask(registering(opening("alice"), {"hall": NOW, "cellar": NOW})),
    ),
    "a session given up for dead is registered": (
        alice_is_offline,
        lambda process: process.ask(registering(opening("alice"), {"hall": NOW, "cellar": NOW})),
    ),
    "a session that seemed away is registered": (
        alice_is_away,
        lambda process: process.ask(registering(opening("alice"), {"hall": NOW, "cellar": NOW})),
    ),
    "a session has a token for fewer rooms": (everybody, regrants(ALICE, "attic")),
    "a session has a token for one room less, and for voice no more": (
        everybody,
        regrants(ALICE, "cellar", voice=False),
    ),
    "a room is joined": (everybody, joins(ALICE, ATTIC)),
    "a room is left": (everybody, leaves(ALICE, HALL)),
    "a room is left by one who shares another with the peer": (everybody, leaves(CAROL, HALL)),
    "the last room is left": (everybody, leaves(BOB, HALL)),
    "somebody offers": (everybody, signals("alice", "dan", "OFFER", "offer to dan")),
    "somebody offers anew": (everybody, signals("alice", "bob", "OFFER", "another offer to bob")),
    "somebody answers": (everybody, signals("alice", "carol", "ANSWER", "answer to carol")),
    "somebody trickles before the answer": (
        everybody,
        signals("alice", "carol", "ICE_CANDIDATE", "candidate"),
    ),
    "somebody hangs up": (everybody, signals("alice", "bob", "HANGUP", "hangup")),
    "an offer expires": (everybody, an_offer_expires),
    "somebody rings who is not there": (frank_may_be_woken, rings("alice", "frank", "offer to frank")),
    "somebody rings anew who is not there": (
        frank_is_waited_for,
        rings("alice", "frank", "another to frank"),
    ),
    "somebody comes who is waited for": (
        frank_is_waited_for,
        opens(opening("frank", "hall", gateway="g2")),
    ),
    "nobody has come": (frank_is_waited_for, a_kept_offer_expires),
    "who is waited for is removed": (
        frank_is_waited_for,
        orders(RemoveMember("removed", 60.0, FRANK, HALL, number=NUMBER)),
    ),
    "a gateway dies": (all_on_one_gateway, a_lease_runs_out),
}


class Outcome(NamedTuple):
    """What the world is like afterwards."""

    answer: object
    records: dict[str, bytes]
    frames: set[Sent]


async def outcome_of(
    before: Act,
    *acts: Act,
    dies_after: int | None = None,
    most_waited_for: int = ENDED_AT_ONCE,
    settles_later: bool = False,
) -> tuple[Outcome, int]:
    """Play a scene of several acts. In the first the process may die after so many effects.

    The outcome is that of all acts, but for the answer, which is the last one's. Also returns how many
    effects the first act had.
    """
    process = PresenceProcess(
        most_waited_for=most_waited_for, wake_window_s=WAKE_WINDOW_S, settles_later=settles_later
    )
    await before(process)
    await process.settling.settle_all()
    process.recorder.sent.clear()
    process.life.begin(dies_after)
    first, *others = acts
    if dies_after is None:
        answer = await first(process)
    else:
        await dies(first(process))
    effects = process.life.effects
    process.life.begin(None)
    if dies_after is not None:
        process.changes.forget_carried_out()
        await claims_run_out(process)
    for act in others:
        answer = await act(process)
    await process.settling.settle_all()
    records = process.store.contents()
    records.pop(Keys.lease_timer(G1), None)  # whose value is made up anew for each process
    return Outcome(answer, records, await process.told()), effects


def in_the_end(act: Act) -> Act:
    """Let what is left of the calls of Alice's older session end, some time after an act."""

    async def acts(process: PresenceProcess) -> object:
        answer = await act(process)
        await process.end_old_calls("alice")
        return answer

    return acts


async def claims_run_out(process: PresenceProcess) -> None:
    """Let what has died have claimed no change of the backend's any more, though no time passes here.

    How the change was numbered is known as before.
    """
    for key, value in process.store.contents().items():
        named = read_named(value) if key.startswith("once.") else None
        if named is not None and not named.answer:
            released = msgspec.structs.replace(named, claimed_until=0)
            await process.store.put(key, encode_named(released), 60.0)


async def dies(act: Awaitable[object]) -> None:
    """Find that a process dies of what it does, alone or in several tasks at once."""
    with pytest.raises((Died, ExceptionGroup)) as caught:
        await act
    if isinstance(caught.value, ExceptionGroup):
        assert caught.group_contains(Died)
        assert caught.value.split(Died)[1] is None


@pytest.mark.parametrize("settles_later", [False, True], ids=["settles at once", "settles later"])
@pytest.mark.parametrize("scene", SCENES)
async def test_whenever_a_process_dies_asking_again_brings_about_the_same(
    scene: str, settles_later: bool
) -> None:
    before, now = SCENES[scene]
    undisturbed, effects = await outcome_of(before, now, settles_later=settles_later)
    assert effects
    for dies_after in range(1, effects + 1):
        disturbed, _ = await outcome_of(before, now, now, dies_after=dies_after, settles_later=settles_later)
        when = f"having died after effect {dies_after} of {effects}"
        assert disturbed.frames - undisturbed.frames == set(), f"told too much, {when}"
        assert undisturbed.frames - disturbed.frames == set(), f"told too little, {when}"
        assert disturbed == undisturbed, when


@pytest.mark.parametrize(
    "scene",
    ["a session ends", "a session that is away is given up", "an offer expires", "a gateway dies"],
)
async def test_however_long_none_lives_what_is_untold_is_told(scene: str) -> None:
    """For as long as a timer waits for a process, that is."""
    before, now = SCENES[scene]

    async def later(process: PresenceProcess) -> object:
        process.clock.pass_s(MARKER_TTL_S - 1)
        return await now(process)

    undisturbed, effects = await outcome_of(before, now)
    for dies_after in range(1, effects + 1):
        disturbed, _ = await outcome_of(before, now, later, dies_after=dies_after)
        assert gist_of(disturbed) == gist_of(undisturbed), (
            f"having died after effect {dies_after} of {effects}"
        )


async def test_an_order_asked_for_anew_after_a_death_keeps_its_number() -> None:
    removes = orders(RemoveMember("removed", 60.0, FRANK, HALL))  # an API numbers it each time it is asked
    undisturbed, effects = await outcome_of(frank_is_waited_for, removes)
    first = int(undisturbed.records.pop(Keys.last_number()))
    is_claimed = 2  # after the first effect it is numbered, and nobody knows yet what has the number
    for dies_after in range(is_claimed, effects + 1):
        disturbed, _ = await outcome_of(frank_is_waited_for, removes, removes, dies_after=dies_after)
        assert int(disturbed.records.pop(Keys.last_number())) > first
        assert disturbed == undisturbed, f"having died after effect {dies_after} of {effects}"


@pytest.mark.parametrize("scene", [name for name in SCENES if "replaces" in name or "older" in name])
async def test_whenever_a_process_dies_the_older_calls_end(scene: str) -> None:
    before, opens_anew = SCENES[scene]
    now = in_the_end(opens_anew)
    undisturbed, effects = await outcome_of(before, now, most_waited_for=0)
    at_once, _ = await outcome_of(before, opens_anew)
    assert gist_of(undisturbed) == gist_of(at_once)
    assert undisturbed.records.keys() - at_once.records.keys() <= {Keys.away_timer(ALICE, ALICES)}
    for dies_after in range(1, effects + 1):
        disturbed, _ = await outcome_of(before, now, now, dies_after=dies_after, most_waited_for=0)
        when = f"having died after effect {dies_after} of {effects}"
        assert gist_of(disturbed) == gist_of(undisturbed), when
        assert disturbed.records.keys() == undisturbed.records.keys(), when


async def test_the_note_of_a_dead_gateway_goes_though_calls_end_later() -> None:
    async def dan_calls(process: PresenceProcess) -> None:
        await all_on_one_gateway(process)
        await process.signal("dan", "bob", "OFFER", "another offer of dan")

    anew = opens(opening("dan", "hall", number=2, gateway="g2"))
    _, effects = await outcome_of(dan_calls, a_lease_runs_out)
    for dies_after in range(1, effects + 1):
        outcome, _ = await outcome_of(
            dan_calls, a_lease_runs_out, anew, dies_after=dies_after, most_waited_for=0
        )
        noted = Keys.session(G1, SessionId("dan-s1")) in outcome.records
        assert not noted, f"having died after effect {dies_after} of {effects}"


@pytest.mark.parametrize(
    "then",
    [
        signals("bob", "alice", "OFFER", "offer of bob to the newer one"),
        signals("bob", "alice", "ICE_CANDIDATE", "late candidate"),
        signals("carol", "alice", "HANGUP", "late hangup"),
        ends("alice", 2),
        opens(opening("alice", "hall", number=3)),
    ],
    ids=["a new offer", "a late candidate", "a late hangup", "it ends", "it is replaced"],
)
async def test_older_calls_end_once_whatever_comes_before(then: Act) -> None:
    replaces = opens(opening("alice", "hall", number=2, gateway="g3"))
    outcome, _ = await outcome_of(everybody, replaces, in_the_end(then), most_waited_for=0)
    hangups = [
        sent.subject
        for sent in outcome.frames
        if sent.subject.endswith("-s1") and in_words_of_call(sent) == "hangup of alice: disconnected"
    ]
    assert sorted(hangups) == [SUBJECTS.user(BOB, BOBS), SUBJECTS.user(CAROL, CAROLS)]
    calls = [
        msgspec.msgpack.decode(record, type=Negotiation)
        for key, record in outcome.records.items()
        if key.startswith("pair.")
    ]
    alices = msgspec.msgpack.decode(outcome.records[Keys.user(ALICE)], type=User).session.id
    assert {call.session_of(ALICE) for call in calls if call.is_active} <= {alices}


def in_words_of_call(sent: Sent) -> str:
    """Say what a frame for a user is about; nothing if it is none."""
    return in_words(sent.payload) if sent.subject.startswith(f"{SUBJECTS.namespace}.user.") else ""


@pytest.mark.parametrize("scene", SCENES)
async def test_asking_again_though_none_has_died_tells_nothing_new(scene: str) -> None:
    before, now = SCENES[scene]
    assert (await outcome_of(before, now, now))[0] == (await outcome_of(before, now))[0]


@pytest.mark.parametrize(
    ("before", "now", "then"),
    [
        (everybody, ends("alice"), opens(opening("alice", "hall", number=2))),
        (everybody, ends("bob"), opens(opening("bob", "attic", number=2, gateway="g3"))),
        (everybody, ends("alice", resumable=True), opens(opening("alice", "hall", number=2))),
        (everybody, ends("alice", resumable=True), opens(opening("alice", number=2, resume="alice's"))),
        (all_on_one_gateway, a_lease_runs_out, opens(opening("dan", "hall", number=2, gateway="g3"))),
        (everybody, leaves(BOB, HALL), ends("bob")),
    ],
    ids=[
        "a session ends, then the user begins another",
        "a session ends, then the user begins another elsewhere",
        "a session goes away, then the user begins another",
        "a session goes away and is resumed",
        "a gateway dies, then one of its users begins another session",
        "a room is left, then the session ends",
    ],
)
async def test_what_happens_before_asking_again_changes_nothing_for_others(
    before: Act, now: Act, then: Act
) -> None:
    undisturbed, effects = await outcome_of(before, now, then, now)
    for dies_after in range(1, effects + 1):
        disturbed, _ = await outcome_of(before, now, then, now, dies_after=dies_after)
        when = f"having died after effect {dies_after} of {effects}"
        assert gist_of(disturbed) == gist_of(undisturbed), when
        assert disturbed.records.keys() == undisturbed.records.keys(), when


@pytest.mark.parametrize(
    "story",
    [
        [ends("alice", 2, resumable=True), opens(opening("alice", number=3, gateway="g2", resume="alice's"))],
        [opens(opening("alice", number=3, gateway="g2", resume="alice's"))],
        [ends("alice", 2, resumable=True), opens(opening("alice", number=3, gateway="g2"))],
        [opens(opening("alice", number=3, gateway="g2"))],
        [ends("alice", 2)],
        [ends("alice", 2, resumable=True)],
    ],
    ids=[
        "it is lost, then resumed once more",
        "it is resumed once more",
        "it is lost, then replaced",
        "it is replaced",
        "it ends",
        "it is lost",
    ],
)
async def test_a_replaced_connection_is_closed_though_nobody_asks_again(
    story: list[Act],
) -> None:
    resumes = opens(opening("alice", number=2, gateway="g3", resume="alice's"))
    _, effects = await outcome_of(everybody, resumes)
    for dies_after in range(1, effects + 1):
        outcome, _ = await outcome_of(everybody, resumes, *story, dies_after=dies_after)
        user = msgspec.msgpack.decode(outcome.records[Keys.user(ALICE)], type=User)
        closed = {
            decode_close_session(sent.payload).connection
            for sent in outcome.frames
            if sent.subject == SUBJECTS.gateway(G1, "close")
        }
        is_done = user.session.connection == "alice-c1" or "alice-c1" in closed
        assert is_done, f"having died after effect {dies_after} of {effects}"


def gist_of(outcome: Outcome) -> set[tuple[str, str]]:
    """List who of those who were there before was told of whose coming, leaving and hanging up.

    Why somebody left may depend on who came first. Who was away for a moment need not be known.
    """
    return {
        (sent.subject, in_words(sent.payload).partition(":")[0])
        for sent in outcome.frames
        if sent.subject.startswith(f"{SUBJECTS.namespace}.user.")
        and sent.subject.endswith("-s1")
        and b"MEMBER_UPDATED" not in sent.payload
    }


async def test_a_lease_kept_without_an_answer_is_of_the_same_run() -> None:
    process = PresenceProcess()
    process.life.begin(1)
    await dies(process.gateways.keep_lease(KeepLease(G1)))
    process.life.begin(None)
    first = await process.gateways.keep_lease(KeepLease(G1))
    assert (await process.gateways.keep_lease(KeepLease(G1))).run == first.run
