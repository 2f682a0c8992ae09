"""Ports: which are free, and how to reach what listens."""

import socket

import pytest

from tieline.cli.ports import HIGHEST, PortTaken, check_free, free_ports, reachable

LOOPBACK = "127.0.0.1"


def test_a_port_that_somebody_listens_on_is_named() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} on {LOOPBACK}"):
            check_free(LOOPBACK, port)
    check_free(LOOPBACK, port)


def test_free_ports_are_different_and_can_be_listened_on() -> None:
    ports = free_ports(20, LOOPBACK)
    assert len(set(ports)) == 20
    for port in ports:
        check_free(LOOPBACK, port)


def test_free_ports_leave_out_those_that_are_spoken_for() -> None:
    spoken_for = range(1, HIGHEST - 5)
    assert set(free_ports(3, LOOPBACK, but=spoken_for)).isdisjoint(spoken_for)


def test_too_many_free_ports_are_refused() -> None:
    with pytest.raises(PortTaken, match="no 2 free ports"):
        free_ports(2, LOOPBACK, but=range(1, HIGHEST))


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
