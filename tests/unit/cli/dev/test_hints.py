"""What `tieline dev` says about clients that its gateways refuse, and about webhooks that are not taken."""

import json

import pytest

from tieline.cli.dev.hints import EVERY_S, MOST, Hints


def refused(**fields: str) -> bytes:
    return json.dumps({"event": "connection refused", **fields}, separators=(",", ":")).encode() + b"\n"


def not_taken(**fields: str) -> bytes:
    said = {"event": "webhook not taken", "endpoint": "settings", **fields, "events": 3}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "hints"),
    [
        (
            refused(reason="FOREIGN_ORIGIN", origin="http://localhost:3000"),
            [
                "a page of http://localhost:3000 was refused, as its origin is not listed"
                " (FOREIGN_ORIGIN); TIELINE_ORIGINS=http://localhost:3000 lets it in,"
                " and takes several with commas between them"
            ],
        ),
        (
            refused(reason="FOREIGN_ORIGIN", origin="x; rm -r\x1b"),
            ["a page of x; rm -r? was refused, as its origin is not listed (FOREIGN_ORIGIN)"],
        ),
        (
            refused(reason="FOREIGN_ORIGIN", origin="null"),
            ["a page without an origin was refused (FOREIGN_ORIGIN): serve it, instead of opening the file"],
        ),
        (
            refused(reason="UNAUTHORIZED", why="expired"),
            ["a client was refused for its token: expired (UNAUTHORIZED)"],
        ),
        (
            refused(reason="BANNED", user="cy\x1b"),
            ["cy? was refused, as it is banned (BANNED); `tieline ban USER --lift` ends that"],
        ),
        (refused(reason="RATE_LIMITED"), []),
        (
            not_taken(outcome="refused", what="401"),
            [
                "the webhook settings was not taken: refused (401); does its receiver check with the"
                " secret by which it is signed?"
            ],
        ),
        (
            not_taken(outcome="unreachable", what="ClientConnectorError"),
            [
                "the webhook settings was not taken: unreachable (ClientConnectorError); does its receiver"
                " listen there?"
            ],
        ),
        (
            not_taken(outcome="timeout", what="no answer within 10 s"),
            ["the webhook settings was not taken: timeout (no answer within 10 s)"],
        ),
        (b'{"event":"connection refused",\n', []),
        (b'{"event":"client left"}\n', []),
        (b"Starting nats-server\n", []),
    ],
)
def test_a_refusal_is_explained(line: bytes, hints: list[str]) -> None:
    assert Hints().of(b"one\n" + line, 0.0) == hints


def test_the_same_is_said_once_a_minute() -> None:
    hints, line = Hints(), refused(reason="UNAUTHORIZED", why="forged")
    assert [len(hints.of(line * 3, at)) for at in (0.0, 1.0, EVERY_S - 1, EVERY_S, EVERY_S + 1)] == [
        1,
        0,
        0,
        1,
        0,
    ]


def test_many_different_refusals_fill_no_screen() -> None:
    lines = b"".join(
        refused(reason="FOREIGN_ORIGIN", origin=f"http://{number}.example") for number in range(9 * MOST)
    )
    assert len(Hints().of(lines, 0.0)) == MOST
