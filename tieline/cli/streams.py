"""`tieline streams`: make the streams as the settings of presence say, or adapt them.

With another number of partitions (`TIELINE_PARTITIONS`) than is there, it removes what is there if that is
empty, and else changes nothing. What backends have decided is removed only with `--forget-decisions`.

Presence makes them by itself where they are not there. To adapt a stream can empty it, so where services log
in to NATS with rights of their own presence may not: an operator does, as the user `streams`, after changing
a setting that shapes them (docs/operations.md#streams-that-are-there).
"""

import argparse
import asyncio
import logging
import os
import secrets
import sys
from collections.abc import Callable

import tieline.runtime.nats_py  # noqa: F401  # before the others
from presence.event_stream import make_event_stream
from presence.moving import StillStored, number_there, remove_empty
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable
from presence.streams import make_streams
from tieline.cli.broker import because, let_in, not_let_in
from tieline.cli.exits import EXIT_OK, fail, note, refuse
from tieline.runtime.broker import Broker
from tieline.runtime.settings import SettingsError, read_settings
from tieline.wire.subjects import Subjects


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what no setting says: those stand in the environment, as those of presence do."""
    parser.add_argument(
        "--forget-decisions",
        action="store_true",
        help="with another number of partitions: remove the members, bans and voices that backends have"
        " decided, which each backend decides anew afterwards",
    )


def run(options: argparse.Namespace) -> int:
    """Make or adapt both streams; returns the exit status."""
    failures: list[Exception] = []
    # What the broker says is said below, once, and to the end.
    for package in ("tieline", "presence"):
        logging.getLogger(package).addHandler(logging.NullHandler())
    try:
        settings = read_settings(PresenceSettings, os.environ)
        room = asyncio.run(_make(settings, failures.append, forgets_decisions=options.forget_decisions))
    except SettingsError as problem:
        return refuse("streams", str(problem))
    except TimeoutError:
        return fail("streams", not_let_in(failures))
    except StillStored as problem:
        return fail("streams", f"TIELINE_PARTITIONS is {settings.partitions}, but {problem}")
    except StoreUnavailable as problem:
        return fail("streams", f"{problem}{because(failures)}")
    if room < settings.mailbox_max_bytes:
        note(
            "streams",
            f"the mailbox keeps {room:,} bytes, not the {settings.mailbox_max_bytes:,} of"
            " TIELINE_MAILBOX_MAX_BYTES: the broker has no more room (max_memory_store or max_file_store)",
        )
        sys.stdout.write("all else of the bucket and the mailbox is as the settings say\n")
        return EXIT_OK
    sys.stdout.write("the bucket and the mailbox are as the settings say\n")
    return EXIT_OK


async def _make(
    settings: PresenceSettings, on_failure: Callable[[Exception], None], *, forgets_decisions: bool
) -> int:
    """Make or adapt both; returns how many bytes the mailbox may keep."""
    subjects = Subjects(settings.namespace, settings.partitions)
    instance = f"s{secrets.token_hex(4)}"
    broker = await let_in(settings, subjects, "streams", instance, on_failure)
    try:
        keep_s = settings.resume_window + settings.gateway_lease
        await _remove_former(broker, subjects, forgets_decisions=forgets_decisions)
        if settings.events == "on":
            await make_event_stream(
                broker,
                subjects,
                settings.storage,
                settings.replicas,
                settings.events_max_age,
                settings.events_max_bytes,
                must_adapt=True,
            )
        return await make_streams(broker, subjects, settings, keep_s, must_adapt=True)
    finally:
        await broker.close()


async def _remove_former(broker: Broker, subjects: Subjects, *, forgets_decisions: bool) -> None:
    """Remove the streams of another number of partitions, if they are empty but for what may be forgotten."""
    number = await number_there(broker, subjects)
    if number is None or number == subjects.partitions.number:
        return
    former = Subjects(subjects.namespace, number)
    await remove_empty(broker, former, forgets_decisions=forgets_decisions)
    note("streams", f"nothing was stored in {number}, and it is {subjects.partitions.number} from now on")
