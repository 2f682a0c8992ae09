"""One gateway process: `python -m gateway`, configured by the environment alone."""

import asyncio
import functools
import logging
import signal
import socket
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Final

import tieline.runtime.nats_py  # noqa: F401  # before the others
from gateway.admission.certificate import Certificate
from gateway.admission.entrance import Entrance
from gateway.admission.handshake import Admission
from gateway.admission.origins import Origins, read_origins
from gateway.client.acceptor import Acceptor, listening_sockets
from gateway.client.alarms import Alarms
from gateway.client.broker_time import BrokerTime
from gateway.client.connection import Connection
from gateway.client.deliveries import Backlogs
from gateway.client.session import Session
from gateway.client.tls import Tls
from gateway.client.trickle import Trickle
from gateway.client.turns import Turns
from gateway.client.waiting import Waiting
from gateway.delivery.connections import Connections
from gateway.delivery.delivery import Delivery, Shares
from gateway.delivery.mailbox import LONG_AT_ONCE
from gateway.limits.addresses import Addresses
from gateway.limits.users import Users
from gateway.rooms.delivery import RoomDelivery
from gateway.rooms.live_rooms import LiveRooms
from gateway.rooms.memberships import Memberships
from gateway.rooms.pacer import Pacer
from gateway.rooms.partitioned import Part, PartitionedDelivery
from gateway.rooms.reading import LogReader
from gateway.rooms.retelling import Retelling
from gateway.sessions.arrivals import Arrivals
from gateway.sessions.departures import Departures, Drain
from gateway.sessions.heaviest_page import heaviest_page
from gateway.sessions.lease import Lease
from gateway.sessions.limit_log import LimitLog
from gateway.sessions.notices import Notices
from gateway.sessions.orders import Orders
from gateway.sessions.presence import RemotePresence
from gateway.sessions.questions import AboutSession, Questions
from gateway.sessions.reconciliation import Reconciliation
from gateway.sessions.registrations import Registrations
from gateway.sessions.signals import Signals
from gateway.sessions.upgrades import Upgrades
from gateway.sessions.user_share import measure_user_share
from gateway.settings import (
    GatewaySettings,
    address_limits_of,
    certificate_of,
    max_connections_of,
    pages_of,
    proxies_of,
    rates_of,
    room_of,
    terms_of,
    tokens_of,
)
from tieline import metrics
from tieline.runtime.clock_watch import ClockWatch
from tieline.runtime.descriptors import sockets_allowed
from tieline.runtime.guard import BackgroundTasks
from tieline.runtime.ops import STARTING
from tieline.runtime.process import joined, run, unless_stopped
from tieline.runtime.tally import Tally
from tieline.runtime.watch import NO_ROOM, Doubt, hold_while_unwell
from tieline.verification.key_server import KeyServer
from tieline.wire.ids import GatewayId
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.subjects import Subjects

PRESENCE_SILENT: Final = "presence does not answer: no session can begin"

EXIT_PORT_TAKEN: Final = 69  # EX_UNAVAILABLE of sysexits.h

_log = logging.getLogger("gateway")


