"""A whole call between two peers through a running system, each step on a timeline.

Both ends are in this process, on two gateways, and know of each other only what the gateways deliver. Two
things are arranged between them: the callee answers when all of the caller's candidates are sent, as a person
would, so that the server has to hold them; and neither end hangs up before both have listened.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from tieline.cli.call.call_end import CallEnd, EndConfig
from tieline.cli.call.peer import Packets, Peer, PeerFailed
from tieline.cli.call.sound import tones
from tieline.cli.call.timeline import StepFailed, Timeline
from tieline.cli.call.tone import Heard, Verdict, judge, measure
from tieline.client import ClientError, connect

FAILURES: Final = (ClientError, PeerFailed, ValueError)
"""Causes of a failed step: the server, the other peer, or a token or URL that cannot be one."""


class EndResult(NamedTuple):
    """The outcome of the call at one end; `connected_ms` counts from the moment the offer is sent."""

    config: EndConfig
    connected_ms: float
    heard: Heard
    packets: Packets

    @property
    def verdict(self) -> Verdict:
        """Whether the right tone was heard."""
        return judge(self.heard, self.config.expects_hz)


class _Arrangement:
    """What the two ends share: the room, and the moments at which one waits for the other."""

    def __init__(self, room: str, listen_s: float, timeline: Timeline) -> None:
        self.room = room
        self.listen_s = listen_s
        self.timeline = timeline
        self.offered_ms = 0.0
        self.caller_has_trickled = asyncio.Event()
        self.both_have_listened = asyncio.Barrier(2)


async def run_call(
    caller: EndConfig,
    callee: EndConfig,
    room: str,
    listen_s: float,
    timeout_s: float,
    say: Callable[[str], None],
) -> bool:
    """Make one call within `timeout_s`, saying line by line how it goes; returns whether the call works."""
    timeline = Timeline(time.monotonic, say, FAILURES)
    try:
        async with asyncio.timeout(timeout_s):
            results = await _make_call(caller, callee, room, listen_s, timeline)
    except StepFailed as failure:
        say(f"the call FAILED: {failure}")
        return False
    except TimeoutError:
        say(f"the call FAILED: after {timeout_s:g} s {timeline.under_way()}")
        return False
    for result in results:
        say(_sentence(result))
    bad = [result for result in results if result.verdict is not Verdict.RIGHT]
    for result in bad:
        say(f"the call FAILED: the {result.config.who} heard {result.verdict.value}")
    if not bad:
        say("the call works: both ends heard the other's tone")
    return not bad


def _sentence(result: EndResult) -> str:
    config, heard, packets = result.config, result.heard, result.packets
    return (
        f"{config.who}: connected {result.connected_ms:.0f} ms after the offer;"
        f" heard {heard.hz:.1f} Hz at {heard.level_db:.1f} dB, expected {config.expects_hz:g} Hz;"
        f" RTP packets: {packets.received} received, {packets.lost} lost, {packets.sent} sent"
    )


async def _make_call(
    caller: EndConfig, callee: EndConfig, room: str, listen_s: float, timeline: Timeline
) -> tuple[EndResult, EndResult]:
    """Make one call; returns the outcome for the caller and for the callee.

    Raises:
        StepFailed: a step failed; the timeline has said how far the call came.
    """
    shared = _Arrangement(room, listen_s, timeline)
    failed: list[StepFailed] = []
    try:
        async with AsyncExitStack() as stack:
            calling = await _arrive(caller, shared, stack)
            called = await _arrive(callee, shared, stack)
            calling.other, called.other = called, calling
            async with asyncio.TaskGroup() as following:
                watches = [following.create_task(end.follow()) for end in (calling, called)]
                async with asyncio.TaskGroup() as acting:
                    at_caller = acting.create_task(_call(calling, called, shared))
                    at_callee = acting.create_task(_pick_up(called, shared))
                for watch in watches:
                    watch.cancel()
    except* StepFailed as failures:
        failed = list(_leaves(failures))
    if failed:
        raise failed[0]
    return at_caller.result(), at_callee.result()


def _leaves(failures: BaseExceptionGroup[StepFailed]) -> Iterator[StepFailed]:
    for failure in failures.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            yield from _leaves(failure)
        else:
            yield failure


async def _arrive(config: EndConfig, shared: _Arrangement, stack: AsyncExitStack) -> CallEnd:
    with shared.timeline.step(config.who, f"connect to {config.url}"):
        client = await stack.enter_async_context(connect(config.url, config.token))
    with shared.timeline.step(config.who, "ask for ICE servers") as step:
        servers = (await client.ice_servers()).ice_servers
        step.result = ", ".join(url for server in servers for url in server.urls) or "none"
    peer = Peer(tones(config.sends_hz), servers)
    stack.push_async_callback(peer.close)
    end = CallEnd(config, client, peer, shared.timeline)
    with end.step(f"join the room {shared.room}") as step:
        roster = await client.join(shared.room)
        step.result = ", ".join(member.user_id for member in roster.members)
    return end


async def _call(caller: CallEnd, callee: CallEnd, shared: _Arrangement) -> EndResult:
    with caller.step("see the callee join"):
        await caller.joined
    with caller.step("gather candidates") as step:
        offer = await caller.peer.offer()
        step.result = f"{len(offer.candidates) - 1} found"
    shared.offered_ms = shared.timeline.milliseconds
    await caller.describe(offer)
    shared.caller_has_trickled.set()
    with caller.step("receive the answer"):
        await caller.peer.accept(await caller.description)
    result = await _listen(caller, shared)
    await shared.both_have_listened.wait()
    with caller.step("hang up") as step:
        step.result = str(await caller.client.hangup(callee.user))
    return result


async def _pick_up(callee: CallEnd, shared: _Arrangement) -> EndResult:
    with callee.step("receive the offer"):
        offer = await callee.description
    await shared.caller_has_trickled.wait()
    with callee.step("gather candidates") as step:
        answer = await callee.peer.answer(offer)
        step.result = f"{len(answer.candidates) - 1} found"
    await callee.describe(answer)
    result = await _listen(callee, shared)
    callee.may_be_hung_up = True
    await shared.both_have_listened.wait()
    with callee.step("be hung up") as step:
        step.result = await callee.hung_up
    return result


async def _listen(end: CallEnd, shared: _Arrangement) -> EndResult:
    with end.step("receive the candidates") as step:
        step.result = f"{len(await end.candidates()) - 1}, in order"
    with end.step("connect to the other peer") as step:
        await end.peer.connected()
        connected_ms = shared.timeline.milliseconds - shared.offered_ms
        step.result = f"{connected_ms:.0f} ms after the offer"
    with end.step("listen") as step:
        heard = measure(await end.peer.listen(shared.listen_s))
        step.result = f"{heard.seconds:.1f} s of sound"
    return EndResult(end.config, connected_ms, heard, await end.peer.packets())
