"""Which pages may connect."""

import pytest

from gateway.admission.origins import Origins, read_origins
from tieline.runtime.settings import SettingsError

NONE_LISTED = Origins()


def own(origin: str, host: str) -> bool:
    return NONE_LISTED.allow([origin], [host])


def listed(value: str) -> Origins:
    return Origins(read_origins("TIELINE_ORIGINS", value))


def test_who_names_no_origin_is_let_in() -> None:
    assert NONE_LISTED.allow([], ["gateway.example"])
    assert NONE_LISTED.allow([], [])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://gateway.example", "gateway.example"),
        ("https://gateway.example", "gateway.example"),
        ("https://gateway.example", "gateway.example:443"),
        ("http://gateway.example", "gateway.example:80"),
        ("http://gateway.example:80", "gateway.example"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("https://Gateway.Example", "gateway.example"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://[2001:DB8::1]", "[2001:db8::1]:443"),
        ("ws://gateway.example", "gateway.example"),
        ("wss://gateway.example:443", "gateway.example"),
    ],
)
def test_a_page_of_the_very_host_and_port_is_let_in(origin: str, host: str) -> None:
    assert own(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "gateway.example"),
        ("https://gateway.example.evil.example", "gateway.example"),
        ("https://evilgateway.example", "gateway.example"),
        ("http://gateway.example:8080", "gateway.example"),
        ("http://gateway.example", "gateway.example:8080"),
        ("http://gateway.example", "gateway.example:443"),
        ("https://gateway.example", "gateway.example:80"),
        ("https://gateway.example/", "gateway.example"),
        ("https://user@gateway.example", "gateway.example"),
        ("https://gateway.example https://evil.example", "gateway.example"),
        ("gateway.example", "gateway.example"),
        ("//gateway.example", "gateway.example"),
        ("file://gateway.example", "gateway.example"),
        ("null", "null"),
        ("null", "gateway.example"),
        ("", "gateway.example"),
        ("", ""),
        ("https://gateway.example", ""),
        ("https://gateway.example", "user@gateway.example"),
        ("https://gateway.example:", "gateway.example"),
        ("https://gateway.example:0443", "gateway.example:8080"),
    ],
)
def test_no_other_page_is(origin: str, host: str) -> None:
    assert not own(origin, host)


def test_two_origins_are_none_and_two_hosts_are_none() -> None:
    assert not NONE_LISTED.allow(["https://a", "https://a"], ["a"])
    assert not NONE_LISTED.allow(["https://a"], ["a", "a"])
    assert not NONE_LISTED.allow(["https://a"], [])


def test_what_is_listed_is_let_in_whatever_the_host() -> None:
    origins = listed("https://app.example, http://localhost:3000,capacitor://localhost,null")

    for origin in (
        "https://app.example",
        "https://app.example:443",
        "HTTPS://APP.EXAMPLE",
        "http://localhost:3000",
        "capacitor://localhost",
        "null",
    ):
        assert origins.allow([origin], ["gateway.example"])
    for origin in (
        "http://app.example",
        "https://app.example:444",
        "http://localhost",
        "ionic://localhost",
        "https://sub.app.example",
        "",
    ):
        assert not origins.allow([origin], ["gateway.example"])
    assert origins.allow(["https://gateway.example"], ["gateway.example"])


def test_a_star_lets_every_page_in() -> None:
    for origins in (["https://evil.example"], ["null"], [""], ["a", "b"]):
        assert listed("https://app.example,*").allow(origins, [])


@pytest.mark.parametrize("value", ["", " , "])
def test_an_empty_list_lists_none(value: str) -> None:
    assert read_origins("TIELINE_ORIGINS", value) == ()


@pytest.mark.parametrize(
    "value", ["app.example", "https://app.example/", "https://*.example/x", "https://", "**"]
)
def test_what_no_browser_would_send_cannot_be_listed(value: str) -> None:
    with pytest.raises(SettingsError) as problem:
        listed(f"https://good.example,{value}")
    assert str(problem.value).startswith(f"TIELINE_ORIGINS: {value!r} is no origin")
