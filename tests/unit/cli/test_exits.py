"""The lines with which a command ends, and the exit statuses that belong to them."""

import os

import pytest

from tieline.cli.exits import (
    EXIT_FAILED,
    EXIT_NOT_READ,
    EXIT_UNUSABLE,
    fail,
    fail_without_package,
    refuse,
    while_it_is_read,
)


def test_a_failure_is_one_line_that_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail("bench", "no gateway") == EXIT_FAILED == 1
    assert capsys.readouterr() == ("", "tieline bench: no gateway\n")


def test_a_refusal_has_the_status_of_unusable_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse("token", "name a room") == EXIT_UNUSABLE == 2
    assert capsys.readouterr() == ("", "tieline token: name a room\n")


def test_what_a_server_says_is_no_command_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    fail("bench", "refused: \x1b]0;mine\x07\nÄrger \u202e\ud800")
    assert capsys.readouterr().err == ("tieline bench: refused: \\x1b]0;mine\\x07\\nÄrger \\u202e\\ud800\n")


def test_a_missing_package_is_named_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail_without_package("call", ModuleNotFoundError(name="aiortc")) == EXIT_FAILED
    assert capsys.readouterr().err == (
        "tieline call needs the package 'aiortc', which is not installed: pip install 'tieline[tools]'\n"
    )


def test_a_command_ends_quietly_when_nobody_reads_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert while_it_is_read(lambda: out.write("a line\n")) == EXIT_NOT_READ == 141
    assert capsys.readouterr().err == ""
