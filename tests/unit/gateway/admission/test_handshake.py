import json

import jwt
import pytest
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from gateway.admission.addresses import read_networks
from gateway.admission.handshake import (
    LONGEST_NAMED,
    Admission,
    Admitted,
    Now,
    Pending,
    Verdict,
    denied,
    judge,
    select_subprotocol,
)
from gateway.admission.origins import Origins
from tests.unit.verification.issuer import EC, RSA, key_set
from tieline.verification.keys import read_key_set
from tieline.verification.tokens import Demands, Tokens
from tieline.wire.codes import HandshakeError

NOW = 1_700_000_000.0
SECRET = "secret" * 8
TOKENS = Tokens(SECRET)

UPGRADE = {
    "Host": "gateway.example",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def token(user: str = "alice", **claims: object) -> str:
    return jwt.encode({"sub": user, "exp": NOW + 60} | claims, SECRET)


BAD = "bad.bad.bad"


def asked(
    path: str, *headers: tuple[str, str], without: str = "", method: str = "GET", version: str = "HTTP/1.1"
) -> tuple[Request, Response]:
    """Make an upgrade request of a path and headers, and what websockets would answer it."""
    lines = [f"{name}: {value}" for name, value in (*UPGRADE.items(), *headers) if name != without]
    protocol = ServerProtocol(select_subprotocol=select_subprotocol)
    protocol.receive_data("\r\n".join([f"{method} {path} {version}", *lines, "", ""]).encode("latin-1"))
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    return request, protocol.accept(request)


def verdict(path: str, *headers: tuple[str, str]) -> Verdict:
    return judge(*asked(path, *headers), TOKENS, Origins(), NOW)


def admitted(path: str, *headers: tuple[str, str]) -> Admitted:
    found = verdict(path, *headers)
    assert isinstance(found, Admitted)
    return found


# Where the token is.


def test_the_token_may_come_in_the_authorization_header() -> None:
    for value in (f"Bearer {token()}", f"bearer   {token()} ", f"BEARER {token()}"):
        assert admitted("/ws", ("Authorization", value)).claims.sub == "alice"


def test_the_token_may_come_as_a_subprotocol_beside_the_server_s_own() -> None:
    request, response = asked("/ws", ("Sec-WebSocket-Protocol", f"tieline.v1, bearer.{token()}"))

    assert isinstance(judge(request, response, TOKENS, Origins(), NOW), Admitted)
    assert response.headers["Sec-WebSocket-Protocol"] == "tieline.v1"


def test_subprotocols_may_come_in_several_headers() -> None:
    found = admitted(
        "/ws", ("Sec-WebSocket-Protocol", "tieline.v1"), ("Sec-WebSocket-Protocol", f"bearer.{token()}")
    )

    assert found.claims.sub == "alice"


def test_the_token_may_come_in_the_query() -> None:
    assert admitted(f"/ws?token={token()}").claims.sub == "alice"
    assert admitted(f"/ws?x=1&token={token()}&token={BAD}").claims.sub == "alice"


def test_header_counts_before_subprotocol_and_that_before_query() -> None:
    header = ("Authorization", f"Bearer {token('header')}")
    subprotocol = ("Sec-WebSocket-Protocol", f"tieline.v1, bearer.{token('subprotocol')}")
    query = f"/ws?token={token('query')}"

    assert admitted(query, subprotocol, header).claims.sub == "header"
    assert admitted(query, subprotocol).claims.sub == "subprotocol"
    assert admitted(query).claims.sub == "query"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {BAD}"),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer "),
        ("Sec-WebSocket-Protocol", f"tieline.v1, bearer.{BAD}"),
        ("Sec-WebSocket-Protocol", "tieline.v1, bearer."),
    ],
)
def test_the_first_token_found_counts_even_if_it_is_bad(name: str, value: str) -> None:
    assert verdict(f"/ws?token={token()}", (name, value)) is HandshakeError.UNAUTHORIZED


def test_an_authorization_of_another_kind_is_no_token() -> None:
    assert admitted(f"/ws?token={token()}", ("Authorization", "Basic YTpi")).claims.sub == "alice"
    assert admitted("/ws", ("Authorization", "Basic x"), ("Authorization", f"Bearer {token()}"))


