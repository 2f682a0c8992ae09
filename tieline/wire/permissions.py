"""What each service may publish and subscribe to on the broker: exactly what it needs, and nothing else.

The broker enforces it (`tieline permissions` writes it as the broker's configuration). A pattern cannot say
"its own": all gateways are one user of the broker, so each may subscribe to what another one is sent. Only
presence can read or write the bucket, and only routers and presence can publish to users.

Presence may delete a message of the mailbox. That is no more than it can do anyway: of each session, and of
each user in a room, the stream keeps so many messages, and whoever may publish there displaces the others.

Nor does a pattern say where JetStream may answer: it answers on any subject that it is told, with the
server's own rights. So gateways have an account of their own, and `passages` lists what passes between the
two.

What may be asked of presence is listed by inclusion, in three unions of `internal.directions`: a new
operation is permitted to no service until it is in one of them. So are the kinds of keys in the bucket.
"""

from typing import Final, NamedTuple, get_args

from tieline.wire import jetstream
from tieline.wire.internal.directions import OPERATIONS, BackendRequest, GatewayRequest, RouterRequest
from tieline.wire.subjects import Keys, Subjects
from tieline.wire.webhooks import Keys as WebhookKeys

TIMERS: Final = "timers"
"""The durable consumer that gives expired timers to presence processes."""


FACTS: Final = "facts"
"""The durable consumer that gives records with something to tell to presence processes."""


class Permissions(NamedTuple):
    """Patterns of subjects. One in `hear` may be followed by the queue group it may be heard in."""

    say: tuple[str, ...]
    hear: tuple[str, ...]
    answer: bool
    """Whether it may answer a question, on the reply subject that the question names."""


class Passages(NamedTuple):
    """What passes between the gateways' account and that of all others; nothing else does."""

    from_gateways: tuple[str, ...]
    to_gateways: tuple[str, ...]
    asked_by_gateways: dict[str, bool]
    """What JetStream answers in the gateways' account, where nothing is stored, wherever it is told to; and
    whether there are several answers."""


def passages(subjects: Subjects) -> Passages:
    """List what passes between the accounts of one namespace."""
    gateway = permissions(subjects)["gateway"]
    asked = {f"{subjects.namespace}.mark.*": False, jetstream.direct_get(subjects.mailbox()): True}
    said = (pattern for pattern in gateway.say if pattern not in asked)
    return Passages((*said, f"{subjects.namespace}.presence.*.reply.*"), gateway.hear, asked)


