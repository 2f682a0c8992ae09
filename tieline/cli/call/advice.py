"""What a user can do about a gateway that refuses a connection, beside what the gateway says."""

from typing import Final

from tieline.client import Denied, Unreachable
from tieline.tokens import SECRET_VARIABLE
from tieline.wire.codes import HandshakeError

_ADVICE: Final = {
    HandshakeError.UNAUTHORIZED.reason: (
        f"is it made with the {SECRET_VARIABLE} that the gateway has, and has it not expired?"
    ),
    HandshakeError.TOKEN_NOT_FOR_HERE.reason: (
        "the gateway lets in tokens for other audiences (aud), issuers (iss) or types: has this command the"
        " same TIELINE_JWT_AUDIENCE, TIELINE_JWT_ISSUER and TIELINE_JWT_TYPE as the gateway?"
    ),
    HandshakeError.NOT_FOUND.reason: "the path of a gateway's URL is /ws",
}

_OF_LIMITS: Final = {
    "flooding": "this user was closed with 4503 for how much it sent, and is kept out for a while",
}

_OF_TLS: Final = {
    "CERTIFICATE_VERIFY_FAILED": "SSL_CERT_FILE names a file with the certificates to trust, as PEM",
    "WRONG_VERSION_NUMBER": "without TLS a gateway's URL is ws://HOST:PORT/ws",
}
"""By the word that OpenSSL has for it."""


def explained(problem: Exception, attempted: str = "") -> str:
    """Return the text of a problem, with advice where the usual cause is known.

    `attempted` is what the sentence has said before: an address that is in it is not repeated.
    """
    if isinstance(problem, Unreachable):
        is_said = problem.where and problem.where in attempted
        said = f"no gateway there: {problem.why}" if is_said else str(problem)
        on_tls = next((each for word, each in _OF_TLS.items() if word in problem.why), "")
        return f"{said}; {on_tls}" if on_tls else said
    if not isinstance(problem, Denied):
        return str(problem)
    advice = _OF_LIMITS.get(problem.limit) or _ADVICE.get(problem.reason)
    when = "" if problem.retry_after is None or not problem.limit else f"; again in {problem.retry_after:g} s"
    return f"{problem}; {advice}{when}" if advice else f"{problem}{when}"
