"""Signatures of deliveries, as Standard Webhooks has them."""

import pytest

from tieline.wire.signatures import headers_of, key_of, name_of, problem_of_secret, signature

# The example of the specification's own reference implementations.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NAME, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'


def test_a_delivery_is_signed_as_the_standard_says() -> None:
    assert signature(SECRET, NAME, AT, BODY) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_that_is_no_base64_is_the_text_that_it_is() -> None:
    assert key_of("a plain secret") == b"a plain secret"
    assert key_of("whsec_not base64!") == b"whsec_not base64!"


def test_a_secret_that_only_looks_like_base64_is_known() -> None:
    problem = "behind whsec_ stands base64, and here is none"
    for secret in ("whsec_", "whsec_not base64!", "whsec_abcde", SECRET + "\n"):
        assert problem_of_secret(secret) == problem
    for secret in (SECRET, "a plain secret", "not whsec_ alone"):
        assert problem_of_secret(secret) is None


def test_two_secrets_make_two_signatures() -> None:
    headers = headers_of(("new", "old"), NAME, AT, BODY)
    assert headers["webhook-signature"].split() == [
        signature(secret, NAME, AT, BODY) for secret in ("new", "old")
    ]
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (NAME, str(AT))


def test_nobody_signs_by_the_letters_of_a_secret() -> None:
    with pytest.raises(TypeError, match=r"^secrets: a list of texts is wanted"):
        headers_of(SECRET, NAME, AT, BODY)


def test_the_same_events_again_are_the_same_delivery() -> None:
    assert name_of(["a", "b"]) == name_of(["a", "b"]) != name_of(["a"])
