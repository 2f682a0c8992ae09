"""Ports: which are free, and how to reach what listens."""

import socket
import sys

import pytest

from tieline.cli.dev.ports import HIGHEST, REFUSED_BY_BROWSERS, PortTaken, check_free, hold_ports, reachable

LOOPBACK = "127.0.0.1"


def test_a_port_in_use_is_named() -> None:
    with hold_ports(1, LOOPBACK) as (port,):
        with (
            socket.create_server((LOOPBACK, port)),
            pytest.raises(PortTaken, match=f"port {port} on {LOOPBACK}"),
        ):
            check_free(LOOPBACK, port)
        check_free(LOOPBACK, port)


def test_held_ports_are_different_and_can_be_listened_on() -> None:
    with hold_ports(20, LOOPBACK) as ports:
        assert len(set(ports)) == 20
        for port in ports:
            check_free(LOOPBACK, port)
            with socket.create_server((LOOPBACK, port)):
                pass


def test_ports_that_are_spoken_for_are_left_out() -> None:
    spoken_for = range(1, HIGHEST - 5)
    with hold_ports(3, LOOPBACK, but=spoken_for) as ports:
        assert set(ports).isdisjoint(spoken_for)


def test_no_port_is_given_out_that_browsers_refuse() -> None:
    others = [port for port in range(1, HIGHEST + 1) if port != REFUSED_BY_BROWSERS]
    with pytest.raises(PortTaken), hold_ports(1, LOOPBACK, but=others):
        pytest.fail("found")


def test_too_many_ports_are_refused() -> None:
    with pytest.raises(PortTaken, match="no 2 free ports"), hold_ports(2, LOOPBACK, but=range(1, HIGHEST)):
        pytest.fail("found")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be held for another process")
@pytest.mark.parametrize("other", [LOOPBACK, "0.0.0.0"])
def test_a_held_port_is_not_given_out_again_until_released(other: str) -> None:
    with hold_ports(6, LOOPBACK) as ports:
        others = [port for port in range(1, HIGHEST + 1) if port not in ports]
        with pytest.raises(PortTaken), hold_ports(1, other, but=others):
            pytest.fail("found")
        with socket.create_server((LOOPBACK, ports[0])) as listener:
            assert listener.getsockname()[1] == ports[0]
    with hold_ports(6, other, but=others) as again:
        assert set(again) == set(ports)


@pytest.mark.parametrize(
    ("host", "written"),
    [
        (LOOPBACK, LOOPBACK),
        ("0.0.0.0", LOOPBACK),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("localhost", "localhost"),
    ],
)
def test_an_address_is_written_as_clients_reach_it(host: str, written: str) -> None:
    assert reachable(host) == written
