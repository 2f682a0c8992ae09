"""`tieline streams`: make the bucket and the mailbox as the settings of presence say, or adapt them.

Presence makes them by itself where they are not there. To adapt a stream can empty it, so where services log
in to NATS with rights of their own presence may not: an operator does, as the user `streams`, after changing
a setting that shapes them (docs/operations.md#streams-that-are-there).
"""

import argparse
import asyncio
import os
import secrets
import sys
from typing import Final

from presence.mailbox import make_mailbox
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable, make_bucket
from tieline.cli.exits import EXIT_OK, fail, refuse
from tieline.runtime.broker import connect
from tieline.runtime.settings import SettingsError, read_settings
from tieline.wire.subjects import Subjects

PATIENCE_S: Final = 15.0
"""For a broker to be reached, and to answer: an election takes a second or two."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: the settings stand in the environment, as those of presence do."""


def run(_options: argparse.Namespace) -> int:
    """Make or adapt both streams; returns the exit status."""
    try:
        settings = read_settings(PresenceSettings, os.environ)
        asyncio.run(_make(settings))
    except SettingsError as problem:
        return refuse("streams", str(problem))
    except TimeoutError:
        return fail("streams", f"no broker has let us in within {PATIENCE_S:g} s")
    except StoreUnavailable as problem:
        return fail("streams", str(problem))
    sys.stdout.write("the bucket and the mailbox are as the settings say\n")
    return EXIT_OK


async def _make(settings: PresenceSettings) -> None:
    subjects, instance = Subjects(settings.namespace), f"s{secrets.token_hex(4)}"
    async with asyncio.timeout(PATIENCE_S):
        broker = await connect(
            settings.nats_url,
            f"tieline-streams-{instance}",
            settings.nats_login,
            subjects.inbox("streams", instance),
        )
    try:
        await make_bucket(broker, settings.namespace, settings.storage, settings.replicas, must_adapt=True)
        await make_mailbox(
            broker,
            subjects,
            settings.storage,
            settings.replicas,
            settings.resume_window + settings.gateway_lease,
            settings.mailbox_max_bytes,
            must_adapt=True,
        )
    finally:
        await broker.close()
