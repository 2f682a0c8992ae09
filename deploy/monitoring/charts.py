"""What the dashboard shows: rows of charts, each with a sentence and its queries. How: `dashboard`.

Every service has every metric, at 0 where it never counts; `_of` picks the processes of one.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

Unit = Literal["short", "ops", "opm", "s", "bytes", "percentunit"]
Shape = Literal["number", "lines", "stack"]

STEP: Final = "$__rate_interval"
"""Grafana puts an interval here that spans a few scrapes."""


class Query(NamedTuple):
    """One PromQL expression, and how its series are called."""

    expr: str
    legend: str = ""


class Chart(NamedTuple):
    """One panel."""

    title: str
    sentence: str
    unit: Unit
    queries: Sequence[Query]
    shape: Shape = "lines"


def _rate(metric: str, by: str = "", where: str = "") -> str:
    grouping = f" by ({by})" if by else ""
    selector = f"{metric}{{{where}}}" if where else metric
    return f"sum{grouping} (rate({selector}[{STEP}]))"


def _per_minute(metric: str, where: str) -> str:
    return f"60 * {_rate(metric, where=where)}"


def _ratio(part: str, whole: str) -> str:
    """A share that is 0 while nothing happens at all."""
    return f"({part}) / ({whole} > 0) or on () vector(0)"


def _quantile(share: float, histogram: str, by: str = "le") -> str:
    return f"histogram_quantile({share:g}, sum by ({by}) (rate({histogram}_bucket[{STEP}])))"


def _quantiles(histogram: str) -> list[Query]:
    return [Query(_quantile(share, histogram), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]


def _of(service: str, expr: str) -> str:
    return f'{expr} and on (job, instance) tieline_build_info{{service="{service}"}}'


def _with_service(metric: str) -> str:
    return f"{metric} * on (job, instance) group_left (service) tieline_build_info"


_SIGNALS: Final = "tieline_signals_total"
_OPENED: Final = "tieline_sessions_opened_total"
_STEPS: Final = "tieline_negotiations_total"
_REFUSED: Final = _rate(_SIGNALS, "outcome", 'outcome!~"relayed|held|ok"')
_SETTLED: Final = 'step=~"established|unanswered|abandoned"'
_RESUMES: Final = _rate(_OPENED, where='how=~"resumed|not_resumed"')
_LAG: Final = "tieline_event_loop_lag_seconds"

ROWS: Final[Mapping[str, Sequence[Chart]]] = {
    "At a glance": [
        Chart(
            "Connections",
            "Clients with a live session.",
            "short",
            [Query("sum(tieline_connections)")],
            "number",
        ),
        Chart("Signals", "Client messages answered a second.", "ops", [Query(_rate(_SIGNALS))], "number"),
        Chart(
            "Relay, p99",
            "From a frame read to the router's answer: what 99 of 100 messages stay under.",
            "s",
            [Query(_quantile(0.99, "tieline_relay_seconds"))],
            "number",
        ),
        Chart(
            "Internal errors",
            "Share of messages that were answered with 500: nobody could judge them in 5 s.",
            "percentunit",
            [Query(_ratio(_rate(_SIGNALS, where='outcome="INTERNAL"'), _rate(_SIGNALS)))],
            "number",
        ),
        Chart(
            "Ready",
            "Processes that take work, by service.",
            "short",
            [Query(f"sum by (service) ({_with_service('tieline_ready')})", "{{service}}")],
            "number",
        ),
        Chart(
            "Versions",
            "Processes by service and version: more than one version only while an upgrade is under way.",
            "short",
            [Query("count by (service, version) (tieline_build_info)", "{{service}} {{version}}")],
            "number",
        ),
    ],
    "Connections": [
        Chart(
            "Connections by gateway",
            "They spread by themselves only as clients reconnect: a new gateway starts empty.",
            "short",
            [Query(_of("gateway", "tieline_connections"), "{{instance}}")],
            "stack",
        ),
        Chart(
            "Sessions opened",
            "New ones, resumed ones, and those that should have been resumed and could not be.",
            "ops",
            [Query(_rate(_OPENED, "how"), "{{how}}")],
            "stack",
        ),
        Chart(
            "Closes by code",
            "1000 and 1001: the client went. 1006: it vanished. 1012: a drain. 4000 to 4499: we hung up, and "
            "it comes back. 4500 to 4999: it does not.",
            "ops",
            [Query(_rate("tieline_sessions_closed_total", "code"), "{{code}}")],
            "stack",
        ),
        Chart(
            "Refused before the upgrade",
            "By reason: UNAUTHORIZED is a client's token, FULL and BROKER_UNAVAILABLE are ours.",
            "ops",
            [Query(_rate("tieline_handshakes_refused_total", "reason"), "{{reason}}")],
            "stack",
        ),
        Chart(
            "Half-open connections cut",
            "Before they had asked: too many were, or no socket was free, or a proxy did not say for whom.",
            "ops",
            [Query(_rate("tieline_half_open_cut_total", "why"), "{{why}}")],
        ),
        Chart(
            "Limits met",
            "Times that users began to be held back, or were refused something, by limit.",
            "ops",
            [Query(_rate("tieline_limited_total", "limit"), "{{limit}}")],
            "stack",
        ),
        Chart(
            "Waiting on connections",
            "Where it is more than 16 KiB: received and not acted on (in), not read by the client (out).",
            "bytes",
            [Query("sum by (direction) (tieline_waiting_bytes)", "{{direction}}")],
        ),
        Chart(
            "Heaviest user",
            "Its share of what its gateway does. Who it is: `tieline top`, or /heaviest on the ops port.",
            "percentunit",
            [Query(_of("gateway", "tieline_heaviest_user_share"), "{{instance}}")],
        ),
        Chart(
            "Key fetches",
            "Of the key set that verifies tokens, if there is one. If they fail, the older keys stay good.",
            "ops",
            [Query(_rate("tieline_key_fetches_total", "outcome"), "{{outcome}}")],
        ),
        Chart(
            "TLS of gateways",
            "Handshakes, if clients speak TLS to gateways, and readings of a new certificate.",
            "ops",
            [
                Query(_rate("tieline_tls_handshakes_total", "outcome"), "handshakes {{outcome}}"),
                Query(_rate("tieline_tls_reloads_total", "outcome"), "certificates {{outcome}}"),
            ],
        ),
        Chart(
            "Certificate left",
            "Until the certificate expires that gateways show; 0 where they speak no TLS, or it has.",
            "s",
            [
                Query(
                    "clamp_min(min by (instance)"
                    " (tieline_tls_certificate_expires_timestamp_seconds) - time(), 0)",
                    "{{instance}}",
                )
            ],
        ),
        Chart(
            "Resumes that failed",
            "Share of the resumes asked for: too late, or of a session nobody knows.",
            "percentunit",
            [Query(_ratio(_rate(_OPENED, where='how="not_resumed"'), _RESUMES), "failed")],
        ),
        Chart(
            "Replayed and orphaned",
            "Frames sent again from the mailbox; sessions that a gateway left behind when it died; sessions "
            "told again to a presence that had forgotten them.",
            "ops",
            [
                Query(_rate("tieline_replayed_frames_total"), "frames replayed"),
                Query(_rate("tieline_left_out_frames_total"), "frames left out"),
                Query(_rate("tieline_sessions_orphaned_total"), "sessions orphaned"),
                Query(_rate("tieline_sessions_registered_again_total"), "sessions registered again"),
            ],
        ),
        Chart(
            "Rooms",
            "Rooms of which gateways have members, what changes in them, and how often members are told.",
            "short",
            [
                Query("sum(tieline_rooms)", "rooms, once for each gateway"),
                Query(_rate("tieline_room_changes_total"), "changes a second"),
                Query(_rate("tieline_room_members_told_total"), "members told a second"),
            ],
        ),
        Chart(
            "Drains",
            "Gateways that are sending their clients away.",
            "short",
            [Query("sum(tieline_draining)", "draining gateways")],
        ),
        Chart(
            "Drained connections",
            "Clients of draining gateways: those that left when told to, and those that were closed.",
            "ops",
            [Query(_rate("tieline_drained_connections_total", "how"), "{{how}}")],
        ),
    ],
    "Signals": [
        Chart(
            "Signals by outcome",
            "relayed, held and ok are good; the rest are refusals by their reason.",
            "ops",
            [Query(_rate(_SIGNALS, "outcome"), "{{outcome}}")],
            "stack",
        ),
        Chart(
            "Signals by command",
            "Candidates are nine tenths of the traffic.",
            "ops",
            [Query(_rate(_SIGNALS, "cmd"), "{{cmd}}")],
            "stack",
        ),
        Chart(
            "Refused",
            "Share of all messages, by reason: what clients do wrong, and INTERNAL, which is ours.",
            "percentunit",
            [
                Query(
                    f"{_REFUSED} / on () group_left () ({_rate(_SIGNALS)} > 0) or on () vector(0)",
                    "{{outcome}}",
                )
            ],
        ),
        Chart(
            "Relay",
            "From a WEBRTC frame read by the gateway to the router's answer.",
            "s",
            _quantiles("tieline_relay_seconds"),
        ),
        Chart(
            "Check",
            "How long a router waited for presence to judge a signal.",
            "s",
            _quantiles("tieline_presence_check_seconds"),
        ),
        Chart(
            "Relayed on a lease",
            "Share of the signals that routers relayed without asking presence: most candidates should be.",
            "percentunit",
            [
                Query(
                    _ratio(
                        _rate("tieline_leased_signals_total"),
                        f"({_rate('tieline_leased_signals_total')} "
                        f"+ {_rate('tieline_presence_check_seconds_count')})",
                    ),
                    "leased",
                )
            ],
        ),
        Chart(
            "Deliveries",
            "Frames that reached the gateways: sent to clients, recognized as duplicates, or for nobody.",
            "ops",
            [Query(_rate("tieline_deliveries_total", "outcome"), "{{outcome}}")],
            "stack",
        ),
        Chart(
            "Clocks",
            "By how much the clocks of gateways and presence processes are ahead of the broker's.",
            "s",
            [Query("max by (job, instance) (tieline_clock_ahead_seconds)", "{{job}} {{instance}}")],
        ),
        Chart(
            "Requests sent again",
            "Because nobody had answered: a process died, or the broker was slow. Also those to any presence "
            "process, because the preferred one had not answered.",
            "ops",
            [
                Query(_rate("tieline_request_retries_total", "job"), "{{job}}"),
                Query(_rate("tieline_judges_left_total"), "to any presence process"),
            ],
        ),
    ],
    "Calls": [
        Chart(
            "Set-up, calls a minute",
            "A call begins with an offer, and is then established, unanswered or abandoned.",
            "opm",
            [
                Query(_per_minute(_SIGNALS, 'cmd="WEBRTC_OFFER",outcome="relayed"'), "offers relayed"),
                Query(_per_minute(_STEPS, 'step="begun"'), "begun"),
                Query(_per_minute(_SIGNALS, 'cmd="WEBRTC_ANSWER",outcome="relayed"'), "answers relayed"),
                Query(_per_minute(_STEPS, 'step="established"'), "established"),
                Query(_per_minute(_STEPS, 'step="unanswered"'), "unanswered"),
                Query(_per_minute(_STEPS, 'step="abandoned"'), "abandoned"),
            ],
        ),
        Chart(
            "How calls that began go on",
            "Shares of those whose fate is settled: established, unanswered (for 60 s), abandoned.",
            "percentunit",
            [
                Query(
                    f"{_rate(_STEPS, 'step', _SETTLED)}"
                    f" / on () group_left () ({_rate(_STEPS, where=_SETTLED)} > 0)",
                    "{{step}}",
                )
            ],
        ),
        Chart(
            "Time to the answer", "From the offer to the answer.", "s", _quantiles("tieline_answer_seconds")
        ),
        Chart(
            "Held candidates",
            "Came before the answer; released by it, or discarded with the call.",
            "ops",
            [Query(_rate("tieline_held_candidates_total", "outcome"), "{{outcome}}")],
        ),
        Chart(
            "Offers kept for users to be woken",
            "Kept; delivered when the user came, or ended before; refused, for so many waited already.",
            "ops",
            [Query(_rate("tieline_kept_offers_total", "outcome"), "{{outcome}}")],
        ),
    ],
    "Presence": [
        Chart(
            "Requests",
            "By operation.",
            "ops",
            [Query(_rate("tieline_presence_requests_total", "op"), "{{op}}")],
            "stack",
        ),
        Chart(
            "Requests by outcome",
            "failed: the bucket did not answer, and somebody asks again.",
            "ops",
            [Query(_rate("tieline_presence_requests_total", "outcome"), "{{outcome}}")],
        ),
        Chart(
            "Unentitled requests",
            "Of gateways, where presence looks at tokens. missing: of older ones, which give none.",
            "ops",
            [Query(_rate("tieline_presence_tokens_refused_total", "reason"), "{{reason}}")],
        ),
        Chart(
            "Conflicts a request",
            "Writes that found the record changed, and were decided again.",
            "short",
            [
                Query(
                    _ratio(_rate("tieline_cas_conflicts_total"), _rate("tieline_presence_requests_total")),
                    "conflicts",
                )
            ],
        ),
        Chart(
            "Timers",
            "Expiries consumed, by kind: of offers, answered or not; of absences; of gateways' leases.",
            "ops",
            [Query(_rate("tieline_timers_fired_total", "kind"), "{{kind}}")],
        ),
    ],
    "Events and webhooks": [
        Chart(
            "Told to the stream",
            "Events that presence gave to the stream of events, where that is on.",
            "ops",
            [Query(_rate("tieline_events_told_total", "outcome"), "{{outcome}}")],
        ),
        Chart(
            "Webhook deliveries",
            "To all endpoints, by what became of them; those that were not taken are tried again for hours.",
            "ops",
            [Query(_rate("tieline_webhook_deliveries_total", "outcome"), "{{outcome}}")],
            "stack",
        ),
        Chart(
            "Events done with",
            "dead: kept as dead letters. lost: gone from the stream before they were told.",
            "ops",
            [Query(_rate("tieline_webhook_events_total", "outcome"), "{{outcome}}")],
        ),
        Chart(
            "Endpoints and what waits",
            "All workers together.",
            "short",
            [
                Query("sum(tieline_webhook_endpoints)", "endpoints"),
                Query("sum(tieline_webhook_waiting)", "events that wait"),
            ],
        ),
        Chart(
            "Oldest event that waits",
            "Of the endpoint that is most behind.",
            "s",
            [Query("max(tieline_webhook_oldest_seconds)", "oldest")],
        ),
        Chart(
            "Time of a delivery",
            "From sending to the receiver's answer.",
            "s",
            _quantiles("tieline_webhook_seconds"),
        ),
    ],
    "The backend's API": [
        Chart(
            "Asked of the API",
            "By what is asked for.",
            "ops",
            [Query(_rate("tieline_api_requests_total", "op"), "{{op}}")],
            "stack",
        ),
        Chart(
            "Answers of the API",
            "503: presence, or the stream of events, did not answer in time. 499: nobody waited any more.",
            "ops",
            [Query(_rate("tieline_api_requests_total", "status"), "{{status}}")],
            "stack",
        ),
        Chart(
            "Refused by the API",
            "By the reason that the problem document names.",
            "ops",
            [Query(_rate("tieline_api_refused_total", "reason"), "{{reason}}")],
        ),
        Chart(
            "Time to the answer of the API",
            "From a request to the beginning of its answer.",
            "s",
            _quantiles("tieline_api_seconds"),
        ),
        Chart(
            "In flight, and following",
            "Requests that wait for an answer, and callers who follow the events.",
            "short",
            [
                Query("sum(tieline_api_in_flight)", "in flight"),
                Query("sum(tieline_api_event_streams)", "following"),
            ],
        ),
        Chart(
            "Streams of events that ended",
            "slow: the caller took nothing for 10 s. unavailable: the events could not be read.",
            "ops",
            [Query(_rate("tieline_api_event_streams_ended_total", "why"), "{{why}}")],
        ),
    ],
    "NATS": [
        Chart(
            "Connected",
            "Share of the processes of a service that are connected to NATS.",
            "percentunit",
            [Query(f"avg by (service) ({_with_service('tieline_nats_connected')})", "{{service}}")],
        ),
        Chart(
            "Stored",
            "What the streams keep: the mailbox in memory (files on a single node), the bucket in files.",
            "bytes",
            [
                Query("max by (stream) (tieline_stream_bytes)", "{{stream}}"),
                Query("max by (stream) (tieline_stream_max_bytes) > 0", "{{stream}}: at most"),
            ],
        ),
        Chart(
            "Mail kept too short",
            "By how much a full mailbox drops its oldest messages before the longest absence is over.",
            "s",
            [Query("max(tieline_mail_kept_too_short_seconds)", "too short")],
        ),
        Chart(
            "Jobs that wait",
            "Requests and signals that presence or a router has not begun, and those that it dropped.",
            "short",
            [
                Query("sum by (job) (tieline_jobs_waiting)", "{{job}}: waiting"),
                Query(_rate("tieline_jobs_dropped_total", "why"), "dropped a second: {{why}}"),
                Query(_rate("tieline_unreadable_messages_total", "kind"), "unreadable a second: {{kind}}"),
            ],
        ),
        Chart(
            "Reconnects",
            "Each is a broker node that went away, or a network that did.",
            "ops",
            [Query(_rate("tieline_nats_reconnects_total", "job"), "{{job}}")],
        ),
        Chart(
            "Errors",
            "slow_consumer: messages were dropped.",
            "ops",
            [Query(_rate("tieline_nats_errors_total", "kind"), "{{kind}}")],
        ),
    ],
    "Processes": [
        Chart(
            "Event loop lag, p99",
            "How late timers were: what 99 of 100 stayed under. All clients of a process wait as long.",
            "s",
            [Query(_quantile(0.99, _LAG, "le, job, instance"), "{{job}} {{instance}}")],
        ),
        Chart(
            "Memory",
            "Resident, by process.",
            "bytes",
            [Query("tieline_process_resident_memory_bytes", "{{job}} {{instance}}")],
        ),
        Chart(
            "CPU",
            "Cores in use, by process: one is all that a process can use.",
            "short",
            [Query(f"rate(tieline_process_cpu_seconds_total[{STEP}])", "{{job}} {{instance}}")],
        ),
        Chart(
            "File descriptors",
            "Share of those that a process may have; each client is one.",
            "percentunit",
            [Query("tieline_process_open_fds / tieline_process_max_fds", "{{job}} {{instance}}")],
        ),
        Chart(
            "Log lines dropped",
            "Because nobody read standard error fast enough.",
            "ops",
            [Query(_rate("tieline_log_lines_dropped_total", "job, instance"), "{{job}} {{instance}}")],
        ),
    ],
}
"""By the title of the row."""
