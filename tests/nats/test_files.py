"""The files in `deploy/nats` say what the code says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.secured import DEPLOY, Prepared
from tieline.cli.__main__ import main
from tieline.cli.dev.broker_process import find_nats_server


def test_the_accounts_are_what_the_command_writes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions"]) == 0
    assert capsys.readouterr().out == (DEPLOY / "nats/accounts.conf").read_text()


def test_another_namespace_is_in_every_subject(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", "--namespace", "blue"]) == 0
    written = capsys.readouterr().out
    assert written.startswith("# ")
    assert "tieline permissions --namespace blue" in written
    assert written.replace("blue", "tieline").replace(" --namespace tieline", "") == (
        (DEPLOY / "nats/accounts.conf").read_text()
    )


def test_a_namespace_that_no_service_would_take_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", "--namespace", "a b"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "TIELINE_NAMESPACE" in said.err


@pytest.mark.needs("openssl")
def test_a_secret_that_is_missing_keeps_the_broker_from_starting(tmp_path: Path) -> None:
    passwords = {
        name: value for name, value in Prepared(tmp_path).environ.items() if name.endswith("_PASSWORD")
    }
    passwords.pop("TIELINE_PRESENCE_PASSWORD")
    checked = subprocess.run(
        [find_nats_server(os.environ), "--config", DEPLOY / "nats/nats.conf", "-t"],
        env={"NATS_NAME": "n", "NATS_ROUTES": "[]", **passwords},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode != 0
    assert "TIELINE_PRESENCE_PASSWORD" in checked.stderr


def test_what_looks_like_an_option_is_no_directory(tmp_path: Path) -> None:
    asked = subprocess.run(
        [DEPLOY / "prepare", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (asked.returncode, asked.stderr) == (2, "usage: deploy/prepare [DIRECTORY [HOST...]]\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("openssl")
def test_preparing_again_keeps_what_is_there(tmp_path: Path) -> None:
    first = {path: path.read_bytes() for path in files(Prepared(tmp_path))}
    assert {path: path.read_bytes() for path in files(Prepared(tmp_path))} == first
    # What is in `secrets` is read by services that run as another user, so the folder is shut, not the files.
    shut = [path.parent if path.parent.name == "secrets" else path for path in first]
    assert all(path.stat().st_mode & 0o077 == 0 for path in shut if path.suffix in (".key", ""))
    assert (tmp_path / "public").stat().st_mode & 0o077 == 0


@pytest.mark.needs("openssl")
def test_preparing_again_says_what_was_kept_and_for_whom(tmp_path: Path) -> None:
    Prepared(tmp_path, "nats-0.nats", "192.0.2.7")
    said = prepare(tmp_path, "nats-0.nats", "192.0.2.7")
    assert said[0] == "kept .env, with its secrets"
    assert not any(line.startswith("made") for line in said if "secrets/" not in line)
    assert any(
        line.startswith("kept tls/tls.crt, for 127.0.0.1, nats-0.nats, 192.0.2.7, until ") for line in said
    )
    assert not any("not good for" in line for line in said)
    said = prepare(tmp_path, "localhost", "nats-0.nats", "192.0.2.8")
    assert [line.split(":")[0].strip() for line in said if "not good for" in line] == [
        "it is not good for localhost",
        "it is not good for 192.0.2.8",
    ]


def prepare(folder: Path, *hosts: str) -> list[str]:
    """Prepare, and return what is said."""
    command = [str(DEPLOY / "prepare"), str(folder), *hosts]
    said: str = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return said.splitlines()


@pytest.mark.needs("openssl")
def test_preparing_again_keeps_another_authority_s_certificates(tmp_path: Path) -> None:
    folder = Prepared(tmp_path).folder
    shutil.rmtree(folder / "tls/clients")
    (folder / "tls/ca.key").unlink()
    lines = (folder / ".env").read_text().splitlines()
    (folder / ".env").write_text("".join(f"{line}\n" for line in lines if "STREAMS" not in line))
    assert Prepared(tmp_path).password("streams")


def files(prepared: Prepared) -> list[Path]:
    return sorted(path for path in prepared.folder.rglob("*") if path.is_file())
