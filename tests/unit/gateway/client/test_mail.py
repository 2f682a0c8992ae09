"""What a stored frame's headers say, and who is told."""

import json
from typing import Final

from gateway.client.duplicates import Duplicates, name_of
from gateway.client.mail import Mail, Telling, mail
from tests.unit.wire.samples import frame, signal_message
from tieline.wire import jetstream

CALL: Final = "0123456789abcdef"
FRAME: Final = frame(signal_message())


def test_a_frame_is_kept_with_its_call() -> None:
    kept = mail(FRAME, jetstream.named("7f.bob", CALL))
    assert isinstance(kept, Mail)
    assert (kept, kept.call) == (FRAME, CALL)


def test_a_frame_of_no_call_is_nothing_but_a_frame() -> None:
    assert mail(FRAME, jetstream.named("7f.bob")) is FRAME


def test_a_frame_is_known_by_what_was_sent() -> None:
    had = Duplicates()
    assert had.is_new(FRAME, 0)
    assert not had.is_new(mail(FRAME, jetstream.named("7f.bob", CALL)), 0)
    assert name_of(FRAME) == name_of(mail(FRAME, jetstream.named("7f.bob", CALL)))


def test_who_asks_is_told_the_call_and_nobody_elses_word_for_it() -> None:
    said: list[bytes] = []

    def say(frame: bytes) -> bool:
        said.append(frame)
        return len(said) == 1

    telling = Telling(say)
    message = signal_message()
    message["data"]["call"] = "of the sender's own"
    assert telling.say(mail(frame(message), jetstream.named("7f.bob", CALL)))
    assert not telling.say(frame(message))
    assert [json.loads(each)["data"].get("call") for each in said] == [CALL, None]
