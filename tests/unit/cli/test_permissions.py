"""`tieline permissions`: the accounts that it writes. tests/nats tries them on a real broker."""

from collections import Counter

import pytest

from tieline.cli.__main__ import main
from tieline.cli.permissions import accounts
from tieline.wire.permissions import permissions
from tieline.wire.subjects import Subjects


def test_every_service_has_a_user_with_a_password_of_its_own() -> None:
    written = accounts("tieline")
    for user in permissions(Subjects("tieline")):
        assert f"        user: {user}\n        password: $TIELINE_{user.upper()}_PASSWORD\n" in written
    assert "users: [{ user: admin, password: $TIELINE_ADMIN_PASSWORD }]" in written
    assert written.endswith("system_account: SYS\n")


def test_every_pattern_is_one_line() -> None:
    written = accounts("tieline").splitlines()
    for allowed in permissions(Subjects("tieline")).values():
        assert all(f'            "{pattern}"' in written for pattern in (*allowed.say, *allowed.hear))


def test_braces_and_brackets_are_balanced() -> None:
    written = accounts("tieline")
    assert written.count("{") == written.count("}")
    assert written.count("[") == written.count("]")


@pytest.mark.parametrize(
    ("namespace", "command"),
    [("tieline", "`tieline permissions`"), ("a", "`tieline permissions --namespace a`")],
)
def test_the_head_names_the_command_that_writes_the_file(namespace: str, command: str) -> None:
    assert command in accounts(namespace)


def test_the_command_prints_the_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", "--namespace", "other"]) == 0
    assert capsys.readouterr().out == accounts("other")


def test_a_namespace_that_is_no_token_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", "--namespace", "a.b"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tieline permissions: ")
    assert "TIELINE_NAMESPACE" in printed.err


def test_in_transition_all_may_do_what_they_did_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["permissions", "--transition"]) == 0
    printed = capsys.readouterr().out
    assert "`tieline permissions --transition`" in printed
    before, after = (
        [line for line in written.splitlines() if not line.startswith("#")]
        for written in (printed, accounts("tieline"))
    )
    more = Counter(filter(None, before)) - Counter(filter(None, after))
    assert {line.strip() for line in more} == {
        '"$JS.API.STREAM.UPDATE.KV_tieline"',
        '"$JS.API.STREAM.UPDATE.MAILBOX_tieline"',
    }
    assert Counter(after) - Counter(before) == Counter()
    user, account = "        user: gateway", "  TIELINE_GATEWAYS {"
    assert before.index(user) < before.index(account)
    assert after.index(account) < after.index(user)
