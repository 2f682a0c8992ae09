"""What each service may say and hear on the broker: exactly what it needs, and nothing else.

The broker holds every process to it (`tieline permissions` writes it in the broker's words). A pattern
cannot say "its own": all gateways are one user, so any of them may ask for what another one is sent. Nobody
but presence can read or write the bucket, and nobody but routers and presence can write to users.
"""

from typing import Final, NamedTuple

from tieline.wire import jetstream
from tieline.wire.internal import OPERATIONS, Check
from tieline.wire.subjects import Keys, Subjects

TIMERS: Final = "timers"
"""The durable consumer that hands expired timers to presence processes."""


class Permissions(NamedTuple):
    """Patterns of subjects. One to hear may name the only queue group as whose member it may be heard."""

    say: tuple[str, ...]
    hear: tuple[str, ...]
    answer: bool
    """Whether it may answer whoever asks it something, where the question says, and nowhere else."""


def permissions(subjects: Subjects) -> dict[str, Permissions]:
    """List what each service of one namespace may do; `observer` is for backends, audits and webhooks."""
    ns = subjects.namespace
    asked_by_gateways = sorted(op for kind, op in OPERATIONS.items() if kind is not Check)
    return {
        "gateway": Permissions(
            say=(
                f"{ns}.signal.*",
                *(f"{ns}.presence.{op}" for op in asked_by_gateways),
                f"{ns}.mark.*",
                jetstream.direct_get(subjects.mailbox()),
            ),
            hear=(
                f"{ns}.gateway.*.reply.*",
                f"{ns}.gateway.*.alive",
                f"{ns}.gateway.*.close",
                f"{ns}.live.user.*.*",
                f"{ns}.live.mark.*",
                subjects.mailbox_elections(),
            ),
            answer=True,
        ),
        "router": Permissions(
            say=(f"{ns}.presence.{OPERATIONS[Check]}", f"{ns}.user.*.*", subjects.mailbox_question()),
            hear=(f"{ns}.router.*.reply.*", f"{ns}.signal.* router", f"{ns}.changed.*"),
            answer=True,
        ),
        "presence": Permissions(
            say=(
                f"{ns}.user.*.*",
                f"{ns}.gateway.*.alive",
                f"{ns}.gateway.*.close",
                f"{ns}.changed.*",
                f"{ns}.events.*",
                *_bucket(jetstream.bucket_stream(ns), jetstream.bucket_prefix(ns)),
                *_stream(subjects.mailbox()),
            ),
            hear=(f"{ns}.presence.*.reply.*", f"{ns}.presence.*.inbox.>", f"{ns}.presence.* presence"),
            answer=True,
        ),
        "observer": Permissions(say=(), hear=(f"{ns}.events.*",), answer=False),
    }


def _bucket(stream: str, prefix: str) -> tuple[str, ...]:
    """The bucket's keys, its stream, and the consumer of its timers."""
    return (
        f"{prefix}>",
        jetstream.ACCOUNT_INFO,
        *_stream(stream),
        jetstream.get_from_leader(stream),
        jetstream.direct_get(stream),
        jetstream.create_consumer(stream, TIMERS, prefix + Keys.timers()),
        jetstream.consumer_info(stream, TIMERS),
        jetstream.next_message(stream, TIMERS),
        jetstream.consumer_acks(stream, TIMERS),
    )


def _stream(name: str) -> tuple[str, ...]:
    """Making a stream, and adapting it; not deleting or purging it, or anything of what it keeps."""
    return jetstream.create_stream(name), jetstream.stream_info(name), jetstream.update_stream(name)
