"""The bot of `tieline call`, talking to WebRTC peers through a real system."""

import signal
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.support.caller import Caller, calling
from tests.support.frames import new_id
from tests.support.running_bot import RunningBot
from tests.support.system import Clustered, System
from tieline.cli.call.sound import SAMPLE_BYTES
from tieline.cli.call.tone import RATE, Samples, Verdict, judge, measure, tone
from tieline.cli.call.trickle import ice_names
from tieline.client import Hangup, Offer

BOTS_HZ = 660
"""What a bot that answers plays if it is not told otherwise."""

three = pytest.mark.parametrize("system", ["three"], indirect=True)


def recorded(path: Path) -> Samples:
    """Read a WAV file, of which the header must be right."""
    with wave.open(str(path), "rb") as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, SAMPLE_BYTES, RATE)
        samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
        assert len(samples) == wav.getnframes() > 0
    return samples


def holds_tone(path: Path, hz: float) -> bool:
    """Whether the second half of a recording is this tone; the first begins with silence."""
    samples = recorded(path)
    return judge(measure(samples[len(samples) // 2 :]), hz) is Verdict.RIGHT


async def hears(caller: Caller, hz: float) -> bool:
    return judge(await caller.hears(), hz) is Verdict.RIGHT


@three
async def test_it_answers_one_caller_after_the_other_and_records_each(
    system: Clustered, tmp_path: Path
) -> None:
    room, record = new_id("room"), tmp_path / "heard.wav"
    with RunningBot(system.ports[:1], room, new_id("bot"), "--answer", "--record", str(record)) as bot:
        for number, hz in enumerate((440, 550), 1):
            async with calling(system.ports[number], room, hz) as caller:
                await caller.sees(bot.user)
                await caller.call(bot.user)
                assert await hears(caller, BOTS_HZ)
                await caller.client.hangup(bot.user)
                await bot.says(f"{caller.user} ended the call: hangup")
        async with calling(system.ports[2], room, 500) as caller:
            await caller.sees(bot.user)
            await caller.call(bot.user)
            assert await hears(caller, BOTS_HZ)
            bot.process.terminate()
            assert await caller.is_hung_up() == "hangup"
        assert await bot.ended() == 0
        assert "ended by SIGTERM" in bot.said
    for name, hz in (("heard", 440), ("heard-2", 550), ("heard-3", 500)):
        assert holds_tone(tmp_path / f"{name}.wav", hz)
        assert f"recorded in {tmp_path / name}.wav" in bot.said


@three
async def test_what_it_records_can_be_played_even_if_it_is_killed(system: Clustered, tmp_path: Path) -> None:
    room, record = new_id("room"), tmp_path / "heard.wav"
    with RunningBot(system.ports, room, new_id("bot"), "--answer", "--record", str(record)) as bot:
        async with calling(system.ports[0], room) as caller:
            await caller.sees(bot.user)
            await caller.call(bot.user)
            assert await hears(caller, BOTS_HZ)
            bot.process.kill()
            assert await bot.ended() == -signal.SIGKILL
            assert holds_tone(record, 440)


@three
async def test_while_it_talks_others_are_told_that_it_is_busy(system: Clustered) -> None:
    room = new_id("room")
    with RunningBot(system.ports, room, new_id("bot"), "--answer", "--once") as bot:
        async with calling(system.ports[0], room) as first, calling(system.ports[1], room) as second:
            await first.sees(bot.user)
            await first.call(bot.user)
            await second.offer(bot.user)
            assert await second.is_hung_up() == "busy"
            assert await hears(first, BOTS_HZ)
            await first.client.hangup(bot.user)
            assert await bot.ended() == 0


@three
async def test_it_follows_an_ice_restart_and_takes_late_candidates(system: Clustered, tmp_path: Path) -> None:
    room, record = new_id("room"), tmp_path / "heard.wav"
    with RunningBot(system.ports, room, new_id("bot"), "--answer", "--once", "--record", str(record)) as bot:
        async with calling(system.ports[0], room) as caller:
            await caller.sees(bot.user)
            offer = await caller.offer(bot.user)
            first = await caller.settle()
            await caller.trickle(bot.user, offer.candidates)  # long after the answer
            await caller.is_connected()
            await caller.offer(bot.user)
            again = await caller.settle()
            assert ice_names(again["sdp"]) == ice_names(first["sdp"])
            assert await hears(caller, BOTS_HZ)
            caller.restart()
            await caller.call(bot.user)
            assert await hears(caller, BOTS_HZ)
            await caller.client.hangup(bot.user)
            assert await bot.ended() == 0
        assert f"{caller.user} looks for another path" in bot.said
    assert holds_tone(record, 440)


@three
@pytest.mark.parametrize("description", [None, "v=0", {"type": "offer"}, {"type": "offer", "sdp": "rubbish"}])
async def test_an_offer_that_is_none_is_refused_and_the_next_one_answered(
    system: Clustered, description: object
) -> None:
    room = new_id("room")
    with RunningBot(system.ports, room, new_id("bot"), "--answer") as bot:
        async with calling(system.ports[0], room) as caller:
            await caller.sees(bot.user)
            await caller.client.call(bot.user, description)
            assert await caller.is_hung_up() == "failed"
            await caller.call(bot.user)
            assert await hears(caller, BOTS_HZ)


async def test_a_gateway_that_is_killed_ends_no_call(nats_url: str, tmp_path: Path) -> None:
    room = new_id("room")
    with System(nats_url, tmp_path, gateways=2) as system:
        kept, killed = system.all("gateway")
        with RunningBot([killed.port, kept.port], room, new_id("bot"), "--answer") as bot:
            async with calling(kept.port, room) as caller:
                await caller.sees(bot.user)
                await caller.call(bot.user)
                killed.kill()
                await bot.says("with nothing lost")
                assert await hears(caller, BOTS_HZ)
                caller.restart()
                await caller.call(bot.user)
                assert await hears(caller, BOTS_HZ)
                await caller.client.hangup(bot.user, "enough")
                await bot.says(f"{caller.user} ended the call: enough")


@three
async def test_it_rings_whoever_joins_and_plays_a_file(system: Clustered, tmp_path: Path) -> None:
    room, friend, music = new_id("room"), new_id("friend"), tmp_path / "music.wav"
    with wave.open(str(music), "wb") as wav:
        wav.setparams((2, 2, 44_100, 0, "NONE", "not compressed"))
        left = tone(500 * RATE / 44_100, 0, 44_100)
        wav.writeframes(np.repeat(left, 2).tobytes())
    options = ("--to", friend, "--play", str(music), "--hang-up-after", "1")
    with RunningBot(system.ports, room, new_id("bot"), *options) as bot:
        await bot.says(f"waits for {friend!r} to join the room")
        async with calling(system.ports[0], room, user=friend) as called:
            await called.accept(await called.next(Offer))
            assert await hears(called, 500)
            assert await called.is_hung_up() == "hangup"
            assert await bot.ended() == 0


@three
async def test_a_call_that_is_declined_fails(system: Clustered) -> None:
    room, friend = new_id("room"), new_id("friend")
    async with calling(system.ports[0], room, user=friend) as called:
        with RunningBot(system.ports, room, new_id("bot"), "--to", friend) as bot:
            offer = await called.next(Offer)
            await called.client.hangup(offer.sender, "decline")
            assert await bot.ended() == 1
            assert f"{friend} ended the call: decline" in bot.said
            assert "heard nothing" not in bot.said


@three
async def test_two_bots_talk_to_each_other(system: Clustered) -> None:
    room, waiting = new_id("room"), new_id("waiting")
    options = ("--to", waiting, "--hang-up-after", "1")
    with (
        RunningBot(system.ports[:1], room, waiting, "--answer", "--once") as answering,
        RunningBot(system.ports[1:], room, new_id("ringing"), *options) as ringing,
    ):
        assert await ringing.ended() == 0
        assert await answering.ended() == 0
        assert "mainly 660" in ringing.said
        assert "mainly 440" in answering.said


@three
@pytest.mark.parametrize(("bot_name", "withdraws"), [("a", True), ("z", False)])
async def test_when_both_ring_at_once_the_offer_of_the_greater_user_counts(
    system: Clustered, bot_name: str, withdraws: bool
) -> None:
    room, friend = new_id("room"), new_id("m")
    with RunningBot(system.ports, room, new_id(bot_name), "--to", friend, "--hang-up-after", "1") as bot:
        async with calling(system.ports[0], room, user=friend) as called:
            offer = await called.next(Offer)
            if withdraws:
                await called.call(bot.user)
            else:
                await called.offer(bot.user)
                called.restart()
                await called.accept(offer)
            assert await hears(called, 440)
            assert (await called.next(Hangup)).reason == "hangup"
            assert await bot.ended() == 0


@three
async def test_who_is_not_called_cannot_call_a_bot_that_rings(system: Clustered) -> None:
    room = new_id("room")
    with RunningBot(system.ports, room, new_id("bot"), "--to", "nobody-yet", "--timeout", "60") as bot:
        async with calling(system.ports[0], room) as caller:
            await caller.sees(bot.user)
            await caller.offer(bot.user)
            assert await caller.is_hung_up() == "busy"
        bot.process.send_signal(signal.SIGINT)
        assert await bot.ended() == 1
