"""What is stored about webhooks, and which addresses may be endpoints."""

import msgspec
import pytest

from tieline.wire import webhooks
from tieline.wire.webhooks import DeadLetter, Endpoint, EndpointId, Failing, Keys, Progress, problem_of_url

ONE = EndpointId("one.two")
ENDPOINT = Endpoint(ONE, "https://a.example", ("secret",), ("call.*", "member.left"))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("call.offered", True), ("member.left", True), ("member.joined", False), ("other", False)],
)
def test_an_endpoint_is_told_what_it_wants(kind: str, wanted: bool) -> None:
    assert ENDPOINT.wants(kind) is wanted


def test_an_endpoint_that_names_nothing_wants_everything() -> None:
    assert Endpoint(ONE, "https://a.example", ("secret",)).wants("anything")


def test_records_come_back_as_they_were() -> None:
    progress = Progress(9, (3, 4), (Failing("call/a", 2, 7),), 1, 5, 8)
    dead = DeadLetter(ONE, 7, 9, msgspec.Raw(b"{}"))
    assert webhooks.read_endpoint(webhooks.encode(ENDPOINT)) == ENDPOINT
    assert webhooks.read_progress(webhooks.encode(progress)) == progress
    again = webhooks.read_dead(webhooks.encode(dead))
    assert again is not None
    assert bytes(again.event) == b"{}"


def test_garbage_is_no_record() -> None:
    for garbage in (b"", b"{}", b"\xff"):
        assert webhooks.read_endpoint(garbage) is None
        assert webhooks.read_progress(garbage) is None
        assert webhooks.read_dead(garbage) is None


def test_each_key_is_of_one_of_the_patterns() -> None:
    keys = [Keys.endpoint(ONE), Keys.progress(ONE), Keys.lease(ONE), Keys.worker("w.1"), Keys.dead(ONE, 7)]
    for key, pattern in zip(keys, Keys.patterns(), strict=True):
        assert len(key.split(".")) == len(pattern.split("."))
        assert key.split(".")[0] == pattern.split(".")[0]
    assert Keys.dead(ONE, 7).startswith(Keys.dead_of(ONE).removesuffix("*"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example",
        "https://",
        "a.example",
        "https://user:pass@a.example",
        "https://user@a.example",
        "https://a.example/#part",
        "https://a.example:port",
        "https://[::1",
        "https://a.example/ b",
        "https://a.example/\n",
        "https://127.0.0.1\\@a.example/",
        "https://a.example/" + "a" * 2048,
    ],
)
def test_what_is_no_address_of_a_receiver_is_said_to_be_none(url: str) -> None:
    assert problem_of_url(url, may_be_private=True)


def test_http_is_for_private_networks() -> None:
    assert "TIELINE_WEBHOOK_PRIVATE" in (problem_of_url("http://a.example", may_be_private=False) or "")
    assert problem_of_url("http://a.example", may_be_private=True) is None
    for may_be_private in (False, True):
        told = problem_of_url("a.example:3000", may_be_private=may_be_private) or ""
        assert ("http://" in told) == may_be_private
    assert problem_of_url("https://a.example/hooks?x=1", may_be_private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1",
        "https://localhost",
        "https://localhost.:8443/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::1]:8443/",
        "https://169.254.169.254/latest/meta-data",
    ],
)
def test_what_is_private_as_it_is_written_is_not_registered(url: str) -> None:
    assert "TIELINE_WEBHOOK_PRIVATE=1" in (problem_of_url(url, may_be_private=False) or "")
    assert problem_of_url(url, may_be_private=True) is None
