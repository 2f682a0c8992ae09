"""Every panel of the dashboard has data while calls run, and everything it names exists."""

import math
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.monitoring.charts import ROWS
from deploy.monitoring.generated import FILES
from tests.prometheus.expressions import ALERTS, TARGETS, Target, metrics_in
from tests.support.prometheus import Prometheus, Series
from tests.support.system import System
from tests.support.waiting import until_now
from tieline.metrics import REGISTRY

ASKED = {
    **{name: target.expr for name, target in TARGETS.items()},
    **{name: rule["expr"] for name, rule in ALERTS.items()},
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_committed_is_what_is_generated(path: Path) -> None:
    assert path.read_text() == FILES[path]()


def test_every_chart_is_a_panel_with_a_sentence() -> None:
    charts = [chart for charts in ROWS.values() for chart in charts]
    assert len({chart.title for chart in charts}) == len(charts)
    assert all(chart.sentence.endswith(".") for chart in charts)
    assert len(TARGETS) == sum(len(chart.queries) for chart in charts)


@pytest.mark.parametrize("expr", ASKED.values(), ids=ASKED.keys())
def test_only_metrics_of_the_one_module_are_asked_for(expr: str) -> None:
    families = list(REGISTRY.collect())
    defined = {sample.name for family in families for sample in family.samples}
    defined |= {family.name for family in families}  # one with labels may have no sample yet
    named = metrics_in(expr)
    assert named
    assert named <= defined | {"tieline_process_max_fds"}  # which pytest's own process may lack


def test_every_metric_is_on_the_dashboard() -> None:
    """A metric that nobody looks at is a cost; one that was added for a chart may not be forgotten there."""
    shown = {name for target in TARGETS.values() for name in metrics_in(target.expr)}
    families = {family.name for family in REGISTRY.collect()} - {
        family.name for family in REGISTRY.collect() if family.name.startswith("tieline_process_")
    }
    assert {name for name in families if not any(metric.startswith(name) for metric in shown)} == set()


@pytest.mark.needs("prometheus")
def test_every_metric_that_is_asked_for_is_exposed(busy: System) -> None:
    exposed = {
        sample.name
        for process in busy.processes
        for family in text_string_to_metric_families(process.get("/metrics")[1])
        for sample in family.samples
    }
    assert {name for expr in ASKED.values() for name in metrics_in(expr)} <= exposed


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_every_query_of_every_panel_has_data_while_calls_run(prometheus: Prometheus, target: Target) -> None:
    def series() -> list[Series]:
        return [one for one in prometheus.query(target.expr) if not math.isnan(one.number)]

    found = until_now(series)
    for one in found:
        assert target.labels <= one.metric.keys()
        assert time.time() - one.value[0] < 60


EVENTS = {
    "a call that began": 'tieline_negotiations_total{step="begun"}',
    "an established call": 'tieline_negotiations_total{step="established"}',
    "an unanswered call": 'tieline_negotiations_total{step="unanswered"}',
    "an abandoned call": 'tieline_negotiations_total{step="abandoned"}',
    "an ended call": 'tieline_negotiations_total{step="ended"}',
    "a held candidate": 'tieline_held_candidates_total{outcome="held"}',
    "a released candidate": 'tieline_held_candidates_total{outcome="released"}',
    "a discarded candidate": 'tieline_held_candidates_total{outcome="discarded"}',
    "a resume": 'tieline_sessions_opened_total{how="resumed"}',
    "a resume that failed": 'tieline_sessions_opened_total{how="not_resumed"}',
    "a replayed frame": "tieline_replayed_frames_total",
    "a refused message": 'tieline_signals_total{outcome="NO_MATCHING_OFFER"}',
    "a refused upgrade": 'tieline_handshakes_refused_total{reason="UNAUTHORIZED"}',
    "a timer": 'tieline_timers_fired_total{kind="offer"}',
    "a close": 'tieline_sessions_closed_total{code="4500"}',
    "a lease": "tieline_leased_signals_total",
    "an answer": "tieline_answer_seconds_count",
}


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("series", EVENTS.values(), ids=EVENTS.keys())
def test_what_happens_to_calls_is_counted(prometheus: Prometheus, series: str) -> None:
    assert until_now(lambda: prometheus.query(f"sum(increase({series}[$__rate_interval])) > 0"))


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("stream", ["bucket", "mailbox"])
def test_what_the_broker_keeps_is_measured(prometheus: Prometheus, stream: str) -> None:
    assert until_now(lambda: prometheus.query(f'tieline_stream_bytes{{stream="{stream}"}} > 0'))


@pytest.mark.needs("prometheus")
def test_a_drain_is_seen(busy: System, prometheus: Prometheus, tmp_path: Path) -> None:
    with (
        busy.extra("gateway", DRAIN_WAIT="600") as gateway,
        Prometheus(tmp_path / "other", [gateway], "groups: []") as other,
    ):
        until_now(lambda: other.query("sum(tieline_draining) == 0"))
        gateway.terminate()
        until_now(lambda: other.query("sum(tieline_draining) == 1"))
        until_now(lambda: other.query("sum(tieline_ready) == 0"))
        gateway.terminate()  # a second signal ends it at once
