"""Two real peers through a gateway of one page: what `tieline call` says when all is well, and when not."""

import itertools
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from tests.unit.client.minimal_gateway import Frame, MinimalGateway, serving
from tieline.cli.call.call_end import EndConfig
from tieline.cli.call.conversation import run_call

LISTEN_S = 0.3


class System(NamedTuple):
    board: MinimalGateway
    caller: EndConfig
    callee: EndConfig


@pytest.fixture
async def system() -> AsyncIterator[System]:
    """Two gateways that share one switchboard, and the two ends of a call."""
    board = MinimalGateway()
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(serving(board.handle)) for _ in range(2)]
        yield System(
            board,
            EndConfig("caller", one, "ann", sends_hz=440, expects_hz=660),
            EndConfig("callee", other, "bob", sends_hz=660, expects_hz=440),
        )


async def call(system: System, timeout_s: float = 20) -> tuple[bool, list[str]]:
    said: list[str] = []
    works = await run_call(system.caller, system.callee, "r", LISTEN_S, timeout_s, said.append)
    return works, said


async def fails(system: System, timeout_s: float = 20) -> str:
    works, said = await call(system, timeout_s)
    assert not works
    assert said[-1].startswith("the call FAILED: ")
    return said[-1].removeprefix("the call FAILED: ")


async def test_two_peers_hear_each_other(system: System) -> None:
    works, said = await call(system)
    assert works, said
    steps = [line.split("ms", 1)[1].strip() for line in said if " ms  " in line]
    for earlier, later in itertools.pairwise(
        (
            "callee  join the room r: ann, bob",
            "caller  send the offer: relayed",
            "caller  send candidate 1: held",
            "caller  send the end of candidates: held",
            "callee  send the answer: relayed",
            "callee  send the end of candidates: relayed",
            "callee  listen: 0.3 s of sound",
            "caller  hang up: relayed",
        )
    ):
        assert steps.index(earlier) < steps.index(later)
    assert re.fullmatch(
        r"caller: connected \d+ ms after the offer; heard 660\.\d Hz at -\d\.\d dB, expected 660 Hz;"
        r" RTP packets: \d+ received, \d+ lost, \d+ sent",
        said[-3],
    )


async def test_an_end_that_hears_nothing_fails_the_call(system: System) -> None:
    mute = system.caller._replace(sends_hz=0)
    assert await fails(system._replace(caller=mute)) == "the callee heard nothing"


async def test_an_end_that_hears_a_wrong_tone_fails_the_call(system: System) -> None:
    off_key = system.callee._replace(sends_hz=550)
    assert await fails(system._replace(callee=off_key)) == "the caller heard a wrong tone"


async def test_a_refusal_names_its_step(system: System) -> None:
    system.board.forbidden.add("r")
    assert await fails(system) == (
        "caller could not join the room r: JOIN refused: your token does not allow this room:"
        " 1000 没有权限加入该房间 (ROOM_FORBIDDEN)"
    )


async def test_a_step_that_never_ends_is_named_when_time_is_up(system: System) -> None:
    system.board.ignored.add("WEBRTC_ANSWER")
    assert await fails(system, timeout_s=2) == (
        "after 2 s caller was still trying to receive the answer; callee was still trying to send the answer"
    )


async def test_what_strangers_in_the_room_do_is_not_part_of_the_call(system: System) -> None:
    def interrupt(frame: Frame) -> list[Frame]:
        stranger = {**frame["data"], "from": "eve", "data": {"candidate": "x"}}
        joined = {"room": "r", "userId": "eve", "to": frame["data"]["to"]}
        return [
            {**frame, "data": stranger},
            {**frame, "data": stranger, "cmd": "WEBRTC_HANGUP"},
            {**frame, "data": joined, "cmd": "MEMBER_JOINED"},
            frame,
        ]

    system.board.change = interrupt
    works, said = await call(system)
    assert works, said


def is_from_caller(frame: Frame, cmd: str) -> bool:
    return bool(frame["cmd"] == cmd and frame["data"]["from"] == "ann")


def lost(frame: Frame) -> list[Frame]:
    is_one = is_from_caller(frame, "WEBRTC_ICE_CANDIDATE") and frame["data"]["data"]["candidate"]
    return [] if is_one else [frame]


def doubled(frame: Frame) -> list[Frame]:
    return [frame, frame] if is_from_caller(frame, "WEBRTC_ICE_CANDIDATE") else [frame]


def altered(frame: Frame) -> list[Frame]:
    if not is_from_caller(frame, "WEBRTC_ICE_CANDIDATE"):
        return [frame]
    return [{**frame, "data": {**frame["data"], "data": {"candidate": "candidate:other"}}}]


def altered_offer(frame: Frame) -> list[Frame]:
    if not is_from_caller(frame, "WEBRTC_OFFER"):
        return [frame]
    return [{**frame, "data": {**frame["data"], "data": {"type": "offer", "sdp": ""}}}]


def repeated_offer(frame: Frame) -> list[Frame]:
    return [frame, frame] if is_from_caller(frame, "WEBRTC_OFFER") else [frame]


def ended_by_the_server(frame: Frame) -> list[Frame]:
    if frame["cmd"] != "WEBRTC_ANSWER":
        return [frame]
    end = {**frame["data"], "data": {"reason": "timeout", "server": True}}
    return [{**frame, "cmd": "WEBRTC_HANGUP", "data": end}]


def refused_late(frame: Frame) -> list[Frame]:
    if frame["cmd"] != "WEBRTC_ANSWER":
        return [frame]
    return [{**frame, "cmd": "JOIN", "code": 500, "msg": "服务器内部错误", "reason": "INTERNAL"}]


NOT_AS_SENT = "could not receive the candidates: they are not the ones that were sent, in their order"


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (lost, f"callee {NOT_AS_SENT}"),
        (doubled, f"callee {NOT_AS_SENT}"),
        (altered, "callee could not use the Candidate that came: the other end has not sent it"),
        (altered_offer, "callee could not use the Offer that came: the other end has not sent it"),
        (repeated_offer, "callee could not use the Offer that came: there was one before"),
        (ended_by_the_server, "caller could not stay in the call: the server ended it: timeout"),
        (refused_late, "caller could not stay in the call: an error came: 500 服务器内部错误 (INTERNAL)"),
    ],
)
async def test_what_is_not_delivered_as_it_was_sent_is_noticed(
    system: System, fault: Callable[[Frame], list[Frame]], problem: str
) -> None:
    system.board.change = fault
    assert await fails(system) == problem


async def test_a_connection_that_breaks_fails_the_call(system: System) -> None:
    def cut(frame: Frame) -> list[Frame]:
        if frame["cmd"] != "WEBRTC_ANSWER":
            return [frame]
        system.board.vanish("ann")
        return []

    system.board.change = cut
    assert await fails(system) == "caller could not stay connected: connection closed: 1006 connection lost"
