import re

import pytest
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tieline import metrics
from tieline.runtime import metrics as metrics_of_every_process
from tieline.runtime.metrics import exposition

METRICS = {
    name: value
    for module in (metrics, metrics_of_every_process)
    for name, value in vars(module).items()
    if isinstance(value, MetricWrapperBase)
}
FAMILIES = {family.name: family for family in metrics.REGISTRY.collect()}

every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())


def test_there_are_the_metrics_that_the_first_dashboards_need() -> None:
    assert FAMILIES.keys() >= {
        "tieline_connections",
        "tieline_signals",
        "tieline_relay_seconds",
        "tieline_presence_check_seconds",
        "tieline_cas_conflicts",
        "tieline_deliveries",
        "tieline_nats_reconnects",
    }


@every_family
def test_every_name_begins_with_tieline(family: Metric) -> None:
    assert re.fullmatch(r"tieline_[a-z0-9_]+", family.name)


@every_family
def test_every_metric_has_a_sentence(family: Metric) -> None:
    if family.name.startswith("tieline_process_"):  # prometheus_client's own
        return
    sentence = family.documentation

    assert sentence[0].isupper() or sentence[0].isdigit()
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert ". " not in sentence, "one sentence, of one line"
    assert len(sentence.split()) >= 4


@every_metric
def test_no_label_grows_with_users_rooms_or_ids(metric: MetricWrapperBase) -> None:
    for label in metric._labelnames:
        assert not re.search(r"user|room|member|peer|from|to$|id$|ids$|name|token|session|address|url", label)


def test_all_metrics_are_in_the_one_registry() -> None:
    assert {metric._name for metric in METRICS.values()} <= FAMILIES.keys()


def test_durations_are_measured_in_seconds_and_say_so() -> None:
    histograms = [metric for metric in METRICS.values() if isinstance(metric, Histogram)]

    assert histograms
    assert all(metric._name.endswith("_seconds") for metric in histograms)


def test_the_exposition_is_what_prometheus_reads() -> None:
    read = {family.name: family for family in text_string_to_metric_families(exposition().decode())}

    assert read.keys() >= FAMILIES.keys()
    assert all(name.startswith("tieline_") for name in read)
    assert all(family.documentation for family in read.values())


def test_the_process_itself_is_measured_too() -> None:
    read = {family.name: family for family in text_string_to_metric_families(exposition().decode())}

    (sample,) = read["tieline_process_resident_memory_bytes"].samples
    assert sample.value > 1_000_000


def test_an_answered_message_is_counted_by_command_and_outcome() -> None:
    before = [metrics.SIGNALS.labels(cmd, "held").count for cmd in ("WEBRTC_OFFER", "PING")]

    metrics.signal_answered("WEBRTC_OFFER", "held")
    metrics.signal_answered("WEBRTC_OFFER", "held")

    after = [metrics.SIGNALS.labels(cmd, "held").count for cmd in ("WEBRTC_OFFER", "PING")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 0]


@pytest.mark.parametrize(("code", "label"), [(1000, "1000"), (1006, "1006"), (4500, "4500"), (4321, "other")])
def test_a_client_cannot_make_up_labels_by_closing_with_odd_codes(code: int, label: str) -> None:
    def counted() -> dict[str, float]:
        family = next(iter(metrics.SESSIONS_CLOSED.collect()))
        return {
            sample.labels["code"]: sample.value for sample in family.samples if sample.name.endswith("_total")
        }

    before = counted()

    metrics.session_closed(code)

    assert counted() == {**before, label: before[label] + 1}
