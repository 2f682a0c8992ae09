"""Which addresses are of the internet."""

import pytest

from tieline.wire.public_addresses import is_public, is_seen_to_be_private


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "203.0.114.7", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"],
)
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fec0::1",
        "localhost",
        "",
    ],
)
def test_others_are_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0x0.0x0.0x1",
        "0177.0.0.1",
        "127.0.0.1.",
        "１２７.1",
        "127。0。0。1",
        "%31%32%37.1",
        "10.0xffffff",
        "169.254.43518",
        "0",
        "0x",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "fe80::1%eth0",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "backend",
        "backend.local",
        "metadata.google.internal",
        "router.home.arpa",
        "a.lan",
    ],
)
def test_what_is_private_is_seen_however_it_is_written(host: str) -> None:
    assert is_seen_to_be_private(host)


@pytest.mark.parametrize(
    "host", ["1.2.3.4.5", "1.2.65536", "256.1.1", "1.2.3.256", "4294967296", "a.1", "1..1", "09.1", "1.08"]
)
def test_what_ends_in_a_number_and_is_no_address_is_no_name(host: str) -> None:
    assert is_seen_to_be_private(host)


@pytest.mark.parametrize(
    "host",
    [
        "1.1.1.1",
        "1.1",
        "0x01010101",
        "2606:4700::1111",
        "backend.example",
        "backend.example.",
        "0x7f.example",
        "mylocalhost.example",
        "notlocal.lan.example",
        "bücher.example",
    ],
)
def test_what_may_be_of_the_internet_is_not_refused(host: str) -> None:
    assert not is_seen_to_be_private(host)
