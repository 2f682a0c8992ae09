"""Refuse to run with another number of partitions than the mailbox has.

What is published for a user would be in no partition, or in one where nobody looks. A gateway finds that out
with its lease (`gateway.sessions.lease`), and presence when it makes the streams (`presence.streams`).
"""

import logging
from typing import Final

from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.settings import SettingsError
from tieline.wire import jetstream_answers
from tieline.wire.partitions import other_number
from tieline.wire.subjects import Subjects

PATIENCE_S: Final = 2.0
"""For an answer. A router that begins before its mailbox is there is not ready until it is (`say_number`)."""

_log = logging.getLogger(__name__)


async def demand_number(requests: Requests, subjects: Subjects, patience_s: float = PATIENCE_S) -> None:
    """Ask the mailbox which it is, if it is there.

    Raises:
        SettingsError: it is of another number of partitions.
    """
    try:
        answer = await requests.ask_once(subjects.which(), b"", patience_s)
    except NoAnswer:
        return
    stored_in = jetstream_answers.read_published(answer.data).stream
    if stored_in and stored_in != subjects.mailbox():
        raise SettingsError(other_number(subjects.partitions.number, stored_in))


async def say_number(requests: Requests, subjects: Subjects) -> None:
    """Say in the log if the mailbox that is there by now is of another number of partitions."""
    try:
        await demand_number(requests, subjects)
    except SettingsError as problem:
        _log.error("no such mailbox", extra={"error": str(problem)})
