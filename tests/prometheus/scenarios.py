"""For each alert what Prometheus sees when it is due, and what it sees when all is well.

Series as promtool writes them, a value a minute: `0+60x120` counts 60 a minute for two hours.
"""

import functools
from collections.abc import Mapping
from typing import Final, NamedTuple

Series = Mapping[str, str]

MINUTES: Final = 120

PROCESSES: Final = {
    "g1": "gateway",
    "g2": "gateway",
    "r1": "router",
    "p1": "presence",
    "a1": "api",
    "w1": "webhooks",
}
"""Instances, each with its service, which is its job too."""


def _of(name: str, instance: str, **labels: str) -> str:
    labels = {"job": PROCESSES[instance], "instance": instance, **labels}
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def steady(value: float) -> str:
    """A gauge that stays."""
    return f"{value:g}x{MINUTES}"


def rising(a_minute: float) -> str:
    """A counter."""
    return f"0+{a_minute:g}x{MINUTES}"


def changed(before: float, after: float) -> str:
    """A gauge that has another value from the tenth minute on."""
    return f"{before:g}x9 {after:g}x{MINUTES}"


def _buckets(name: str, instance: str, a_minute: float, seconds: float) -> dict[str, str]:
    """A histogram with as many observations a minute, all of about so many seconds."""
    bounds = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
    series = {
        _of(f"{name}_bucket", instance, le=f"{bound:g}"): rising(a_minute if seconds <= bound else 0)
        for bound in bounds
    }
    return {
        **series,
        _of(f"{name}_bucket", instance, le="+Inf"): rising(a_minute),
        _of(f"{name}_count", instance): rising(a_minute),
    }


def _of_every_process(instance: str, service: str) -> dict[str, str]:
    return {
        _of("up", instance): steady(1),
        _of("tieline_build_info", instance, service=service, version="1.0.0"): steady(1),
        _of("tieline_ready", instance): steady(1),
        _of("tieline_draining", instance): steady(0),
        _of("tieline_nats_connected", instance): steady(1),
        _of("tieline_nats_reconnects_total", instance): steady(0),
        _of("tieline_nats_errors_total", instance, kind="slow_consumer"): steady(0),
        _of("tieline_request_retries_total", instance): rising(1),
        _of("tieline_clock_ahead_seconds", instance): steady(0.02),
        _of("tieline_process_open_fds", instance): steady(500),
        _of("tieline_process_max_fds", instance): steady(1000),
        _of("tieline_log_lines_dropped_total", instance): steady(0),
        **_buckets("tieline_event_loop_lag_seconds", instance, 240, 0.004),
    }


def _of_a_gateway(instance: str) -> dict[str, str]:
    opened = {"new": 30, "resumed": 30, "not_resumed": 1}
    return {
        _of("tieline_signals_total", instance, cmd="WEBRTC_OFFER", outcome="relayed"): rising(600),
        _of("tieline_signals_total", instance, cmd="WEBRTC_OFFER", outcome="INTERNAL"): steady(0),
        **{_of("tieline_sessions_opened_total", instance, how=how): rising(n) for how, n in opened.items()},
        _of("tieline_sessions_closed_total", instance, code="1000"): rising(30),
        _of("tieline_sessions_closed_total", instance, code="4000"): rising(0.2),
        _of("tieline_handshakes_refused_total", instance, reason="UNAUTHORIZED"): rising(60),
        _of("tieline_handshakes_refused_total", instance, reason="FULL"): steady(0),
        _of("tieline_handshakes_refused_total", instance, reason="BROKER_UNAVAILABLE"): steady(0),
        _of("tieline_handshakes_refused_total", instance, reason="RATE_LIMITED"): rising(2),
        _of("tieline_half_open_cut_total", instance, why="half_open"): rising(2),
        _of("tieline_limited_total", instance, limit="rate"): rising(2),
        _of("tieline_heaviest_user_share", instance): steady(0.1),
        _of("tieline_tls_handshakes_total", instance, outcome="ok"): rising(60),
        _of("tieline_tls_reloads_total", instance, outcome="failed"): steady(0),
        _of("tieline_tls_reloads_total", instance, outcome="ok"): steady(2),
        _of("tieline_tls_certificate_expires_timestamp_seconds", instance): steady(0),
        _of("tieline_key_fetches_total", instance, outcome="ok"): rising(0.2),
        _of("tieline_key_fetches_total", instance, outcome="failed"): rising(0.1),
        **_buckets("tieline_relay_seconds", instance, 600, 0.004),
    }


