"""No browser is ever limited: what Chromium and Firefox sent in real calls is replayed against the limits.

Recorded with `python -m tests.browser.record_traffic`. Each scene is replayed as it was, at double speed, and
with twice the candidates, for those who have more addresses, and relays.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from gateway.client.actions import AskPresence, AskRouter, Say
from gateway.client.budget import price_of_frame
from gateway.client.session import Session
from gateway.limits import prices
from gateway.limits.limit import Limit
from gateway.limits.rates import Rates
from gateway.limits.user_budget import UserBudget
from tests.unit.gateway.client.alice import NOW, PLAIN, SECRET
from tieline.verification.tokens import Claims
from tieline.wire.envelope import SIGNAL_COMMANDS
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.internal.signals import Accepted
from tieline.wire.replies import Member

FOLDER: Final = Path(__file__).parent / "traffic"
SCENES: Final = sorted(file.stem for file in FOLDER.glob("*.json"))
BEGAN_S: Final = 1000.0


class Sent(NamedTuple):
    """One message that a page sent, or a connection that it made."""

    at_s: float
    cmd: str
    size: int
    to: str
    outcome: str | int


def sent_in(scene: str, speed: float, candidates: int) -> dict[str, list[Sent]]:
    """What each user sent, faster than it did, and with each candidate so many times over."""
    recorded: dict[str, list[list[Any]]] = json.loads((FOLDER / f"{scene}.json").read_text())["sent"]

    def rows(user: str) -> Iterator[Sent]:
        for ms, cmd, size, to, outcome in recorded[user]:
            one = Sent(BEGAN_S + ms / 1000 / speed, cmd, size, to, outcome)
            yield from [one] * (candidates if cmd == "WEBRTC_ICE_CANDIDATE" else 1)

    return {user: list(rows(user)) for user in recorded}


def frame(user: str, number: int, sent: Sent) -> bytes:
    """A message as long as the one that was recorded."""
    data: dict[str, Any]
    if sent.cmd in SIGNAL_COMMANDS:
        data = {"from": user, "to": sent.to, "data": ""}
    else:
        data = {"room": sent.to or "room", "token": "x"}
    message = {"requestId": str(number), "module": "ROOM", "cmd": sent.cmd, "data": data}
    lacking = max(0, sent.size - len(json.dumps(message)))
    return json.dumps(message | {"also": "x" * lacking}).encode()


def members(outcome: str | int) -> RoomMembers:
    """A list as long as the one that was answered."""
    count = outcome if isinstance(outcome, int) else 0
    return RoomMembers(tuple(Member(UserId(f"user{place}"), "online", True, 1) for place in range(count)))


class Replay:
    """One user, as its gateway sees it."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.met: list[Limit] = []
        self.refused: list[str] = []
        self.waited = 0.0
        self.budget = UserBudget(UserId(user), Rates())
        self.budget.on_limited = self.met.append
        self._begin()

    def _begin(self) -> None:
        claims = Claims(self.user, NOW + 3600, rooms="*")
        self.session = Session(SessionId("s"), ConnectionId("c"), claims, SECRET, True, PLAIN, self.budget)

    def take(self, number: int, sent: Sent) -> None:
        """Let the user connect, or take a message and what was answered to it."""
        if sent.cmd in {"CONNECT", "RESUME"}:
            resumes = sent.cmd == "RESUME"
            wait = self.budget.connect(resumes, sent.at_s)
            self.waited += 0.0 if wait is None else wait.seconds
            self.budget.charge(prices.RESUME if resumes else prices.CONNECT, sent.at_s)
            if not resumes:
                self._begin()
        else:
            text = frame(self.user, number, sent)
            self.budget.charge(price_of_frame(len(text), is_control=False), sent.at_s)
            self._answer(self.session.receive(text, NOW, sent.at_s), sent)
        self.waited += self.budget.wait_s(sent.at_s)

    def _answer(self, action: object, sent: Sent) -> None:
        match action:
            case AskRouter() if sent.outcome == "held":
                self.session.router_answered(action, Accepted("held"))
            case AskRouter() if sent.outcome == "relayed":
                self.session.router_answered(action, Accepted("relayed"))
            case AskRouter():
                self.session.router_answered(action, Refused("TARGET_OFFLINE"))
            case AskPresence(cmd="LEAVE"):
                self.session.presence_answered(action, Done())
            case AskPresence():
                self.session.presence_answered(action, members(sent.outcome))
                self.session.rooms[RoomId(sent.to)] = 1
            case Say(outcome=outcome):
                self.refused.append(outcome)


def limits_met(scene: str, speed: float = 1.0, candidates: int = 1) -> dict[str, object]:
    """What each user of a scene met of the limits; nothing for those who met none."""
    found: dict[str, object] = {}
    for user, rows in sent_in(scene, speed, candidates).items():
        replay = Replay(user)
        for number, sent in enumerate(rows):
            replay.take(number, sent)
        refused = [reason for reason in replay.refused if reason != "ok"]
        if replay.met or refused or replay.waited:
            found[user] = (replay.met, refused, replay.waited)
    return found


def test_there_are_the_scenes_that_a_browser_can_make() -> None:
    scenes = ("call", "gateway-dies", "ice-restarts", "reloads", "six")
    assert [*scenes[:1], *(f"firefox-{scene}" for scene in scenes), *scenes[1:]] == SCENES
    for six in ("six", "firefox-six"):
        assert sum(len(rows) for rows in sent_in(six, 1.0, 1).values()) > 200


@pytest.mark.parametrize("scene", SCENES)
def test_nobody_is_limited(scene: str) -> None:
    assert limits_met(scene) == {}


@pytest.mark.parametrize("scene", SCENES)
def test_nobody_is_limited_at_double_speed(scene: str) -> None:
    assert limits_met(scene, speed=2.0) == {}


@pytest.mark.parametrize("scene", SCENES)
def test_nobody_is_limited_with_many_addresses(scene: str) -> None:
    assert limits_met(scene, candidates=2) == {}


def test_a_flood_would_be_limited() -> None:
    for six in ("six", "firefox-six"):
        assert limits_met(six, speed=1000.0, candidates=40) != {}
