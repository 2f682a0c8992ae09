"""One API process: `python -m api`, configured by the environment alone."""

import asyncio
import functools
import logging

import tieline.runtime.nats_py  # noqa: F401  # before the others
from api.app import make_app
from api.authority import Authority
from api.following import Following
from api.presence import RemotePresence
from api.resources.calls import call_routes
from api.resources.events import event_routes
from api.resources.messages import message_routes
from api.resources.rooms import room_routes
from api.resources.statistics import statistics_routes
from api.resources.tokens import token_routes
from api.resources.users import user_routes
from api.resources.webhooks import webhook_routes
from api.server import most_at_once, serving
from api.settings import ApiSettings, keys_of
from api.signed_tokens import SignedTokens
from tieline.event_stream import EventStream, News, hear
from tieline.runtime.descriptors import sockets_allowed
from tieline.runtime.guard import BackgroundTasks
from tieline.runtime.ops import STARTING, STOPPING
from tieline.runtime.process import joined, run, unless_stopped
from tieline.webhook_bucket import Bucket
from tieline.wire.subjects import Subjects

_log = logging.getLogger("api")


async def main(settings: ApiSettings, stopping: asyncio.Event) -> None:
    """Answer until `stopping`, then finish what is begun.

    Raises:
        SettingsError: settings that are each usable alone are not so together.
    """
    keys = keys_of(settings)
    tokens = SignedTokens((settings.api_token_secret, settings.api_token_secret_previous))
    subjects = Subjects(settings.namespace, settings.partitions)
    replies = functools.partial(subjects.replies, "api")
    async with (
        joined("api", settings, stopping, replies) as process,
        BackgroundTasks() as reading,
    ):
        presence = RemotePresence(process.requests, subjects)
        news = News()
        await hear(process.broker, subjects, news)
        events = EventStream(process.requests, subjects)
        following = Following(events, news, settings.api_event_streams, reading)
        routes = [
            *room_routes(presence),
            *user_routes(presence),
            *call_routes(presence),
            *message_routes(presence),
            *statistics_routes(presence),
            *event_routes(following),
            *webhook_routes(
                Bucket(process.requests, subjects.webhooks()),
                may_be_private=settings.webhook_private,
                place=events.begin,
            ),
            *token_routes(settings.jwt_secret, settings.made_for),
        ]
        app = make_app(Authority(keys, tokens), routes)
        await unless_stopped(stopping, process.broker.settle())
        most = most_at_once(sockets_allowed())
        async with serving(app, settings.api_host, settings.api_port, most=most) as port:
            _log.info("api listens", extra={"host": settings.api_host, "port": port})
            process.ready.clear(STARTING)
            await stopping.wait()
            _log.info("api stops")
            process.ready.hold(STOPPING)
            following.end()


if __name__ == "__main__":
    run("api", ApiSettings, main)
