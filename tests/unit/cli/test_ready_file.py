"""The ready file: what is written is what other programs read."""

import json
from pathlib import Path

import msgspec
import pytest

from tieline.cli.ready_file import ReadyFile, check_writable, read, write

CONTENTS = ReadyFile(
    ["ws://127.0.0.1:8080/ws", "ws://127.0.0.1:8081/ws"],
    {"gateway": ["http://127.0.0.1:1", "http://127.0.0.1:2"], "router": [], "presence": []},
    "nats://127.0.0.1:3",
    {"nats": [10], "gateway": [11, 12], "router": [13], "presence": [14], "api": [15]},
    "http://127.0.0.1:4",
    "a key",
)


def test_the_file_is_json_with_the_documented_fields(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    write(file, CONTENTS)
    document = json.loads(file.read_text())
    assert list(document) == ["gateways", "ops", "nats", "pids", "api", "apiKey"]
    assert (document["api"], document["apiKey"]) == ("http://127.0.0.1:4", "a key")
    assert document["pids"]["gateway"] == [11, 12]
    assert file.read_text().count("\n") > 1


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    write(file, CONTENTS)
    write(file, msgspec.structs.replace(CONTENTS, nats="nats://127.0.0.1:4"))
    assert read(file) == msgspec.structs.replace(CONTENTS, nats="nats://127.0.0.1:4")
    assert list(tmp_path.iterdir()) == [file]


def test_gateways_are_enough_to_be_read(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    file.write_text('{"gateways": ["ws://127.0.0.1:8080/ws"], "later": true}')
    assert read(file) == ReadyFile(["ws://127.0.0.1:8080/ws"])


@pytest.mark.parametrize("text", ["", "{}", '{"gateways": []}', '{"gateways": [1]}'])
def test_a_file_without_gateways_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    file.write_text(text)
    with pytest.raises(msgspec.DecodeError):
        read(file)


def test_what_an_earlier_run_wrote_is_deleted(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    write(file, CONTENTS)
    check_writable(file)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        check_writable(tmp_path / "missing" / "ready.json")
