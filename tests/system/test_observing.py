"""What operators see: one line a session, one a signal at debug level, metrics, and never what people say."""

import json
from functools import partial

import pytest

from tests.support import frames
from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, new_id, token
from tests.support.people import People
from tests.support.raw_client import Opcode, RawClient, Refused, frame
from tests.support.system import SECRET, System
from tests.support.waiting import until


async def test_a_session_is_logged_when_it_opens_and_when_it_ends(
    hasty: System, hasty_people: People
) -> None:
    alice = await hasty_people.connect("alice")
    session = alice.welcome["data"]["sessionId"]
    (opened,) = await until(lambda: hasty.events("session opened", user=alice.user))
    assert (opened["session"], opened["level"], opened["service"]) == (session, "info", "gateway")
    assert hasty.events("session ended", user=alice.user) == []
    await alice.connection.close(3456)
    (ended,) = await until(lambda: hasty.events("session ended", user=alice.user))
    assert (ended["session"], ended["level"], ended["code"]) == (session, "info", 3456)
    assert ended["seconds"] >= 0


async def test_a_signal_is_logged_at_debug_level(hasty: System, hasty_people: People) -> None:
    alice, bob = await hasty_people.two()
    offer = await alice.relays(OFFER, bob)
    held = await alice.holds(bob)
    refused = await alice.is_refused(ANSWER, bob, "NO_MATCHING_OFFER")
    for sent, outcome in ((offer, "relayed"), (held, "held"), (refused, "NO_MATCHING_OFFER")):
        names = frames.names_of(sent)
        (line,) = await until(partial(hasty.events, "signal", requestId=names["requestId"]))
        assert line["level"] == "debug"
        assert line["cmd"] == names["cmd"]
        assert (line["from"], line["to"], line["outcome"]) == (alice.user, bob.user, outcome)
        assert line["bytes"] == len(sent)
        assert len(line["call"]) == 16  # also of who does not ask for it
        assert 0 < line["ms"] < 60_000


async def test_nothing_that_people_say_and_no_token_is_ever_logged(
    hasty: System, hasty_people: People
) -> None:
    """The words `secret-...` stand wherever a client may say something that is nobody else's business."""
    alice, bob = await hasty_people.two()
    await alice.relays(OFFER, bob, {"sdp": "secret-sdp"})
    await alice.holds(bob, {"candidate": "secret-held"})
    answer = bob.say(ANSWER, alice, "secret-answer")
    await alice.hear_frame()
    await bob.hear_frame()
    await bob.hears_ack(answer)
    await alice.relays(CANDIDATE, bob, {"candidate": "secret-candidate"})
    await alice.asks_in_vain("DANCE", "secret-dance", "UNKNOWN_COMMAND")
    await alice.is_refused(ANSWER, bob, "NO_MATCHING_OFFER", "secret-refused")
    alice.connection.send('{"requestId":"r","data":"secret-half')
    await alice.hears_refusal("BAD_MESSAGE")
    await bob.relays(HANGUP, alice, {"reason": "secret-reason"})
    alice.connection.write(frame(Opcode.TEXT, b"secret-bytes\xff"))
    await alice.connection.ended()
    good, forged = (
        token(new_id("carol")),
        token(new_id("carol"), secret="some other secret: secret-of-forgers"),
    )
    port = hasty_people.ports[0]
    for headers, target in (
        ([("Authorization", f"Bearer {good}")], "/ws?secret-query"),
        ([("Sec-WebSocket-Protocol", f"tieline.v1, bearer.{good}")], "/ws"),
        ([], f"/ws?token={good}"),
    ):
        await (await RawClient.open(port, target, headers)).close()
        with pytest.raises(Refused):
            await RawClient.open(
                port,
                target.replace(good, forged),
                [(name, value.replace(good, forged)) for name, value in headers],
            )
    await until(lambda: len(hasty.events("session ended", code=1000)) >= 3)
    log = hasty.log
    assert alice.user in log
    signatures = [text.rpartition(".")[2] for text in (good, forged)]
    to_resume_with, _, _ = alice.welcome["data"]["resumeToken"].partition(
        "."
    )  # what is behind it is a number
    assert len(to_resume_with) >= 32
    for secret in ("secret-", SECRET, good, forged, *signatures, to_resume_with):
        assert secret not in log


async def test_every_log_line_is_a_json_object_that_says_what_happened(hasty: System) -> None:
    for line in hasty.log.splitlines():
        assert {"at", "level", "service", "event"} <= json.loads(line).keys()


