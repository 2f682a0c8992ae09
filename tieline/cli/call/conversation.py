"""A whole call between two peers through a running system, each step on a timeline.

Both ends are in this process, on two gateways, and hear of each other only what the gateways deliver. Two
things are arranged between them: the callee picks up when the caller's candidates are all sent, as a person
would, so that the server has to hold them; and nobody hangs up before both have listened.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from tieline.cli.call.call_end import Line, Party
from tieline.cli.call.peer import Packets, Peer, PeerFailed
from tieline.cli.call.sound import tones
from tieline.cli.call.timeline import StepFailed, Timeline
from tieline.cli.call.tone import Heard, Verdict, judge, measure
from tieline.client import ClientError, connect

FAILURES: Final = (ClientError, PeerFailed, ValueError)
"""What a step may fail of: the server, the other peer, or a token or URL that is none."""


class Ending(NamedTuple):
    """How the call was at one end; `connected_ms` counts from the sending of the offer."""

    line: Line
    connected_ms: float
    heard: Heard
    packets: Packets

    @property
    def verdict(self) -> Verdict:
        """Whether the right tone was heard."""
        return judge(self.heard, self.line.expects_hz)


class _Stage:
    """What the two ends have arranged."""

    def __init__(self, room: str, listen_s: float, timeline: Timeline) -> None:
        self.room = room
        self.listen_s = listen_s
        self.timeline = timeline
        self.offered_ms = 0.0
        self.caller_has_trickled = asyncio.Event()
        self.both_have_listened = asyncio.Barrier(2)


async def tell(
    caller: Line, callee: Line, room: str, listen_s: float, timeout_s: float, say: Callable[[str], None]
) -> bool:
    """Make one call within `timeout_s`; say line by line how it goes, and how it was. True: well."""
    timeline = Timeline(time.monotonic, say, FAILURES)
    try:
        async with asyncio.timeout(timeout_s):
            endings = await converse(caller, callee, room, listen_s, timeline)
    except StepFailed as failure:
        say(f"the call FAILED: {failure}")
        return False
    except TimeoutError:
        say(f"the call FAILED: after {timeout_s:g} s {timeline.under_way()}")
        return False
    for ending in endings:
        say(_sentence(ending))
    bad = [ending for ending in endings if ending.verdict is not Verdict.RIGHT]
    for ending in bad:
        say(f"the call FAILED: the {ending.line.who} heard {ending.verdict.value}")
    if not bad:
        say("the call works: both ends heard the other's tone")
    return not bad


def _sentence(ending: Ending) -> str:
    line, heard, packets = ending.line, ending.heard, ending.packets
    return (
        f"{line.who}: connected {ending.connected_ms:.0f} ms after the offer;"
        f" heard {heard.hz:.1f} Hz at {heard.level_db:.1f} dB, expected {line.expects_hz:g} Hz;"
        f" RTP packets: {packets.received} received, {packets.lost} lost, {packets.sent} sent"
    )


async def converse(
    caller: Line, callee: Line, room: str, listen_s: float, timeline: Timeline
) -> tuple[Ending, Ending]:
    """Make one call, and say how it was for the caller and for the callee.

    Raises:
        StepFailed: it did not come to an end; the timeline tells how far it came.
    """
    stage = _Stage(room, listen_s, timeline)
    failed: list[StepFailed] = []
    try:
        async with AsyncExitStack() as stack:
            calling = await _arrive(caller, stage, stack)
            called = await _arrive(callee, stage, stack)
            calling.other, called.other = called, calling
            async with asyncio.TaskGroup() as following:
                watches = [following.create_task(party.follow()) for party in (calling, called)]
                async with asyncio.TaskGroup() as acting:
                    at_caller = acting.create_task(_call(calling, called, stage))
                    at_callee = acting.create_task(_pick_up(called, stage))
                for watch in watches:
                    watch.cancel()
    except* StepFailed as failures:
        failed = list(_each(failures))
    if failed:
        raise failed[0]
    return at_caller.result(), at_callee.result()


def _each(failures: BaseExceptionGroup[StepFailed]) -> Iterator[StepFailed]:
    for failure in failures.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            yield from _each(failure)
        else:
            yield failure


async def _arrive(line: Line, stage: _Stage, stack: AsyncExitStack) -> Party:
    with stage.timeline.step(line.who, f"connect to {line.url}"):
        client = await stack.enter_async_context(connect(line.url, line.token))
    with stage.timeline.step(line.who, "ask for ICE servers") as step:
        servers = (await client.ice_servers()).ice_servers
        step.result = ", ".join(url for server in servers for url in server.urls) or "none"
    peer = Peer(tones(line.sends_hz), servers)
    stack.push_async_callback(peer.close)
    party = Party(line, client, peer, stage.timeline)
    with party.step(f"join the room {stage.room}") as step:
        roster = await client.join(stage.room)
        step.result = ", ".join(member.user_id for member in roster.members)
    return party


async def _call(caller: Party, callee: Party, stage: _Stage) -> Ending:
    with caller.step("see the callee join"):
        await caller.joined
    with caller.step("gather candidates") as step:
        offer = await caller.peer.offer()
        step.result = f"{len(offer.candidates) - 1} found"
    stage.offered_ms = stage.timeline.milliseconds
    await caller.describe(offer)
    stage.caller_has_trickled.set()
    with caller.step("receive the answer"):
        await caller.peer.accept(await caller.description)
    ending = await _listen(caller, stage)
    await stage.both_have_listened.wait()
    with caller.step("hang up") as step:
        step.result = str(await caller.client.hangup(callee.user))
    return ending


async def _pick_up(callee: Party, stage: _Stage) -> Ending:
    with callee.step("receive the offer"):
        offer = await callee.description
    await stage.caller_has_trickled.wait()
    with callee.step("gather candidates") as step:
        answer = await callee.peer.answer(offer)
        step.result = f"{len(answer.candidates) - 1} found"
    await callee.describe(answer)
    ending = await _listen(callee, stage)
    callee.may_be_hung_up = True
    await stage.both_have_listened.wait()
    with callee.step("be hung up") as step:
        step.result = await callee.hung_up
    return ending


async def _listen(party: Party, stage: _Stage) -> Ending:
    with party.step("receive the candidates") as step:
        step.result = f"{len(await party.candidates()) - 1}, in order"
    with party.step("connect to the other peer") as step:
        await party.peer.connected()
        connected_ms = stage.timeline.milliseconds - stage.offered_ms
        step.result = f"{connected_ms:.0f} ms after the offer"
    with party.step("listen") as step:
        heard = measure(await party.peer.listen(stage.listen_s))
        step.result = f"{heard.seconds:.1f} s of sound"
    return Ending(party.line, connected_ms, heard, await party.peer.packets())