@pytest.mark.parametrize(
    "path",
    [
        "/ws",
        "/ws?",
        "/ws?token",
        "/ws?token=",
        f"/ws?token={BAD}",
        "/ws?token=%FF%00",
        f"/ws?TOKEN={token()}",
        f"/ws?token={token(exp=NOW)}",
        f"/ws?token={token(nbf=NOW + 61)}",
        f"/ws?token={token('')}",
    ],
)
def test_without_a_token_that_is_good_now_no_client_is_let_in(path: str) -> None:
    assert verdict(path) is HandshakeError.UNAUTHORIZED


def told(path: str, *headers: tuple[str, str], tokens: Tokens = TOKENS) -> tuple[Verdict, str]:
    """Judge where no token may be in the query; returns also what the log is told."""
    found, said = noted(path, *headers, tokens=tokens)
    return found, " ".join(why for why, _ in said)


def noted(path: str, *headers: tuple[str, str], tokens: Tokens) -> tuple[Verdict, list[tuple[str, str]]]:
    """The same, and for which user."""
    said: list[tuple[str, str]] = []
    request, response = asked(path, *headers)

    def note(why: str, user: str) -> None:
        said.append((why, user))

    found = judge(request, response, tokens, Origins(), NOW, takes_query=False, note=note)
    return found, said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (token(exp=NOW), ("expired", "alice")),
        (BAD, ("malformed", "")),
    ],
)
def test_the_log_is_told_whose_a_refused_token_is(text: str, expected: tuple[str, str]) -> None:
    _, said = noted("/ws", ("Authorization", f"Bearer {text}"), tokens=TOKENS)
    assert said == [expected]


def test_a_token_in_the_query_may_be_refused_whatever_it_is() -> None:
    for text in (token(), BAD, ""):
        found, why = told(f"/ws?token={text}")
        assert found is HandshakeError.TOKEN_IN_QUERY
        assert why.startswith("in the query")
    assert told("/ws") == (HandshakeError.UNAUTHORIZED, "none given")


def test_a_token_elsewhere_counts_though_the_query_has_one_too() -> None:
    for header in (("Authorization", f"Bearer {token()}"), ("Sec-WebSocket-Protocol", f"bearer.{token()}")):
        found, why = told("/ws?token=x&acks=1&resume=secret", header)
        assert isinstance(found, Admitted)
        assert (found.acks, found.resume, why) == (True, "secret", "")


@pytest.mark.parametrize(
    ("claims", "error", "why"),
    [
        ({"aud": "mail"}, HandshakeError.TOKEN_NOT_FOR_HERE, "made for another audience (aud)"),
        ({"exp": NOW * 1000}, HandshakeError.TOKEN_LIVES_TOO_LONG, "exp is ten years ahead"),
        ({"exp": NOW + 7200}, HandshakeError.TOKEN_LIVES_TOO_LONG, "it lives for longer than 3600 s"),
        ({"exp": NOW - 1}, HandshakeError.UNAUTHORIZED, "expired"),
        ({"nbf": NOW + 600}, HandshakeError.UNAUTHORIZED, "not valid yet"),
        ({"sub": ""}, HandshakeError.UNAUTHORIZED, "unusable sub"),
        ({"rooms": ["a\n"]}, HandshakeError.UNAUTHORIZED, "unusable room"),
        ({"rooms": [str(room) for room in range(300)]}, HandshakeError.TOO_MANY_ROOMS, "it names 300 rooms"),
    ],
    ids=str,
)
def test_the_log_is_told_which_check_a_token_failed(
    claims: dict[str, object], error: HandshakeError, why: str
) -> None:
    tokens = Tokens(SECRET, demands=Demands(frozenset(("calls",)), max_life_s=3600))
    text = jwt.encode({"sub": "alice", "exp": NOW + 60, "aud": "calls"} | claims, SECRET)
    found, said = told("/ws", ("Authorization", f"Bearer {text}"), tokens=tokens)
    assert found is error
    assert said.startswith(why)


def test_a_client_is_told_nothing_of_a_token_that_is_not_signed_by_us() -> None:
    tokens = Tokens(SECRET, demands=Demands(frozenset(("calls",))))
    for claims in ({"aud": "mail"}, {"exp": NOW * 1000}):
        forged = jwt.encode({"sub": "alice", "exp": NOW + 60} | claims, "another secret" * 8)
        found, said = told("/ws", ("Authorization", f"Bearer {forged}"), tokens=tokens)
        assert (found, said) == (HandshakeError.UNAUTHORIZED, "forged")


# What the connection asks for.


