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
    asked: dict[str, bool] = {}
    for part in subjects.parts():
        asked |= {part.marks(): False, jetstream.direct_get(part.mailbox()): True}
    said = (pattern for pattern in gateway.say if pattern not in asked)
    return Passages((*said, f"{subjects.namespace}.presence.*.reply.*"), gateway.hear, asked)


def permissions(subjects: Subjects, former: int = 0) -> dict[str, Permissions]:
    """List what each service of one namespace may do, whose streams are in so many partitions.

    `observer` is for backends, audits and webhooks. `streams` is for an operator (`tieline streams`): to
    adapt a stream can empty it, so that no service may. On the way from another number of partitions,
    `former`, it may remove the streams of that, and presence may use both.
    """
    if former:
        return _on_the_way(Subjects(subjects.namespace, former), subjects)
    ns, parts = subjects.namespace, subjects.parts()
    questions = _once(subjects.which(), *(part.mailbox_question() for part in parts))
    return {
        "gateway": Permissions(
            say=(
                f"{ns}.signal.*",
                *_requests(subjects, GatewayRequest),
                *(pattern for part in parts for pattern in _mailbox_of_gateways(part)),
            ),
            hear=(
                f"{ns}.gateway.*.reply.*",
                f"{ns}.gateway.*.alive",
                f"{ns}.gateway.*.close",
                f"{ns}.gateway.*.join",
                *(pattern for part in parts for pattern in _pushed(part)),
            ),
            answer=True,
        ),
        "router": Permissions(
            say=(
                *_requests(subjects, RouterRequest),
                f"{ns}.presence.*.check",
                *(_users(part) for part in parts),
                *questions,
            ),
            hear=(f"{ns}.router.*.reply.*", f"{ns}.signal.* router", f"{ns}.changed.*"),
            answer=True,
        ),
        "presence": Permissions(
            say=(
                *(pattern for part in parts for pattern in (_users(part), _rooms(part))),
                f"{ns}.gateway.*.alive",
                f"{ns}.gateway.*.close",
                f"{ns}.gateway.*.join",
                f"{ns}.changed.*",
                f"{ns}.events.*",
                f"{ns}.cloudevents.*.*",
                *_stream(subjects.event_stream()),
                *_once(*(pattern for part in parts for pattern in _bucket(part))),
                *(pattern for part in parts for pattern in _stream(part.mailbox())),
                *questions,
                *(jetstream.delete_message(part.mailbox()) for part in parts),
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
                jetstream.stream_info(subjects.event_stream()),
                jetstream.direct_get(subjects.event_stream()),
            ),
            hear=(f"{ns}.api.*.reply.*", f"{ns}.live.cloudevents.*.*"),
            answer=False,
        ),
        "streams": Permissions(
            say=(
                jetstream.ACCOUNT_INFO,
                *(pattern for part in parts for pattern in _stream(jetstream.bucket_stream(part.bucket()))),
                *(pattern for part in parts for pattern in _stream(part.mailbox())),
                *_stream(subjects.event_stream()),
                *_adapting(subjects),
                subjects.which(),
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
    return {
        **users,
        "presence": presence._replace(say=(*presence.say, *map(jetstream.update_stream, _streams(subjects)))),
    }


def _adapting(subjects: Subjects) -> tuple[str, ...]:
    return (
        *map(jetstream.update_stream, _streams(subjects)),
        jetstream.update_stream(subjects.event_stream()),
    )


def _streams(subjects: Subjects) -> tuple[str, ...]:
    """Name the streams that there are in each partition."""
    return tuple(
        stream
        for part in subjects.parts()
        for stream in (jetstream.bucket_stream(part.bucket()), part.mailbox())
    )


def _on_the_way(former: Subjects, subjects: Subjects) -> dict[str, Permissions]:
    """Have presence end what is stored in one number of partitions, and the operator go on to another."""
    before, after = permissions(former), permissions(subjects)
    presence, streams = (
        after[user]._replace(say=_once(*before[user].say, *after[user].say))
        for user in ("presence", "streams")
    )
    removing = map(jetstream.delete_stream, _streams(former))
    return {**after, "presence": presence, "streams": streams._replace(say=(*streams.say, *removing))}


def _once(*patterns: str) -> tuple[str, ...]:
    """Each pattern once, in order."""
    return tuple(dict.fromkeys(patterns))


def _mailbox_of_gateways(part: Subjects) -> tuple[str, ...]:
    """What gateways do with one partition of the mailbox: markers, and reading it."""
    return part.marks(), jetstream.direct_get(part.mailbox())


def _pushed(part: Subjects) -> tuple[str, ...]:
    """What one partition of the mailbox pushes to gateways, and that another node does from now on."""
    _, pushed = part.pushed()
    live = pushed.removesuffix(">")
    return f"{live}user.*.*", f"{live}room.*.*", f"{live}mark.*", part.mailbox_elections()


def _users(part: Subjects) -> str:
    """Frames for users, in one partition of the mailbox."""
    return part.users().replace(">", "*.*")


def _rooms(part: Subjects) -> str:
    """Changes of rooms, in one partition of the mailbox."""
    return part.rooms().replace(">", "*.*")


def _requests(subjects: Subjects, union: object) -> tuple[str, ...]:
    """The subjects of the presence requests in a union, which may be a single class."""
    kinds = get_args(union) or (union,)
    return tuple(sorted(subjects.presence(OPERATIONS[kind]) for kind in kinds))


def _bucket(part: Subjects) -> tuple[str, ...]:
    """A bucket's keys, its stream, the consumer of its expired timers, and the watches of its users."""
    stream, prefix = jetstream.bucket_stream(part.bucket()), jetstream.bucket_prefix(part.bucket())
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
