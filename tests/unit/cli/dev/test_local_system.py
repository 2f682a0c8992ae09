"""What `tieline dev` decides before it starts anything."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.callers import Caller, entry, find
from api.settings import ApiSettings, keys_of
from gateway.settings import GatewaySettings
from presence.settings import PresenceSettings
from tieline.cli.dev.local_system import API, GATEWAY, PRESENCE, WEBHOOKS, LocalSystem, Size, plan
from tieline.runtime.settings import read_settings
from webhooks.settings import WebhookSettings, endpoint_of


def planned(folder: Path, environ: Mapping[str, str]) -> LocalSystem:
    with ExitStack() as held:
        return plan(Size(gateways=3, routers=2, presences=2, port=0), environ, folder / "jetstream", held)


def test_every_part_has_a_port_of_its_own(tmp_path: Path) -> None:
    system = planned(tmp_path, {})
    urls = [
        *system.gateway_urls,
        system.nats_url,
        *(url for urls in system.ops_urls.values() for url in urls),
    ]
    assert len({urlsplit(url).port for url in urls}) == len(urls) == 3 + 1 + (3 + 2 + 2)


@pytest.mark.parametrize(
    ("environ", "wait"), [({}, "0"), ({"TIELINE_DRAIN_WAIT": ""}, "0"), ({"TIELINE_DRAIN_WAIT": "3"}, "3")]
)
def test_gateways_wait_for_a_balancer_only_if_told_to(
    environ: Mapping[str, str], wait: str, tmp_path: Path
) -> None:
    gateways = [spec for spec in planned(tmp_path, environ).specs if spec.kind == GATEWAY]
    assert [spec.environ["TIELINE_DRAIN_WAIT"] for spec in gateways] == [wait] * 3


def test_a_secret_in_a_file_reaches_the_gateways_once(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a secret that is long enough for HMAC-SHA256\n")
    system = planned(tmp_path, {"TIELINE_JWT_SECRET_FILE": str(file)})
    assert system.secret == "a secret that is long enough for HMAC-SHA256"
    for spec in system.specs:
        if spec.kind == GATEWAY:
            assert read_settings(GatewaySettings, spec.environ).jwt_secret == system.secret


def test_with_a_certificate_its_addresses_are_those_of_tls(tmp_path: Path) -> None:
    for environ, tls in (({}, ""), ({"TIELINE_TLS_CERT": "x.crt"}, "s")):
        system = planned(tmp_path, environ)
        assert {url.partition(":")[0] for url in system.gateway_urls} == {f"ws{tls}"}
        assert {url.partition(":")[0] for url in system.demo_urls} == {f"http{tls}"}
        assert all(url.endswith("/") for url in system.demo_urls)


def test_the_api_takes_the_key_that_is_made_up_and_those_given(tmp_path: Path) -> None:
    environ = {"TIELINE_API_KEYS": entry("mine", "my key", ["rooms:read"])}
    with ExitStack() as held:
        size = Size(gateways=1, routers=1, presences=1, port=0, apis=2)
        system = plan(size, environ, tmp_path / "jetstream", held)
    assert len({urlsplit(url).port for url in system.api_urls}) == 2
    for spec in (spec for spec in system.specs if spec.kind == API):
        keys = keys_of(read_settings(ApiSettings, spec.environ))
        assert find(keys, system.api_key) == Caller("dev", ("*",))
        assert find(keys, "my key") == Caller("mine", ("rooms:read",))


def test_the_ready_file_says_where_the_api_is_and_its_key(tmp_path: Path) -> None:
    with ExitStack() as held:
        size = Size(gateways=1, routers=1, presences=1, port=0, apis=1)
        system = plan(size, {}, tmp_path / "jetstream", held)
    contents = system.ready_file(lambda _kind: [1])
    assert (contents.api, contents.api_key) == (system.api_urls[0], system.api_key)
    assert contents.pids["api"] == [1]


def test_without_an_api_there_is_no_word_of_it(tmp_path: Path) -> None:
    contents = planned(tmp_path, {}).ready_file(lambda _kind: [1])
    assert (contents.api, contents.api_key) == ("", "")
    assert "api" not in contents.pids


def test_with_a_webhook_a_worker_tells_it_and_is_signed(tmp_path: Path) -> None:
    with ExitStack() as held:
        size = Size(1, 1, 1, 0, webhook_url="http://localhost:3000/hooks")
        system = plan(size, {}, tmp_path / "jetstream", held)
    (worker,) = [spec for spec in system.specs if spec.kind == WEBHOOKS]
    endpoint = endpoint_of(read_settings(WebhookSettings, worker.environ))
    assert endpoint is not None
    assert (endpoint.url, endpoint.secrets) == ("http://localhost:3000/hooks", (system.webhook_secret,))
    assert "webhooks" in system.ready_file(lambda _kind: [1]).pids
    presences = [spec for spec in system.specs if spec.kind == PRESENCE]
    assert [read_settings(PresenceSettings, spec.environ).events for spec in presences] == ["on"]


def test_a_secret_of_ones_own_signs_for_the_webhook(tmp_path: Path) -> None:
    environ = {"TIELINE_WEBHOOK_SECRET": "a secret of thirty-two bytes and more"}
    with ExitStack() as held:
        system = plan(Size(1, 1, 1, 0, webhook_url="http://h"), environ, tmp_path / "jetstream", held)
    assert system.webhook_secret == environ["TIELINE_WEBHOOK_SECRET"]


def test_without_a_webhook_no_worker_runs(tmp_path: Path) -> None:
    assert WEBHOOKS not in {spec.kind for spec in planned(tmp_path, {}).specs}


@pytest.mark.parametrize(("environ", "is_private"), [({}, True), ({"TIELINE_WEBHOOK_PRIVATE": "0"}, False)])
def test_the_api_takes_the_webhooks_that_the_worker_tells(
    environ: Mapping[str, str], is_private: bool, tmp_path: Path
) -> None:
    with ExitStack() as held:
        size = Size(1, 1, 1, 0, apis=1, webhook_url="http://localhost:3000/hooks")
        system = plan(size, environ, tmp_path / "jetstream", held)
    specs = {spec.kind: spec.environ for spec in system.specs}
    assert read_settings(ApiSettings, specs[API]).webhook_private is is_private
    assert read_settings(WebhookSettings, specs[WEBHOOKS]).webhook_private is is_private
