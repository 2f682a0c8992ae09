"""Every alert fires on its failure and not without it, and leads to a paragraph that says what to do."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.generated import PROMETHEUS_RULE, RULES
from tests.prometheus.expressions import ALERTS
from tests.prometheus.scenarios import FAILURES, HARMLESS, HEALTHY, MINUTES, PROCESSES, Series, partitioned
from tests.support.nats_server import NatsServer
from tests.support.prometheus import Prometheus, Rule, promtool
from tests.support.system import System
from tests.support.waiting import until_now
from tieline.wire.codes import HandshakeError

ROOT = Path(__file__).parents[2]
RUNBOOKS = "docs/operations.md"
WHERE = "{{ with $externalLabels.tieline_runbooks }}{{ . }}{{ end }}"
"""An operator's own label, which says where this repository can be read: no place of ours is known."""

SERVICES = sorted(
    path.parent.name
    for path in ROOT.glob("*/__main__.py")
    if "from tieline.runtime.process import" in path.read_text()
)
"""What runs as processes of its own: `python -m SERVICE`."""

FIRING = 'ALERTS{{alertname="{name}",alertstate="firing"}}'


def case(name: str, series: Series, expr: str, minutes: Iterable[int], expected: bool) -> dict[str, Any]:
    """One test of promtool: whether something matches an expression at these minutes."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in {**HEALTHY, **series}.items()],
        "promql_expr_test": [
            {
                "expr": f"count({expr}) > bool 0",
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if expected else [],
            }
            for minute in minutes
        ],
    }


def try_case(folder: Path, one: Mapping[str, Any]) -> None:
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [one]}))
    promtool("test", "rules", str(path))


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", "--lint-fatal", str(RULES))


@pytest.mark.needs("promtool")
def test_the_prometheus_of_compose_reads_the_rules() -> None:
    config = RULES.parent / "prometheus.yml"
    assert f"{len(ALERTS)} rules found" in promtool("check", "config", str(config))
    jobs = {job["job_name"] for job in yaml.safe_load(config.read_text())["scrape_configs"]}
    assert jobs >= {"gateway", "router", "presence"}


def test_every_alert_has_a_failure_to_be_tried_with() -> None:
    assert FAILURES.keys() == ALERTS.keys()


@pytest.mark.parametrize("service", SERVICES)
def test_of_every_service_it_is_told_if_none_is_ready(service: str) -> None:
    asking = f'absent((tieline_ready == 1) and on (job, instance) tieline_build_info{{service="{service}"}})'
    (name,) = [name for name, rule in ALERTS.items() if rule["expr"].startswith(asking)]
    assert re.fullmatch(r"TielineNo\w+Ready", name)
    assert ALERTS[name]["labels"]["service"] == service


def test_every_service_is_among_those_that_are_watched() -> None:
    assert set(PROCESSES.values()) == set(SERVICES)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("name", FAILURES)
def test_an_alert_fires_on_its_failure(name: str, tmp_path: Path) -> None:
    failure = FAILURES[name]
    assert not failure.series.keys() - HEALTHY.keys() or name == "TielineMixedVersions"
    firing = FIRING.format(name=name)
    try_case(tmp_path, case(name, failure.series, firing, [failure.minute], expected=True))


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(
    "series", [partitioned(110e6, 50e6), partitioned(50e6, 800e6)], ids=["one of the mailbox", "the bucket"]
)
def test_partitions_that_are_nearly_full_are_told(series: Series, tmp_path: Path) -> None:
    firing = FIRING.format(name="TielineStorageNearlyFull")
    try_case(tmp_path, case("partitions", series, firing, [30], expected=True))


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("series", [{}, *HARMLESS.values()], ids=["all is well", *HARMLESS])
def test_no_alert_fires_without_a_failure(series: Series, tmp_path: Path) -> None:
    every = 'ALERTS{alertstate="firing"}'
    try_case(tmp_path, case("harmless", series, every, range(10, MINUTES // 2, 5), expected=False))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_happened_and_leads_to_its_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"{WHERE}{RUNBOOKS}#{name.lower()}"
    text = (ROOT / RUNBOOKS).read_text()
    assert re.search(rf"^### {name}$", text, re.MULTILINE)
    paragraph = text.split(f"### {name}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    assert len(paragraph.split()) >= 30


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("where", ["", "https://git.example.com/tieline/blob/main/"])
def test_the_way_to_a_runbook_begins_where_an_operator_says(where: str, tmp_path: Path) -> None:
    failure = FAILURES["TielineNoGatewayReady"]
    rule = ALERTS["TielineNoGatewayReady"]
    expected = {**rule["annotations"], "runbook_url": f"{where}{RUNBOOKS}#tielinenogatewayready"}
    one = case("runbook", failure.series, "up", (), expected=True)
    one |= {
        "external_labels": {"tieline_runbooks": where} if where else {},
        "alert_rule_test": [
            {
                "alertname": "TielineNoGatewayReady",
                "eval_time": f"{failure.minute}m",
                "exp_alerts": [{"exp_labels": rule["labels"], "exp_annotations": expected}],
            }
        ],
    }
    try_case(tmp_path, one)


def test_there_is_no_runbook_for_an_alert_that_is_no_more() -> None:
    assert (
        set(re.findall(r"^### (Tieline\w+)$", (ROOT / RUNBOOKS).read_text(), re.MULTILINE)) == ALERTS.keys()
    )


def test_kubernetes_gets_the_same_rules() -> None:
    assert yaml.safe_load(PROMETHEUS_RULE.read_text())["spec"] == yaml.safe_load(RULES.read_text())


@pytest.mark.needs("prometheus")
def test_a_running_system_sets_no_alert_off(prometheus: Prometheus) -> None:
    def evaluated() -> list[Rule]:
        return [rule for rule in prometheus.rules() if rule.health != "unknown"]

    rules = until_now(lambda: found if len(found := evaluated()) == len(ALERTS) else None)
    assert {rule.name: rule.last_error for rule in rules if rule.health != "ok"} == {}
    assert prometheus.alerts() == {}


def impatient(rules: str) -> str:
    """The rules, with every alert firing as soon as its condition holds."""
    return re.sub(r"^( +)for: .*$", r"\1for: 0s", rules, flags=re.MULTILINE)


@pytest.fixture
def doomed(
    pip_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[System, Prometheus]]:
    """A small system on a broker of its own, watched by the same rules, but without patience."""
    folder = tmp_path_factory.mktemp("doomed")
    with (
        System(pip_nats.url, folder) as system,
        Prometheus(folder / "prometheus", system.processes, impatient(RULES.read_text())) as prometheus,
    ):
        yield system, prometheus


@pytest.mark.needs("prometheus")
def test_what_dies_sets_its_alert_off(doomed: tuple[System, Prometheus], pip_nats: NatsServer) -> None:
    system, prometheus = doomed
    until_now(lambda: len(prometheus.query("tieline_ready == 1")) == 3)

    def fires(*names: str) -> bool:
        return prometheus.alerts().keys() >= set(names)

    until_now(lambda: not fires("TielineNoGatewayReady"))
    pip_nats.kill()
    nobody = ("TielineNoGatewayReady", "TielineNoRouterReady", "TielineNoPresenceReady")
    until_now(lambda: fires("TielineBrokerAway", "TielineNotReady", *nobody))
    pip_nats.start()
    until_now(lambda: not prometheus.alerts().keys() & {"TielineBrokerAway", "TielineNotReady", *nobody})
    (router,) = system.all("router")
    router.kill()
    until_now(lambda: fires("TielineProcessDown", "TielineNoRouterReady"))
    for alerts in prometheus.alerts().values():
        for alert in alerts:
            assert "error" not in alert.annotations["summary"]
            assert "{{" not in alert.annotations["summary"]


def test_every_refusal_of_a_token_is_watched() -> None:
    (watched,) = set(re.findall(r'reason=~"([^"]+)"', ALERTS["TielineTokensRefused"]["expr"]))
    for error in HandshakeError:
        is_about_tokens = error.status == 401 or error is HandshakeError.TOO_MANY_BAD_TOKENS
        assert (re.fullmatch(watched, error.reason) is not None) is is_about_tokens
