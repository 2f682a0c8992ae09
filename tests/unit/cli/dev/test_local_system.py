"""What `tieline dev` decides before it starts anything."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.settings import GatewaySettings
from tieline.cli.dev.local_system import GATEWAY, LocalSystem, Size, plan
from tieline.runtime.settings import read_settings


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
