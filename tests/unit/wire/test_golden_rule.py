"""Which changes golden bytes let pass, and which they refuse."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.support import golden
from tests.support.golden import (
    Codec,
    Golden,
    Sample,
    how_to_write,
    is_released,
    problems,
    rendered,
    unsampled,
    write,
)
from tests.unit.wire.golden_messages import GOLDEN


class Inner(msgspec.Struct, frozen=True, array_like=True):
    size: int
    data: bytes


class Message(msgspec.Struct, frozen=True, array_like=True, tag="Message"):
    user: str
    peer: str
    rooms: dict[str, int]
    parts: tuple[Inner | None, ...]
    count: int = 0


GOOD = (
    Message("alice", "bob", {"lobby": 1}, (Inner(1, b"x"), None), 3),
    Message("alice", "bob", {}, ()),
)


def collection(folder: Path, kind: type = Message, values: tuple[object, ...] = GOOD) -> Golden:
    samples = [Sample(str(number), "message", value) for number, value in enumerate(values)]
    decode: Callable[[bytes], object] = msgspec.msgpack.Decoder(kind).decode
    return Golden(folder, "messages.json", {"message": Codec(msgspec.msgpack.encode, decode)}, samples)


def changed(tmp_path: Path, kind: type) -> list[str]:
    """What there is to say when `Message` has become `kind`."""
    write(collection(tmp_path), "0.2", overwrite=False)
    return list(problems(collection(tmp_path, kind), "0.2"))


def test_what_did_not_change_is_no_problem(tmp_path: Path) -> None:
    assert changed(tmp_path, Message) == []


def test_a_field_with_a_default_may_be_appended(tmp_path: Path) -> None:
    class Longer(Message, frozen=True, array_like=True, tag="Message"):
        note: str = "none"

    Longer.__name__ = "Message"

    assert changed(tmp_path, Longer) == []


def test_an_older_process_reads_what_a_newer_one_has_appended_to() -> None:
    class Longer(Message, frozen=True, array_like=True, tag="Message"):
        note: str = "none"

    newer = msgspec.msgpack.encode(Longer("alice", "bob", {}, (), 0, "new"))

    assert msgspec.msgpack.decode(newer, type=Message) == GOOD[1]


def test_a_field_without_a_default_may_not_be_appended(tmp_path: Path) -> None:
    fields = [("user", str), ("peer", str), ("rooms", dict[str, int]), ("parts", tuple[Inner | None, ...])]
    longer = msgspec.defstruct(
        "Message", [*fields, ("count", int), ("note", str)], array_like=True, tag="Message"
    )

    assert len(changed(tmp_path, longer)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(
            [
                ("peer", str),
                ("user", str),
                ("rooms", dict[str, int]),
                ("parts", tuple[Inner | None, ...]),
                ("count", int, 0),
            ],
            id="two fields swapped",
        ),
        pytest.param(
            [("user", str), ("peer", str), ("rooms", dict[str, int]), ("parts", tuple[Inner | None, ...])],
            id="a field removed",
        ),
        pytest.param(
            [
                ("user", str),
                ("peer", str),
                ("rooms", dict[str, int]),
                ("parts", tuple[Inner | None, ...]),
                ("number", int, 0),
            ],
            id="a field renamed",
        ),
        pytest.param(
            [
                ("user", str),
                ("peer", str),
                ("rooms", dict[str, int]),
                ("parts", tuple[Inner | None, ...]),
                ("count", float, 0.0),
            ],
            id="another type that reads the same bytes",
        ),
        pytest.param(
            [
                ("user", str),
                ("peer", str),
                ("rooms", dict[str, bool]),
                ("parts", tuple[Inner | None, ...]),
                ("count", int, 0),
            ],
            id="another type inside",
        ),
    ],
)
def test_another_shape_is_a_problem(
    tmp_path: Path, fields: list[tuple[str, type] | tuple[str, type, object]]
) -> None:
    other = msgspec.defstruct("Message", fields, array_like=True, tag="Message")

    assert changed(tmp_path, other) != []


def test_another_name_is_a_problem(tmp_path: Path) -> None:
    class Renamed(Message, frozen=True, array_like=True, tag="Renamed"):
        pass

    assert len(changed(tmp_path, Renamed)) == 2


def test_a_sample_whose_codec_is_gone_is_a_problem(tmp_path: Path) -> None:
    write(collection(tmp_path), "0.2", overwrite=False)

    (first, _) = problems(collection(tmp_path)._replace(codecs={}), "0.2")
    assert first == "0.2, 0: KeyError('message')"


def test_another_default_is_another_file(tmp_path: Path) -> None:
    class Other(Message, frozen=True, array_like=True, tag="Message"):
        count: int = 1

    Other.__name__ = "Message"
    others = (Other("alice", "bob", {"lobby": 1}, (Inner(1, b"x"), None), 3), Other("alice", "bob", {}, ()))

    assert rendered(collection(tmp_path)) != rendered(collection(tmp_path, Other, others))


def test_samples_that_would_hide_a_change_are_told(tmp_path: Path) -> None:
    hiding = collection(tmp_path, values=(Message("alice", "alice", {}, (Inner(1, b"x"),), 3),))

    assert set(unsampled(hiding, {Message, Inner, Sample})) == {
        "Message: user and peer are the same in every sample",
        "Message: no sample has the default of count",
        "Sample has no sample",
    }
    assert list(unsampled(collection(tmp_path), {Message, Inner})) == []


def test_versions_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for version in ("0.10", "0.9", "1.0"):
        write(collection(tmp_path), version, overwrite=False)

    assert collection(tmp_path).versions() == ["0.9", "0.10", "1.0"]


def test_the_bytes_of_a_version_are_not_overwritten_unasked(tmp_path: Path) -> None:
    write(collection(tmp_path), "0.2", overwrite=False)

    with pytest.raises(FileExistsError):
        write(collection(tmp_path), "0.2", overwrite=False)
    write(collection(tmp_path, values=GOOD[:1]), "0.2", overwrite=True)

    assert len(collection(tmp_path).entries("0.2")) == 1


@pytest.mark.parametrize(
    ("version", "released"), [("0.2", True), ("0.1", True), ("0.3", False), ("0.20", False), ("2", False)]
)
def test_a_version_is_released_when_the_changelog_has_it(version: str, released: bool) -> None:
    changelog = "# Changelog\n\n## [Unreleased]\n\n## [0.2.1] - 2026-02-01\n\n## [0.1] - 2026-01-01\n"

    assert is_released(version, changelog) is released


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["0.2"], "is there already"),
        (["0.2.1"], "a version is two numbers"),
        (["0.2", "--unreleased"], "0.2 is released"),
    ],
)
def test_the_command_refuses_what_would_break_the_rule(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    (tmp_path / "CHANGELOG.md").write_text("## [0.2.0] - 2026-01-01\n")
    monkeypatch.setattr(golden, "ROOT", tmp_path)
    kept = GOLDEN.path("0.2").read_bytes()

    with pytest.raises(SystemExit):
        golden.main(arguments)

    assert said in capsys.readouterr().err
    assert GOLDEN.path("0.2").read_bytes() == kept


def test_who_changes_bytes_is_told_the_command() -> None:
    assert "\n    .venv/bin/python -m tests.support.golden 0.2 --unreleased\n" in how_to_write("0.2")