async def main(settings: GatewaySettings, stopping: asyncio.Event) -> None:
    """Serve clients until `stopping`, then close them with 1012.

    Raises:
        SettingsError: settings that are each usable alone are not so together.
    """
    tokens = tokens_of(settings)
    certificate = certificate_of(settings)
    pages = pages_of(settings)
    terms = terms_of(settings, tokens)._replace(broker_time=BrokerTime())
    origins = Origins(read_origins("TIELINE_ORIGINS", settings.origins))
    proxies = proxies_of(settings)
    room = room_of(settings, sockets_allowed())
    subjects = Subjects(settings.namespace, settings.partitions)

    def replies(instance: str) -> str:
        return subjects.gateway(GatewayId(instance), "reply")

    ops_pages: dict[str, Callable[[], Awaitable[bytes]]] = {}
    async with (
        joined("gateway", settings, stopping, replies, id_name="gateway", pages=ops_pages) as process,
        BackgroundTasks() as background,
        BackgroundTasks() as clients,
    ):
        gateway, broker, requests = GatewayId(process.instance), process.broker, process.requests
        key_server = KeyServer(settings.jwks_url, tokens, background) if settings.jwks_url else None
        admission = Admission(
            tokens,
            origins,
            proxies,
            None if key_server is None else key_server.refresh,
            takes_query=settings.token_in_query,
        )
        presence = RemotePresence(requests, subjects)
        connections = Connections()
        retelling = Retelling(presence.ask, background)

        async def ask_for(session: Session, request: AboutSession) -> PresenceReply | None:
            return await questions.ask_presence_for(session, request)

        pacer = Pacer(asyncio.get_running_loop())
        shares = Shares(Backlogs(), asyncio.Semaphore(LONG_AT_ONCE))

        def make_part(part: Subjects) -> Part:
            mailbox, reader = (
                Delivery(broker, requests, part, gateway, clients, shares=shares),
                LogReader(requests, part),
            )
            rooms = LiveRooms(broker, part, mailbox, reader, pacer, clients, retelling.want)
            memberships = Memberships(rooms)
            ways = RoomDelivery(mailbox, rooms, memberships, reader, pacer, ask_for, clients)
            return Part(mailbox, rooms, memberships, ways)

        delivery = PartitionedDelivery([make_part(part) for part in subjects.parts()], subjects.place_of)
        notices = Notices(presence)
        limit_log = LimitLog(asyncio.get_running_loop().time)
        users = Users(rates_of(settings), limit_log.limited)
        departures = Departures(
            presence,
            connections,
            delivery,
            notices,
            clients,
            on_closed=limit_log.closed,
            away_delay_s=settings.longest_away_delay_s,
            users=users,
        )
        arrivals = Arrivals(
            gateway=gateway,
            terms=terms,
            presence=presence,
            connections=connections,
            delivery=delivery,
            departures=departures,
            users=users,
            on_welcome=limit_log.watch,
            partitions=subjects.partitions,
        )
        upgrades = Upgrades(
            admission=admission,
            arrivals=arrivals,
            departures=departures,
            connections=connections,
            users=users,
            addresses=Addresses(address_limits_of(settings)),
            has_broker=lambda: broker.is_connected,
            max_connections=max_connections_of(settings, room),
            tasks=clients,
        )
        registrations = Registrations(
            gateway=gateway,
            subjects=subjects,
            broker=broker,
            presence=presence,
            connections=connections,
            departures=departures,
            tasks=clients,
            on_unknown_rooms=lambda session, rooms: orders.take_up(session, rooms),
        )
        questions = Questions(
            ask_signal=Signals(broker, requests, subjects).ask,
            presence=presence,
            refresh_keys=admission.refresh_keys,
            registrations=registrations,
            notices=notices,
            answer_about_room=delivery.answer,
            tasks=clients,
        )
        reconciliation = Reconciliation(presence, connections, lambda: broker.is_connected, clients)

        def on_lease_lost() -> None:
            registrations.on_lease_lost()
            delivery.forget_rosters()

        watch = ClockWatch()

        def on_time(broker_s: float, round_trip_s: float) -> None:
            watch.compare(broker_s, round_trip_s)
            terms.broker_time.note(broker_s + round_trip_s / 2, time.monotonic())

        lease = Lease(
            presence,
            gateway,
            settings.gateway_lease,
            on_lost=on_lease_lost,
            on_answer=Doubt(process.ready, PRESENCE_SILENT).note,
            on_old_presence=delivery.note_old_presence,
            on_time=on_time,
            partitions=settings.partitions,
        )

        ops_pages["/heaviest"] = functools.partial(heaviest_page, users, connections)
        await delivery.start()
        requests.hear_late(departures.on_late_answer)
        broker.when_back(reconciliation.start)
        await broker.subscribe(subjects.gateway(gateway, "close"), registrations.on_close)
        await broker.subscribe(subjects.gateway(gateway, "alive"), registrations.on_alive)
        orders = Orders(
            subjects=subjects,
            broker=broker,
            connections=connections,
            memberships=delivery,
            asks=ask_for,
            notices=notices,
            tasks=clients,
        )
        await broker.subscribe(subjects.gateway(gateway, "join"), orders.on_join)
        keeping = delivery.keep(background)
        keeping += [] if key_server is None else [background.create_task(key_server.keep())]
        await unless_stopped(stopping, lease.take())
        keeping.append(background.create_task(lease.keep()))
        keeping.append(background.create_task(hold_while_unwell(process.ready, NO_ROOM, delivery.stores)))
        keeping.append(background.create_task(measure_user_share(users)))
        if key_server is not None and not tokens.has_own_keys:
            await unless_stopped(stopping, key_server.good.wait())

        tally = Tally(_log)
        entrance = Entrance(room, tally, proxies, expects_header=settings.proxy_protocol)
        loop, waiting = asyncio.get_running_loop(), Waiting(settings.max_waiting_bytes)
        metrics.WAITING_BYTES.labels("in").set_function(lambda: waiting.bytes_in)
        metrics.WAITING_BYTES.labels("out").set_function(lambda: waiting.bytes_out)
        turns = Turns(loop, time.perf_counter)
        client: Callable[[], asyncio.BaseProtocol]
        client = connection = functools.partial(
            Connection,
            loop,
            entrance,
            questions,
            upgrades.on_request,
            departures.on_gone,
            turns=turns,
            waiting=waiting,
            pages=pages,
            alarms=Alarms(loop),
        )
        if certificate is not None:
            keeping.append(background.create_task(certificate.watch()))
            loop.add_signal_handler(signal.SIGHUP, certificate.reload)
            client = functools.partial(_behind_tls, connection, certificate, turns, loop)
        listening = await _listen(settings.listen_host, settings.listen_port)
        scheme, port = "ws" if certificate is None else "wss", listening[0].getsockname()[1]
        acceptor = Acceptor(loop, listening, client, clients, lambda: turns.newcomers)
        acceptor.start()
        _log.info("gateway listens", extra={"scheme": scheme, "host": settings.listen_host, "port": port})
        process.ready.clear(STARTING)
        await stopping.wait()

        _log.info("gateway stops", extra={"connections": len(connections)})
        process.ready.hold("draining")
        await departures.drain(Drain(settings.drain_wait, settings.drain_spread))
        acceptor.close()
        await retelling.stop()
        tally.flush()
        for task in keeping:
            task.cancel()


def _behind_tls(
    client: Callable[[], Connection],
    certificate: Certificate,
    turns: Turns,
    loop: asyncio.AbstractEventLoop,
) -> Tls:
    """Begin with a client that speaks TLS, and is shown the certificate of this moment."""
    return Tls(client(), certificate.context(), turns, Trickle(loop))


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Let clients knock from now on; a port that cannot be had ends the process."""
    try:
        return await listening_sockets(host, port)
    except OSError as error:
        where = f"TIELINE_LISTEN_HOST, TIELINE_LISTEN_PORT: cannot listen on {host}, port {port}"
        sys.stderr.write(f"gateway: {where}: {error}\n")
        sys.exit(EXIT_PORT_TAKEN)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="The HMAC key is")  # said by `settings`, once, in the log
    run("gateway", GatewaySettings, main)