def _of_presence(instance: str) -> dict[str, str]:
    steps = {"begun": 60, "established": 48, "unanswered": 6, "abandoned": 6}
    return {
        _of("tieline_presence_requests_total", instance, op="check", outcome="ok"): rising(600),
        _of("tieline_presence_requests_total", instance, op="check", outcome="failed"): steady(0),
        _of("tieline_cas_conflicts_total", instance): rising(6),
        _of("tieline_timers_fired_total", instance, kind="offer"): rising(60),
        **{_of("tieline_negotiations_total", instance, step=step): rising(n) for step, n in steps.items()},
        _of("tieline_sessions_orphaned_total", instance): steady(0),
        _of("tieline_presence_tokens_refused_total", instance, reason="user"): steady(0),
        _of("tieline_stream_bytes", instance, stream="mailbox"): steady(300e6),
        _of("tieline_stream_bytes", instance, stream="bucket"): steady(100e6),
        _of("tieline_stream_max_bytes", instance, stream="mailbox"): steady(512 * 1024**2),
        _of("tieline_mail_kept_too_short_seconds", instance): steady(0),
        _of("tieline_events_told_total", instance, outcome="told"): rising(120),
        _of("tieline_events_told_total", instance, outcome="failed"): rising(0.1),
        _of("tieline_events_told_total", instance, outcome="lost"): steady(0),
    }


def _of_a_webhook_worker(instance: str) -> dict[str, str]:
    return {
        _of("tieline_webhook_deliveries_total", instance, outcome="taken"): rising(60),
        _of("tieline_webhook_deliveries_total", instance, outcome="timeout"): rising(1),
        _of("tieline_webhook_events_total", instance, outcome="taken"): rising(120),
        _of("tieline_webhook_events_total", instance, outcome="dead"): steady(0),
        _of("tieline_webhook_events_total", instance, outcome="lost"): steady(0),
        _of("tieline_webhook_oldest_seconds", instance): steady(40),
    }


def _of_an_api(instance: str) -> dict[str, str]:
    return {
        _of("tieline_api_requests_total", instance, op="getUser", status="200"): rising(60),
        _of("tieline_api_requests_total", instance, op="getUser", status="503"): rising(1),
    }


HEALTHY: Final[Series] = {
    **{
        series: values
        for instance, service in PROCESSES.items()
        for series, values in _of_every_process(instance, service).items()
    },
    **_of_a_gateway("g1"),
    **_of_a_gateway("g2"),
    **_buckets("tieline_presence_check_seconds", "r1", 600, 0.004),
    **_of_presence("p1"),
    **_of_a_webhook_worker("w1"),
    **_of_an_api("a1"),
}
"""A system that everybody is content with."""


def partitioned(mailbox: float, bucket: float) -> Series:
    """Describe what is stored in four partitions: so much in one of the mailbox, in each of the bucket."""
    stored = functools.partial(_of, "tieline_stream_bytes", "p1")
    most = functools.partial(_of, "tieline_stream_max_bytes", "p1")
    return {
        **{stored(stream=f"bucket-{at}"): steady(bucket) for at in range(4)},
        **{stored(stream=f"mailbox-{at}"): steady(mailbox if at == 2 else 50e6) for at in range(4)},
        **{most(stream=f"mailbox-{at}"): steady(128 * 1024**2) for at in range(4)},
    }


class Failure(NamedTuple):
    """What is otherwise than in `HEALTHY`, for the alert to fire at a minute."""

    series: Series
    minute: int = 30


