"""Where the mailbox of a real broker has a frame, by its name."""

import pytest

from presence.mail import Mail
from presence.mailbox import make_mailbox
from tests.broker.presence.conftest import SUBJECTS
from tieline.runtime.broker import Broker
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream_answers, jetstream_headers
from tieline.wire.digests import digest, message_id, name_of
from tieline.wire.ids import SessionId, UserId

BOB, FRAME = UserId("bob"), b"offer"


async def test_a_frame_is_found_once_it_is_stored(broker: Broker, requests: Requests) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    mail, name = Mail(requests, SUBJECTS), name_of(BOB, digest(FRAME))
    assert await mail.find(BOB, name) == 0
    headers = jetstream_headers.named(message_id(BOB, FRAME))
    answer = await requests.ask_once(SUBJECTS.user(BOB, SessionId("bob-s1")), FRAME, 5.0, headers)
    assert await mail.find(BOB, name) == jetstream_answers.read_published(answer.data).seq
    await broker.client.jetstream().delete_stream(SUBJECTS.mailbox())


async def test_a_mailbox_that_is_not_there_says_nothing(requests: Requests) -> None:
    with pytest.raises(NoAnswer):
        await Mail(requests, SUBJECTS).find(BOB, "a name")