async def test_metrics_count_what_happened(hasty: System, hasty_people: People) -> None:
    def counted() -> dict[str, float]:
        gateway, router = hasty.counted("gateway"), hasty.counted("router")
        presence = hasty.counted("presence")

        def signals(cmd: str, outcome: str) -> float:
            return gateway("tieline_signals_total", cmd=cmd, outcome=outcome)

        return {
            "opened": gateway("tieline_sessions_opened_total"),
            "closed": gateway("tieline_sessions_closed_total", code="other"),
            "denied": gateway("tieline_handshakes_refused_total", reason="UNAUTHORIZED"),
            "offers": signals(OFFER, "relayed"),
            "offers refused": signals(OFFER, "NOT_IN_SAME_ROOM"),
            "held": signals(CANDIDATE, "held"),
            "candidates": signals(CANDIDATE, "relayed"),
            "answers": signals(ANSWER, "relayed"),
            "hangups": signals(HANGUP, "relayed"),
            "joins": signals("JOIN", "ok"),
            "pings": signals("PING", "ok"),
            "unknown": signals("unknown", "UNKNOWN_COMMAND"),
            "relay seconds": gateway("tieline_relay_seconds_count"),
            "checks and leases": router("tieline_presence_check_seconds_count")
            + router("tieline_leased_signals_total"),
            "checks": presence("tieline_presence_requests_total", op="check", outcome="ok"),
            "duplicates": gateway("tieline_deliveries_total", outcome="duplicate"),
            "sent": gateway("tieline_deliveries_total", outcome="sent"),
            "told of rooms": gateway("tieline_room_members_told_total"),
        }

    before = counted()
    alice = await hasty_people.connect("alice")
    bob = await hasty_people.connect("bob")
    await alice.asks("JOIN", {"room": hasty_people.room})
    await bob.asks("JOIN", {"room": hasty_people.room})
    await alice.hears_joined(hasty_people.room, bob.user)
    await alice.is_refused(OFFER, "nobody", "NOT_IN_SAME_ROOM")
    await alice.relays(OFFER, bob)
    held = [await alice.holds(bob) for _ in range(2)]
    answer = bob.say(ANSWER, alice)
    await bob.hear_all(held, besides=[answer])
    assert await alice.hear_frame() == answer
    for _ in range(5):
        await alice.relays(CANDIDATE, bob)
    await alice.relays(HANGUP, bob)
    await alice.pings()
    await alice.asks_in_vain("DANCE", {}, "UNKNOWN_COMMAND")
    with pytest.raises(Refused):
        await RawClient.open(hasty.ports[0], "/ws")
    await bob.connection.close(4321)
    await alice.hears_left(hasty_people.room, bob.user, "disconnected")
    after = counted()
    assert {
        name: after[name] - count for name, count in before.items() if name not in ("checks", "duplicates")
    } == {
        "opened": 2,
        "closed": 1,
        "denied": 1,
        "offers": 1,
        "offers refused": 1,
        "held": 2,
        "candidates": 5,
        "answers": 1,
        "hangups": 1,
        "joins": 2,
        "pings": 1,
        "unknown": 1,
        "relay seconds": 11,
        "checks and leases": 11,
        "sent": 10,
        "told of rooms": 2,
    }


async def test_the_connections_of_a_gateway_are_counted(hasty: System, hasty_people: People) -> None:
    with hasty.extra("gateway") as gateway:
        before = hasty.count("gateway", "tieline_connections")
        people = [await hasty_people.connect("member", port=gateway.port) for _ in range(3)]
        assert hasty.count("gateway", "tieline_connections") == before + 3
        await people[0].connection.close()
        await people[1].connection.drop()
        await until(lambda: hasty.count("gateway", "tieline_connections") == before + 1)
        await people[2].connection.close()
        await until(lambda: hasty.count("gateway", "tieline_connections") == before)


async def test_every_process_answers_on_its_ops_port(hasty: System) -> None:
    for process in hasty.processes:
        assert process.get("/healthz") == (200, "alive\n")
        assert process.get("/readyz") == (200, "ready\n")
        assert process.get("/nothing")[0] == 404
        status, text = process.get("/metrics")
        assert status == 200
        samples = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert samples
        assert all(line.startswith("tieline_") for line in samples)
        assert "tieline_nats_reconnects_total" in text