def _no_more(instance: str) -> dict[str, str]:
    """A process whose metrics end after ten minutes."""
    every = {name: values for name, values in HEALTHY.items() if f'instance="{instance}"' in name}
    return dict.fromkeys(every, "1x9 stale") | {_of("up", instance): changed(1, 0)}


FAILURES: Final[Mapping[str, Failure]] = {
    "TielineNoGatewayReady": Failure({_of("tieline_ready", g): changed(1, 0) for g in ("g1", "g2")}),
    "TielineNoRouterReady": Failure(_no_more("r1")),
    "TielineNoPresenceReady": Failure({_of("tieline_ready", "p1"): changed(1, 0)}),
    "TielineNoApiReady": Failure(_no_more("a1")),
    "TielineNoWebhookWorkerReady": Failure(_no_more("w1")),
    "TielineProcessDown": Failure(_no_more("g2")),
    "TielineNotReady": Failure({_of("tieline_ready", "g2"): changed(1, 0)}),
    "TielineDrainStuck": Failure(
        {_of("tieline_draining", "g2"): changed(0, 1), _of("tieline_ready", "g2"): changed(1, 0)}
    ),
    "TielineEventLoopBlocked": Failure(_buckets("tieline_event_loop_lag_seconds", "g2", 240, 0.4)),
    "TielineFewFileDescriptors": Failure({_of("tieline_process_open_fds", "g1"): steady(850)}),
    "TielineMixedVersions": Failure(
        {_of("tieline_build_info", "g2", service="gateway", version="1.0.0"): f"_x{MINUTES}"}
        | {_of("tieline_build_info", "g2", service="gateway", version="1.1.0"): steady(1)},
        minute=90,
    ),
    "TielineBrokerAway": Failure({_of("tieline_nats_connected", "r1"): changed(1, 0)}),
    "TielineBrokerUnstable": Failure({_of("tieline_nats_reconnects_total", "r1"): rising(0.5)}),
    "TielineMessagesDropped": Failure(
        {_of("tieline_nats_errors_total", "g1", kind="slow_consumer"): f"0x24 1x{MINUTES}"}
    ),
    "TielineStorageNearlyFull": Failure(
        {_of("tieline_stream_bytes", "p1", stream="mailbox"): changed(300e6, 450e6)}
    ),
    "TielineMailDiscarded": Failure({_of("tieline_mail_kept_too_short_seconds", "p1"): changed(0, 5)}),
    "TielineClockDiffers": Failure({_of("tieline_clock_ahead_seconds", "g1"): changed(0.02, -12)}),
    "TielineBucketFailing": Failure(
        {_of("tieline_presence_requests_total", "p1", op="check", outcome="failed"): rising(12)}
    ),
    "TielineConflictStorm": Failure({_of("tieline_cas_conflicts_total", "p1"): rising(400)}),
    "TielineTimersStalled": Failure({_of("tieline_timers_fired_total", "p1", kind="offer"): steady(7)}),
    "TielineInternalErrors": Failure(
        {_of("tieline_signals_total", "g1", cmd="WEBRTC_OFFER", outcome="INTERNAL"): rising(15)}
    ),
    "TielineCannotConnect": Failure(
        {_of("tieline_handshakes_refused_total", "g1", reason="FULL"): rising(10)}
    ),
    "TielineKeysNotFetched": Failure(
        {
            _of("tieline_key_fetches_total", "g1", outcome="failed"): rising(12),
            _of("tieline_key_fetches_total", "g1", outcome="ok"): steady(9),
        }
    ),
    "TielineCertificateExpires": Failure(
        {_of("tieline_tls_certificate_expires_timestamp_seconds", "g1"): changed(20e6, 300_000)}
    ),
    "TielineCertificateNotRead": Failure(
        {_of("tieline_tls_reloads_total", "g1", outcome="failed"): f"0x24 1x{MINUTES}"}
    ),
    "TielineRelaySlow": Failure(_buckets("tieline_relay_seconds", "g1", 600, 0.4)),
    "TielineCheckSlow": Failure(_buckets("tieline_presence_check_seconds", "r1", 600, 0.2)),
    "TielineRequestsRepeated": Failure({_of("tieline_request_retries_total", "g1"): rising(80)}),
    "TielineCallsUnanswered": Failure(
        {_of("tieline_negotiations_total", "p1", step="unanswered"): rising(40)}, minute=45
    ),
    "TielineResumesFail": Failure(
        {_of("tieline_sessions_opened_total", "g1", how="not_resumed"): rising(30)}
    ),
    "TielineSessionsOrphaned": Failure({_of("tieline_sessions_orphaned_total", "p1"): f"0x24 12x{MINUTES}"}),
    "TielineSlowClients": Failure({_of("tieline_sessions_closed_total", "g1", code="4000"): rising(5)}),
    "TielineTokensRefused": Failure(
        {
            _of("tieline_handshakes_refused_total", g, reason="UNAUTHORIZED"): rising(2000)
            for g in ("g1", "g2")
        }
    ),
    "TielineGatewayUnentitled": Failure(
        {_of("tieline_presence_tokens_refused_total", "p1", reason="user"): f"0x24 1x{MINUTES}"}
    ),
    "TielineClientsTurnedAway": Failure(
        {_of("tieline_handshakes_refused_total", "g1", reason="RATE_LIMITED"): rising(90)}
    ),
    "TielineDoorCrowded": Failure({_of("tieline_half_open_cut_total", "g1", why="half_open"): rising(600)}),
    "TielineLimitsMet": Failure({_of("tieline_limited_total", "g1", limit="rate"): rising(90)}),
    "TielineOneUserHeavy": Failure(
        {
            _of("tieline_heaviest_user_share", "g1"): steady(0.8),
            _of("tieline_signals_total", "g1", cmd="WEBRTC_OFFER", outcome="relayed"): rising(6000),
        }
    ),
    "TielineLogLinesDropped": Failure({_of("tieline_log_lines_dropped_total", "r1"): f"0x24 100x{MINUTES}"}),
    "TielineEventsNotTold": Failure(
        {
            _of("tieline_events_told_total", "p1", outcome="failed"): rising(12),
            _of("tieline_events_told_total", "p1", outcome="told"): steady(9),
        }
    ),
    "TielineApiFailing": Failure(
        {_of("tieline_api_requests_total", "a1", op="getUser", status="503"): rising(10)}
    ),
    "TielineWebhookBehind": Failure({_of("tieline_webhook_oldest_seconds", "w1"): changed(40, 1200)}),
    "TielineWebhookDeadLetters": Failure(
        {_of("tieline_webhook_events_total", "w1", outcome="dead"): f"0x24 1x{MINUTES}"}
    ),
}
"""By the alert that is due."""