@pytest.mark.parametrize(
    ("query", "acks"),
    [("", False), ("&acks=1", True), ("&acks=0", False), ("&acks", False), ("&acks=true", False)],
)
def test_acks_are_sent_to_whoever_asks_for_them(query: str, acks: bool) -> None:
    assert admitted(f"/ws?token={token()}{query}").acks is acks


@pytest.mark.parametrize(("query", "calls"), [("", False), ("&calls=1", True), ("&calls=true", False)])
def test_calls_have_names_for_whoever_asks_for_them(query: str, calls: bool) -> None:
    assert admitted(f"/ws?token={token()}{query}").calls is calls


@pytest.mark.parametrize(
    ("query", "resume", "last"),
    [
        ("", None, ""),
        ("&last=r-1", None, "r-1"),
        ("&resume=", "", ""),
        ("&resume", "", ""),
        ("&resume=secret", "secret", ""),
        ("&resume=secret&last=r-1", "secret", "r-1"),
        ("&resume=%E7%94%A8&last=a%20b%26c%25+d", "用", "a b&c% d"),
    ],
)
def test_a_client_says_whether_it_can_resume_and_what(query: str, resume: str | None, last: str) -> None:
    found = admitted(f"/ws?token={token()}{query}")

    assert (found.resume, found.last) == (resume, last)


@pytest.mark.parametrize(
    ("query", "places", "last_place"),
    [
        ("", False, ""),
        ("&place=1", True, ""),
        ("&place=0&lastPlace=7", False, "7"),
        ("&lastPlace=", False, ""),
    ],
)
def test_a_client_asks_for_places_and_names_its_last(query: str, places: bool, last_place: str) -> None:
    found = admitted(f"/ws?token={token()}&resume={query}")

    assert (found.places, found.last_place) == (places, last_place)


# What is no upgrade.


@pytest.mark.parametrize("path", ["/", "/ws/", "/WS", "/wss", "/ws;x", "/%77s", "/x?/ws", "//ws", "*"])
def test_every_other_path_is_not_found(path: str) -> None:
    assert verdict(path, ("Authorization", f"Bearer {token()}")) is HandshakeError.NOT_FOUND


def test_a_path_that_is_none_is_malformed() -> None:
    assert verdict("//[") is HandshakeError.MALFORMED


@pytest.mark.parametrize("missing", ["Upgrade", "Connection"])
def test_a_request_that_asks_for_no_upgrade_is_told_to(missing: str) -> None:
    request, response = asked(f"/ws?token={token()}", without=missing)

    assert judge(request, response, TOKENS, Origins(), NOW) is HandshakeError.UPGRADE_REQUIRED


@pytest.mark.parametrize("missing", ["Sec-WebSocket-Version", "Sec-WebSocket-Key"])
def test_an_upgrade_that_lacks_what_it_needs_is_malformed(missing: str) -> None:
    request, response = asked(f"/ws?token={token()}", without=missing)

    assert judge(request, response, TOKENS, Origins(), NOW) is HandshakeError.MALFORMED


def test_another_method_or_version_or_a_bad_header_is_malformed() -> None:
    for request, response in (
        asked(f"/ws?token={token()}", method="PUT"),
        asked(f"/ws?token={token()}", version="HTTP/1.0"),
        asked(f"/ws?token={token()}", ("Sec-WebSocket-Version", "12"), without="Sec-WebSocket-Version"),
        asked(f"/ws?token={token()}", ("Sec-WebSocket-Protocol", "a/b")),
    ):
        assert judge(request, response, TOKENS, Origins(), NOW) is HandshakeError.MALFORMED


def test_path_is_judged_before_upgrade_and_that_before_token() -> None:
    assert judge(*asked("/", without="Upgrade"), TOKENS, Origins(), NOW) is HandshakeError.NOT_FOUND
    assert judge(*asked("/ws", without="Upgrade"), TOKENS, Origins(), NOW) is HandshakeError.UPGRADE_REQUIRED
    assert (
        judge(*asked("/ws", without="Sec-WebSocket-Key"), TOKENS, Origins(), NOW) is HandshakeError.MALFORMED
    )


def test_a_client_with_other_subprotocols_only_is_let_in_without_one() -> None:
    request, response = asked(f"/ws?token={token()}", ("Sec-WebSocket-Protocol", "chat"))

    assert isinstance(judge(request, response, TOKENS, Origins(), NOW), Admitted)
    assert "Sec-WebSocket-Protocol" not in response.headers


# How a refusal reads.


