"""Where commands find the secret that tokens are signed with."""

from pathlib import Path

import pytest

from tieline.cli.secret import SECRET_FILE_VARIABLE, doubts, find_secret
from tieline.runtime.settings import SettingsError
from tieline.tokens import SECRET_VARIABLE


def test_an_option_counts_before_a_variable_and_either_may_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("in a file\n")
    assert find_secret(None, {}) == ""
    assert find_secret("option", {SECRET_VARIABLE: "variable"}) == "option"
    assert find_secret(None, {SECRET_VARIABLE: "variable"}) == "variable"
    assert find_secret("", {SECRET_FILE_VARIABLE: str(file)}) == "in a file"


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=SECRET_FILE_VARIABLE):
        find_secret(None, {SECRET_FILE_VARIABLE: "/nowhere/secret"})


@pytest.mark.parametrize(
    ("option", "environ", "named"),
    [
        ("short", {SECRET_VARIABLE: "short"}, "--secret"),
        (None, {SECRET_VARIABLE: "short"}, SECRET_VARIABLE),
        (None, {SECRET_FILE_VARIABLE: "file"}, SECRET_FILE_VARIABLE),
    ],
)
def test_doubts_name_the_place_of_the_secret(option: str | None, environ: dict[str, str], named: str) -> None:
    (doubt,) = doubts(option, "short", environ)
    assert doubt.startswith(f"{named} is so short")
