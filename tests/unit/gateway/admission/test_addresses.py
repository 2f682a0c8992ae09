"""Where a client comes from, also behind proxies."""

import pytest

from gateway.admission.addresses import (
    MOST_HOPS,
    client_address,
    is_among,
    is_private,
    read_networks,
    site_of,
)
from tieline.runtime.settings import SettingsError

TRUSTED = read_networks("TIELINE_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1 ,2001:db8:1::/48,")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9, 192.0.2.1,10.9.9.9"], "203.0.113.9"),
        ("10.1.2.3", ["6.6.6.6", "203.0.113.9", "192.0.2.1"], "203.0.113.9"),
        ("10.1.2.3", ["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        ("10.1.2.3", ["unknown"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.1.2.3", ["[2001:db8:2::9]:4711"], "2001:db8:2::9"),
        ("::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1::5", ["2001:db8:2:3:4:5:6:7"], "2001:db8:2:3:4:5:6:7"),
        ("2001:db8:9::5", ["203.0.113.9"], "2001:db8:9::5"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("", ["203.0.113.9"], ""),
        ("a socket", [], "a socket"),
    ],
)
def test_a_proxy_of_our_own_is_believed_and_nobody_else(
    peer: str, forwarded: list[str], address: str
) -> None:
    assert client_address(peer, forwarded, TRUSTED) == address


def test_no_more_hops_are_looked_at_than_proxies_may_be() -> None:
    hops = ["10.0.0.9"] * (MOST_HOPS - 1)
    assert client_address("10.1.2.3", ["203.0.113.9", ",".join(hops)], TRUSTED) == "203.0.113.9"
    assert client_address("10.1.2.3", ["203.0.113.9", ",".join(["10.0.0.8", *hops])], TRUSTED) == "10.0.0.8"


def test_without_proxies_nobody_is_believed() -> None:
    assert client_address("10.1.2.3", ["203.0.113.9"], read_networks("X", "")) == "10.1.2.3"


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:2:3:4:5:6:7", "2001:db8:2:3::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a socket", "a socket"),
        ("", ""),
    ],
)
def test_clients_of_one_ipv6_site_are_one(address: str, site: str) -> None:
    assert site_of(address) == site


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.9", False),
        ("8.8.8.8", False),
        ("2606:4700::1", False),
        ("172.15.0.1", False),
        ("172.17.0.1", True),
        ("10.1.2.3", True),
        ("192.168.1.2", True),
        ("100.64.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("fd00::1", True),
        ("::ffff:10.1.2.3", True),
        ("", True),
        ("a socket", False),
    ],
)
def test_private_addresses_are_told_from_those_of_the_internet(address: str, expected: bool) -> None:
    assert is_private(address) is expected


def test_an_address_is_among_networks_or_is_not() -> None:
    assert is_among("10.1.2.3", TRUSTED)
    assert not is_among("11.1.2.3", TRUSTED)
    assert not is_among("a socket", TRUSTED)


@pytest.mark.parametrize("value", ["proxy.example", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "1 2"])
def test_what_is_no_network_is_named(value: str) -> None:
    with pytest.raises(SettingsError) as problem:
        read_networks("TIELINE_TRUSTED_PROXIES", f"10.0.0.1, {value}")
    assert str(problem.value).startswith(f"TIELINE_TRUSTED_PROXIES: {value!r} is no address or network: ")
