"""When a presence process is ready, by what its streams say, and that they are made again."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from presence.streams import BUCKET_AWAY, BUCKET_FULL, watch_streams
from tests.support.waiting import until
from tieline.runtime.ops import Ready

Look = Sequence[bool | None]
"""What is found one time: whether the bucket answers, the mailbox answers, and the bucket has room; whether
the streams can be made. None is a bug."""

WELL: Look = (True, True, True, True)
BUCKET_SILENT: Look = (False, True, True, True)
MAILBOX_SILENT: Look = (True, False, True, True)
NOT_TO_BE_MADE: Look = (False, False, False, False)
FULL: Look = (True, True, False, True)


class Streams:
    """Streams of which every look finds what a test says, and then that all is well."""

    def __init__(self, ready: Ready, looks: Sequence[Look]) -> None:
        self._ready = ready
        self._looks = list(looks)
        self._now: Look = WELL
        self.seen: list[str] = []
        """Why the process was not ready, each time before a look."""
        self.made = 0

    async def is_usable(self) -> bool:
        """Be the bucket: begin the next look."""
        self.seen.append(self._ready.why_not())
        self._now = self._looks.pop(0) if self._looks else WELL
        return self._say(0)

    async def has_room(self) -> bool:
        """Be the bucket."""
        return self._say(2)

    async def make(self) -> bool:
        """Make the streams."""
        self.made += 1
        return self._say(3)

    def mailbox(self) -> "Mailbox":
        """Be the mailbox."""
        return Mailbox(lambda: self._say(1))

    def _say(self, place: int) -> bool:
        answer = self._now[place]
        if answer is None:
            raise ValueError("a bug")
        return answer


class Mailbox:
    """The mailbox of a look."""

    def __init__(self, says: Callable[[], bool]) -> None:
        self._says = says

    async def is_usable(self) -> bool:
        """Say."""
        return self._says()


async def watched(*looks: Look) -> tuple[list[str], int]:
    """Look so often; returns why the process was not ready after each, and how often streams were made."""
    ready = Ready()
    streams = Streams(ready, looks)
    watching = asyncio.create_task(watch_streams(streams, streams.mailbox(), streams.make, ready, every_s=0))
    await until(lambda: len(streams.seen) > len(looks))
    watching.cancel()
    return streams.seen[1 : len(looks) + 1], streams.made


@pytest.mark.parametrize("silent", [BUCKET_SILENT, MAILBOX_SILENT])
async def test_one_answer_that_does_not_come_proves_nothing(silent: Look) -> None:
    assert await watched(silent, WELL, silent, WELL) == ([""] * 4, 2)


@pytest.mark.parametrize("silent", [BUCKET_SILENT, MAILBOX_SILENT])
async def test_two_that_do_not_come_are_believed_until_one_comes(silent: Look) -> None:
    reasons = ["", BUCKET_AWAY, BUCKET_AWAY, ""]
    assert await watched(silent, silent, silent, WELL) == (reasons, 3)


async def test_streams_that_cannot_be_made_either_are_away() -> None:
    assert await watched(NOT_TO_BE_MADE, NOT_TO_BE_MADE, WELL) == ([BUCKET_AWAY, BUCKET_AWAY, ""], 2)


async def test_one_write_that_fails_proves_nothing_and_two_do() -> None:
    assert await watched(FULL, WELL, FULL, FULL, WELL) == (["", "", "", BUCKET_FULL, ""], 0)


async def test_a_bug_is_no_word_that_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    bugs: list[Look] = [(None, True, True, True), (True, None, True, None), (True, True, None, True)]

    assert await watched(*bugs, WELL) == (["", BUCKET_AWAY, "", ""], 2)

    assert set(caplog.messages) == {"streams not watched: a bug"}
