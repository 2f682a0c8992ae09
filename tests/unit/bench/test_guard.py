"""`bench.guard`: which release is meant, and what is kept of it."""

from pathlib import Path

import msgspec
import pytest

from bench.comparison import Kept, figures_of
from bench.guard import keep, parse, plan_of, read_releases, release_of
from bench.systems import StartError


def kept(version: str, at: str = "2026-01-01") -> Kept:
    return Kept(
        version=version,
        commit=f"commit of {version}",
        at=at,
        machine="a machine",
        command="python -m bench.guard --keep",
        reference="hand-rolled relay",
        seconds=2.0,
        ratios={"arrivals/s": [0.5, 0.6]},
    )


def test_what_is_kept_of_a_release_replaces_what_was_kept_of_it(tmp_path: Path) -> None:
    file = tmp_path / "releases.json"
    assert read_releases(file) == []
    for one in (kept("0.1.0"), kept("0.2.0"), kept("0.2.0", "2026-02-02")):
        keep(one, file)
    assert read_releases(file) == [kept("0.1.0"), kept("0.2.0", "2026-02-02")]


def test_the_last_release_is_meant_unless_one_is_named() -> None:
    both = [kept("0.1.0"), kept("0.2.0")]
    assert release_of(parse([]), both) == ("0.2.0", "commit of 0.2.0", both[1])
    assert release_of(parse(["--release", "0.1.0"]), both) == ("0.1.0", "commit of 0.1.0", both[0])
    assert release_of(parse(["--release", "0.1.0", "--commit", "abc"]), both)[1] == "abc"


def test_a_release_of_which_nothing_is_kept_is_found_by_its_tag() -> None:
    assert release_of(parse(["--release", "0.3.0"]), []) == ("0.3.0", "v0.3.0", None)
    with pytest.raises(StartError, match="name one with --release"):
        release_of(parse([]), [])


def test_the_release_is_not_kept_without_being_measured() -> None:
    with pytest.raises(SystemExit):
        parse(["--keep", "--kept"])


def test_the_kept_ratios_are_of_figures_that_are_compared() -> None:
    names = {figure.name for figure in figures_of(plan_of(parse([])))}
    in_a_room = {name for name in names if "in a room already" in name}  # not kept of older releases
    assert len(in_a_room) == 5
    releases = read_releases()
    assert releases
    for release in releases:
        assert set(release.ratios) - in_a_room == names - in_a_room
        assert not set(release.ratios) - names
        assert all(ratio > 0 for ratios in release.ratios.values() for ratio in ratios)
        assert msgspec.json.decode(msgspec.json.encode(release), type=Kept) == release


def test_modes_choose_what_is_compared() -> None:
    assert [figure.measurement for figure in figures_of(plan_of(parse(["--modes", "idle"])))] == ["idle"]
