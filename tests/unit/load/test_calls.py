"""`tieline.load.calls`: whole calls through a relay, and what ends the measurement."""

from collections.abc import Callable

import pytest

from tests.unit.load.small_relay import meeting, relaying
from tieline.load import calls
from tieline.load.calls import (
    CALLERS_A_CALL,
    CALLS_A_ROOM,
    CANDIDATES,
    MOST_CALLERS_A_ROOM,
    Kind,
    PoolSize,
    UserPool,
    measure_calls,
)
from tieline.load.client import LoadError, arrive, leave
from tieline.load.faults import Faults
from tieline.load.measurement import Measurement


async def test_calls_are_set_up_one_after_the_other() -> None:
    commands: list[bytes] = []

    def counted(message: bytes) -> list[bytes]:
        commands.append(message.split(b'"cmd":"')[1].split(b'"')[0])
        return [message]

    async with relaying(counted) as target:
        measured = Measurement()
        await measure_calls(target, 2, 0.2, measured)
    figures = measured.figures()
    assert figures.faults == Faults()
    assert figures.per_second > 0
    assert figures.p50_ms > 0
    calls = commands.count(b"WEBRTC_OFFER")
    assert calls > 2
    assert commands.count(b"WEBRTC_ANSWER") == commands.count(b"WEBRTC_HANGUP") == calls
    assert commands.count(b"WEBRTC_ICE_CANDIDATE") == 2 * CANDIDATES * calls


def noting(pairs: list[tuple[bytes, bytes]]) -> Callable[[bytes], list[bytes]]:
    """Relay, and note who offers to whom."""

    def noted(message: bytes) -> list[bytes]:
        if b"WEBRTC_OFFER" in message:
            sender, to = (message.split(b'"%s":"' % key)[1].split(b'"')[0] for key in (b"from", b"to"))
            pairs.append((sender, to))
        return [message]

    return noted


async def test_a_caller_calls_another_callee_each_time() -> None:
    pairs: list[tuple[bytes, bytes]] = []
    async with relaying(noting(pairs)) as target:
        await measure_calls(target, 1, 0.2, Measurement())
    first = pairs[: CALLERS_A_CALL * (CALLERS_A_CALL + 1)]
    assert len(set(first)) == len(first)


async def test_pairs_that_redial_are_always_the_same() -> None:
    pairs: list[tuple[bytes, bytes]] = []
    measured = Measurement()
    async with relaying(noting(pairs)) as target:
        await measure_calls(target, 1, 0.2, measured, redial=True)
    assert len(set(pairs)) == CALLERS_A_CALL
    assert measured.figures().count == len(pairs) - CALLERS_A_CALL  # the first call of each is a warm-up


async def test_no_pair_calls_twice_where_none_may() -> None:
    pairs: list[tuple[bytes, bytes]] = []
    async with relaying(noting(pairs)) as target:
        clients = [await arrive(target, name, target.sender_url) for name in ("a", "b", "c")]
        pool = UserPool(target, clients[:1], clients[1:])
        while not pool.is_used_up:
            await pool.call()
        await leave(clients)
    assert pairs == [(b"a", b"b"), (b"a", b"c")]


@pytest.fixture
def soon_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "TOLD_S", 0.0)


async def test_each_call_joins_and_leaves_a_room_of_its_own() -> None:
    asked: list[tuple[str, str, str]] = []
    measured = Measurement()
    async with meeting(asked) as target:
        await measure_calls(target, 1, 0.2, measured)
    assert measured.figures().faults == Faults()
    assert measured.figures().asked == {"at once": 1, "pairs": "new", "room": "own"}
    commands = [cmd for _, cmd, _ in asked]
    assert commands[:3] == ["JOIN", "JOIN", "WEBRTC_OFFER"]
    assert commands.count("JOIN") == commands.count("LEAVE") == 2 * commands.count("WEBRTC_OFFER")
    rooms = [room for _, cmd, room in asked if cmd == "JOIN"]
    assert all(rooms.count(room) == 2 for room in rooms)


@pytest.mark.usefixtures("soon_told")
async def test_all_join_their_room_before_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALLS_A_ROOM", 2)
    asked: list[tuple[str, str, str]] = []
    measured = Measurement()
    async with meeting(asked) as target:
        await measure_calls(target, 3, 0.2, measured, in_a_room=True)
    assert measured.figures().faults == Faults()
    assert measured.figures().asked == {"at once": 3, "pairs": "new", "room": "shared"}
    commands = [cmd for _, cmd, _ in asked]
    joins = commands.index("WEBRTC_OFFER")
    assert set(commands[:joins]) == {"JOIN"}
    assert not {"JOIN", "LEAVE"} & set(commands[joins:])
    joined = {user: room for user, _, room in asked[:joins]}
    assert len(joined) == joins
    assert len(set(joined.values())) == 2  # two calls at once in one, one in the other
    offers = [(user, to) for user, cmd, to in asked if cmd == "WEBRTC_OFFER"]
    assert len(offers) > 3
    assert all(joined[user] == joined[to] for user, to in offers)


@pytest.mark.usefixtures("soon_told")
async def test_pairs_that_redial_may_share_a_room_as_well() -> None:
    asked: list[tuple[str, str, str]] = []
    async with meeting(asked) as target:
        await measure_calls(target, 1, 0.2, Measurement(), redial=True, in_a_room=True)
    assert [cmd for _, cmd, _ in asked].count("JOIN") == 2 * CALLERS_A_CALL
    assert len({(user, to) for user, cmd, to in asked if cmd == "WEBRTC_OFFER"}) == CALLERS_A_CALL


async def test_a_server_without_rooms_is_asked_for_none() -> None:
    commands: list[bytes] = []

    def noted(message: bytes) -> list[bytes]:
        commands.append(message.split(b'"cmd":"')[1].split(b'"')[0])
        return [message]

    async with relaying(noted) as target:
        await measure_calls(target, 1, 0.2, Measurement(), in_a_room=True)
    assert b"WEBRTC_OFFER" in commands
    assert not {b"JOIN", b"LEAVE"} & set(commands)


def test_no_shared_room_has_more_members_than_it_may() -> None:
    assert Kind(20).pools(5) == [PoolSize(20, 20 * CALLERS_A_CALL)]
    several = Kind(20, redial=True, in_a_room=True).pools(5)
    assert [pool.at_once for pool in several] == [CALLS_A_ROOM, CALLS_A_ROOM, 4]
    assert all(pool.callers == pool.at_once * CALLERS_A_CALL for pool in several)
    assert Kind(1, in_a_room=True).pools(3600) == [PoolSize(1, MOST_CALLERS_A_ROOM)]
    assert Kind(8, in_a_room=True).name == "8 at once, new pairs, in a room already"


async def test_a_candidate_that_is_lost_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.load.client.ANSWER_TIMEOUT_S", 1.0)

    def lost(message: bytes) -> list[bytes]:
        return [] if b"WEBRTC_ICE_CANDIDATE" in message else [message]

    async with relaying(lost) as target:
        with pytest.raises(LoadError, match="did not receive message 2"):
            await measure_calls(target, 1, 0.2, Measurement())
