"""Who may stay before its request has been read, and what the log says of those who may not."""

import logging

import pytest

from gateway.admission.addresses import read_networks
from gateway.admission.entrance import Entrance, Room, Visit, room
from tests.support.metrics import value_of
from tieline import metrics
from tieline.runtime.tally import Tally
from tieline.wire.codes import HandshakeError

PROXIES = read_networks("TIELINE_TRUSTED_PROXIES", "10.0.0.0/8")
HEADER = b"PROXY TCP4 203.0.113.7 10.0.0.1 50000 8080\r\n"
REQUEST = b"GET /ws HTTP/1.1\r\n"


class Client:
    """A socket that knows whether it was cut."""

    def __init__(self) -> None:
        self.is_cut = False

    def abandon(self) -> None:
        self.is_cut = True


def entrance(sockets: int = 0, half_open: int = 0, *, expects_header: bool = False) -> Entrance:
    tally = Tally(logging.getLogger("gateway"), lambda _delay, _callback: None)
    return Entrance(Room(sockets, half_open), tally, PROXIES, expects_header=expects_header)


def come(to: Entrance, *peers: str) -> list[tuple[Client, Visit]]:
    clients = [Client() for _ in peers]
    return [(client, to.enter(client, peer)) for client, peer in zip(clients, peers, strict=True)]


def cut(clients: list[tuple[Client, Visit]]) -> list[bool]:
    return [client.is_cut for client, _ in clients]


def test_too_many_that_ask_nothing_displace_their_own() -> None:
    gate = entrance(half_open=3)
    before = value_of(metrics.HALF_OPEN_CUT.labels("half_open"))

    clients = come(gate, "203.0.113.1", "203.0.113.2", "203.0.113.1", "203.0.113.1", "203.0.113.3")

    assert cut(clients) == [True, False, True, False, False]
    assert value_of(metrics.HALF_OPEN_CUT.labels("half_open")) == before + 2
    assert len(gate) == 3


def test_who_has_asked_is_not_half_open_any_more() -> None:
    gate = entrance(half_open=1)
    ((asking, visit),) = come(gate, "203.0.113.1")
    visit.asked()

    come(gate, "203.0.113.1")

    assert not asking.is_cut
    assert len(gate) == 2


def test_when_all_sockets_are_taken_one_that_is_half_open_goes() -> None:
    gate = entrance(sockets=2)
    (here, silent) = come(gate, "203.0.113.1", "203.0.113.2")
    here[1].asked()

    (newcomer,) = come(gate, "203.0.113.3")

    assert cut([here, silent, newcomer]) == [False, True, False]


def test_when_nobody_else_is_half_open_the_newcomer_goes() -> None:
    gate = entrance(sockets=1)
    (here,) = come(gate, "203.0.113.1")
    here[1].asked()

    assert cut(come(gate, "203.0.113.2")) == [True]


def test_a_socket_that_is_closed_makes_room() -> None:
    gate = entrance(sockets=1)
    ((_, visit),) = come(gate, "203.0.113.1")
    visit.over()
    visit.over()

    assert cut(come(gate, "203.0.113.2")) == [False]


def test_what_counts_a_socket_too_hears_of_its_end_once() -> None:
    ((_, visit),) = come(entrance(), "203.0.113.1")
    ends: list[int] = []
    visit.counted(lambda: ends.append(1))

    visit.over()
    visit.over()

    assert ends == [1]


def test_clients_of_one_ipv6_site_displace_each_other() -> None:
    clients = come(entrance(half_open=2), "2001:db8::1", "203.0.113.1", "2001:db8::2")

    assert cut(clients) == [True, False, False]


@pytest.mark.parametrize(
    ("sockets", "half_open", "expected"),
    [(10_000, 1_000, (1_000, 9_000)), (896, 1_000, (224, 672)), (896, 0, (224, 672)), (2, 1, (0, 2))],
)
def test_sockets_are_divided(sockets: int, half_open: int, expected: tuple[int, int]) -> None:
    made = room(sockets, half_open)
    assert (made.half_open, made.sessions) == expected
    assert Room().sessions == 0


# What a proxy says first.


def test_a_trusted_proxy_says_for_whom_it_asks() -> None:
    ((_, visit),) = come(entrance(expects_header=True), "10.0.0.9")

    assert visit.read(HEADER + REQUEST) == REQUEST
    assert visit.address == "203.0.113.7"
    assert visit.read(b"more") == b"more"