def permissions(subjects: Subjects) -> dict[str, Permissions]:
    """List what each service of one namespace may do.

    `observer` is for backends, audits and webhooks. `streams` is for an operator (`tieline streams`): to
    adapt a stream can empty it, so that no service may.
    """
    ns = subjects.namespace
    return {
        "gateway": Permissions(
            say=(
                f"{ns}.signal.*",
                *_requests(subjects, GatewayRequest),
                f"{ns}.mark.*",
                jetstream.direct_get(subjects.mailbox()),
            ),
            hear=(
                f"{ns}.gateway.*.reply.*",
                f"{ns}.gateway.*.alive",
                f"{ns}.gateway.*.close",
                f"{ns}.gateway.*.join",
                f"{ns}.live.user.*.*",
                f"{ns}.live.room.*.*",
                f"{ns}.live.mark.*",
                subjects.mailbox_elections(),
            ),
            answer=True,
        ),
        "router": Permissions(
            say=(
                *_requests(subjects, RouterRequest),
                f"{ns}.presence.*.check",
                f"{ns}.user.*.*",
                subjects.mailbox_question(),
            ),
            hear=(f"{ns}.router.*.reply.*", f"{ns}.signal.* router", f"{ns}.changed.*"),
            answer=True,
        ),
        "presence": Permissions(
            say=(
                f"{ns}.user.*.*",
                f"{ns}.room.*.*",
                f"{ns}.gateway.*.alive",
                f"{ns}.gateway.*.close",
                f"{ns}.gateway.*.join",
                f"{ns}.changed.*",
                f"{ns}.events.*",
                f"{ns}.cloudevents.*.*",
                *_stream(subjects.event_stream()),
                *_bucket(jetstream.bucket_stream(ns), jetstream.bucket_prefix(ns)),
                *_stream(subjects.mailbox()),
                subjects.mailbox_question(),
                jetstream.delete_message(subjects.mailbox()),
            ),
            hear=(
                f"{ns}.presence.*.reply.*",
                f"{ns}.presence.*.inbox.*",
                f"{ns}.presence.*.inbox.*.*",
                f"{ns}.presence.* presence",
                f"{ns}.presence.*.check",
            ),
            answer=True,
        ),
        "api": Permissions(
            say=(
                *_requests(subjects, BackendRequest),
                jetstream.bucket_prefix(subjects.webhooks()) + WebhookKeys.endpoints(),
                jetstream.get_from_leader(jetstream.bucket_stream(subjects.webhooks())),
                jetstream.direct_get(jetstream.bucket_stream(subjects.webhooks())),
            ),
            hear=(f"{ns}.api.*.reply.*",),
            answer=False,
        ),
        "streams": Permissions(
            say=(
                jetstream.ACCOUNT_INFO,
                *_stream(jetstream.bucket_stream(ns)),
                *_stream(subjects.mailbox()),
                *_stream(subjects.event_stream()),
                *_adapting(subjects),
            ),
            hear=(f"{ns}.streams.*.inbox.*", f"{ns}.streams.*.inbox.*.*"),
            answer=False,
        ),
        "webhooks": Permissions(
            say=(
                *(jetstream.bucket_prefix(subjects.webhooks()) + key for key in WebhookKeys.patterns()),
                jetstream.ACCOUNT_INFO,
                *_stream(jetstream.bucket_stream(subjects.webhooks())),
                jetstream.get_from_leader(jetstream.bucket_stream(subjects.webhooks())),
                jetstream.direct_get(jetstream.bucket_stream(subjects.webhooks())),
                jetstream.stream_info(subjects.event_stream()),
                jetstream.direct_get(subjects.event_stream()),
                f"{ns}.cloudevents.again.*",
            ),
            hear=(
                f"{ns}.webhooks.*.reply.*",
                f"{ns}.webhooks.*.inbox.*",
                f"{ns}.webhooks.*.inbox.*.*",
                f"{ns}.live.cloudevents.*.*",
            ),
            answer=False,
        ),
        "observer": Permissions(say=(), hear=(f"{ns}.events.*",), answer=False),
    }


def permissions_in_transition(subjects: Subjects) -> dict[str, Permissions]:
    """List what each may do on the way from 0.1.0, whose presence adapts the streams when it starts."""
    users = permissions(subjects)
    presence = users["presence"]
    return {**users, "presence": presence._replace(say=(*presence.say, *_adapting(subjects)))}


def _adapting(subjects: Subjects) -> tuple[str, ...]:
    streams = jetstream.bucket_stream(subjects.namespace), subjects.mailbox(), subjects.event_stream()
    return tuple(map(jetstream.update_stream, streams))


def _requests(subjects: Subjects, union: object) -> tuple[str, ...]:
    """The subjects of the presence requests in a union, which may be a single class."""
    kinds = get_args(union) or (union,)
    return tuple(sorted(subjects.presence(OPERATIONS[kind]) for kind in kinds))


def _bucket(stream: str, prefix: str) -> tuple[str, ...]:
    """The bucket's keys, its stream, the consumer of its expired timers, and the watches of its users."""
    return (
        *(prefix + key for key in Keys.kinds()),
        jetstream.ACCOUNT_INFO,
        *_stream(stream),
        jetstream.get_from_leader(stream),
        jetstream.direct_get(stream),
        jetstream.create_consumer(stream, TIMERS, prefix + Keys.timers()),
        jetstream.create_consumer(stream, "*", prefix + Keys.users()),
        jetstream.create_named_consumer(stream, FACTS),
        *(
            subject(stream, consumer)
            for consumer in (TIMERS, FACTS)
            for subject in (jetstream.consumer_info, jetstream.next_message, jetstream.consumer_acks)
        ),
    )


def _stream(name: str) -> tuple[str, ...]:
    """Making a stream, which changes none that is there, and looking at it."""
    return jetstream.create_stream(name), jetstream.stream_info(name)
