"""How a command reaches the broker, as a user with rights of its own, and what is said when it does not."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from tieline.runtime.broker import Broker, connect
from tieline.runtime.settings import ProcessSettings
from tieline.wire.subjects import Subjects

PATIENCE_S: Final = 15.0
"""For a broker to be reached, and to answer: an election takes a second or two."""

_ADVICE: Final = {
    "authorization violation": (
        "it knows no such user with this password (TIELINE_NATS_USER, TIELINE_NATS_PASSWORD), or not with"
        " this certificate (TIELINE_NATS_CERT)"
    ),
    "permissions violation": (
        "the user of TIELINE_NATS_USER may not do that: only `streams` may, with the accounts of"
        " `tieline permissions`"
    ),
    "name or service not known": "the host of TIELINE_NATS_URL is not resolved",
    "connect call failed": "nothing answers there (TIELINE_NATS_URL)",
}


async def let_in(
    settings: ProcessSettings,
    subjects: Subjects,
    service: str,
    instance: str,
    on_failure: Callable[[Exception], None],
) -> Broker:
    """Connect as one instance of a service; `on_failure` is told of each attempt that fails.

    Raises:
        TimeoutError: no broker has let us in within `PATIENCE_S`.
        SettingsError: the settings can never be connected with.
    """
    async with asyncio.timeout(PATIENCE_S):
        return await connect(
            settings.nats_url,
            f"tieline-{service}-{instance}",
            settings.nats_login,
            subjects.inbox(service, instance),
            on_failure,
        )


def not_let_in(failures: Sequence[Exception]) -> str:
    """Say that no broker has let us in, and why, after these failures."""
    return f"no broker has let us in within {PATIENCE_S:g} s{because(failures)}"


def because(failures: Sequence[Exception]) -> str:
    """Say what went wrong, and which settings have to do with it.

    The last failure of which that is known: a broker that hangs up on whom it does not know may do so before
    it is read why.
    """
    known = [failure for failure in failures if _advice(failure)]
    return f": {why_not((known or failures)[-1])}" if failures else ""


def why_not(failure: Exception) -> str:
    """Say why a broker does not do what it is asked for, and what it depends on."""
    return _advice(failure) or str(failure) or repr(failure)


def _advice(failure: Exception) -> str:
    """Say the same of a failure of which it is known, and nothing of another."""
    said = str(failure)
    match failure:
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not accepted ({failure.verify_message}): TIELINE_NATS_CA names the file"
                " of its authority, and TIELINE_NATS_URL must have a name that it is good for"
            )
        case ssl.SSLError():
            return (
                f"TLS came to nothing ({said}): a broker that demands certificates wants one of an authority"
                " that it knows (TIELINE_NATS_CERT, TIELINE_NATS_KEY)"
            )
    for word, advice in _ADVICE.items():
        if word in said.lower():
            return f"{said.removeprefix('nats: ')}: {advice}"
    return ""