HARMLESS: Final[Mapping[str, Series]] = {
    "a rolling restart: one gateway drains for two minutes, and another comes": {
        _of("tieline_ready", "g2"): f"1x30 0 0 1x{MINUTES}",
        _of("tieline_draining", "g2"): f"0x30 1 1 0x{MINUTES}",
        _of("tieline_nats_reconnects_total", "g1"): f"0x30 1x{MINUTES}",
    },
    "a night in which hardly anybody calls, and half of it fails": {
        name: rising(0.02)
        for name in HEALTHY
        if "negotiations" in name or "sessions_" in name or "signals" in name or "refused" in name
        if "orphaned" not in name and "presence_tokens" not in name
    },
    "no webhooks, and so no worker": {name: f"_x{MINUTES}" for name in HEALTHY if 'instance="w1"' in name},
    "four partitions, each with half of what it may": partitioned(64e6, 300e6),
    "a thousand clients with bad tokens": {
        _of("tieline_handshakes_refused_total", "g1", reason="UNAUTHORIZED"): rising(1000)
    },
    "one user alone, who does little": {_of("tieline_heaviest_user_share", "g1"): steady(1)},
    "nothing at all happens": {
        name: steady(0) for name in HEALTHY if "_total" in name or "_seconds_" in name
    },
}
"""What must wake nobody."""
