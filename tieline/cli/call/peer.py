"""One end of a voice call, made with aiortc: it sends sound and listens. Its callers do the signaling.

Importing this needs aiortc, av and numpy.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

from tieline.cli.call.sound import Source
from tieline.cli.call.tone import FRAME_SAMPLES, RATE, Samples
from tieline.cli.call.trickle import END_OF_CANDIDATES, IceCandidate, ice_names, split
from tieline.client import IceServer

_log = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"

SETTLE_SAMPLES: Final = RATE // 5
"""The first sound is not measured: a codec and a jitter buffer take some packets to settle."""

LISTEN_GRACE_S: Final = 3.0
"""Listening may take so much longer than the sound itself; after that, missing sound counts as silence."""


class PeerFailed(Exception):
    """The connection between the two peers did not come about."""


End = Literal["failed", "closed"]
"""How a connection between two peers ends: nothing comes any more, or the other side has closed it."""


class Description(NamedTuple):
    """A session description without candidates, and the candidates, which are sent after it."""

    description: dict[str, str]
    candidates: list[IceCandidate]


class Packets(NamedTuple):
    """RTP packets of one peer, as its own statistics count them."""

    received: int
    lost: int
    sent: int


class SoundTrack(MediaStreamTrack):
    """The sound of a source, in frames of 20 ms, each at its time."""

    kind = "audio"

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._next = 0
        self._start: float | None = None

    async def recv(self) -> AudioFrame:
        """Wait until the next frame is due, and make it."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._start is None:
            self._start = loop.time()
        await asyncio.sleep(self._start + self._next / RATE - loop.time())
        samples = next(self._source)
        both = np.repeat(samples, 2).reshape(1, -1)  # Opus is stereo here; one channel would be made softer
        frame = AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._next, Fraction(1, RATE)
        self._next += FRAME_SAMPLES
        return frame


