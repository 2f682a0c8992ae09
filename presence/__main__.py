"""One presence process: `python -m presence`, configured by the environment alone."""

import asyncio
import functools
import logging

import tieline.runtime.nats_py  # noqa: F401  # before the others
from presence.announce import Announcer
from presence.app_mail import AppMail, MailboxPost
from presence.backend import handlers
from presence.broker_clock import BrokerClock
from presence.bucket import Bucket
from presence.changes import Changes
from presence.closings import Closings
from presence.entitlement import Entitlement
from presence.events import Events
from presence.gateways import Gateways
from presence.kept_offers import KeptOffers
from presence.listeners import Listeners
from presence.mail import Mail
from presence.mailbox import Mailbox
from presence.memory import Memory
from presence.moderation import Moderation
from presence.numbers import Numbers
from presence.old_calls import OldCalls
from presence.once import Once
from presence.operations import Operations
from presence.overview import Overview
from presence.partitioned import PartitionedBucket
from presence.read_budget import ReadBudget
from presence.records import Records
from presence.replaced_mail import ReplacedMail
from presence.room_log import MailboxLog
from presence.rosters import Rosters
from presence.rules.signals import Terms
from presence.second_look import SecondLooks
from presence.service import PresenceService
from presence.settings import PresenceSettings, demand_events, tokens_of
from presence.settling import Settling
from presence.standings import Standings
from presence.stream_size import measure_sizes, named
from presence.streams import Streams, watch_streams
from presence.timers import AT_ONCE, Timers
from presence.user_watch import UserWatch
from tieline.runtime.clock_watch import ClockWatch
from tieline.runtime.guard import BackgroundTasks, keep_going
from tieline.runtime.ops import STARTING, STOPPING
from tieline.runtime.process import Joined, joined, run, unless_stopped
from tieline.runtime.requests import NoAnswer
from tieline.verification.key_server import KeyServer
from tieline.verification.tokens import Tokens
from tieline.wire.ids import GatewayId
from tieline.wire.subjects import Subjects

_log = logging.getLogger("presence")


async def main(settings: PresenceSettings, stopping: asyncio.Event) -> None:
    """Serve until `stopping`, then finish what is begun.

    Raises:
        SettingsError: settings that are each usable alone are not so together.
    """
    demand_events(settings)
    tokens = tokens_of(settings)
    if tokens is not None and settings.jwt_secret:
        _log.warning("tokens are verified with a secret by which gateways could make them: it shows little")
    subjects = Subjects(settings.namespace, settings.partitions)
    replies = functools.partial(subjects.replies, "presence")
    inbox = functools.partial(subjects.inbox, "presence")
    async with joined("presence", settings, stopping, replies, inbox) as process:
        await _serve(settings, stopping, subjects, process, tokens)