@pytest.mark.parametrize("denial", HandshakeError)
def test_a_refusal_is_a_small_json_document_that_nobody_keeps(denial: HandshakeError) -> None:
    response = denied(denial)

    assert response.status_code == denial.status
    assert json.loads(response.body) == {"code": denial.status, "msg": denial.msg, "reason": denial.reason}
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Content-Length"] == str(len(response.body))
    assert response.headers["Connection"] == "close"
    assert response.headers["Cache-Control"] == "no-store"


def test_what_may_pass_says_when_to_come_back_and_nothing_else_does() -> None:
    for denial in HandshakeError:
        assert ("Retry-After" in denied(denial).headers) == (denial.status in {429, 503})


def test_a_refusal_may_say_another_time_to_come_back() -> None:
    assert denied(HandshakeError.FULL, 7).headers["Retry-After"] == "7"
    assert denied(HandshakeError.RATE_LIMITED, 7).headers["Retry-After"] == "7"


def test_a_refusal_says_in_its_headers_what_was_missing() -> None:
    assert denied(HandshakeError.UNAUTHORIZED).headers["WWW-Authenticate"] == "Bearer"
    assert denied(HandshakeError.UPGRADE_REQUIRED).headers["Upgrade"] == "websocket"
    for denial in HandshakeError:
        assert ("Sec-WebSocket-Version" in denied(denial).headers) == (denial.status in {400, 426})


def test_a_request_has_exactly_one_host() -> None:
    path = f"/ws?token={token()}"
    assert judge(*asked(path, without="Host"), TOKENS, Origins(), NOW) is HandshakeError.MALFORMED
    for host in ("gateway.example", "elsewhere.example"):
        assert verdict(path, ("Host", host)) is HandshakeError.MALFORMED


# Foreign pages, and too many bad tokens.


@pytest.mark.parametrize("path", ["/ws", f"/ws?token={token()}"])
def test_a_page_from_elsewhere_is_refused_whatever_its_token(path: str) -> None:
    assert verdict(path, ("Origin", "https://evil.example")) is HandshakeError.FOREIGN_ORIGIN


def test_the_log_is_told_the_origin_that_was_refused() -> None:
    _, said = noted("/ws", ("Origin", "https://evil.example"), tokens=TOKENS)
    assert said == [("https://evil.example", "")]
    _, said = noted("/ws", ("Origin", f"https://{'x' * 5_000}.example"), tokens=TOKENS)
    assert len(said[0][0]) == LONGEST_NAMED


def test_pages_of_the_gateway_s_own_and_listed_ones_are_let_in() -> None:
    path = f"/ws?token={token()}"
    assert isinstance(verdict(path, ("Origin", "https://gateway.example")), Admitted)
    request, response = asked(path, ("Origin", "https://app.example"))
    assert isinstance(judge(request, response, TOKENS, Origins(["https://app.example"]), NOW), Admitted)


def test_other_requests_are_refused_for_what_they_are_before_that() -> None:
    assert verdict("/nowhere", ("Origin", "https://evil.example")) is HandshakeError.NOT_FOUND


def admission(proxies: str = "") -> Admission:
    return Admission(TOKENS, Origins(), read_networks("X", proxies))


def tries(desk: Admission, count: int, path: str, peer: str, *headers: tuple[str, str]) -> list[Verdict]:
    request, response = asked(path, *headers)
    return [desk.judge(request, response, peer, Now(NOW, 1000)) for _ in range(count)]


def test_more_than_thirty_bad_tokens_of_one_address_are_too_many() -> None:
    desk = admission()
    bad, none = f"/ws?token={BAD}", "/ws"
    assert set(tries(desk, 20, bad, "1.1.1.1")) == {HandshakeError.UNAUTHORIZED}
    assert set(tries(desk, 10, none, "1.1.1.1")) == {HandshakeError.UNAUTHORIZED}
    assert set(tries(desk, 5, bad, "1.1.1.1")) == {HandshakeError.TOO_MANY_BAD_TOKENS}
    assert tries(desk, 1, bad, "2.2.2.2") == [HandshakeError.UNAUTHORIZED]
    assert tries(desk, 1, "/nowhere", "1.1.1.1") == [HandshakeError.NOT_FOUND]


