"""However a client's messages arrive, and whatever routers answer, each is answered once, and in its order.

What comes in one read goes together (docs/decisions/0150-candidates-go-with-their-offer.md); a router may
answer all of it, a part, the first alone, or nothing.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import pytest

from gateway.client.actions import AskRouter
from gateway.client.inbound import MAX_TOGETHER, MAX_TOGETHER_BYTES
from gateway.limits.rates import NO_LIMITS, Rates
from tests.support.examples import scaled
from tests.support.seed import SEED
from tests.unit.gateway.client.harness import Harness, connected, join, ping, session, signal
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.internal.signals import Accepted, Answers
from tieline.wire.replies import Member

ROUNDS: Final = 400
"""In a whole run: some five seconds."""

QUIET_S: Final = 3.0
"""Who has heard nothing for so long has been answered all."""

STEP_S: Final = 0.1

CANDIDATE: Final = "WEBRTC_ICE_CANDIDATE"
COMMANDS: Final = ("WEBRTC_OFFER", "WEBRTC_ANSWER", *[CANDIDATE] * 8, "WEBRTC_HANGUP", "WEBRTC_INFO")
VERDICTS: Final = (Accepted("relayed"), Accepted("relayed"), Accepted("held"), Refused("NO_MATCHING_OFFER"))
ALICE: Final = RoomMembers((Member(UserId("alice"), "online", True, 7),))

End = Literal["stays", "closes", "is cut"]


class Round:
    """One client that says much, and a router that answers as it likes."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(f"{SEED}-{number}")
        rates = NO_LIMITS if number % 3 else Rates()
        self.harness = connected(session(acks=True, rates=rates))
        self.loses = number % 2 == 1
        """A question may have no answer."""
        self.sent: list[str] = []
        self.first_asked: list[str] = []
        """What was asked, each when it was first."""
        self.told: dict[str, str] = {}
        """What a router has answered."""

    def frames(self) -> Iterator[bytes]:
        """Make up what the client says."""
        for number in range(self.chance.randrange(1, 70)):
            name = f"m-{number}"
            self.sent.append(name)
            match self.chance.randrange(20):
                case 0:
                    yield ping(name)
                case 1:
                    yield join(name)
                case _:
                    size = self.chance.choice((0, 0, 0, 100, 700, 3_000, 9_000))
                    to = "carol" if self.chance.randrange(8) == 0 else "bob"
                    yield signal(name, self.chance.choice(COMMANDS), size, to)

    def run(self, end: End) -> None:
        """Let all of it arrive, and be answered."""
        harness = self.harness
        for frame in self.frames():
            harness.client.send_text(frame)
        stream = b"".join(harness.client.data_to_send())
        while stream:
            size = self.chance.choice((1, 7, 200, 1_000, 5_000, 20_000, len(stream)))
            harness.write(stream[:size])
            stream = stream[size:]
            for _ in range(self.chance.randrange(4)):
                self.act()
        if end == "closes":
            harness.client.send_close(1000)
            harness.write(b"".join(harness.client.data_to_send()))
        self.settle()
        if end == "is cut":
            harness.lose()
        self.settle()

    def act(self) -> None:
        """Let something happen at the gateway."""
        match self.chance.randrange(4):
            case 0:
                self.harness.read()
            case 1 if not self.harness.clock.is_at_rest:
                self.harness.clock.iterate()
            case 2:
                self.harness.arrive()
            case _:
                self.answer()

    def settle(self) -> None:
        """Let everything happen that is still to, also for who is over a limit and has to wait."""
        quiet_s = 0.0
        while quiet_s < QUIET_S:
            self.harness.arrive()
            if self.harness.host.under_way:
                self.answer()
                quiet_s = 0.0
            else:
                self.harness.clock.advance(STEP_S)
                self.harness.look()
                if not self.harness.socket.is_closing():
                    self.harness.flush()  # what answers pings
                quiet_s += STEP_S

    def answer(self) -> None:
        """Answer what is under way, if anything is."""
        host = self.harness.host
        if not host.under_way:
            return
        (ask,) = host.under_way
        if not isinstance(ask, AskRouter):
            self.first_asked.append(ask.request_id)
            host.answer(presence=ALICE)
            return
        asks = (ask, *ask.then)
        names = [each.request_id for each in asks]
        assert not self.told.keys() & names, "what is answered is asked again"
        self.first_asked += [name for name in names if name not in self.first_asked]
        assert all(each.cmd == CANDIDATE and each.signal.to == ask.signal.to for each in ask.then)
        assert len(asks) <= MAX_TOGETHER
        assert not ask.then or sum(len(each.signal.frame) for each in asks) <= MAX_TOGETHER_BYTES
        host.answer(self.reply(names))

    def reply(self, names: Sequence[str]) -> Answers | Accepted | Refused | None:
        """Make up what a router says of these; what it does not answer it may be asked again."""
        if self.loses and self.chance.randrange(12) == 0:
            self.told |= dict.fromkeys(names, "INTERNAL")
            return None
        known = names[: self.chance.choice((1, len(names), len(names), self.chance.randint(1, len(names))))]
        replies = [self.chance.choice(VERDICTS) for _ in known]
        said = [reply.ack if isinstance(reply, Accepted) else reply.reason for reply in replies]
        self.told |= dict(zip(known, said, strict=True))
        if len(known) == 1 and self.chance.randrange(2):
            return replies[0]
        beyond = [VERDICTS[0]] * (self.chance.randrange(3) if known == names else 0)
        return Answers((*replies, *beyond))


def said_of(harness: Harness) -> list[tuple[str, str]]:
    """Name what was answered, and how."""
    return [
        (str(one["requestId"]), str(one.get("ack") or one.get("reason") or "ok"))
        for one in harness.messages()
    ]


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("end", ["stays", "closes", "is cut"])
def test_each_message_is_answered_once_and_in_its_order(end: End) -> None:
    for number in range(scaled(ROUNDS)):
        one = Round(number)
        one.run(end)

        in_order = [name for name in one.sent if name in one.first_asked]
        assert one.first_asked == in_order
        answered = said_of(one.harness)
        if end == "stays":
            assert [name for name, _ in answered] == one.sent
        for name, said in answered:
            assert said == one.told.get(name, said)
            assert name in one.told or said in ("ok", "INTERNAL")
        if end != "stays":
            assert len(one.harness.gone_with) == 1
        assert one.harness.host.under_way == []