class Peer:
    """One WebRTC peer that sends `sound` and receives one sound of the other peer. Call `close` in the end.

    Of `ice_servers` aiortc uses the first STUN and the first TURN server.
    """

    def __init__(self, sound: Source, ice_servers: Sequence[IceServer] = ()) -> None:
        loop = asyncio.get_running_loop()
        self._rtc = RTCPeerConnection(
            RTCConfiguration(iceServers=[_rtc_server(server) for server in ice_servers])
        )
        self._rtc.addTrack(SoundTrack(sound))
        self._connected: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[End] = loop.create_future()
        self._incoming: asyncio.Future[MediaStreamTrack] = loop.create_future()
        self._early: list[IceCandidate] = []
        # Candidates are added one at a time and in order: one that is added after their end is ignored.
        self._remote = asyncio.Lock()
        self._rtc.on("track", self._on_track)
        self._rtc.on("connectionstatechange", self._on_state)

    async def offer(self) -> Description:
        """Gather candidates and describe a call."""
        await self._gather()
        return await self._describe(await self._rtc.createOffer())

    async def answer(self, offer: dict[str, str]) -> Description:
        """Accept an offer of the other peer, the first or a later one, and describe this end of the call.

        One audio track of the offer is accepted, and no video.

        Raises:
            PeerFailed: the offer cannot be understood.
        """
        await self._gather()
        await self.accept(offer)
        with _understanding():
            for transceiver in self._rtc.getTransceivers()[1:]:
                transceiver.direction = "inactive"
            return await self._describe(await self._rtc.createAnswer())

    async def accept(self, description: dict[str, str]) -> None:
        """Accept the other peer's description, and the candidates that came before it.

        Raises:
            PeerFailed: the description cannot be understood.
        """
        async with self._remote:
            with _understanding():
                await self._rtc.setRemoteDescription(RTCSessionDescription(**description))
            early, self._early = self._early, []
            for candidate in early:
                await self._add(candidate)

    def is_meant_for_this(self, offer: Mapping[str, Any]) -> bool:
        """Whether a later offer continues this connection; if not, it restarts ICE, which aiortc cannot.

        Another peer must accept it then: to the other side the two are one peer with new keys.
        """
        known = self._rtc.remoteDescription
        return bool(known) and ice_names(known.sdp)[:1] == ice_names(offer["sdp"])[:1]

    async def add(self, candidate: IceCandidate) -> None:
        """Add a candidate of the other peer; a candidate that comes before the description waits for it."""
        async with self._remote:
            if self._rtc.remoteDescription is None:
                self._early.append(candidate)
            else:
                await self._add(candidate)

    async def _add(self, candidate: IceCandidate) -> None:
        try:
            if candidate["candidate"] == END_OF_CANDIDATES:
                await self._rtc.addIceCandidate(None)
                return
            parsed = candidate_from_sdp(candidate["candidate"].removeprefix("candidate:"))
            parsed.sdpMid, parsed.sdpMLineIndex = candidate["sdpMid"], candidate["sdpMLineIndex"]
            await self._rtc.addIceCandidate(parsed)
        except Exception as error:  # browsers know kinds of candidates that aiortc cannot use
            _log.debug("a candidate cannot be used: %r", error)

    async def connected(self) -> None:
        """Wait until media can flow.

        Raises:
            PeerFailed: no candidate led to the other side, or the keys could not be agreed on.
        """
        await asyncio.shield(self._connected)

    async def ended(self) -> "End":
        """Wait until media cannot flow any more."""
        return await asyncio.shield(self._ended)

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """Yield the frames of the other peer as they come, until this peer is closed."""
        track = await asyncio.shield(self._incoming)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, AudioFrame)
            yield frame

    @property
    def path(self) -> str:
        """The kinds of candidates between which media flows (host, srflx, prflx, relay), this end's first."""
        pair = self._rtc.getTransceivers()[0].receiver.transport.transport._connection._nominated.get(1)
        return "none" if pair is None else f"{pair.local_candidate.type} to {pair.remote_candidate.type}"

    async def listen(self, seconds: float) -> Samples:
        """Record so many seconds of the other peer's sound, or fewer if fewer come in time."""
        wanted = int(seconds * RATE)
        chunks: list[Samples] = []
        got = -SETTLE_SAMPLES
        try:
            async with asyncio.timeout(seconds + LISTEN_GRACE_S):
                track = await self._incoming
                while got < wanted:
                    chunk = _one_channel(await track.recv())
                    got += len(chunk)
                    chunks.append(chunk)
        except (TimeoutError, MediaStreamError):
            pass  # the sound that has come is returned
        heard: Samples = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
        return heard[SETTLE_SAMPLES:]

    async def packets(self) -> Packets:
        """Count the RTP packets up to now."""
        received = lost = sent = 0
        for entry in (await self._rtc.getStats()).values():
            if entry.type == "inbound-rtp":
                received, lost = received + entry.packetsReceived, lost + entry.packetsLost
            elif entry.type == "outbound-rtp":
                sent += entry.packetsSent
        return Packets(received, lost, sent)

    async def close(self) -> None:
        """Stop sending and listening."""
        if not self._connected.cancel() and not self._connected.cancelled():
            self._connected.exception()  # read, so that asyncio does not report an exception without a reader
        await self._rtc.close()

    async def _gather(self) -> None:
        """Gather candidates.

        aiortc never offers loopback, but a machine without a network has no other address, and loopback leads
        to the other peer, which is on this machine too.
        """
        gatherer = self._rtc.getTransceivers()[0].receiver.transport.transport.iceGatherer
        await gatherer.gather()
        if not gatherer.getLocalCandidates():
            ice = gatherer._connection
            ice._local_candidates += await ice.get_component_candidates(1, [LOOPBACK])

    async def _describe(self, description: RTCSessionDescription) -> Description:
        await self._rtc.setLocalDescription(description)
        local = self._rtc.localDescription
        sdp, candidates = split(local.sdp)
        return Description({"type": local.type, "sdp": sdp}, candidates)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and not self._incoming.done():
            self._incoming.set_result(track)

    def _on_state(self) -> None:
        match self._rtc.connectionState:
            case "connected" if not self._connected.done():
                self._connected.set_result(None)
            case "failed" | "closed" if not self._connected.done():
                self._connected.set_exception(PeerFailed("no candidate of either side leads to the other"))
        match self._rtc.connectionState:
            case "failed" | "closed" as end if not self._ended.done():
                self._ended.set_result(end)


@contextmanager
def _understanding() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # aiortc raises many exceptions at a description that it cannot read
        raise PeerFailed(f"the description cannot be understood: {error!r}") from error


def _rtc_server(server: IceServer) -> RTCIceServer:
    return RTCIceServer(list(server.urls), server.username or None, server.credential or None)


def _one_channel(frame: object) -> Samples:
    assert isinstance(frame, AudioFrame)
    assert frame.sample_rate == RATE, "both peers prefer Opus, which is always 48 kHz"
    samples: Samples = frame.to_ndarray()[0, :: len(frame.layout.channels)].astype(np.int16, copy=False)
    return samples