async def _serve(
    settings: PresenceSettings,
    stopping: asyncio.Event,
    subjects: Subjects,
    process: Joined,
    tokens: Tokens | None,
) -> None:
    instance, ready, broker, requests = process
    streams = Streams(broker, subjects, settings, _keep_s(settings))
    await unless_stopped(stopping, streams.made())
    budget, partitions = ReadBudget(), subjects.partitions
    buckets = [Bucket(broker, requests, part.bucket(), budget) for part in subjects.parts()]
    parted = PartitionedBucket(buckets, partitions)
    bucket = buckets[0] if len(buckets) == 1 else parted
    clock = BrokerClock(requests, buckets[0].stream, ClockWatch())
    await unless_stopped(stopping, clock.known())
    memory = Memory(partitions=partitions)
    user_watches = [
        UserWatch(broker, requests, part.stream, part.prefix, memory, at=at)
        for at, part in enumerate(buckets)
    ]
    records = Records(bucket, settings.offline_retention, memory, partitions, parted)
    rosters = Rosters(records, settings.room_max_members, bucket.count)
    listeners = Listeners(bucket, clock.now_ms)
    log = MailboxLog(requests, subjects, streams.made)
    old_calls = OldCalls()
    replaced_mail = ReplacedMail(requests, subjects)
    events = None
    if settings.events == "on":
        events = Events(broker, requests, buckets, subjects, streams, clock.now_ms)
    announcer = Announcer(broker, subjects, replaced_mail.note)
    post = MailboxPost(requests, subjects)
    kept = KeptOffers(records, post, settings.offer_timeout, is_on=settings.wake_window > 0)
    settling = Settling()
    changes = Changes(
        records,
        rosters,
        announcer,
        clock.now_ms,
        log,
        listeners.are_all,
        old_calls,
        outbox=events,
        kept=kept,
        settling=settling,
    )
    broker.when_away(changes.forget_carried_out)
    broker.when_away(rosters.forget_counts)

    async def is_alive(gateway: GatewayId, patience_s: float) -> bool:
        try:
            await requests.ask(subjects.gateway(gateway, "alive"), b"", patience_s, kind="alive")
        except NoAnswer:
            return False
        return True

    gateways = Gateways(
        records,
        changes,
        is_alive,
        settings.gateway_lease,
        settings.resume_window,
        listeners,
        clock.now_ms,
        wants_tokens=tokens is not None,
    )

    async def ask_gateway(gateway: GatewayId, what: str, order: bytes, patience_s: float) -> bytes:
        return await requests.ask(subjects.gateway(gateway, what), order, patience_s, kind=what)

    max_rooms = settings.max_rooms if settings.limits == "on" else 0
    once, standings = Once(bucket, clock.now_ms), Standings(records, clock.now_ms)
    numbers = Numbers(bucket, clock.now_ms)
    moderation = Moderation(records, changes, standings, ask_gateway, max_rooms)
    closings = Closings(records, rosters, once, clock.now_ms, moderation.put_out, standings)
    at_once = max(1, AT_ONCE // len(buckets))
    timers = [
        Timers(
            broker,
            part.stream,
            part.prefix,
            gateways,
            changes,
            at=at,
            at_once=at_once,
            close=closings.go_on,
        )
        for at, part in enumerate(buckets)
    ]
    terms = Terms(settings.candidates, settings.offer_timeout, settings.wake_window)
    mailbox = Mailbox(requests, subjects)
    names = named(subjects)
    if events is not None:
        names["events"] = subjects.event_stream()
    async with BackgroundTasks() as background:
        keys = None
        if tokens is not None and settings.jwks_url:
            keys = KeyServer(settings.jwks_url, tokens, background, service="presence")
        keeping = None if keys is None else background.create_task(keys.keep())
        if tokens is not None and keys is not None and not tokens.has_own_keys:
            await unless_stopped(stopping, keys.good.wait())
        entitlement = _entitlement(settings, tokens, keys, clock)
        second_looks = SecondLooks(records, changes.end_offered, Mail(requests, subjects))
        app_mail = AppMail(records, rosters, post)
        overview = Overview(records, rosters, standings, clock.now_ms)
        operations = Operations(
            records,
            changes,
            gateways,
            terms,
            settings.resume_window,
            log,
            second_looks,
            max_rooms,
            entitlement,
            refused=None if events is None else events.refused,
            judge=instance,
            backend=handlers(once, numbers, moderation, closings, app_mail, overview),
        )
        consuming = [background.create_task(each.run()) for each in timers]
        watching = background.create_task(watch_streams(bucket, mailbox, streams.try_to_make, ready))
        measure = functools.partial(measure_sizes, requests, names, _keep_s(settings))
        measuring = background.create_task(keep_going(_log, "streams not measured: a bug", measure))
        telling = background.create_task(keep_going(_log, "clock not kept: a bug", clock.keep))
        ending = background.create_task(old_calls.run(changes.end_old_calls))
        watching_users = [background.create_task(each.run()) for each in user_watches]
        replacing = background.create_task(replaced_mail.run())
        settling_later = background.create_task(keep_going(_log, "not settled: a bug", settling.run))
        telling_events = background.create_task(events.run()) if events else None
        if events is not None:
            await unless_stopped(stopping, events.know())
        async with BackgroundTasks() as answering:
            service = PresenceService(broker, subjects, answering, operations)
            requested = await broker.subscribe(subjects.presences(), service.on_request, queue="presence")
            preferred = await broker.subscribe(subjects.judge(instance), service.on_request)
            await unless_stopped(stopping, broker.settle())
            ready.clear(STARTING)
            await stopping.wait()
            _log.info("presence stops")
            watching.cancel()
            measuring.cancel()
            telling.cancel()
            for each in watching_users:
                each.cancel()
            if keeping is not None:
                keeping.cancel()
            ready.hold(STOPPING)
            await broker.drain(preferred)
            await broker.drain(requested)
        ending.cancel()
        replacing.cancel()
        settling_later.cancel()
        await settling.settle_all()
        for timer, consumer in zip(timers, consuming, strict=True):
            timer.stop()
            consumer.cancel()
        if events is not None and telling_events is not None:
            await events.finish()
            telling_events.cancel()


def _entitlement(
    settings: PresenceSettings, tokens: Tokens | None, keys: KeyServer | None, clock: BrokerClock
) -> Entitlement | None:
    """Look at tokens, if it is told by what; None: gateways are believed."""
    if tokens is None:
        return None
    refresh = None if keys is None else keys.refresh
    return Entitlement(tokens, clock.now_ms, refresh, takes_none=settings.verify_tokens == "transition")


def _keep_s(settings: PresenceSettings) -> float:
    """The longest absence after which a session is resumed: its gateway's death is noticed first."""
    return settings.resume_window + settings.gateway_lease


if __name__ == "__main__":
    run("presence", PresenceSettings, main)