def test_what_a_proxy_says_may_come_in_pieces() -> None:
    ((_, visit),) = come(entrance(expects_header=True), "10.0.0.9")

    assert b"".join(visit.read(bytes([byte])) for byte in HEADER + REQUEST) == REQUEST
    assert visit.address == "203.0.113.7"


def test_a_proxy_that_asks_for_itself_is_the_client() -> None:
    ((_, visit),) = come(entrance(expects_header=True), "10.0.0.9")

    assert visit.read(b"PROXY UNKNOWN\r\n" + REQUEST) == REQUEST
    assert visit.address == "10.0.0.9"


def test_a_proxy_that_says_nothing_is_cut() -> None:
    ((client, visit),) = come(entrance(expects_header=True), "10.0.0.9")

    assert visit.read(REQUEST) == b""
    assert client.is_cut


def test_nobody_else_is_believed() -> None:
    ((_, stranger),) = come(entrance(expects_header=True), "203.0.113.9")
    ((_, proxy),) = come(entrance(), "10.0.0.9")

    assert stranger.read(HEADER) == HEADER
    assert proxy.read(HEADER) == HEADER


def test_clients_behind_a_proxy_are_counted_by_their_own_address() -> None:
    gate = entrance(half_open=3, expects_header=True)
    clients = come(gate, "10.0.0.9", "10.0.0.9", "10.0.0.9")
    for (_, visit), last in zip(clients, (1, 2, 2), strict=True):
        visit.read(b"PROXY TCP4 203.0.113.%d 10.0.0.1 50000 8080\r\n" % last)

    come(gate, "203.0.113.3")

    assert cut(clients) == [False, True, False]


# What the log says.


def test_a_refusal_is_counted_and_said_with_user_and_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ((_, visit),) = come(entrance(), "203.0.113.1")
    visit.user = "alice"
    before = value_of(metrics.HANDSHAKES_REFUSED.labels("RATE_LIMITED"))

    for _ in range(100):
        visit.denied(HandshakeError.RATE_LIMITED)

    assert value_of(metrics.HANDSHAKES_REFUSED.labels("RATE_LIMITED")) == before + 100
    (line,) = caplog.records
    said = vars(line)
    assert (said["reason"], said["user"], said["address"]) == ("RATE_LIMITED", "alice", "203.0.113.1")


def test_a_refusal_of_a_probe_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ((_, visit),) = come(entrance(), "203.0.113.1")

    visit.denied(HandshakeError.NOT_FOUND)
    visit.denied(HandshakeError.DRAINING)

    assert caplog.records == []


def test_those_that_are_cut_are_said_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    come(entrance(half_open=1), *["203.0.113.1"] * 100)

    (line,) = caplog.records
    assert line.message == "half-open connection cut"
    assert (vars(line)["why"], vars(line)["address"]) == ("half_open", "203.0.113.1")


def test_a_refusal_says_which_check_a_token_failed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ((_, visit),) = come(entrance(), "203.0.113.1")

    for why in ("expired", "forged", "expired"):
        visit.explain(why)
        visit.denied(HandshakeError.UNAUTHORIZED)
    visit.denied(HandshakeError.FOREIGN_ORIGIN)

    assert [vars(line).get("why") for line in caplog.records] == ["expired", "forged", None]


def test_a_page_from_elsewhere_is_warned_of_by_its_origin(caplog: pytest.LogCaptureFixture) -> None:
    ((_, visit),) = come(entrance(), "203.0.113.1")

    for number in range(100):
        visit.explain(f"https://{number % 2}.example")
        visit.denied(HandshakeError.FOREIGN_ORIGIN)

    assert [(line.levelname, vars(line)["origin"], "why" in vars(line)) for line in caplog.records] == [
        ("WARNING", "https://0.example", False),
        ("WARNING", "https://1.example", False),
    ]


def test_a_refusal_names_the_user_if_the_token_is_ours(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ((_, visit),) = come(entrance(), "203.0.113.1")

    for why, user in (("expired", "alice"), ("forged", "")):
        visit.explain(why, user)
        visit.denied(HandshakeError.UNAUTHORIZED)

    assert [vars(line).get("user") for line in caplog.records] == ["alice", None]


def test_clients_that_fail_at_tls_are_said_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _, visit in come(entrance(), *["203.0.113.1"] * 100):
        visit.fail_tls("HTTP_REQUEST")

    (line,) = caplog.records
    assert (line.message, vars(line)["why"]) == ("TLS handshake failed", "HTTP_REQUEST")
    assert vars(line)["address"] == "203.0.113.1"
