import pytest

from tieline.cli.call.advice import explained
from tieline.client import Denied, Unreachable


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Denied(401, "令牌无效", "UNAUTHORIZED", None),
            "connection refused: the token is not valid: 401 令牌无效 (UNAUTHORIZED);"
            " is it made with the TIELINE_JWT_SECRET that the gateway has, and has it not expired?",
        ),
        (
            Denied(401, "令牌不是为本服务签发的", "TOKEN_NOT_FOR_HERE", None),
            "connection refused: the token was issued for another service:"
            " 401 令牌不是为本服务签发的 (TOKEN_NOT_FOR_HERE);"
            " the gateway lets in tokens for other audiences (aud), issuers (iss) or types:"
            " has this command the same TIELINE_JWT_AUDIENCE,"
            " TIELINE_JWT_ISSUER and TIELINE_JWT_TYPE as the gateway?",
        ),
        (
            Denied(404, "路径不存在", "NOT_FOUND", None),
            "connection refused: there is nothing at this path: 404 路径不存在 (NOT_FOUND);"
            " the path of a gateway's URL is /ws",
        ),
        (
            Denied(503, "服务不可用", "DRAINING", 2.0),
            "connection refused: this gateway is about to stop: 503 服务不可用 (DRAINING)",
        ),
        (
            Denied(429, "请求过于频繁", "RATE_LIMITED", 33, "flooding"),
            "connection refused: too many connections were made in short time:"
            " 429 请求过于频繁 (RATE_LIMITED: flooding); this user was closed with 4503"
            " for how much it sent, and is kept out for a while; again in 33 s",
        ),
        (
            Denied(429, "请求过于频繁", "RATE_LIMITED", 3, "connects"),
            "connection refused: too many connections were made in short time:"
            " 429 请求过于频繁 (RATE_LIMITED: connects); again in 3 s",
        ),
        (Unreachable("no gateway at ws://a"), "no gateway at ws://a"),
    ],
)
def test_advice_follows_a_refusal_whose_usual_cause_is_known(problem: Exception, text: str) -> None:
    assert explained(problem) == text


def test_there_is_advice_on_a_certificate_that_is_not_trusted() -> None:
    why = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"
    problem = Unreachable(f"no gateway at wss://a/ws: {why}", "wss://a/ws", why)
    advice = "SSL_CERT_FILE names a file with the certificates to trust, as PEM"
    assert explained(problem) == f"no gateway at wss://a/ws: {why}; {advice}"
    assert explained(problem, "connect to wss://a/ws") == f"no gateway there: {why}; {advice}"


def test_there_is_advice_on_a_gateway_without_tls() -> None:
    why = "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:992)"
    problem = Unreachable(f"no gateway at wss://a/ws: {why}", "wss://a/ws", why)
    assert explained(problem) == (
        f"no gateway at wss://a/ws: {why}; without TLS a gateway's URL is ws://HOST:PORT/ws"
    )


def test_an_address_that_was_said_is_not_said_again() -> None:
    problem = Unreachable("no gateway at ws://a/ws: Connection refused", "ws://a/ws", "Connection refused")
    assert explained(problem, "connect to ws://a/ws") == "no gateway there: Connection refused"
    assert explained(problem, "connect to ws://b/ws") == "no gateway at ws://a/ws: Connection refused"
