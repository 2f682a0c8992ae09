"""The metrics of gateways, routers and presence, with a sentence each.

Labels are outcomes and kinds: never users, rooms or ids. All names begin with `tieline_`; durations are
seconds, sizes bytes. The registry, and the metrics that every process has, are in `tieline.runtime.metrics`.
"""

import itertools
from collections.abc import Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from tieline.runtime.fast_metrics import FastCounter, FastHistogram
from tieline.runtime.metrics import REGISTRY as REGISTRY
from tieline.runtime.metrics import UNREADABLE_MESSAGES as UNREADABLE_MESSAGES
from tieline.wire.codes import CloseCode, HandshakeError
from tieline.wire.envelope import COMMANDS, SIGNAL_COMMANDS
from tieline.wire.internal.directions import OPERATIONS

_RELAY_BUCKETS: Final = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip

_ANSWER_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
_WEBHOOK_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""People answer in seconds, machines in less; an offer waits a minute unless an operator says otherwise."""

_CODES: Final = frozenset({*map(int, CloseCode), 1005, 1006})
"""The codes that a gateway closes with, and those for no code (1005) and no close at all (1006)."""

OTHER_CODE: Final = "other"

LIMITS: Final = (
    "rate",
    "bytes",
    "pair",
    "pair_bytes",
    "offers",
    "pair_offers",
    "refreshes",
    "rooms",
    "connects",
    "resumes",
    "flooding",
)
"""What a gateway limits (`gateway/limits/limit.py`)."""


def _counter(name: str, sentence: str, **labels: Sequence[str]) -> Counter:
    """Make a counter, which stands at 0 from now on for these values of its labels.

    A rate needs a first sample: what an alert watches is there before it happens for the first time. Other
    values may follow.
    """
    counter = Counter(name, sentence, list(labels), registry=REGISTRY)
    for values in itertools.product(*labels.values()) if labels else ():
        counter.labels(*values)
    return counter


CONNECTIONS = Gauge(
    "tieline_connections", "WebSocket connections with a live session on this gateway.", registry=REGISTRY
)
WAITING_BYTES = Gauge(
    "tieline_waiting_bytes",
    "Bytes that wait on this gateway's connections, by direction (in: received, and not acted on yet; "
    "out: not read by the client yet, of those whose sockets are full).",
    ["direction"],
    registry=REGISTRY,
)
SESSIONS_OPENED = _counter(
    "tieline_sessions_opened_total",
    "Connections with a session that began on this gateway, by how (new, resumed, not_resumed: a resume "
    "that was asked for and could not be).",
    how=("new", "resumed", "not_resumed"),
)
SESSIONS_CLOSED = _counter(
    "tieline_sessions_closed_total",
    "Connections with a session that ended, by the WebSocket close code (other: one that only clients use).",
    code=(*map(str, _CODES), OTHER_CODE),
)
SESSIONS_REGISTERED_AGAIN = _counter(
    "tieline_sessions_registered_again_total",
    "Sessions that this gateway registered again with a presence that had lost them.",
)
SESSIONS_ORPHANED = _counter(
    "tieline_sessions_orphaned_total",
    "Sessions of gateways that died, which presence keeps to be resumed, or has ended.",
)
DRAINING = Gauge(
    "tieline_draining",
    "1 while this gateway asks its clients to reconnect elsewhere before it stops, else 0.",
    registry=REGISTRY,
)
DRAINED = _counter(
    "tieline_drained_connections_total",
    "Connections that ended while a gateway drained, by how (left: the client closed when told to; "
    "closed: with 1012).",
    how=("left", "closed"),
)
REPLAYED = _counter(
    "tieline_replayed_frames_total",
    "Frames sent to clients from the mailbox because their live delivery was missed.",
)
LEFT_OUT = _counter(
    "tieline_left_out_frames_total",
    "Frames left out of what clients were sent from the mailbox, because somebody had sent too much.",
)
ROOMS = Gauge(
    "tieline_rooms",
    "Rooms whose changes this gateway hears, because it has members of them.",
    registry=REGISTRY,
)
ROOM_CHANGES = _counter(
    "tieline_room_changes_total",
    "Changes of rooms that reached this gateway: one for each, however many members it has of the room.",
)
ROOM_MEMBERS_TOLD = _counter(
    "tieline_room_members_told_total",
    "Times that this gateway told a client what has changed in its rooms, several changes together.",
)
HANDSHAKES_REFUSED = _counter(
    "tieline_handshakes_refused_total",
    "Connections refused before the upgrade, by reason.",
    reason=[refusal.reason for refusal in HandshakeError],
)
LIMITED = _counter(
    "tieline_limited_total",
    "Times that a user began to be held back by a limit of this gateway, or was refused something for "
    "it, by limit.",
    limit=LIMITS,
)
HEAVIEST_USER_SHARE = Gauge(
    "tieline_heaviest_user_share",
    "Part of what this gateway did in the last minute, by its price, that was done for one user: the one "
    "with the most.",
    registry=REGISTRY,
)
HALF_OPEN_CUT = _counter(
    "tieline_half_open_cut_total",
    "Connections cut before their request was read, by why (half_open: too many had not asked yet; "
    "descriptors: too many were open; proxy_header: a proxy did not say for whom).",
    why=("half_open", "descriptors", "proxy_header"),
)
KEY_FETCHES = _counter(
    "tieline_key_fetches_total",
    "Fetches of the key set that verifies tokens, by outcome (ok, failed: the older keys stay in use).",
    outcome=("ok", "failed"),
)
TLS_HANDSHAKES = _counter(
    "tieline_tls_handshakes_total",
    "TLS handshakes that clients began with this gateway and did not leave, by outcome (ok, failed).",
    outcome=("ok", "failed"),
)
TLS_RELOADS = _counter(
    "tieline_tls_reloads_total",
    "Readings of this gateway's certificate after its start, by outcome (ok, failed: the older one stays).",
    outcome=("ok", "failed"),
)
TLS_CERTIFICATE_EXPIRES = Gauge(
    "tieline_tls_certificate_expires_timestamp_seconds",
    "When the certificate that this gateway shows expires, in Unix seconds; 0: clients speak no TLS to it.",
    registry=REGISTRY,
)
SIGNALS = FastCounter(
    "tieline_signals_total",
    "Client messages answered by this gateway, by command and outcome (relayed, held, ok, or the reason "
    "of the refusal).",
    ["cmd", "outcome"],
    registry=REGISTRY,
)
RELAY_SECONDS = FastHistogram(
    "tieline_relay_seconds",
    "Seconds from a client's WEBRTC frame read by the gateway to the router's answer.",
    _RELAY_BUCKETS,
    registry=REGISTRY,
)
DELIVERIES = FastCounter(
    "tieline_deliveries_total",
    "Frames for users that reached this gateway, by outcome (sent, duplicate, dropped; late: what would "
    "begin, or end once more, a call that is over).",
    ["outcome"],
    registry=REGISTRY,
)
CHECK_SECONDS = Histogram(
    "tieline_presence_check_seconds",
    "Seconds a router waited for the verdict of presence on one signal.",
    registry=REGISTRY,
    buckets=_RELAY_BUCKETS,
)
LEASED_SIGNALS = FastCounter(
    "tieline_leased_signals_total",
    "Candidates a router relayed on a cached permission, without asking presence.",
    registry=REGISTRY,
).labels()
JUDGES_LEFT = _counter(
    "tieline_judges_left_total",
    "Times that this router asked any presence process, because the one that it preferred did not answer.",
)
PRESENCE_REQUESTS = _counter(
    "tieline_presence_requests_total",
    "Requests a presence process answered, by operation and outcome (ok, refused, gone, outdated, failed).",
    op=list(OPERATIONS.values()),
    outcome=("ok", "failed"),
)
TOKENS_REFUSED = _counter(
    "tieline_presence_tokens_refused_total",
    "Requests of gateways that no token entitled to, where presence looks, by why (missing: none was given, "
    "also where that is let pass; bad: not good here; user, voice, rooms: more was asked for than it says; "
    "room: to join one that it does not grant).",
    reason=("missing", "bad", "user", "voice", "rooms", "room"),
)
NEGOTIATIONS = _counter(
    "tieline_negotiations_total",
    "Steps of calls, by step (begun: a first offer; then established, unanswered or abandoned; "
    "established ones end as ended).",
    step=("begun", "established", "unanswered", "abandoned", "ended"),
)
ANSWER_SECONDS = Histogram(
    "tieline_answer_seconds",
    "Seconds from an offer to the answer that established the call.",
    registry=REGISTRY,
    buckets=_ANSWER_BUCKETS,
)
HELD_CANDIDATES = _counter(
    "tieline_held_candidates_total",
    "Candidates that came before the answer, by outcome (held; then released by it, or discarded with "
    "the call).",
    outcome=("held", "released", "discarded"),
)
KEPT_OFFERS = _counter(
    "tieline_kept_offers_total",
    "Offers to users who were not connected, by outcome (kept; then delivered, or ended before; too_many: "
    "refused, for so many wait already).",
    outcome=("kept", "delivered", "ended", "too_many"),
)
CAS_CONFLICTS = _counter(
    "tieline_cas_conflicts_total",
    "Compare-and-set writes that found the record changed, and were decided again.",
)
STREAM_BYTES = Gauge(
    "tieline_stream_bytes",
    "Bytes that the broker keeps, by stream (bucket, mailbox; parts of them: bucket-0...), as presence sees.",
    ["stream"],
    registry=REGISTRY,
)
STREAM_MAX_BYTES = Gauge(
    "tieline_stream_max_bytes",
    "Bytes that the broker may keep, by stream (bucket, mailbox); 0: as many as it has room for.",
    ["stream"],
    registry=REGISTRY,
)
MAIL_KEPT_TOO_SHORT = Gauge(
    "tieline_mail_kept_too_short_seconds",
    "By how many seconds the oldest message of a full mailbox is younger than the longest absence; else 0.",
    registry=REGISTRY,
)
TIMERS_FIRED = _counter(
    "tieline_timers_fired_total",
    "Expired timers that this presence process handled, by kind.",
    kind=("offer", "away", "lease", "close"),
)
EVENTS_TOLD = _counter(
    "tieline_events_told_total",
    "Events given to the stream of events, by outcome (told: it has them; failed: it did not take them, and "
    "is given them again; lost: too many waited for it).",
    outcome=("told", "failed", "lost"),
)
WEBHOOK_DELIVERIES = _counter(
    "tieline_webhook_deliveries_total",
    "Deliveries to endpoints, by outcome (taken: answered with 2xx; refused: with another status; "
    "redirected: that is not followed; timeout; unreachable; forbidden: not an address of the internet; "
    "garbage: no HTTP).",
    outcome=("taken", "refused", "redirected", "timeout", "unreachable", "forbidden", "garbage"),
)
WEBHOOK_EVENTS = _counter(
    "tieline_webhook_events_total",
    "Events that endpoints are done with, by outcome (taken; dead: not taken in all their time; lost: gone "
    "from the stream before they were told, or not taken and without room for a dead letter).",
    outcome=("taken", "dead", "lost"),
)
WEBHOOK_SECONDS = Histogram(
    "tieline_webhook_seconds",
    "Seconds that one delivery to an endpoint took.",
    registry=REGISTRY,
    buckets=_WEBHOOK_BUCKETS,
)
WEBHOOK_ENDPOINTS = Gauge(
    "tieline_webhook_endpoints", "Endpoints that this worker serves.", registry=REGISTRY
)
WEBHOOK_WAITING = Gauge(
    "tieline_webhook_waiting",
    "Events that wait in this worker for its endpoints; more may wait in the stream.",
    registry=REGISTRY,
)
WEBHOOK_OLDEST_SECONDS = Gauge(
    "tieline_webhook_oldest_seconds",
    "For how long the oldest of those has waited, in seconds.",
    registry=REGISTRY,
)

API_REQUESTS = _counter(
    "tieline_api_requests_total",
    "Requests that an API process has answered, by operation of its document (none: there is no such) and "
    "status.",
    op=("none",),
    status=("404",),
)
API_REFUSED = _counter(
    "tieline_api_refused_total",
    "Requests that an API process has refused, by the reason that its problem document names.",
    reason=("BAD_REQUEST", "UNAUTHORIZED", "SCOPE_MISSING", "UNAVAILABLE"),
)
API_SECONDS = Histogram(
    "tieline_api_seconds",
    "Seconds from a request to the beginning of its answer.",
    registry=REGISTRY,
    buckets=_WEBHOOK_BUCKETS,
)
API_IN_FLIGHT = Gauge(
    "tieline_api_in_flight", "Requests that wait for their answer in this API process.", registry=REGISTRY
)
API_EVENT_STREAMS = Gauge(
    "tieline_api_event_streams", "Callers who follow the events at this API process.", registry=REGISTRY
)
API_EVENT_STREAMS_ENDED = _counter(
    "tieline_api_event_streams_ended_total",
    "Callers who follow the events no more, by why (gone: by themselves; slow: they took nothing; stopping: "
    "the process ends; unavailable: the events could not be read; expired: their tokens ended).",
    why=("gone", "slow", "stopping", "unavailable", "expired"),
)

# Looking a series up costs more than counting: what every frame passes is looked up once.
DELIVERED = DELIVERIES.labels("sent")
DELIVERED_AGAIN = DELIVERIES.labels("duplicate")
DELIVERED_TO_NOBODY = DELIVERIES.labels("dropped")
DELIVERED_LATE = DELIVERIES.labels("late")

# What an alert watches, as in `_counter`; which acks there are depends on the command.
for _cmd in SIGNAL_COMMANDS:
    for _outcome in (*COMMANDS[_cmd].acks, "INTERNAL"):
        SIGNALS.labels(_cmd, _outcome)


def session_closed(code: int) -> None:
    """Count the end of a connection. Clients may close with any of 2,000 codes: theirs are all one."""
    SESSIONS_CLOSED.labels(str(code) if code in _CODES else OTHER_CODE).inc()


def signal_answered(cmd: str, outcome: str) -> None:
    """Count one client message. Both labels must come from fixed vocabularies."""
    SIGNALS.labels(cmd, outcome).inc()