def test_tokens_for_others_and_eternal_ones_count_as_bad() -> None:
    tokens = Tokens(SECRET, demands=Demands(frozenset(("calls",))))
    desk = Admission(tokens, Origins())
    for claims, error in (
        ({"aud": "mail"}, HandshakeError.TOKEN_NOT_FOR_HERE),
        ({"aud": "calls", "exp": NOW * 1000}, HandshakeError.TOKEN_LIVES_TOO_LONG),
    ):
        peer = str(claims["aud"])
        assert tries(desk, 31, f"/ws?token={token(**claims)}", peer) == [
            *([error] * 30),
            HandshakeError.TOO_MANY_BAD_TOKENS,
        ]


def test_an_admission_may_take_no_token_of_the_query() -> None:
    desk = Admission(TOKENS, Origins(), takes_query=False)
    assert tries(desk, 1, f"/ws?token={token()}", "1.1.1.1") == [HandshakeError.TOKEN_IN_QUERY]


def test_a_good_token_is_let_in_all_the_same_and_does_not_count() -> None:
    desk = admission()
    good = f"/ws?token={token()}"
    assert all(isinstance(found, Admitted) for found in tries(desk, 50, good, "1.1.1.1"))
    tries(desk, 50, f"/ws?token={BAD}", "1.1.1.1")
    assert isinstance(tries(desk, 1, good, "1.1.1.1")[0], Admitted)


def test_behind_a_proxy_of_our_own_its_clients_are_told_apart() -> None:
    desk, bad = admission("10.0.0.0/8"), f"/ws?token={BAD}"
    tries(desk, 40, bad, "10.0.0.1", ("X-Forwarded-For", "1.1.1.1"))
    assert tries(desk, 1, bad, "10.0.0.2", ("X-Forwarded-For", "1.1.1.1")) == [
        HandshakeError.TOO_MANY_BAD_TOKENS
    ]
    assert tries(desk, 1, bad, "10.0.0.1", ("X-Forwarded-For", "2.2.2.2")) == [HandshakeError.UNAUTHORIZED]
    stranger = admission()
    tries(stranger, 40, bad, "10.0.0.1", ("X-Forwarded-For", "1.1.1.1"))
    assert tries(stranger, 1, bad, "10.0.0.1", ("X-Forwarded-For", "2.2.2.2")) == [
        HandshakeError.TOO_MANY_BAD_TOKENS
    ]


# Tokens of keys that are not known.


def ask_of(token_: str) -> tuple[Request, Response]:
    return asked("/ws", ("Authorization", f"Bearer {token_}"))


class Keys:
    """Tokens of fetched keys, which become known when they are fetched, if that works."""

    def __init__(self, is_reachable: bool) -> None:
        self.tokens = Tokens(fetches=True)
        self.fetches = 0
        self._is_reachable = is_reachable
        self.desk = Admission(self.tokens, Origins(), refresh_keys=self._refresh)

    async def _refresh(self) -> bool:
        self.fetches += 1
        if self._is_reachable:
            self.tokens.fetched = read_key_set(key_set(RSA.jwk()))
        return self._is_reachable

    async def settle(self, token_: str) -> Admitted | HandshakeError:
        request, response = ask_of(token_)
        assert self.desk.judge(request, response, "1.1.1.1", Now(NOW, 1000)) is Pending.KEYS
        return await self.desk.settle(request, response, "1.1.1.1", lambda: Now(NOW, 1000))


async def test_a_token_of_an_unknown_key_waits_for_fresh_keys() -> None:
    keys = Keys(is_reachable=True)
    assert isinstance(await keys.settle(RSA.token()), Admitted)
    assert isinstance(keys.desk.judge(*ask_of(RSA.token()), "1.1.1.1", Now(NOW, 1000)), Admitted)
    assert await keys.settle(EC.token()) is HandshakeError.UNAUTHORIZED
    assert keys.fetches == 2


async def test_when_no_keys_can_be_had_no_token_is_called_bad() -> None:
    keys = Keys(is_reachable=False)
    for _ in range(40):
        assert await keys.settle(RSA.token()) is HandshakeError.KEYS_UNAVAILABLE


async def test_tokens_of_unknown_keys_are_counted_as_bad_ones() -> None:
    keys = Keys(is_reachable=True)
    found = [await keys.settle(EC.token()) for _ in range(31)]
    assert found == [HandshakeError.UNAUTHORIZED] * 30 + [HandshakeError.TOO_MANY_BAD_TOKENS]


async def test_where_no_keys_are_fetched_they_are_always_fresh() -> None:
    assert await admission().refresh_keys() is True


def test_a_refusal_may_name_another_time_to_come_back() -> None:
    assert denied(HandshakeError.BUSY, 7).headers["Retry-After"] == "7"
