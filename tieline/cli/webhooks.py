"""`tieline webhooks`: what endpoints there are, what they have not taken, and to have that told again.

It asks NATS itself, as the user `webhooks` where services have users of their own, and reads the settings of
the workers from the environment (docs/webhooks.md#dead-letters).
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

import tieline.runtime.nats_py  # noqa: F401  # before the others
from tieline.cli.broker import let_in, not_let_in
from tieline.cli.exits import EXIT_OK, fail, note, refuse
from tieline.runtime.once import NoAnswer
from tieline.runtime.requests import Requests
from tieline.runtime.settings import SettingsError, read_settings
from tieline.webhook_bucket import TIMEOUT_S, Bucket, Conflict, Record, Unavailable
from tieline.wire import jetstream_answers, jetstream_headers, webhooks
from tieline.wire.subjects import Subjects, identifier
from tieline.wire.webhooks import SETTINGS, DeadLetter, Endpoint, EndpointId, Progress
from webhooks.settings import WebhookSettings, endpoint_of

_NONE: Final = (
    "no endpoints: none was made through the API, and that of the workers' settings is listed"
    " where TIELINE_WEBHOOK_URL and TIELINE_WEBHOOK_SECRET are set as theirs are"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is asked for."""
    asked = parser.add_subparsers(dest="asked", required=True, metavar="WHAT")
    asked.add_parser("list", help="every endpoint, how many events wait for it, and how many died")
    dead = asked.add_parser("dead", help="the dead letters of an endpoint, one a line, as JSON")
    replay = asked.add_parser("replay", help="tell an endpoint its dead letters again")
    for each in (dead, replay):
        each.add_argument("endpoint", metavar="ENDPOINT", help="its id; that of the settings is `settings`")
    replay.add_argument(
        "--sequence", metavar="N", type=int, action="append", help="only this one; may be given several times"
    )


def run(options: argparse.Namespace) -> int:
    """Show or replay; returns the exit status."""
    failures: list[Exception] = []
    try:
        settings = read_settings(WebhookSettings, os.environ)
        own = endpoint_of(settings)
        lines = asyncio.run(_ask(settings, own, options, failures.append))
    except SettingsError as problem:
        return refuse("webhooks", str(problem))
    except _NoEndpoint as problem:
        return refuse("webhooks", str(problem))
    except TimeoutError:
        return fail("webhooks", not_let_in(failures))
    except Unavailable as problem:
        return fail("webhooks", f"{problem}: does no webhook worker run, or may this user not ask?")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    if not lines:
        note("webhooks", _NONE if options.asked == "list" else f"no dead letters of {options.endpoint!r}")
    return EXIT_OK


class _NoEndpoint(Exception):
    """Nobody would tell what is to be told again."""


class _Found(NamedTuple):
    endpoints: dict[EndpointId, Endpoint]
    progress: dict[EndpointId, Progress]
    dead: list[tuple[str, Record, DeadLetter]]

    def dead_of(self, name: EndpointId) -> list[tuple[str, Record, DeadLetter]]:
        """List the dead letters of an endpoint that is there, or else those of one that was."""
        endpoint = self.endpoints.get(name)
        of_that_name = (each for each in self.dead if each[2].endpoint == name)
        return [each for each in of_that_name if endpoint is None or each[2].made == endpoint.made]

    def waiting_for(self, endpoint: Endpoint) -> int:
        """Count what waits for an endpoint, and not for one of its id before it."""
        progress = self.progress.get(endpoint.id)
        return len(progress.waiting) if progress is not None and progress.made == endpoint.made else 0


async def _ask(
    settings: WebhookSettings,
    own: Endpoint | None,
    options: argparse.Namespace,
    on_failure: Callable[[Exception], None],
) -> list[str]:
    subjects, instance = Subjects(settings.namespace), f"w{secrets.token_hex(4)}"
    broker = await let_in(settings, subjects, "webhooks", instance, on_failure)
    try:
        requests = Requests(broker, subjects.replies("webhooks", instance))
        await requests.start()
        bucket = Bucket(requests, subjects.webhooks())
        found = await _find(bucket, own)
        if options.asked == "list":
            return _listed(found)
        dead = found.dead_of(options.endpoint)
        if options.asked == "dead":
            return [bytes(letter.event).decode() for _, _, letter in dead]
        if options.endpoint not in found.endpoints and options.endpoint != SETTINGS:
            raise _NoEndpoint(f"there is no webhook {options.endpoint!r} that could be told anything")
        chosen = [each for each in dead if not options.sequence or each[2].sequence in options.sequence]
        for key, record, letter in chosen:
            await _replay(requests, subjects, bucket, key, record, letter)
        return [f"{len(chosen)} of {len(dead)} dead letters are told to {options.endpoint} again"]
    finally:
        await broker.close()


async def _find(bucket: Bucket, own: Endpoint | None) -> _Found:
    found = await bucket.read("endpoint.*", "progress.*", "dead.*.*")
    endpoints = {} if own is None else {own.id: own}
    reached: dict[EndpointId, Progress] = {}
    dead: list[tuple[str, Record, DeadLetter]] = []
    for key, record in found.items():
        kind, name, *_ = key.split(".")
        if kind == "endpoint" and (endpoint := webhooks.read_endpoint(record.value)):
            endpoints[endpoint.id] = endpoint
        elif kind == "progress" and (progress := webhooks.read_progress(record.value)):
            reached[EndpointId(identifier(name))] = progress
        elif kind == "dead" and (letter := webhooks.read_dead(record.value)):
            dead.append((key, record, letter))
    dead.sort(key=lambda each: each[2].sequence)
    return _Found(endpoints, reached, dead)


def _listed(found: _Found) -> list[str]:
    return [
        f"{endpoint.id}  {endpoint.url}  waiting {found.waiting_for(endpoint)}"
        f"  dead {len(found.dead_of(endpoint.id))}  {','.join(endpoint.kinds) or 'all events'}"
        f"{'  paused' if endpoint.is_paused else ''}"
        for endpoint in sorted(found.endpoints.values(), key=lambda each: each.id)
    ]


async def _replay(
    requests: Requests, subjects: Subjects, bucket: Bucket, key: str, record: Record, letter: DeadLetter
) -> None:
    """Put a dead letter into the stream again, for its endpoint alone, and then remove it.

    Whoever is interrupted in between may tell it twice.
    """
    headers = jetstream_headers.named(f"again-{key}-{record.revision}")
    try:
        reply = await requests.ask_once(
            subjects.replayed(letter.endpoint), bytes(letter.event), TIMEOUT_S, headers
        )
    except NoAnswer as error:
        raise Unavailable("the stream of events") from error
    refusal = jetstream_answers.read_published(reply.data).error
    if refusal is not None:
        raise Unavailable(refusal.description)
    with contextlib.suppress(Conflict):  # somebody else was at it
        await bucket.remove(key, record.revision)
