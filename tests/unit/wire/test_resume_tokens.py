import pytest

from tests.unit.wire.internal.messages import NONE, SECRET
from tieline.wire.ids import ResumeToken
from tieline.wire.resume_tokens import asked_of, resume_token, secret_hash


def test_a_resume_token_says_when_its_session_was_asked_to_begin() -> None:
    assert asked_of(resume_token("a-secret", 0xBEEF)) == 0xBEEF
    assert resume_token("a-secret", 0) == "a-secret"


NO_NUMBERS = ("xyz", "1x", "-1", "+1", " 1", "1_0", "BEEF", "٣", "f" * 14)


@pytest.mark.parametrize("token", ["", ".", "x" * 32, "a.", *(f"a.{number}" for number in NO_NUMBERS)])
def test_any_other_token_does_not_say(token: str) -> None:
    assert asked_of(ResumeToken(token)) == 0


def test_a_resume_secret_is_hashed_the_same_in_every_process() -> None:
    assert secret_hash(ResumeToken("a secret")) == bytes.fromhex(
        "984ca5162200734c592148f1820b71057f098573d138666b48663e4e30cd8d3a"
    )
    assert secret_hash(ResumeToken("another secret")) != SECRET
    assert SECRET != NONE
