"""Which connections are here, by their ids."""

import asyncio

from gateway.delivery.connections import Connections
from tests.unit.gateway.client.harness import connected, session
from tieline.wire.ids import ConnectionId


def test_a_connection_is_here_from_its_adding_to_its_removal() -> None:
    connections, alice = Connections(), session()
    connection = connected(alice).connection
    assert connections.get(alice.connection) is None

    connections.add(connection, alice)
    assert connections.get(alice.connection) is connection
    assert (list(connections), len(connections)) == ([connection], 1)

    connections.remove(alice)
    assert connections.get(alice.connection) is None
    assert (list(connections), len(connections)) == ([], 0)


def test_a_session_on_two_connections_is_here_twice() -> None:
    connections, older, newer = Connections(), session(), session()
    newer.connection = ConnectionId("c-2")
    for one in (older, newer):
        connections.add(connected(one).connection, one)

    assert connections.of(newer.session) is connections.get(newer.connection)

    connections.remove(older)

    assert connections.get(newer.connection) is not None
    assert connections.of(newer.session) is connections.get(newer.connection)
    assert len(connections) == 1

    connections.remove(newer)
    assert connections.of(newer.session) is None


def test_a_connection_that_is_not_here_may_be_removed() -> None:
    connections = Connections()
    connections.remove(session())
    assert len(connections) == 0


def test_connections_may_come_and_go_while_they_are_listed() -> None:
    connections = Connections()
    for name in ("c-1", "c-2", "c-3"):
        one = session()
        one.connection = ConnectionId(name)
        connections.add(connected(one).connection, one)

    for connection in connections:
        assert connection.session is not None
        connections.remove(connection.session)

    assert len(connections) == 0


async def test_the_last_one_to_leave_ends_the_wait() -> None:
    connections, alice = Connections(), session()
    await connections.emptied()
    connections.add(connected(alice).connection, alice)
    waiting = asyncio.ensure_future(connections.emptied())
    await asyncio.sleep(0)
    assert not waiting.done()

    connections.remove(alice)

    await waiting
